//! Runs Acme's own command: its pass works in pipelines like a built-in one, and the lists name its crate.
//!
//! Each `cases/*.ir` names a pipeline in its first line and has a snapshot beside it.

use std::path::Path;
use std::process::{Command, Output};

fn acme(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_acme-octet")).args(arguments).output().expect("the command runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<_> = std::fs::read_dir(&folder).expect("the folder").map(|f| f.expect("an entry").path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "ir"));
    files.sort();
    assert_eq!(files.len(), 4);
    for file in files {
        let source = std::fs::read_to_string(&file).expect("a readable case");
        let pipeline = source.lines().next().and_then(|l| l.strip_prefix("// run: ")).expect("the first line names the pipeline");
        let ran = acme(&["opt", &file.display().to_string(), "--pipeline", pipeline, "--explain"]);
        let shown = format!("{}{}", text(&ran.stdout), text(&ran.stderr));
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(&folder);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        let name = file.file_stem().and_then(|n| n.to_str()).expect("a name");
        settings.bind(|| insta::assert_snapshot!(name, shown));
    }
}

#[test]
fn the_lists_name_the_crate() {
    let listed = text(&acme(&["list", "plugins"]).stdout);
    let row = listed.lines().find(|l| l.starts_with("acme-fuse")).expect("a row for the pass");
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(cells, ["acme-fuse", "0.3.0", "pass", "acme-passes", octet::plugin::INTERFACE]);
    assert!(listed.lines().any(|l| l.starts_with("canonicalize") && l.contains("octet-passes")), "{listed}");
}
