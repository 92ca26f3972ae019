//! Looks at a file before the engine does: compiling is not metered, so what is compiled must be small.

use octet_ir::Diagnostic;
use wasmparser::{Encoding, Parser, Payload};

use crate::limits::Limits;

/// Checks the sizes of a component: the file, its functions, how many there are.
pub(crate) fn screen(bytes: &[u8], limits: &Limits) -> Result<(), Diagnostic> {
    let too_large = |what: String| Diagnostic::error("PLG024", format!("the plugin is too large to compile: {what}"));
    if bytes.len() > limits.file {
        return Err(too_large(format!("it has {} bytes; at most {} are taken", bytes.len(), limits.file)));
    }
    let mut functions = 0usize;
    for (index, payload) in Parser::new(0).parse_all(bytes).enumerate() {
        let payload = payload.map_err(|e| malformed(&e.to_string()))?;
        match payload {
            Payload::Version { encoding: Encoding::Module, .. } if index == 0 => {
                return Err(Diagnostic::error("PLG011", "this is a core module, and a pass is a component")
                    .with_help("make a component of it: docs/write-a-plugin.md says how"));
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
    Ok(())
}

/// The file is no sound component.
pub(crate) fn malformed(why: &str) -> Diagnostic {
    Diagnostic::error("PLG011", format!("this is no sound WebAssembly component: {why}"))
}
