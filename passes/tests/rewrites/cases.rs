//! Runs the pipeline that the first line of each `tests/cases/PASS/*.ir` names, compares what comes out with the snapshot beside it, and
//! checks that it computes the same as before. A line `// not computed: WHY` leaves the numbers out.

use std::fmt::Write as _;
use std::path::Path;

use crate::common::{NoData, assert_same_numbers, printed, read};
use octet_ir::{Diagnostic, Module, text};
use octet_passes::{Monitor, Pipeline, Settings};

/// Folders of passes that keep a model's numbers. (`quantize` has a runner of its own.)
const FOLDERS: [&str; 8] = ["canonicalize", "cse", "dce", "fold", "fuse", "layout", "legalize", "pipeline"];

#[derive(Default)]
struct Notes(Vec<Diagnostic>);

impl Monitor for Notes {
    fn report(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }
}

fn run(source: &str) -> (Option<Module>, String) {
    let pipeline = source.lines().next().and_then(|l| l.strip_prefix("// run: ")).expect("the first line names the pipeline");
    let mut notes = Notes::default();
    let pipeline: Pipeline = pipeline.parse().expect("a pipeline");
    match octet_passes::run(&read(source), &pipeline, &Settings::default(), &NoData, &mut notes) {
        Ok(outcome) => {
            let mut shown = text::print(&outcome.module).text;
            for note in notes.0 {
                writeln!(shown, "{}: {}", note.location, note.message).expect("writes");
            }
            (Some(outcome.module), shown)
        }
        Err(failure) => (None, failure.diagnostics.to_string()),
    }
}

#[test]
fn cases() {
    for folder in FOLDERS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases").join(folder);
        let mut files: Vec<_> = std::fs::read_dir(&path).expect("the folder").map(|f| f.expect("an entry").path()).collect();
        files.retain(|f| f.extension().is_some_and(|e| e == "ir"));
        files.sort();
        assert!(!files.is_empty(), "no cases in {folder}");
        for file in files {
            let source = std::fs::read_to_string(&file).expect("a readable case");
            let (module, shown) = run(&source);
            let name = file.file_stem().and_then(|n| n.to_str()).expect("a name");
            let settings = {
                let mut settings = insta::Settings::clone_current();
                settings.set_snapshot_path(&path);
                settings.set_prepend_module_to_snapshot(false);
                settings.set_omit_expression(true);
                settings
            };
            settings.bind(|| insta::assert_snapshot!(name, shown));
            if let Some(after) = module.filter(|_| !source.contains("// not computed: ")) {
                assert_same_numbers(&read(&source), &after);
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_chance() {
    for folder in FOLDERS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases").join(folder);
        for file in std::fs::read_dir(&path).expect("the folder").map(|f| f.expect("an entry").path()) {
            if file.extension().is_some_and(|e| e == "ir") {
                let source = std::fs::read_to_string(&file).expect("a readable case");
                assert_eq!(run(&source).1, run(&source).1, "{}", file.display());
            }
        }
    }
}

/// A case run twice changes nothing the second time.
#[test]
fn pipelines_settle() {
    for folder in FOLDERS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases").join(folder);
        for file in std::fs::read_dir(&path).expect("the folder").map(|f| f.expect("an entry").path()) {
            if file.extension().is_some_and(|e| e == "ir") {
                let source = std::fs::read_to_string(&file).expect("a readable case");
                let first = source.lines().next().unwrap_or_default();
                if let (Some(once), _) = run(&source) {
                    let again = format!("{first}\n{}", printed(once.clone()));
                    let twice = run(&again).0.expect("runs again");
                    assert_eq!(printed(twice), printed(once), "{}", file.display());
                }
            }
        }
    }
}
