//! Backends: the ways out.

use octet_ir::{Diagnostic, Diagnostics, Module};

use crate::pass::Options;

/// One file that a backend wants written. The driver writes it under a temporary name and renames it when all are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Path below the output folder; `None` for the output file itself. A `*` at its beginning stands for the output file's name without its ending, so that
    /// the files of several outputs in one folder do not meet.
    pub path: Option<String>,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Writes one kind of output, options set.
pub trait Backend: Send {
    /// Turns a verified module into files. Notes and warnings go into `notes`; what the target cannot take is reported all at once.
    fn write(&self, module: &Module, notes: &mut Diagnostics) -> Result<Vec<Artifact>, Diagnostics>;

    /// Whether the output is a folder, in which all files have names of their own.
    fn writes_folder(&self) -> bool {
        false
    }

    /// Endings, lower case and without the dot, that files of this format usually have: an output of that name for another target is refused.
    fn extensions(&self) -> &'static [&'static str] {
        &[]
    }
}

/// A registered backend.
pub struct BackendEntry {
    /// The target's name.
    pub name: &'static str,
    /// One sentence on what it writes.
    pub summary: &'static str,
    /// Crate and version.
    pub origin: &'static str,
    /// Makes the backend from its options.
    pub create: fn(Options) -> Result<Box<dyn Backend>, Diagnostic>,
}
