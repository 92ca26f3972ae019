//! Profiles: parsing them, and finding the built-in ones.

use std::sync::LazyLock;

use octet_ir::{Diagnostic, Op};
use serde::Deserialize;

use crate::row::Row;
use crate::rules::Rule;

/// What a target takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// The name under which users ask for it.
    pub name: String,
    /// What it is.
    pub title: String,
    /// Where its facts come from.
    pub source: String,
    /// Whether every shape must be known before the model runs.
    pub static_shapes: bool,
    /// Its operations, sorted by the name of the first.
    pub ops: Vec<OpRule>,
}

/// What a target takes of some operations.
#[derive(Clone, Debug, PartialEq)]
pub struct OpRule {
    /// Names of operations: the IR's mnemonics, `custom:NAME`, or a builtin's TFLite name in lower case.
    pub ops: Vec<String>,
    /// Allowed element types, a row each; none means any.
    pub types: Vec<Row>,
    /// Further constraints.
    pub rules: Vec<Rule>,
    /// What else there is to say.
    pub note: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileText {
    name: String,
    title: String,
    source: String,
    #[serde(default)]
    static_shapes: bool,
    #[serde(default)]
    op: Vec<OpText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpText {
    ops: Vec<String>,
    #[serde(default)]
    types: Vec<String>,
    #[serde(default)]
    rules: Vec<Rule>,
    note: Option<String>,
}

impl Profile {
    /// Reads a profile; the error (`TGT001`) says what is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, Diagnostic> {
        let wrong = |what: String| Diagnostic::error("TGT001", format!("the target profile is malformed: {what}"));
        let raw: ProfileText = toml::from_str(text).map_err(|e| wrong(e.to_string().trim_end().to_owned()))?;
        let mut seen: Vec<String> = Vec::new();
        let mut ops = Vec::new();
        for op in raw.op {
            for name in &op.ops {
                if seen.contains(name) {
                    return Err(wrong(format!("'{name}' stands twice")));
                }
                seen.push(name.clone());
            }
            check_names(&op).map_err(wrong)?;
            let types = op.types.iter().map(|t| Row::parse(t)).collect::<Result<_, _>>().map_err(wrong)?;
            ops.push(OpRule { ops: op.ops, types, rules: op.rules, note: op.note });
        }
        ops.sort_by(|a, b| a.ops.cmp(&b.ops));
        Ok(Self { name: raw.name, title: raw.title, source: raw.source, static_shapes: raw.static_shapes, ops })
    }

    /// What the target takes of an operation of this name.
    pub fn op(&self, name: &str) -> Option<&OpRule> {
        self.ops.iter().find(|rule| rule.ops.iter().any(|o| o == name))
    }
}

/// Names of modelled operations must exist, and so must the operands that rules name.
fn check_names(op: &OpText) -> Result<(), String> {
    for name in &op.ops {
        let Ok(known) = Op::from_attributes(name, Vec::new()) else { continue };
        for operand in op.rules.iter().flat_map(Rule::names) {
            if !operand.starts_with("result") && !known.operand_spec().iter().any(|o| o.name == operand) {
                return Err(format!("{name} has no operand '{operand}'"));
            }
        }
    }
    Ok(())
}

static BUILT_IN: LazyLock<Vec<Profile>> = LazyLock::new(|| {
    let texts = [include_str!("../profiles/tflite.toml"), include_str!("../profiles/tflm.toml")];
    // A test parses each; one that did not parse would be missing from `octet list targets`.
    texts.iter().filter_map(|text| Profile::parse(text).ok()).collect()
});

/// The built-in profiles, sorted by name.
pub fn profiles() -> &'static [Profile] {
    &BUILT_IN
}

/// The built-in profile of this name; the error (`TGT002`) lists what there is.
pub fn profile(name: &str) -> Result<&'static Profile, Diagnostic> {
    profiles().iter().find(|p| p.name == name).ok_or_else(|| {
        let known: Vec<&str> = profiles().iter().map(|p| p.name.as_str()).collect();
        Diagnostic::error("TGT002", format!("there is no target '{name}'"))
            .with_note(format!("there are: {}", known.join(", ")))
            .with_help("a file that ends in .toml is read as a profile of your own")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_profiles_parse() {
        for text in [include_str!("../profiles/tflite.toml"), include_str!("../profiles/tflm.toml")] {
            let profile = Profile::parse(text).unwrap_or_else(|e| panic!("{e}"));
            let names: usize = profile.ops.iter().map(|rule| rule.ops.len()).sum();
            assert!(names > 50, "{} knows {names} operations", profile.name);
        }
        assert_eq!(profiles().iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["tflite", "tflm"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let head = "name = 'x'\ntitle = 'x'\nsource = 'x'\n";
        for (text, needle) in [
            ("name = 3", "expected a string"),
            ("[[op]]\nops = ['relu']\ntypes = ['f32']", "no '->'"),
            ("[[op]]\nops = ['relu']\ntypes = ['T -> T']", "does not say what T is"),
            ("[[op]]\nops = ['relu']\ntypes = ['f31 -> f32']", "no element type 'f31'"),
            ("[[op]]\nops = ['relu']\nrules = [{kind = 'constant', operand = 'filter'}]", "no operand 'filter'"),
            ("[[op]]\nops = ['relu', 'relu']", "twice"),
        ] {
            let error = Profile::parse(&format!("{}{text}", if text.starts_with("name") { "" } else { head })).unwrap_err();
            assert!(error.message.contains(needle), "{}", error.message);
        }
    }
}
