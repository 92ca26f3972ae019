//! The models that tests go over: our examples, and the zoo where it is present.

use std::path::{Path, PathBuf};

use octet_ir::Module;
use octet_peers::{workspace_root, zoo};

use crate::ours;

/// A file of docs/examples.
#[must_use]
pub fn example(name: &str) -> PathBuf {
    workspace_root().join("docs/examples").join(name)
}

/// Every `.tflite` file of the zoo, sorted, or `None` (and a line that says so) where there is no zoo.
///
/// A test that calls it has `zoo_` in its name, so that `cargo xtask test` can count it as skipped.
#[must_use]
pub fn zoo_models() -> Option<Vec<PathBuf>> {
    let Some(folder) = zoo() else {
        eprintln!("skipped: there is no model zoo (../shared/zoo, or $OCTET_ZOO)");
        return None;
    };
    let mut found = Vec::new();
    let folders = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    for inner in folders.map(|e| e.path()).filter(|p| p.is_dir()) {
        let files = std::fs::read_dir(inner).into_iter().flatten().flatten().map(|e| e.path());
        found.extend(files.filter(|p| p.extension().is_some_and(|e| e == "tflite")));
    }
    found.sort();
    Some(found)
}

/// Whether a file was compiled for the Edge TPU: its one op runs on that device only.
#[must_use]
pub fn is_for_edgetpu(path: &Path) -> bool {
    path.file_stem().is_some_and(|s| s.to_string_lossy().ends_with("_edgetpu"))
}

/// The integer networks of the zoo with their file names, those of Edge TPUs left out; with `$OCTET_ONLY`, those whose name contains it. `None` as
/// for [`zoo_models`].
///
/// # Panics
/// If a file of the zoo cannot be read.
#[must_use]
pub fn zoo_integer_networks() -> Option<Vec<(String, Module)>> {
    let only = std::env::var("OCTET_ONLY").ok();
    let mut found = Vec::new();
    for path in zoo_models()?.iter().filter(|p| !is_for_edgetpu(p)) {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if only.as_ref().is_some_and(|o| !name.contains(o.as_str())) {
            continue;
        }
        let module = ours::read(path).expect("the zoo reads");
        if ours::is_integer(&module) {
            found.push((name, module));
        }
    }
    Some(found)
}
