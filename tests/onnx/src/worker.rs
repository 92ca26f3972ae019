//! Cases in a child process: one that ends or hangs costs only its own case.

use std::io::{BufRead, BufReader, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::case::{self, Ran};
use crate::outcome::Outcome;

/// How long one case may take.
const LIMIT: Duration = Duration::from_secs(60);

/// The child's side: a case a line, an answer a line.
pub(crate) fn serve() -> Result<(), String> {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let what = info.payload_as_str().unwrap_or_default();
        PANIC.with(|p| *p.borrow_mut() = format!("{place}: {what}"));
    }));
    for line in std::io::stdin().lock().lines() {
        let job: Value = serde_json::from_str(&line.map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
        let path = |v: &Value| PathBuf::from(v.as_str().unwrap_or_default());
        let data: Vec<PathBuf> = job["data"].as_array().into_iter().flatten().map(path).collect();
        let ran = catch_unwind(AssertUnwindSafe(|| case::run(&path(&job["model"]), &data, &path(&job["out"]))));
        let answer = match ran {
            Ok(ran) => json!({
                "executor": ran.executor.to_json(), "compiled": ran.compiled.to_json(), "baked": ran.baked,
                "jobs": ran.jobs,
            }),
            Err(_) => {
                let crashed = Outcome::Crashed(PANIC.with(|p| p.borrow().clone())).to_json();
                json!({"executor": crashed, "compiled": crashed})
            }
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{answer}").and_then(|()| out.flush()).map_err(|e| e.to_string())?;
    }
    Ok(())
}

thread_local! {
    static PANIC: std::cell::RefCell<String> = const { std::cell::RefCell::new(String::new()) };
}

/// The parent's side.
pub(crate) struct Worker {
    running: Option<(Child, ChildStdin, Receiver<String>)>,
}

impl Worker {
    pub(crate) fn new() -> Self {
        Self { running: None }
    }

    fn start(&mut self) -> Result<&mut (Child, ChildStdin, Receiver<String>), String> {
        if self.running.is_none() {
            let own = std::env::current_exe().map_err(|e| e.to_string())?;
            let mut child = Command::new(own)
                .arg("--worker")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .map_err(|e| e.to_string())?;
            let (stdin, stdout) = (child.stdin.take().ok_or("no pipe")?, child.stdout.take().ok_or("no pipe")?);
            let (send, receive) = channel();
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if send.send(line).is_err() {
                        return;
                    }
                }
            });
            self.running = Some((child, stdin, receive));
        }
        self.running.as_mut().ok_or_else(|| "no worker".into())
    }

    /// Runs one case within the time limit.
    pub(crate) fn run(&mut self, model: &Path, data: &[PathBuf], out: &Path) -> Result<Ran, String> {
        let job = json!({"model": model, "data": data, "out": out});
        let (_, stdin, receive) = self.start()?;
        // A worker that cannot be written to has ended: its silence says so.
        let _ = writeln!(stdin, "{job}").and_then(|()| stdin.flush());
        let outcome = match receive.recv_timeout(LIMIT) {
            Ok(line) => {
                let answer: Value = serde_json::from_str(&line).map_err(|e| e.to_string())?;
                let path = |v: &Value| PathBuf::from(v.as_str().unwrap_or_default());
                let jobs = answer["jobs"].as_array().into_iter().flatten();
                return Ok(Ran {
                    executor: Outcome::from_json(&answer["executor"]),
                    compiled: Outcome::from_json(&answer["compiled"]),
                    baked: answer["baked"].as_u64().and_then(|b| usize::try_from(b).ok()).unwrap_or(0),
                    jobs: jobs.map(|j| (path(&j[0]), path(&j[1]), path(&j[2]))).collect(),
                });
            }
            Err(RecvTimeoutError::Timeout) => Outcome::Hung,
            Err(RecvTimeoutError::Disconnected) => Outcome::Crashed("the process ended".into()),
        };
        if let Some((mut child, ..)) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        Ok(Ran { executor: outcome.clone(), compiled: outcome, baked: 0, jobs: Vec::new() })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some((mut child, stdin, _)) = self.running.take() {
            drop(stdin);
            let _ = child.wait();
        }
    }
}
