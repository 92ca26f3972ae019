//! Generated C, built for this machine with sanitizers and run: what it computes from given inputs.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use octet_backend_c::COptions;
use octet_ir::{Diagnostics, Module};

/// Flags that any warning and any undefined behaviour fail with.
pub const STRICT: &[&str] = &[
    "-std=c99",
    "-O1",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-pedantic",
    "-Werror",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
];

/// Writes a module's C files into a folder.
///
/// # Errors
/// What the backend reports, as text.
pub fn write(module: &Module, options: &COptions, folder: &Path) -> Result<(), String> {
    let files = octet_backend_c::write(module, options, &mut Diagnostics::default()).map_err(|e| e.to_string())?;
    for file in files {
        let path = folder.join(file.path.unwrap_or_default());
        std::fs::write(&path, file.bytes).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// A main that reads the bytes of all inputs from standard input, runs, and writes the bytes of all outputs, until there are no more.
fn driver(name: &str, inputs: usize, outputs: usize) -> String {
    let upper = name.to_ascii_uppercase();
    let mut text = format!("#include \"{name}.h\"\n#include <stdio.h>\n\nstatic {name}_arena arena;\nstatic {name}_model model;\n\n");
    text.push_str("int main(void) {\n");
    let _ = writeln!(text, "    {name}_init(&model, &arena);\n    for (int c; (c = getchar()) != EOF;) {{");
    for i in 0..inputs {
        let (place, count) = (format!("{name}_input_{i}(&model)"), format!("{upper}_INPUT_{i}_COUNT"));
        let _ = writeln!(text, "        if (fread({place}, sizeof(*{place}), {count}, stdin) != {count}) {{ return 2; }}");
    }
    let _ = writeln!(text, "        {name}_invoke(&model);");
    for i in 0..outputs {
        let _ = writeln!(
            text,
            "        fwrite({name}_output_{i}(&model), sizeof(*{name}_output_{i}(&model)), {upper}_OUTPUT_{i}_COUNT, stdout);"
        );
    }
    text.push_str("    }\n    return 0;\n}\n");
    text
}

/// Builds a module with `compiler` and `flags` in `folder`, and runs it on samples, each the bytes of all inputs one after the other. Answers with the
/// bytes of all outputs of all samples.
///
/// # Errors
/// What the backend, the compiler or a sanitizer says.
pub fn run(
    module: &Module,
    options: &COptions,
    compiler: &str,
    flags: &[&str],
    folder: &Path,
    samples: &[Vec<u8>],
) -> Result<Vec<u8>, String> {
    write(module, options, folder)?;
    let name = &options.name;
    let graph = module.main();
    std::fs::write(folder.join("main.c"), driver(name, graph.inputs().len(), graph.outputs().len())).map_err(|e| e.to_string())?;
    let built = Command::new(compiler)
        .args(flags)
        .current_dir(folder)
        .args(["main.c", &format!("{name}.c"), "-o", "run", "-lm"])
        .output()
        .map_err(|e| format!("{compiler}: {e}"))?;
    if !built.status.success() {
        return Err(format!("{compiler}: {}", String::from_utf8_lossy(&built.stderr)));
    }
    let mut child = Command::new(folder.join("run"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let mut stdin = child.stdin.take().ok_or("no input")?;
    let given: Vec<u8> = samples.iter().flat_map(|s| std::iter::once(&b'r').chain(s)).copied().collect();
    let writer = std::thread::spawn(move || stdin.write_all(&given));
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    let _ = writer.join();
    if !output.status.success() {
        return Err(format!("the program ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    Ok(output.stdout)
}
