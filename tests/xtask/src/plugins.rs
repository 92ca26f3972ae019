//! `cargo xtask plugins`: third parties' plugins and hostile ones, with the WebAssembly engine, which no other step builds.

use crate::run::{Outcome, cargo, run};

/// Lints what the engine's feature adds, builds and runs the examples by their own instructions, attacks the sandbox, and prints what was measured.
pub(crate) fn plugins() -> Outcome {
    run(&mut cargo(&["clippy", "--quiet", "--package", "octet", "--features", "wasm-plugins", "--", "-D", "warnings"]))?;
    run(&mut cargo(&[
        "clippy",
        "--quiet",
        "--package",
        "octet-plugin-host",
        "--features",
        "engine",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    run(&mut cargo(&["test", "--package", "acme-passes"]))?;
    run(&mut cargo(&["test", "--package", "octet-plugin-host", "--features", "engine", "--", "--nocapture", "--test-threads", "1"]))
}
