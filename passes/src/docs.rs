//! The manual page of the passes, put together from the module docs of their files.

use octet_plugin::{PassEntry, Registry};

use crate::rewrite::Rewrite;

/// Where the documentation of a pass stands: the text of its file, and its rewrites.
struct Source {
    pass: &'static str,
    text: &'static str,
    rewrites: &'static [&'static dyn Rewrite],
}

/// In the order of a usual pipeline.
const SOURCES: &[Source] = &[
    Source { pass: "adopt-fake-quant", text: include_str!("quantize/adopt.rs"), rewrites: &[] },
    Source { pass: "fold", text: include_str!("fold/mod.rs"), rewrites: crate::fold::REWRITES },
    Source { pass: "canonicalize", text: include_str!("cleanup/mod.rs"), rewrites: crate::cleanup::REWRITES },
    Source { pass: "fuse", text: include_str!("fuse/mod.rs"), rewrites: crate::fuse::REWRITES },
    Source { pass: "layout", text: include_str!("layout/mod.rs"), rewrites: &[] },
    Source { pass: "cse", text: include_str!("cleanup/cse.rs"), rewrites: &[] },
    Source { pass: "dce", text: include_str!("cleanup/dce.rs"), rewrites: &[] },
    Source { pass: "calibrate", text: include_str!("calibrate/mod.rs"), rewrites: &[] },
    Source { pass: "quantize", text: include_str!("quantize/mod.rs"), rewrites: &[] },
    Source { pass: "legalize", text: include_str!("legalize/mod.rs"), rewrites: crate::legalize::REWRITES },
];

/// Every rewrite of this crate with the pass that runs it.
pub fn rewrites() -> impl Iterator<Item = (&'static str, &'static dyn Rewrite)> {
    SOURCES.iter().flat_map(|source| source.rewrites.iter().map(|r| (source.pass, *r)))
}

/// The module doc at the head of a source file, without its markers.
pub fn module_doc(source: &str) -> String {
    let lines = source.lines().take_while(|l| l.starts_with("//!"));
    lines.map(|l| l.trim_start_matches("//!").strip_prefix(' ').unwrap_or("").trim_end().to_owned() + "\n").collect()
}

/// The IR texts that a rewrite's module doc shows, as pairs of before and after.
pub fn examples(rewrite: &dyn Rewrite) -> Vec<(String, String)> {
    let doc = module_doc(rewrite.source());
    let mut fences = Vec::new();
    let mut lines = doc.lines();
    while let Some(line) = lines.next() {
        if line == "```ir" {
            let body: Vec<&str> = lines.by_ref().take_while(|l| *l != "```").collect();
            fences.push(format!("octet.ir 1\n{}\n", body.join("\n")));
        }
    }
    fences.chunks(2).filter_map(|pair| pair.first().cloned().zip(pair.get(1).cloned())).collect()
}

/// `docs/passes.md`: every pass with its rewrites, as their files document them.
pub fn docs() -> String {
    let mut page = String::from(
        "# Passes\n\n\
         <!-- Generated from the module docs in passes/src by `cargo xtask docs`; change them there. -->\n\n\
         A pipeline is a list of passes, `NAME{OPTION = VALUE, ...}` separated by commas; `octet opt` runs one. `fuse` and `canonicalize` are lists\n\
         of rewrites and take the options `only = [\"NAME\", ...]` and `except = [\"NAME\", ...]`. A rewrite that finds its pattern but does not\n\
         apply says why, in a note with code PAS010.\n\
         The IR shown before and after a rewrite is run by a test.\n",
    );
    let entries = Registry::<PassEntry>::collect();
    for source in SOURCES {
        let summary = entries.as_ref().ok().and_then(|r| r.get(source.pass).ok()).map_or("", |e| e.summary);
        page += &format!("\n## {}\n\n{summary}\n\n{}", source.pass, module_doc(source.text));
        for rewrite in source.rewrites {
            page += &format!("\n### {}\n\n{}", rewrite.name(), module_doc(rewrite.source()));
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pass_has_its_page() {
        let registered = Registry::<PassEntry>::collect().expect("names are unique");
        let missing: Vec<_> = registered.iter().map(|e| e.name).filter(|name| !SOURCES.iter().any(|s| s.pass == *name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
