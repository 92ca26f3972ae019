//! Runs the pipelines of `tests/cases/quantize/*.ir` and compares what comes out, diagnostics included.

use std::fmt::Write as _;
use std::path::Path;

use octet_ir::{Diagnostic, text};
use octet_passes::{Pipeline, Settings, Silent};
use octet_plugin::{DataSource, Dataset};

struct NoData;

impl DataSource for NoData {
    fn open(&self, name: &str) -> Result<Dataset, Diagnostic> {
        Err(Diagnostic::error("TST001", format!("cases have no data, '{name}' neither")))
    }
}

fn outcome(source: &str) -> String {
    let (first, rest) = source.split_once('\n').expect("a first line");
    let pipeline: Pipeline = first.strip_prefix("// run: ").expect("// run: PIPELINE").parse().expect("a pipeline");
    let module = text::parse(rest, &Default::default()).unwrap_or_else(|e| panic!("{e}"));
    let mut monitor = Silent::default();
    let mut result = String::new();
    match octet_passes::run(&module, &pipeline, &Settings::default(), &NoData, &mut monitor) {
        Ok(outcome) => result.push_str(&text::print(&outcome.module).text),
        Err(failure) => writeln!(result, "{}", failure.diagnostics).expect("writes"),
    }
    if !monitor.0.0.is_empty() {
        writeln!(result, "---\n{}", monitor.0).expect("writes");
    }
    result
}

#[test]
fn cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases/quantize");
    let entries = std::fs::read_dir(&folder).expect("a folder of cases").map(|e| e.expect("an entry").path());
    let mut paths: Vec<_> = entries.filter(|p| p.extension().is_some_and(|e| e == "ir")).collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let source = std::fs::read_to_string(&path).expect("readable");
        let name = path.file_stem().and_then(|s| s.to_str()).expect("a name").to_owned();
        let settings = {
            let mut s = insta::Settings::clone_current();
            s.set_snapshot_path(&folder);
            s.set_prepend_module_to_snapshot(false);
            s.set_omit_expression(true);
            s
        };
        settings.bind(|| insta::assert_snapshot!(name, outcome(&source)));
    }
}
