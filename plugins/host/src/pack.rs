//! Makes a component of a core module, for authors whose compiler gives core modules only (C, AssemblyScript, Rust without further tools).

use octet_ir::Diagnostic;
use wasm_encoder::{ExportKind, ExportSection, RawSection};
use wasmparser::{ExternalKind, Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The interface as text, for authors and for [`pack`].
pub const WIT: &str = include_str!("../../wit/plugin.wit");

/// Exports by names that every language can write, and what the interface calls them.
const NAMES: [(&str, &str); 2] =
    [("octet_pass_describe", "octet:plugin/pass@0.1.0#describe"), ("octet_pass_run", "octet:plugin/pass@0.1.0#run")];

/// Makes a component of a core module that imports and exports what the canonical ABI asks for in the world `pass-plugin`: imports such as
/// `octet:plugin/host@0.1.0` `[method]graph.ops`, exports such as `octet:plugin/pass@0.1.0#run` (or `octet_pass_run`, where a language has no such names),
/// `cabi_realloc` and `memory`. What `wit-bindgen` left in the module about its interface is used where it is there.
///
/// # Errors
/// `PLG011` says which import or export does not fit.
pub fn pack(core: &[u8]) -> Result<Vec<u8>, Diagnostic> {
    let make = || {
        let (mut module, described) = renamed(core)?;
        if !described {
            let mut resolve = Resolve::default();
            let package = resolve.push_str("plugin.wit", WIT)?;
            let world = resolve.select_world(&[package], Some("pass-plugin"))?;
            embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
        }
        ComponentEncoder::default().module(&module)?.validate(true).encode()
    };
    make().map_err(|e| Diagnostic::error("PLG011", format!("no component can be made of this module: {e:#}")))
}

/// The module with the interface's names, and whether it says what its interface is.
fn renamed(core: &[u8]) -> Result<(Vec<u8>, bool), wasmparser::BinaryReaderError> {
    let mut module = wasm_encoder::Module::new();
    let mut described = false;
    for payload in Parser::new(0).parse_all(core) {
        let payload = payload?;
        match &payload {
            Payload::ExportSection(reader) => {
                let mut exports = ExportSection::new();
                for export in reader.clone() {
                    let export = export?;
                    let name = NAMES.iter().find(|(plain, _)| *plain == export.name).map_or(export.name, |(_, name)| name);
                    let kind = match export.kind {
                        ExternalKind::Func | ExternalKind::FuncExact => ExportKind::Func,
                        ExternalKind::Table => ExportKind::Table,
                        ExternalKind::Memory => ExportKind::Memory,
                        ExternalKind::Global => ExportKind::Global,
                        ExternalKind::Tag => ExportKind::Tag,
                    };
                    exports.export(name, kind, export.index);
                }
                module.section(&exports);
                continue;
            }
            Payload::CustomSection(section) if section.name().starts_with("component-type") => described = true,
            _ => {}
        }
        if let Some((id, range)) = payload.as_section() {
            module.section(&RawSection { id, data: core.get(range).unwrap_or_default() });
        }
    }
    Ok((module.finish(), described))
}
