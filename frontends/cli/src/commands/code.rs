//! `--cc`: how many bytes of code the user's own compiler makes of each kernel, for the table of operations.
//!
//! The C that target `c` writes is compiled twice in a temporary folder: as it will be built, for the size of all of it, and with `-DOCTET_APART`, which keeps
//! kernels from becoming part of one another. Nothing is linked or run.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};
use octet_backend_c::BUILT;
use octet_ir::{Attr, Diagnostic, Diagnostics, Module};
use octet_plugin::{BackendEntry, Options, Registry};

/// The compiler does not run, or does not take what it is given.
const COMPILER: &str = "CLI013";

/// The options of target `c` with the sizes that `command` gives.
pub(crate) fn measured(module: &Module, options: &Options, command: &str) -> Result<Options, Diagnostics> {
    let failed = |message: String| Diagnostic::error(COMPILER, message);
    let backend = (Registry::<BackendEntry>::collect()?.get("c")?.create)(options.clone())?;
    let files = backend.write(module, &mut Diagnostics::default())?;
    let folder = tempfile::tempdir().map_err(|e| failed(format!("no temporary folder: {e}")))?;
    // The one file of code beside the test, if there is one.
    let mut code = None;
    for file in &files {
        let Some(path) = &file.path else { continue };
        std::fs::write(folder.path().join(path), &file.bytes).map_err(|e| failed(format!("{path}: {e}")))?;
        if path.ends_with(".c") && !path.ends_with("_test.c") {
            code = Some(path.clone());
        }
    }
    let Some(code) = code else { return Err(failed("target c wrote no code".into()).into()) };
    let built = compile(folder.path(), &code, command, &[])?;
    let apart = compile(folder.path(), &code, command, &["-DOCTET_APART"])?;
    let mut sizes: Vec<String> = apart.functions.iter().map(|(name, bytes)| format!("{name}={bytes}")).collect();
    sizes.push(format!("{BUILT}={}", built.all));
    let mut options = options.clone();
    options.retain(|(name, _)| name != "sizes" && name != "report");
    options.push(("report".into(), Attr::Bool(true)));
    options.push(("sizes".into(), Attr::Str(sizes.join(","))));
    Ok(options)
}

/// Bytes of code in an object file.
struct Code {
    all: u64,
    /// By name; parts of a function that the compiler splits off count as its own.
    functions: BTreeMap<String, u64>,
}

fn compile(folder: &Path, code: &str, command: &str, more: &[&str]) -> Result<Code, Diagnostic> {
    let failed = |message: String| Diagnostic::error(COMPILER, message);
    let mut words = command.split_whitespace();
    let Some(program) = words.next() else { return Err(failed("--cc names no compiler".into())) };
    let mut run = Command::new(program);
    run.current_dir(folder).args(words).args(more).args(["-c", code, "-o", "code.o"]);
    let output = run.output().map_err(|e| failed(format!("{program} does not run: {e}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let notes = said.lines().take(8).map(str::to_owned).collect();
        return Err(Diagnostic { notes, ..failed(format!("{command} ended with {}", output.status)) });
    }
    let bytes = std::fs::read(folder.join("code.o")).map_err(|e| failed(format!("{command} wrote no object file: {e}")))?;
    let file = object::File::parse(bytes.as_slice()).map_err(|e| failed(format!("what {command} writes is no ELF file: {e}")))?;
    let all = file.sections().filter(|s| s.kind() == SectionKind::Text).map(|s| s.size()).sum();
    let mut functions = BTreeMap::new();
    for symbol in file.symbols().filter(|s| s.kind() == SymbolKind::Text && s.size() > 0) {
        let Ok(name) = symbol.name() else { continue };
        let name = name.split('.').next().unwrap_or(name);
        *functions.entry(name.to_owned()).or_default() += symbol.size();
    }
    Ok(Code { all, functions })
}
