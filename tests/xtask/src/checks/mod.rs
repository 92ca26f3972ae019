//! The house rules that no compiler lint holds. They only read the tree.

pub(crate) mod edges;
pub(crate) mod licences;
pub(crate) mod tidy;

use octet_peers::workspace_root;
use serde_json::Value;

use crate::run::{Outcome, cargo, output};

/// All checks; every finding is told.
pub(crate) fn all() -> Outcome {
    let failed: Vec<String> = [tidy::check(), edges::check(), licences::check()].into_iter().filter_map(Result::err).collect();
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}

/// Findings as an outcome: none is success.
fn told(what: &str, findings: &[String]) -> Outcome {
    if findings.is_empty() {
        return Ok(());
    }
    Err(format!("{what}: {} finding(s)\n  {}", findings.len(), findings.join("\n  ")))
}

/// `cargo metadata` of the workspace, with all dependencies resolved.
fn metadata() -> Outcome<Value> {
    let mut command = cargo(&["metadata", "--format-version", "1", "--locked", "--all-features"]);
    let text = output(command.current_dir(workspace_root()))?;
    serde_json::from_str(&text).map_err(|e| format!("cargo metadata: {e}"))
}

/// The packages of `cargo metadata`.
fn packages(metadata: &Value) -> &[Value] {
    metadata["packages"].as_array().map_or(&[], Vec::as_slice)
}
