//! The `octet` command as users have it: the release build, started with the arguments that they would type. Only the WebAssembly engine is left out, which
//! takes minutes to build and has no part in what is measured; the step `plugins` builds it.

use std::path::{Path, PathBuf};
use std::process::Command;

use octet_peers::workspace_root;

use crate::run::{Outcome, cargo, command, run};
use crate::zoo::Network;

/// Leaves out the WebAssembly engine, whatever the defaults are.
pub(crate) const LIGHT: &str = "--no-default-features";

/// Builds a release binary of a package and gives its path.
pub(crate) fn build(package: &str) -> Outcome<PathBuf> {
    run(&mut cargo(&["build", "--quiet", "--release", LIGHT, "--package", package, "--bin", package]))?;
    Ok(target().join("release").join(package))
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace_root().join("target"), PathBuf::from)
}

/// `octet compile` of a network with its calibration data, without notes.
pub(crate) fn compile(octet: &Path, network: &Network, mode: &str, out: &Path) -> Outcome<Command> {
    let mut compile = compile_telling(octet, network, mode, out)?;
    compile.arg("--quiet");
    Ok(compile)
}

/// The same, with notes.
pub(crate) fn compile_telling(octet: &Path, network: &Network, mode: &str, out: &Path) -> Outcome<Command> {
    let mut compile = command(octet, &["compile"]);
    compile.arg(network.model()?).arg("-o").arg(out).args(["--quantize", mode]);
    if let Some(data) = network.calibration()? {
        compile.arg("--data").arg(data);
        if let Some(scale) = network.scale {
            compile.args(["--preprocess", &format!("scale={scale}")]);
        }
    }
    Ok(compile)
}
