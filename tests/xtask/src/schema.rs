//! `cargo xtask schema`: the flatbuffer module, generated from our own schema by the pinned flatc.

use std::path::Path;

use octet_peers::{Peers, workspace_root};

use crate::run::{Outcome, command, run};
use crate::setup::setup;

const SCHEMA: &str = "frontends/tflite/schema/tflite.fbs";
const MODULE: &str = "frontends/tflite/schema/src/generated.rs";

/// Regenerates the module, or with `check` only compares it with the one in the tree.
pub(crate) fn schema(check: bool) -> Outcome {
    setup(false)?;
    let root = workspace_root();
    let folder = root.join("target/schema");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let made = generate(&root.join(SCHEMA), &folder)?;
    let module = root.join(MODULE);
    if check {
        let present = std::fs::read_to_string(&module).map_err(|e| format!("{}: {e}", module.display()))?;
        if present != made {
            return Err(format!("{MODULE} is not what {SCHEMA} gives: run `cargo xtask schema`"));
        }
        return Ok(());
    }
    std::fs::write(&module, made).map_err(|e| format!("{}: {e}", module.display()))
}

/// The module's text as flatc writes it.
fn generate(schema: &Path, folder: &Path) -> Outcome<String> {
    let flatc = Peers::find()?.program("flatc");
    run(command(flatc, &["--rust", "--gen-object-api", "-o"]).arg(folder).arg(schema))?;
    let made = folder.join("tflite_generated.rs");
    std::fs::read_to_string(&made).map_err(|e| format!("{}: {e}", made.display()))
}
