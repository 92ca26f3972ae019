//! The examples, each built by its own instructions, running like built-in passes and kernels. Where this machine has no toolchain for one, it is told as
//! skipped, with its name.

use std::path::{Path, PathBuf};
use std::process::Command;

use octet_ir::text;
use octet_plugin::install;
use octet_plugin_host::{Limits, Plugin, load_bytes, pack};

use crate::carried::{pieces, same};
use crate::{read, run};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)
}

/// A linker for WebAssembly: `wasm-ld` of the system, or the one that comes with Rust.
fn linker() -> Vec<String> {
    let version = Command::new("wasm-ld").arg("--version").output();
    if version.is_ok_and(|v| v.status.success()) {
        return vec!["wasm-ld".into()];
    }
    let rustup = Command::new("rustup").args(["show", "home"]).output().expect("wasm-ld (apt install lld) or rustup");
    let home = PathBuf::from(String::from_utf8(rustup.stdout).expect("a path").trim());
    let toolchains = std::fs::read_dir(home.join("toolchains")).expect("toolchains").filter_map(Result::ok);
    let hosts = toolchains.filter_map(|t| std::fs::read_dir(t.path().join("lib/rustlib")).ok()).flatten().filter_map(Result::ok);
    let found = hosts.map(|h| h.path().join("bin/rust-lld")).find(|l| l.is_file()).expect("wasm-ld (apt install lld) or rust-lld");
    vec![found.display().to_string(), "-flavor".into(), "wasm".into()]
}

/// Runs an example's `build.sh` in a copy, and gives the plugin that it makes. The command that packs is this crate's function.
fn built(name: &str) -> Vec<u8> {
    built_with(name, None)
}

/// [`built`], with one file of the example replaced by a fixture: its name, and the fixture's.
fn built_with(name: &str, other: Option<(&str, &str)>) -> Vec<u8> {
    let place = std::env::temp_dir().join(format!("octet-{}-{}", other.map_or(name, |o| o.1), std::process::id()));
    copy(&folder(name), &place);
    if let Some((file, fixture)) = other {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        std::fs::copy(fixtures.join(fixture), place.join(file)).expect("copies");
    }
    std::fs::write(place.join("plugin.wit"), octet_plugin_host::WIT).expect("writes");
    let keep = place.join("octet");
    std::fs::write(&keep, "#!/bin/sh\ncp \"$3\" \"$5\"\n").expect("writes");
    let build = Command::new("sh")
        .arg(place.join("build.sh"))
        .env("LD", linker().join(" "))
        .env("OCTET", format!("sh {}", keep.display()))
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples"))
        .output()
        .expect("sh");
    assert!(build.status.success(), "{name}: {}", String::from_utf8_lossy(&build.stderr));
    let pass = place.join("pass.wasm");
    let bytes = if pass.is_file() {
        pack(&std::fs::read(pass).expect("the module")).unwrap_or_else(|e| panic!("{name}: {e}"))
    } else {
        std::fs::read(place.join("kernel.wasm")).expect("the kernel")
    };
    std::fs::remove_dir_all(&place).expect("removes");
    bytes
}

/// Copies what authors write: no `node_modules` and no `target`.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("the example").map(|e| e.expect("an entry")) {
        let (path, name) = (entry.path(), entry.file_name());
        if !path.is_dir() {
            std::fs::copy(&path, to.join(&name)).expect("copies");
        } else if name == "src" {
            copy(&path, &to.join(&name));
        }
    }
}

/// Each case's first line is its pipeline; what is expected stands beside it.
pub(crate) fn cases(name: &str, plugin: &Plugin, count: usize) {
    let folder = folder(name).join("cases");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).expect("cases").map(|f| f.expect("an entry").path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "ir"));
    files.sort();
    assert_eq!(files.len(), count, "{name}");
    for file in files {
        let source = std::fs::read_to_string(&file).expect("a case");
        let pipeline = source.lines().next().and_then(|l| l.strip_prefix("// run: ")).expect("the first line names the pipeline");
        let shown = match run(plugin, pipeline, &read(&source)) {
            Ok((module, _)) => text::print(&module).text,
            Err(found) => found.to_string(),
        };
        let expected = file.with_extension("expected");
        if std::env::var_os("OCTET_UPDATE").is_some() {
            std::fs::write(&expected, &shown).expect("writes");
        }
        assert_eq!(std::fs::read_to_string(&expected).unwrap_or_default(), shown, "{}", file.display());
    }
}

/// Builds an example, loads it, and runs its cases; a kernel also as part of these models' modules.
fn check(name: &str, file: &str, about: (&str, &str), count: usize, carried: &[&str]) {
    let plugin = load_bytes(&built(name), file, &Limits::default(), None).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!((plugin.name(), plugin.kind()), about);
    assert_eq!(plugin.version, "1.0.0");
    if let Some(kernel) = plugin.kernel() {
        install(kernel).expect("the only kernel of this name");
        for model in carried {
            same(model, &pieces(-4.0, 0.37));
        }
    }
    cases(name, &plugin, count);
}

/// Whether a command answers.
fn has(tool: &str, arguments: &[&str]) -> bool {
    Command::new(tool).args(arguments).output().is_ok_and(|o| o.status.success())
}

/// Whether Rust builds for WebAssembly here.
fn has_rust() -> bool {
    let libraries = Command::new("rustc").args(["--print", "target-libdir", "--target", "wasm32-unknown-unknown"]).output();
    libraries.is_ok_and(|o| o.status.success() && Path::new(String::from_utf8_lossy(&o.stdout).trim()).is_dir())
}

#[test]
fn the_c_pass() {
    check("c-pass", "pass.wasm", ("fuse-log-softmax", "pass"), 3, &[]);
}

#[test]
fn the_c_kernel() {
    let float = r#"octet.ir 1
graph @main(%0: 4x4 f32 loc("x")) {
  %1 = custom(%0) {name = "AcmeSquaredRelu"} : 4x4 f32 loc("squared")
  %2 = neg(%1) : 4x4 f32
  %3 = custom(%0) {name = "AcmeSquaredRelu", options = x"0000803f"} : 4x4 f32 loc("limited")
  return %2, %3
}
"#;
    let int8 = r#"octet.ir 1
graph @main(%0: 64 !q<i8, 0.03125:-3> loc("x")) {
  %1 = custom(%0) {name = "AcmeSquaredRelu"} : 64 !q<i8, 0.125:-128> loc("squared")
  return %1
}
"#;
    check("c-kernel", "kernel.wasm", ("AcmeSquaredRelu", "kernel"), 6, &[float, int8]);
}

#[test]
fn the_assemblyscript_pass() {
    if !has("npm", &["--version"]) {
        return println!("skipped: assemblyscript-pass, because there is no npm");
    }
    check("assemblyscript-pass", "pass.wasm", ("fuse-squared-difference", "pass"), 3, &[]);
}

#[test]
fn the_assemblyscript_kernel() {
    if !has("npm", &["--version"]) {
        return println!("skipped: assemblyscript-kernel, because there is no npm");
    }
    let sums = r#"octet.ir 1
graph @main(%0: 4x4 f32 loc("a"), %1: 4x4 f32 loc("b")) {
  %2 = custom(%0, %1) {name = "AcmeClampedSum"} : 4x4 f32 loc("sum")
  %3 = mul(%2, %0) : 4x4 f32
  %4 = custom(%3, %3) {name = "AcmeClampedSum"} : 4x4 f32 loc("twice")
  return %4
}
"#;
    check("assemblyscript-kernel", "kernel.wasm", ("AcmeClampedSum", "kernel"), 1, &[sums]);
}

#[test]
fn the_rust_kernel() {
    if !has_rust() {
        return println!("skipped: rust-kernel, because there is no Rust for wasm32-unknown-unknown");
    }
    let mish = r#"octet.ir 1
graph @main(%0: 2x8 f32 loc("x")) {
  %1 = custom(%0) {name = "AcmeMish"} : 2x8 f32 loc("mish")
  return %1
}
"#;
    check("rust-kernel", "kernel.wasm", ("AcmeMish", "kernel"), 1, &[mish]);
}

/// Its bindings are generated by a macro, which takes a minute to build.
#[test]
#[ignore = "long: builds wit-bindgen"]
fn the_rust_pass() {
    if !has_rust() {
        return println!("skipped: rust-pass, because there is no Rust for wasm32-unknown-unknown");
    }
    check("rust-pass", "pass.wasm", ("fuse-rsqrt", "pass"), 2, &[]);
}

/// What the files beside an example pass offer to authors: all of the interface, whatever the example needs of it.
const QUESTIONS: &str = r#"octet.ir 1
graph @main(%0: 1x4 f32 loc("x")) {
  %1 = relu6(%0) : 1x4 f32
  %2 = relu(%1) : 1x4 f32
  %3 = const [1.0, 2.0, 3.0, 4.0] : 4 f32
  %4 = add(%2, %3) : 1x4 f32
  %5 = abs(%4) : 1x4 f32
  %6 = neg(%0) : 1x4 f32
  return %5
}
"#;

#[test]
fn the_kit_for_c_asks_everything() {
    let plugin = built_with("c-pass", Some(("log_softmax.c", "every_question.c")));
    let plugin = load_bytes(&plugin, "pass.wasm", &Limits::default(), None).unwrap_or_else(|e| panic!("{e}"));
    let (_, said) = run(&plugin, "every-question", &read(QUESTIONS)).unwrap_or_else(|e| panic!("{e}"));
    let said: Vec<String> = said.0.iter().map(ToString::to_string).collect();
    assert_eq!(said[0].lines().next(), Some("warning[PLG023]: main"), "{said:?}");
    assert!(said[0].contains("op 2 ADD") && said[0].contains("help: none needed") && said[1].starts_with("note[PLG023]: done"), "{said:?}");
}

#[test]
fn the_kit_for_assemblyscript_makes_every_edit() {
    if !has("npm", &["--version"]) {
        return println!("skipped: every_edit.ts, because there is no npm");
    }
    let plugin = built_with("assemblyscript-pass", Some(("pass.ts", "every_edit.ts")));
    let plugin = load_bytes(&plugin, "pass.wasm", &Limits::default(), None).unwrap_or_else(|e| panic!("{e}"));
    let (module, said) = run(&plugin, "every-edit{a = \"für\", b = -7, c = 0.5}", &read(QUESTIONS)).unwrap_or_else(|e| panic!("{e}"));
    let printed = text::print(&module).text;
    for line in ["add(%1, ", "mul(", "{activation = relu}", "tanh(", "const [4.0] : f32"] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    assert!(!printed.contains("relu(") && !printed.contains("abs") && !printed.contains("neg"), "{printed}");
    assert!(said.0[0].to_string().starts_with("warning[PLG023]: für x 1\n  at: graph 'main', op 0 RELU6"), "{said}");
}
