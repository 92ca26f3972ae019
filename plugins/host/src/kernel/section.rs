//! The custom section `octet.kernel`: what a kernel for one list of types says of itself.

use octet_ir::{Diagnostic, Type, text};
use wasmparser::{Parser, Payload};

use super::records::element_number;
use crate::screen::malformed;

/// Name of the section.
const SECTION: &str = "octet.kernel";

/// What the section says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) summary: String,
    pub(crate) operands: Vec<Type>,
    pub(crate) results: Vec<Type>,
}

/// The section of a module, if it has one.
pub(crate) fn find(bytes: &[u8]) -> Result<Option<Section>, Diagnostic> {
    for payload in Parser::new(0).parse_all(bytes) {
        if let Payload::CustomSection(section) = payload.map_err(|e| malformed(&e.to_string()))?
            && section.name() == SECTION
        {
            let text = std::str::from_utf8(section.data()).map_err(|_| wrong("it is no UTF-8"))?;
            return parse(text).map(Some);
        }
    }
    Ok(None)
}

fn wrong(why: &str) -> Diagnostic {
    Diagnostic::error("PLG015", format!("the section '{SECTION}' is not well formed: {why}"))
}

fn parse(text: &str) -> Result<Section, Diagnostic> {
    let mut lines = text.lines();
    let head = lines.next().unwrap_or_default();
    if head != "octet.kernel 1" {
        let shown: String = head.chars().take(64).flat_map(char::escape_default).collect();
        return Err(Diagnostic::error("PLG013", format!("the kernel was built for '{shown}'"))
            .with_note("this compiler serves octet.kernel 1")
            .with_help("build the kernel again for this compiler: docs/wasm-kernel-abi.md"));
    }
    let mut entry = |key: &str| {
        let line = lines.next().and_then(|line| line.strip_prefix(key)?.strip_prefix(": "));
        line.map(str::to_owned).ok_or_else(|| wrong(&format!("there is no line '{key}: ...' in its place")))
    };
    let (name, version, summary) = (entry("name")?, entry("version")?, entry("summary")?);
    let (mut operands, mut results) = (Vec::new(), Vec::new());
    for line in lines.filter(|line| !line.is_empty()) {
        let (list, ty) = match line.split_once(": ") {
            Some(("operand", ty)) if results.is_empty() => (&mut operands, ty),
            Some(("result", ty)) => (&mut results, ty),
            _ => return Err(wrong("behind the summary stand operands, then results")),
        };
        let ty = text::parse_type(ty).map_err(|e| wrong(&format!("a type: {}", e.message)))?;
        if element_number(ty.elem).is_none() || ty.byte_len().is_none() || ty.shape.is_dynamic() {
            return Err(wrong(&format!("{ty} is no type of static size that kernels take")));
        }
        list.push(ty);
    }
    if results.is_empty() {
        return Err(wrong("there is no result"));
    }
    Ok(Section { name, version, summary, operands, results })
}

#[cfg(test)]
mod tests {
    use super::parse;

    const GOOD: &str =
        "octet.kernel 1\nname: AcmeNorm\nversion: 1.0.0\nsummary: Says it.\noperand: 1x4 f32\noperand: 8 !q<i8, 0.5:-3>\nresult: 1x4 f32\n";

    #[test]
    fn a_section_is_read() {
        let section = parse(GOOD).expect("well formed");
        assert_eq!((section.name.as_str(), section.operands.len(), section.results.len()), ("AcmeNorm", 2, 1));
        assert_eq!(section.operands[1].to_string(), "8 !q<i8, 0.5:-3>");
    }

    #[test]
    fn what_is_wrong_with_a_section_is_said() {
        for (from, to, code) in [
            ("kernel 1", "kernel 2", "PLG013"),
            ("name: ", "nome: ", "PLG015"),
            ("version: 1.0.0\n", "", "PLG015"),
            ("result: 1x4 f32\n", "", "PLG015"),
            ("1x4 f32\noperand", "1x4 f33\noperand", "PLG015"),
            ("1x4 f32\noperand", "?:1x4 f32\noperand", "PLG015"),
            ("1x4 f32\noperand", "1x4 string\noperand", "PLG015"),
            ("result", "retult", "PLG015"),
        ] {
            let refused = parse(&GOOD.replacen(from, to, 1)).expect_err(from);
            assert_eq!(refused.code, code, "{refused}");
        }
    }
}
