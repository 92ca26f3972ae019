//! From a file to a plugin: reads it, screens it, compiles it, asks it what it is.

use std::io::Read;
use std::path::Path;

use octet_ir::Diagnostic;
use octet_plugin::{KernelEntry, PassEntry};

use crate::cache::Cache;
use crate::limits::Limits;
use crate::screen::{Kind, screen};
use crate::{INTERFACE, KERNEL_INTERFACE, kernel, legible, pass};

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
    // Looked at before it is opened: a pipe would make the compiler wait, and a device never ends.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(Diagnostic::error("PLG010", "cannot read the plugin: it is no regular file").in_file(&file));
    }
    // One byte more than there may be, for `screen` to find. What a file says of its size is not always so.
    let most = u64::try_from(limits.file).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|opened| opened.take(most).read_to_end(&mut bytes)).map_err(unreadable)?;
    load_bytes(&bytes, &file, limits, cache)
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
    loaded.map_err(|d| legible::diagnostic(d).in_file(file))
}

/// That version and summary fit on a line.
pub(crate) fn check_about(version: &str, summary: &str) -> Result<(), Diagnostic> {
    let sane = |text: &str, longest: usize| !text.is_empty() && text.len() <= longest && text.chars().all(legible::prints);
    if sane(version, 64) && !version.contains(' ') && sane(summary, 400) {
        return Ok(());
    }
    Err(Diagnostic::error("PLG015", "the plugin gives no version or summary that fits on a line"))
}
