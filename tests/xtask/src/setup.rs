//! `cargo xtask setup`: the Python environment with the pinned peers.
//!
//! It writes only into that environment's folder, and installs Debian packages only where it runs as root and a
//! Python is missing.

use std::path::{Path, PathBuf};

use octet_peers::{environment_folder, full_environment_folder, onnx2tf_environment_folder, workspace_root};

use crate::run::{Outcome, command, output, run, succeeds};

/// Pythons that the pinned wheels exist for, best first.
const PYTHONS: [&str; 4] = ["python3.11", "python3.12", "python3.13", "python3"];

/// Says whether a Python has a fitting version, and can make environments with pip in them.
const PROBE: &str = "import sys, venv, ensurepip; sys.exit(not (3, LEAST) <= sys.version_info[:2] <= (3, 13))";

/// What Debian calls a Python that can make environments.
const DEBIAN: [&str; 2] = ["python3", "python3-venv"];

/// Makes the environment, and with `full` the one that holds TensorFlow. Does nothing where both are up to date.
pub(crate) fn setup(full: bool) -> Outcome {
    environment(&environment_folder(), "requirements.txt", 11)?;
    if full {
        environment(&full_environment_folder(), "requirements-full.txt", 11)?;
        onnx2tf()?;
    }
    Ok(())
}

/// Makes the environment that holds onnx2tf.
pub(crate) fn onnx2tf() -> Outcome {
    environment(&onnx2tf_environment_folder(), "requirements-onnx2tf.txt", 12)
}

/// Makes one environment from one requirements file, on Python 3.`least` or later. A stamp beside it holds what it was made from.
fn environment(folder: &Path, requirements: &str, least: u32) -> Outcome {
    let file = workspace_root().join("tests/peers").join(requirements);
    let wanted = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    let stamp = folder.join("octet-requirements.txt");
    let python = folder.join("bin/python");
    if python.is_file() && std::fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == wanted) {
        return Ok(());
    }
    println!("setup: {requirements} -> {}", folder.display());
    let base = find_python(least)?;
    // An environment that fits no longer is made anew: pip leaves behind what is not asked for any more.
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    run(command(&base, &["-m", "venv"]).arg(folder))?;
    run(command(&python, &["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--pre", "--no-deps"])
        .args(["--only-binary=:all:", "--retries", "5", "--requirement"])
        .arg(&file))?;
    std::fs::write(&stamp, wanted).map_err(|e| format!("{}: {e}", stamp.display()))
}

/// The Pythons that pyenv keeps, sorted. Its commands on the path stand for the chosen versions only.
fn pyenv() -> impl Iterator<Item = PathBuf> {
    let root = output(&mut command("pyenv", &["root"])).unwrap_or_default();
    let versions = std::fs::read_dir(Path::new(root.trim()).join("versions"));
    let mut pythons: Vec<PathBuf> = versions.into_iter().flatten().flatten().map(|version| version.path().join("bin/python3")).collect();
    pythons.sort();
    pythons.into_iter()
}

/// A Python that fits, from the path or pyenv; as root on Debian it is installed where there is none.
fn find_python(least: u32) -> Outcome<PathBuf> {
    let probe = PROBE.replace("LEAST", &least.to_string());
    let candidates = || PYTHONS.iter().map(PathBuf::from).chain(pyenv());
    let fitting = || candidates().find(|p| succeeds(&mut command(p, &["-c", probe.as_str()])));
    if let Some(python) = fitting() {
        return Ok(python);
    }
    let missing = format!(
        "no Python 3.{least} to 3.13 with venv and pip on the path or in pyenv (tried {}). On Debian: apt-get install {}",
        PYTHONS.join(", "),
        DEBIAN.join(" ")
    );
    if !is_root() || !succeeds(&mut command("apt-get", &["--version"])) {
        return Err(missing);
    }
    println!("setup: apt-get install {}", DEBIAN.join(" "));
    run(&mut command("apt-get", &["update", "-qq"]))?;
    run(command("apt-get", &["install", "-y", "-qq", "--no-install-recommends"]).args(DEBIAN).env("DEBIAN_FRONTEND", "noninteractive"))?;
    fitting().ok_or(missing)
}

/// Makes sure of tools: as root on Debian, missing ones are installed from these packages (`NAME=VERSION`; where an archive has that version no longer, the
/// one that it has).
pub(crate) fn debian(packages: &[&str], tools: &[&str]) -> Outcome {
    let missing = |tool: &&&str| !succeeds(&mut command(tool, &["--version"]));
    let Some(tool) = tools.iter().find(missing) else { return Ok(()) };
    let needed = format!("there is no {tool}. On Debian: apt-get install {}", packages.join(" "));
    if !is_root() || !succeeds(&mut command("apt-get", &["--version"])) {
        return Err(needed);
    }
    println!("setup: apt-get install {}", packages.join(" "));
    run(&mut command("apt-get", &["update", "-qq"]))?;
    let install = ["install", "-y", "-qq", "--no-install-recommends"];
    let pinned = run(command("apt-get", &install).args(packages).env("DEBIAN_FRONTEND", "noninteractive"));
    if pinned.is_err() {
        println!("setup: not these versions; figures may differ");
        let names: Vec<&str> = packages.iter().map(|p| p.split('=').next().unwrap_or(p)).collect();
        run(command("apt-get", &install).args(names).env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    if tools.iter().any(|tool| missing(&tool)) { Err(needed) } else { Ok(()) }
}

fn is_root() -> bool {
    output(&mut command("id", &["-u"])).is_ok_and(|id| id.trim() == "0")
}
