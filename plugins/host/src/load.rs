//! From a file to a plugin: reads it, screens it, compiles it, asks it what it is.

use std::path::Path;

use octet_ir::Diagnostic;
use octet_plugin::{KernelEntry, PassEntry};

use crate::cache::Cache;
use crate::limits::Limits;
use crate::screen::{Kind, screen};
use crate::{INTERFACE, KERNEL_INTERFACE, kernel, pass};

/// What a plugin brings.
#[derive(Clone, Copy, Debug)]
pub enum Loaded {
    /// A pass, for pipelines.
    Pass(&'static PassEntry),
    /// The kernel of a custom operation, to be [installed](octet_plugin::install).
    Kernel(&'static KernelEntry),
}

/// A plugin that was loaded. It stays until the program ends.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// What it brings.
    pub loaded: Loaded,
    /// Its version, as it says.
    pub version: String,
    /// The file that it came from.
    pub file: String,
    /// Fuel that describing itself took.
    pub fuel: u64,
}

impl Plugin {
    /// Its name: of the pass, or of the custom operation.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.loaded {
            Loaded::Pass(entry) => entry.name,
            Loaded::Kernel(entry) => entry.name,
        }
    }

    /// One sentence on what it does.
    #[must_use]
    pub fn summary(&self) -> &'static str {
        match self.loaded {
            Loaded::Pass(entry) => entry.summary,
            Loaded::Kernel(entry) => entry.summary,
        }
    }

    /// `pass` or `kernel`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.loaded {
            Loaded::Pass(_) => "pass",
            Loaded::Kernel(_) => "kernel",
        }
    }

    /// The interface that it was built for.
    #[must_use]
    pub fn interface(&self) -> &'static str {
        match self.loaded {
            Loaded::Pass(_) => INTERFACE,
            Loaded::Kernel(_) => KERNEL_INTERFACE,
        }
    }

    /// Its pass, if it is one.
    #[must_use]
    pub fn pass(&self) -> Option<&'static PassEntry> {
        match self.loaded {
            Loaded::Pass(entry) => Some(entry),
            Loaded::Kernel(_) => None,
        }
    }

    /// Its kernel, if it is one.
    #[must_use]
    pub fn kernel(&self) -> Option<&'static KernelEntry> {
        match self.loaded {
            Loaded::Kernel(entry) => Some(entry),
            Loaded::Pass(_) => None,
        }
    }
}

/// Loads a plugin from a file. Compiled code is looked for and kept in the cache, where one is given.
///
/// # Errors
/// `PLG010` to `PLG019` and `PLG024`; the diagnostic names the file.
pub fn load(path: &Path, limits: &Limits, cache: Option<&Cache>) -> Result<Plugin, Diagnostic> {
    let file = path.display().to_string();
    let unreadable = |e: std::io::Error| Diagnostic::error("PLG010", format!("cannot read the plugin: {e}")).in_file(&file);
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if usize::try_from(size).map_or(true, |size| size > limits.file) {
        let message = format!("the plugin is too large to compile: it has {size} bytes; at most {} are taken", limits.file);
        return Err(Diagnostic::error("PLG024", message).in_file(&file));
    }
    load_bytes(&std::fs::read(path).map_err(unreadable)?, &file, limits, cache)
}

/// Loads a plugin from bytes; `file` is what messages call it.
///
/// # Errors
/// As [`load`].
pub fn load_bytes(bytes: &[u8], file: &str, limits: &Limits, cache: Option<&Cache>) -> Result<Plugin, Diagnostic> {
    let loaded = screen(bytes, limits).and_then(|kind| match kind {
        Kind::Component => pass::load(bytes, file, limits, cache),
        Kind::Module => kernel::load(bytes, file, limits, cache),
    });
    loaded.map_err(|d| d.in_file(file))
}

/// That version and summary fit on a line.
pub(crate) fn check_about(version: &str, summary: &str) -> Result<(), Diagnostic> {
    let sane = |text: &str, longest: usize| !text.is_empty() && text.len() <= longest && !text.chars().any(char::is_control);
    if sane(version, 64) && !version.contains(' ') && sane(summary, 400) {
        return Ok(());
    }
    Err(Diagnostic::error("PLG015", "the plugin gives no version or summary that fits on a line"))
}
