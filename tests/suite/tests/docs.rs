//! The generated pages of docs/ are what the code gives. `cargo xtask docs` writes them.

use octet_tests::peers::workspace_root;

fn page(name: &str, text: &str) {
    let path = workspace_root().join("docs").join(name);
    if std::env::var_os("OCTET_DOCS").is_some_and(|v| v == "write") {
        std::fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let line = written.lines().zip(text.lines()).take_while(|(a, b)| a == b).count() + 1;
    assert!(written == text, "docs/{name} is out of date from line {line} on: run `cargo xtask docs`");
}

#[test]
fn the_command() {
    page("cli.md", &octet::cli::reference());
}

#[test]
fn passes() {
    page("passes.md", &octet::passes::docs());
}

#[test]
fn targets() {
    page("targets.md", &octet::targets::docs());
}

#[test]
fn quantization() {
    page("quantization.md", &octet::passes::quantize::docs());
}
