//! Frontends: the ways in.

use octet_ir::{Diagnostics, Module};

/// Reads one model format.
pub trait Frontend: Sync {
    /// File name endings, lower case, without the dot.
    fn extensions(&self) -> &'static [&'static str];
    /// Whether bytes that begin like this are of the format; `head` holds at least the first 64 bytes, or the whole file.
    fn recognizes(&self, head: &[u8]) -> bool;
    /// Reads a model. The bytes may be a memory map: constants share them. Warnings go into `notes`;
    /// all errors that can be found are reported at once.
    fn read(&self, bytes: bytes::Bytes, notes: &mut Diagnostics) -> Result<Module, Diagnostics>;
}

/// A registered frontend.
pub struct FrontendEntry {
    /// The format's name.
    pub name: &'static str,
    /// One sentence on what it reads.
    pub summary: &'static str,
    /// Crate and version.
    pub origin: &'static str,
    /// The frontend.
    pub frontend: &'static dyn Frontend,
}
