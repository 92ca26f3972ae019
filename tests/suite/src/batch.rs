//! Many models through the real runtimes at once: Python starts slowly, so tests hand over all their cases together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use octet_peers::{Answer, Array, Peers, read_npz, write_npz};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A runtime that a case goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Runtime {
    /// LiteRT as users get it: optimized kernels and the XNNPACK delegate.
    LiteRt,
    /// LiteRT's optimized kernels without a delegate.
    LiteRtBuiltin,
    /// LiteRT's reference kernels.
    LiteRtReference,
    /// TensorFlow Lite Micro.
    Tflm,
}

/// What to take from a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The outputs.
    Outputs,
    /// The outputs, and every tensor that an op of the main graph writes.
    Tensors,
    /// Of the outputs and every such tensor the CRC-32 of each sample's bytes, u32.
    Sums,
}

/// What a runtime made of one case.
#[derive(Debug, Clone)]
pub enum Ran {
    /// The arrays, one more axis in front for the samples: "o0", "o1", ... and, where all tensors were asked for, "tN" by the tensor's number in the file.
    Done(BTreeMap<String, Array>),
    /// The runtime does not take the model, in its own words; or it crashed on it.
    Refused(String),
}

/// Cases to run, each a model with inputs.
pub struct Batch {
    folder: TempDir,
    jobs: Vec<Value>,
    outputs: Vec<PathBuf>,
}

impl Batch {
    /// An empty batch.
    ///
    /// # Panics
    /// If there can be no temporary folder.
    #[must_use]
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder"), jobs: Vec::new(), outputs: Vec::new() }
    }

    /// Writes a model into the batch's folder.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn model(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(format!("{name}.tflite"));
        std::fs::write(&path, bytes).expect("a model is written");
        path
    }

    /// Writes inputs ("0", "1", ..., samples first) into the batch's folder.
    ///
    /// # Panics
    /// If they cannot be written.
    pub fn inputs(&self, name: &str, inputs: &BTreeMap<String, Array>) -> PathBuf {
        let path = self.folder.path().join(format!("{name}.npz"));
        write_npz(&path, inputs).expect("inputs are written");
        path
    }

    /// Adds a case: all of the inputs' samples through one runtime, state kept from sample to sample. Cases are answered in the order in which they were added.
    pub fn add(&mut self, runtime: Runtime, model: &Path, inputs: &Path, wanted: Wanted) {
        let out = self.folder.path().join(format!("out{}.npz", self.outputs.len()));
        let (op, resolver) = match runtime {
            Runtime::LiteRt => ("litert", "xnnpack"),
            Runtime::LiteRtBuiltin => ("litert", "builtin"),
            Runtime::LiteRtReference => ("litert", "reference"),
            Runtime::Tflm => ("tflm", ""),
        };
        let tensors = if wanted == Wanted::Outputs { "outputs" } else { "all" };
        let sums = wanted == Wanted::Sums;
        self.jobs.push(json!({
            "op": op, "model": model, "inputs": inputs, "out": out, "tensors": tensors, "resolver": resolver,
            "sums": sums,
        }));
        self.outputs.push(out);
    }

    /// Runs all cases.
    ///
    /// # Panics
    /// If the driver breaks off, which no case should make it.
    #[must_use]
    pub fn run(&self, peers: &Peers) -> Vec<Ran> {
        let answers = peers.run(&self.jobs).expect("the driver answers");
        answers.iter().zip(&self.outputs).map(|(answer, out)| ran(answer, out)).collect()
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

fn ran(answer: &Answer, out: &Path) -> Ran {
    if !answer.ok {
        return Ran::Refused(answer.error.clone());
    }
    match read_npz(out) {
        Ok(arrays) => Ran::Done(arrays),
        Err(reason) => Ran::Refused(reason),
    }
}
