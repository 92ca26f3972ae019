//! Makes a component of a core module, for authors whose compiler gives core modules only (C, AssemblyScript).

use octet_ir::Diagnostic;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The interface as text, for authors and for [`pack`].
pub const WIT: &str = include_str!("../../wit/plugin.wit");

/// Makes a component of a core module that imports and exports what the canonical ABI asks for in the world `pass-plugin`: imports such as
/// `octet:plugin/host@0.1.0` `[method]graph.ops`, exports such as `octet:plugin/pass@0.1.0#run`, `cabi_realloc` and `memory`.
///
/// # Errors
/// `PLG011` says which import or export does not fit.
pub fn pack(core: &[u8]) -> Result<Vec<u8>, Diagnostic> {
    let mut module = core.to_vec();
    let mut make = || {
        let mut resolve = Resolve::default();
        let package = resolve.push_str("plugin.wit", WIT)?;
        let world = resolve.select_world(&[package], Some("pass-plugin"))?;
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
        ComponentEncoder::default().module(&module)?.validate(true).encode()
    };
    make().map_err(|e| Diagnostic::error("PLG011", format!("no component can be made of this module: {e:#}")))
}
