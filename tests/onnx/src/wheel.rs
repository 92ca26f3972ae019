//! The pinned wheel: fetched once, its cases unpacked below `target/onnx`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use octet_peers::{environment_folder, workspace_root};

const VERSION: &str = "1.22.0";
const INSIDE: &str = "onnx/backend/test/data/";

/// One case: a model with data sets of inputs and the outputs that they must give.
pub(crate) struct Case {
    /// Suite and name: `node/test_abs`.
    pub(crate) name: String,
    pub(crate) model: PathBuf,
    /// Folders of data sets, or for the `light` suite the file of the one output.
    pub(crate) data: Vec<PathBuf>,
}

/// Where everything of the suite lies.
pub(crate) fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace_root().join("target"), PathBuf::from);
    target.join("onnx")
}

/// All cases in the order of their names; fetches and unpacks the wheel the first time.
pub(crate) fn cases() -> Result<Vec<Case>, String> {
    let unpacked = folder().join(VERSION);
    if !unpacked.join("complete").is_file() {
        unpack(&fetch()?, &unpacked)?;
    }
    let mut cases = Vec::new();
    for suite in ["node", "simple", "pytorch-converted", "pytorch-operator"] {
        for folder in entries(&unpacked.join(suite))? {
            let name = format!("{suite}/{}", folder.file_name().unwrap_or_default().to_string_lossy());
            let data = entries(&folder)?.into_iter().filter(|p| p.is_dir()).collect();
            cases.push(Case { name, model: folder.join("model.onnx"), data });
        }
    }
    for model in entries(&unpacked.join("light"))?.into_iter().filter(|p| p.extension().is_some_and(|e| e == "onnx")) {
        let stem = model.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let output = model.with_file_name(format!("{stem}_output_0.pb"));
        cases.push(Case { name: format!("light/{stem}"), model, data: vec![output] });
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let read = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut found: Vec<PathBuf> = read.flatten().map(|e| e.path()).collect();
    found.sort();
    Ok(found)
}

/// Downloads the wheel with the peers' pip, which checks the pinned hash.
fn fetch() -> Result<PathBuf, String> {
    let folder = folder();
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let is_wheel = |p: &PathBuf| p.extension().is_some_and(|e| e == "whl");
    if let Some(wheel) = entries(&folder)?.into_iter().find(is_wheel) {
        return Ok(wheel);
    }
    println!("fetching onnx {VERSION}");
    let status = Command::new(environment_folder().join("bin/python"))
        .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--require-hashes"])
        .args(["--python-version", "3.12", "--platform", "manylinux_2_28_x86_64", "--requirement"])
        .arg(workspace_root().join("tests/onnx/requirements.txt"))
        .arg("--dest")
        .arg(&folder)
        .status()
        .map_err(|e| format!("no pip: {e}; run `cargo xtask setup`"))?;
    let wheel = entries(&folder)?.into_iter().find(is_wheel);
    wheel.filter(|_| status.success()).ok_or_else(|| format!("pip download: {status}"))
}

fn unpack(wheel: &Path, target: &Path) -> Result<(), String> {
    let told = |e: &dyn std::fmt::Display| format!("{}: {e}", wheel.display());
    let file = fs::File::open(wheel).map_err(|e| told(&e))?;
    let mut archive = zip::ZipArchive::new(file).map_err(|e| told(&e))?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|e| told(&e))?;
        let Some(path) = entry.enclosed_name() else { continue };
        let Ok(path) = path.strip_prefix(INSIDE) else { continue };
        if entry.is_dir() {
            continue;
        }
        let path = target.join(path);
        fs::create_dir_all(path.parent().unwrap_or(target)).map_err(|e| told(&e))?;
        let mut out = fs::File::create(&path).map_err(|e| told(&e))?;
        std::io::copy(&mut entry, &mut out).map_err(|e| told(&e))?;
    }
    fs::write(target.join("complete"), VERSION).map_err(|e| told(&e))
}
