//! Runs a list of jobs in the peers' Python environment.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::paths::{environment_folder, full_environment_folder, workspace_root};

/// What a peer answered to one job.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Whether the peer did the job.
    pub ok: bool,
    /// Whether it ended its process instead of raising an error: what the runtimes do on some bad models.
    pub crashed: bool,
    /// Why it did not, empty if it did.
    pub error: String,
    /// The whole answer; its fields are in the job's Python function.
    pub value: Value,
}

/// A Python environment with peers in it.
#[derive(Debug, Clone)]
pub struct Peers {
    python: PathBuf,
}

impl Peers {
    /// The environment that `cargo xtask setup` made: LiteRT, TensorFlow Lite Micro, litert-quantizer, flatc.
    ///
    /// # Errors
    /// If it is not there; the text says how to make it.
    pub fn find() -> Result<Self, String> {
        Self::in_folder(&environment_folder(), "cargo xtask setup")
    }

    /// The environment of full runs: TensorFlow.
    ///
    /// # Errors
    /// If it is not there; the text says how to make it.
    pub fn find_full() -> Result<Self, String> {
        Self::in_folder(&full_environment_folder(), "cargo xtask setup --full")
    }

    fn in_folder(folder: &Path, command: &str) -> Result<Self, String> {
        let python = folder.join("bin/python");
        if python.is_file() { Ok(Self { python }) } else { Err(format!("no Python environment in {}: run `{command}`", folder.display())) }
    }

    /// A program of the environment, such as `flatc`.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.python.with_file_name(name)
    }

    /// A command that does one job in a process of its own and prints the answer: what benchmarks measure.
    #[must_use]
    pub fn one(&self, job: &Value) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(driver()).arg("--one").arg(job.to_string());
        command
    }

    /// Does all jobs, in order, and gives one answer for each. A job that kills its process costs only itself.
    ///
    /// # Errors
    /// If the driver cannot be started or breaks off; never because a job failed.
    pub fn run(&self, jobs: &[Value]) -> Result<Vec<Answer>, String> {
        let folder = tempfile::tempdir().map_err(|e| format!("no temporary folder: {e}"))?;
        let asked = folder.path().join("jobs.json");
        let answered = folder.path().join("results.jsonl");
        std::fs::write(&asked, Value::from(jobs).to_string()).map_err(|e| format!("{}: {e}", asked.display()))?;
        let output = Command::new(&self.python)
            .arg(driver())
            .args([&asked, &answered])
            .output()
            .map_err(|e| format!("{}: {e}", self.python.display()))?;
        if !output.status.success() {
            return Err(format!("peers.py: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)));
        }
        let text = std::fs::read_to_string(&answered).map_err(|e| format!("{}: {e}", answered.display()))?;
        let answers: Vec<Answer> = text.lines().map(answer).collect::<Result<_, _>>()?;
        if answers.len() == jobs.len() {
            Ok(answers)
        } else {
            Err(format!("peers.py gave {} answers to {} jobs", answers.len(), jobs.len()))
        }
    }
}

fn driver() -> PathBuf {
    workspace_root().join("tests/peers/peers.py")
}

/// One line of the driver's answers.
fn answer(line: &str) -> Result<Answer, String> {
    let value: Value = serde_json::from_str(line).map_err(|e| format!("peers.py: {e}: {line}"))?;
    let flag = |name: &str| value.get(name).and_then(Value::as_bool).unwrap_or(false);
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().trim().to_owned();
    let error = match (text("error"), text("stderr")) {
        (error, stderr) if stderr.is_empty() => error,
        (error, stderr) => format!("{error}\n{stderr}"),
    };
    Ok(Answer { ok: flag("ok"), crashed: flag("crashed"), error, value })
}
