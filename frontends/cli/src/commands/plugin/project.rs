//! `octet plugin new`: the examples, which are tested as they stand, as projects to begin with.

use std::path::{Path, PathBuf};

use octet_ir::Diagnostic;
use octet_plugin_host::WIT;

use super::{Exit, Failure, Kind, Language, Terminal};

/// A file of a project, by its path in the project's folder.
type File = (&'static str, &'static str);

macro_rules! example {
    ($folder:literal: $($name:literal from $file:literal),+) => {
        &[$(($name, include_str!(concat!("../../../../../plugins/examples/", $folder, "/", $file)))),+]
    };
}

const C_PASS: &[File] = example!("c-pass":
    "octet_plugin.h" from "octet_plugin.h", "pass.c" from "log_softmax.c",
    "build.sh" from "build.sh", "example.ir" from "cases/fuses.ir");
const C_KERNEL: &[File] = example!("c-kernel":
    "octet_kernel.h" from "octet_kernel.h", "kernel.c" from "squared_relu.c",
    "build.sh" from "build.sh", "example.ir" from "cases/folds.ir");
const RUST_PASS: &[File] = example!("rust-pass":
    "Cargo.toml" from "Cargo.toml", "src/lib.rs" from "src/lib.rs",
    "build.sh" from "build.sh", "example.ir" from "cases/fuses.ir");
const RUST_KERNEL: &[File] = example!("rust-kernel":
    "Cargo.toml" from "Cargo.toml", "src/lib.rs" from "src/lib.rs", "src/octet_kernel.rs" from "src/octet_kernel.rs",
    "build.sh" from "build.sh", "example.ir" from "cases/folds.ir");
const ASSEMBLYSCRIPT_PASS: &[File] = example!("assemblyscript-pass":
    "package.json" from "package.json", "octet_pass.ts" from "octet_pass.ts", "pass.ts" from "pass.ts",
    "build.sh" from "build.sh", "example.ir" from "cases/fuses.ir");
const ASSEMBLYSCRIPT_KERNEL: &[File] = example!("assemblyscript-kernel":
    "package.json" from "package.json", "octet_kernel.ts" from "octet_kernel.ts", "kernel.ts" from "kernel.ts",
    "build.sh" from "build.sh", "example.ir" from "cases/folds.ir");

fn files(kind: Kind, lang: Language) -> &'static [File] {
    match (kind, lang) {
        (Kind::Pass, Language::C) => C_PASS,
        (Kind::Pass, Language::Rust) => RUST_PASS,
        (Kind::Pass, Language::AssemblyScript) => ASSEMBLYSCRIPT_PASS,
        (Kind::Kernel, Language::C) => C_KERNEL,
        (Kind::Kernel, Language::Rust) => RUST_KERNEL,
        (Kind::Kernel, Language::AssemblyScript) => ASSEMBLYSCRIPT_KERNEL,
    }
}

/// Writes a project into a folder that must not be there.
pub(super) fn begin(folder: &Path, kind: Kind, lang: Language, terminal: &Terminal) -> Result<Exit, Failure> {
    let cannot =
        |path: PathBuf, e: std::io::Error| Diagnostic::error("CLI010", format!("cannot write: {e}")).in_file(path.display().to_string());
    std::fs::create_dir(folder).map_err(|e| cannot(folder.to_owned(), e))?;
    let interface: &[File] = if kind == Kind::Pass { &[("plugin.wit", WIT)] } else { &[] };
    for (name, text) in files(kind, lang).iter().chain(interface) {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent).and_then(|()| std::fs::write(&path, text)).map_err(|e| cannot(path, e))?;
    }
    // The first line of an example names the pipeline that shows the plugin at work.
    let example = files(kind, lang).iter().find(|(name, _)| *name == "example.ir").map_or("", |file| file.1);
    let pipeline = example.lines().next().and_then(|line| line.strip_prefix("// run: ")).unwrap_or("none");
    let made = match kind {
        Kind::Pass => "pass.wasm",
        Kind::Kernel => "kernel.wasm",
    };
    let folder = folder.display();
    terminal.line(&format!("sh {folder}/build.sh makes {folder}/{made}; octet plugin check {folder}/{made} looks at it"));
    terminal.line(&format!("octet opt {folder}/example.ir --plugin {folder}/{made} --pipeline '{pipeline}' runs it"));
    Ok(Exit::Success)
}
