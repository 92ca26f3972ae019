//! Generated WebAssembly in Node: many modules in one process, each on samples.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use octet_backend_wasm::WasmOptions;
use octet_ir::{Diagnostics, Module};
use octet_peers::workspace_root;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What became of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ran {
    /// The bytes of all outputs of all samples.
    Done(Vec<u8>),
    /// The engine cannot run it, and says so before it does: it has no such instructions, or they are not exact.
    Refused(String),
    /// Something went wrong.
    Failed(String),
}

/// Modules to run.
pub struct Batch {
    folder: TempDir,
    jobs: Vec<Value>,
    outputs: Vec<PathBuf>,
}

impl Batch {
    /// No modules yet.
    ///
    /// # Panics
    /// If there can be no temporary folder.
    #[must_use]
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder"), jobs: Vec::new(), outputs: Vec::new() }
    }

    /// Modules so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Adds a module, checked by wasmparser, with samples: each the bytes of all inputs one after the other.
    ///
    /// # Errors
    /// What the backend reports, or the validator, as text.
    pub fn add(&mut self, module: &Module, options: &WasmOptions, samples: &[Vec<u8>]) -> Result<(), String> {
        let bytes = octet_backend_wasm::write(module, options, &mut Diagnostics::default()).map_err(|e| e.to_string())?;
        wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all()).validate_all(&bytes).map_err(|e| e.to_string())?;
        let path = |kind: &str| self.folder.path().join(format!("{}.{kind}", self.jobs.len()));
        let (model, inputs, outputs) = (path("wasm"), path("in"), path("out"));
        std::fs::write(&model, bytes).and_then(|()| std::fs::write(&inputs, samples.concat())).map_err(|e| e.to_string())?;
        self.jobs.push(json!({"model": model, "inputs": inputs, "outputs": outputs, "samples": samples.len()}));
        self.outputs.push(outputs);
        Ok(())
    }

    /// Runs all of them, in order.
    ///
    /// # Errors
    /// When Node does not run.
    pub fn run(self) -> Result<Vec<Ran>, String> {
        let script = workspace_root().join("tests/wasm/run.mjs");
        let mut start = Command::new("node");
        start.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut node = start.spawn().map_err(|e| format!("node: {e}"))?;
        let jobs = Value::from(self.jobs).to_string();
        node.stdin.take().ok_or("no standard input")?.write_all(jobs.as_bytes()).map_err(|e| e.to_string())?;
        let output = node.wait_with_output().map_err(|e| e.to_string())?;
        let answers: Vec<Value> = serde_json::from_slice(&output.stdout).map_err(|e| format!("node ended with {}: {e}", output.status))?;
        let told = |v: &Value| v.as_str().map(ToOwned::to_owned);
        let one = |(answer, out): (&Value, &PathBuf)| match (told(&answer["refused"]), told(&answer["error"])) {
            (Some(why), _) => Ran::Refused(why),
            (None, Some(why)) => Ran::Failed(why),
            (None, None) => std::fs::read(out).map_or_else(|e| Ran::Failed(e.to_string()), Ran::Done),
        };
        Ok(answers.iter().zip(&self.outputs).map(one).collect())
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}
