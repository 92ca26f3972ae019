//! Looks at a file before the engine does: what it is, and that it is small enough, since compiling is not metered.

use octet_ir::Diagnostic;
use wasmparser::{Encoding, Parser, Payload};

use crate::kernel::is_kernel;
use crate::limits::Limits;

/// What a file may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A component: a pass.
    Component,
    /// A core module: a kernel.
    Module,
}

/// Says what a file is, and checks its sizes: the file, its functions, how many there are.
pub(crate) fn screen(bytes: &[u8], limits: &Limits) -> Result<Kind, Diagnostic> {
    let too_large = |what: String| Diagnostic::error("PLG024", format!("the plugin is too large to compile: {what}"));
    if bytes.len() > limits.file {
        return Err(too_large(format!("it has {} bytes; at most {} are taken", bytes.len(), limits.file)));
    }
    let mut functions = 0usize;
    let mut kind = Kind::Component;
    for (index, payload) in Parser::new(0).parse_all(bytes).enumerate() {
        let payload = payload.map_err(|e| malformed(&e.to_string()))?;
        match payload {
            Payload::Version { encoding: Encoding::Module, .. } if index == 0 => {
                if !is_kernel(bytes) {
                    return Err(Diagnostic::error("PLG011", "this is a core module, and neither a pass (a component) nor a kernel")
                        .with_help("octet plugin pack makes a component of a pass; docs/write-a-plugin.md says what a kernel exports"));
                }
                kind = Kind::Module;
            }
            Payload::CodeSectionEntry(body) => {
                functions = functions.saturating_add(1);
                let size = body.range().len();
                if size > limits.function {
                    return Err(too_large(format!("a function has {size} bytes; at most {} are taken", limits.function)));
                }
                if functions > limits.functions {
                    return Err(too_large(format!("it has more than {} functions", limits.functions)));
                }
            }
            // Everything else is bounded by the file's size, and the engine validates it.
            _ => {}
        }
    }
    Ok(kind)
}

/// The file is neither a sound component nor a sound module.
pub(crate) fn malformed(why: &str) -> Diagnostic {
    Diagnostic::error("PLG011", format!("this is no sound WebAssembly plugin: {why}"))
}
