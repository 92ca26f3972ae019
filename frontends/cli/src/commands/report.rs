//! What `octet compile --report` writes: one JSON object, also where the compilation was refused.

use std::path::Path;

use octet_ir::{Diagnostic, Severity};
use octet_passes::PassRecord;
use octet_passes::quantize::{Io, Mode};
use serde_json::{Value, json};

use crate::driver::Compiled;

/// The object's keys, and what stands there.
pub(crate) const KEYS: &[(&str, &str)] = &[
    ("octet", "version of the command"),
    ("model", "path of the model that was read"),
    ("output", "path that was asked for"),
    ("mode", "the quantization mode, or null"),
    ("io", "element type of inputs and outputs where `--io` was given, or null"),
    ("written", "whether the output was written; where it is false, `diagnostics` say why"),
    ("bytes", "bytes of all files that were written, or null"),
    ("passes", "each pass that ran: `pass` with its options, whether it `changed` something, and how many `patches` it made"),
    ("warnings", "number of warnings"),
    ("errors", "number of errors"),
    (
        "diagnostics",
        "everything that was told, and the notes of `--explain`: `code`, `severity`, `location` (file, graph, operation, tensor), `message`, `notes`, `help`",
    ),
    (
        "graphs",
        "the result's graphs as `octet inspect --json` has them: inputs, outputs, operations, tensors with type, scale and zero point; or null",
    ),
    (
        "edgetpu",
        "with `--target edgetpu`, what `octet check --json` tells, otherwise null. Of several models, `models` holds an object like this for each",
    ),
];

/// What is reported of one compilation.
pub(crate) struct Report<'a> {
    pub(crate) model: &'a Path,
    pub(crate) output: &'a Path,
    pub(crate) mode: Option<Mode>,
    pub(crate) io: Option<Io>,
    pub(crate) diagnostics: &'a [Diagnostic],
    /// The result and its bytes, if there is one.
    pub(crate) written: Option<(&'a Compiled, usize)>,
    /// What of it an accelerator runs.
    pub(crate) accelerator: Option<Value>,
}

/// The report as JSON.
pub(crate) fn report(r: &Report<'_>) -> Value {
    let pass = |p: &PassRecord| json!({"pass": p.pass.to_string(), "changed": p.changed, "patches": p.patches});
    let passes: Vec<Value> = r.written.iter().flat_map(|(compiled, _)| &compiled.passes).map(pass).collect();
    let severe = |s: Severity| r.diagnostics.iter().filter(|d| d.severity == s).count();
    json!({
        "octet": env!("CARGO_PKG_VERSION"),
        "model": r.model.display().to_string(),
        "output": r.output.display().to_string(),
        "mode": r.mode.map(Mode::name),
        "io": r.io.map(Io::name),
        "written": r.written.is_some(),
        "bytes": r.written.map(|(_, size)| size),
        "passes": passes,
        "warnings": severe(Severity::Warning),
        "errors": severe(Severity::Error),
        "diagnostics": r.diagnostics,
        "graphs": r.written.map(|(compiled, _)| super::inspect::graphs_json(&compiled.module)),
        "edgetpu": r.accelerator,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_names_every_key() {
        let nothing = Path::new("");
        let value =
            report(&Report { model: nothing, output: nothing, mode: None, io: None, diagnostics: &[], written: None, accelerator: None });
        let mut documented: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
        documented.sort_unstable();
        let mut written: Vec<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
        written.sort_unstable();
        assert_eq!(written, documented);
    }
}
