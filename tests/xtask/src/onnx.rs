//! `cargo xtask onnx`: ONNX's own backend cases. The suite links the compiler and is a program of its own; this starts it.

use crate::run::{Outcome, cargo, run};
use crate::setup;

/// Runs the suite with these flags.
pub(crate) fn onnx(flags: impl Iterator<Item = &'static str>, only: Option<&str>) -> Outcome {
    setup::setup(false)?;
    let mut suite = cargo(&["run", "--quiet", "--package", "octet-onnx-suite", "--"]);
    suite.args(flags);
    if let Some(part) = only {
        suite.args(["--only", part]);
    }
    run(&mut suite)
}
