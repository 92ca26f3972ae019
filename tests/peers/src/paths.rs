//! Where the environment of the peers and the model zoo are.

use std::path::{Path, PathBuf};

/// The workspace's root, from where this crate's sources are.
///
/// # Panics
/// If the crate does not lie two folders below the root, which the layout of the workspace rules out.
#[must_use]
pub fn workspace_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("tests/peers lies two folders below the root").to_path_buf()
}

/// The Python environment with the pinned peers: `$OCTET_PEERS`, or `target/peers` of the workspace.
#[must_use]
pub fn environment_folder() -> PathBuf {
    match std::env::var_os("OCTET_PEERS") {
        Some(folder) => PathBuf::from(folder),
        None => workspace_root().join("target/peers"),
    }
}

/// The environment that holds TensorFlow, which only full runs install: beside the other one, because the two pin
/// different versions of the libraries that they share.
#[must_use]
pub fn full_environment_folder() -> PathBuf {
    beside("-full")
}

/// The environment that holds onnx2tf, which wants a later Python and older libraries than either.
#[must_use]
pub fn onnx2tf_environment_folder() -> PathBuf {
    beside("-onnx2tf")
}

fn beside(ending: &str) -> PathBuf {
    let mut name = environment_folder().into_os_string();
    name.push(ending);
    PathBuf::from(name)
}

/// The model zoo: `$OCTET_ZOO`, or `../shared/zoo` beside the workspace; `None` where there is none.
#[must_use]
pub fn zoo() -> Option<PathBuf> {
    let folder = match std::env::var_os("OCTET_ZOO") {
        Some(folder) => PathBuf::from(folder),
        None => workspace_root().parent()?.join("shared/zoo"),
    };
    folder.join("MANIFEST.md").is_file().then_some(folder)
}
