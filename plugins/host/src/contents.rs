//! What a file holds, for its author.

use wasmparser::{Encoding, Parser, Payload};

/// What a plugin's file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// What it imports, by name.
    pub imports: Vec<String>,
    /// What it exports, by name.
    pub exports: Vec<String>,
    /// Bytes of the file.
    pub file: usize,
    /// Functions, imported ones not counted.
    pub functions: usize,
    /// Bytes of the largest function's code.
    pub largest: usize,
    /// Bytes of all memories when it starts.
    pub memory: usize,
}

/// Looks at a file that loads; of one that does not, as far as it can be read.
#[must_use]
pub fn contents(bytes: &[u8]) -> Contents {
    let mut contents = Contents { file: bytes.len(), ..Contents::default() };
    let mut depth = 0usize;
    for payload in Parser::new(0).parse_all(bytes).map_while(Result::ok) {
        match payload {
            Payload::Version { encoding: Encoding::Module | Encoding::Component, .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CodeSectionEntry(body) => {
                contents.functions += 1;
                contents.largest = contents.largest.max(body.range().len());
            }
            Payload::MemorySection(section) => {
                let pages: u64 = section.into_iter().map_while(Result::ok).map(|m| m.initial).fold(0, u64::saturating_add);
                let bytes = usize::try_from(pages.saturating_mul(65536)).unwrap_or(usize::MAX);
                contents.memory = contents.memory.saturating_add(bytes);
            }
            Payload::ImportSection(section) if depth == 1 => {
                let names = section.into_imports().map_while(Result::ok).map(|i| format!("{}.{}", i.module, i.name));
                contents.imports.extend(names);
            }
            Payload::ExportSection(section) if depth == 1 => {
                contents.exports.extend(section.into_iter().map_while(Result::ok).map(|e| e.name.to_owned()));
            }
            Payload::ComponentImportSection(section) if depth == 1 => {
                contents.imports.extend(section.into_iter().map_while(Result::ok).map(|i| i.name.name.to_owned()));
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                contents.exports.extend(section.into_iter().map_while(Result::ok).map(|e| e.name.name.to_owned()));
            }
            _ => {}
        }
    }
    contents
}
