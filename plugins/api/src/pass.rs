//! Passes: whole-graph work between a frontend and a backend.

use std::fmt;

use octet_ir::{Attr, Diagnostic, Diagnostics, Module};

use crate::data::DataSource;

/// Options of a pass as the pipeline text gives them, `{name = value, ...}`; deserialize with [`octet_ir::from_attr`] into a serde struct that
/// denies unknown fields.
pub type Options = Vec<(String, Attr)>;

/// What a pass tells about its work besides the module.
pub trait Observer {
    /// Something the user should read: a warning, or a note on what was not done and why.
    fn report(&mut self, diagnostic: Diagnostic);
    /// `done` of `total` samples (or whatever `unit` says) are through.
    fn progress(&mut self, done: usize, total: usize, unit: &'static str);
    /// What the pass found or did, as data (see [`octet_ir::to_attr`]): for tables and machine-readable output.
    fn record(&mut self, _report: Attr) {}
    /// Asked before each patch: false stops rewriting here, for bisecting.
    fn may_patch(&mut self, pass: &str, what: &str) -> bool;
}

/// What a pass may use from outside.
pub struct PassContext<'c> {
    /// Where reports and progress go.
    pub observer: &'c mut dyn Observer,
    /// Opens the data sets that options name.
    pub data: &'c dyn DataSource,
    /// Threads that a pass may use. The result never depends on it.
    pub threads: usize,
}

/// A pass with its options set.
pub trait Pass: Send {
    /// Transforms the module. On error the module may be half changed: the pass manager works on a copy.
    /// The answer says whether anything changed.
    fn run(&self, module: &mut Module, context: &mut PassContext<'_>) -> Result<bool, Diagnostics>;
}

/// A registered pass.
pub struct PassEntry {
    /// Its name in pipelines.
    pub name: &'static str,
    /// One sentence on what it does.
    pub summary: &'static str,
    /// Crate and version; name, version and file of a pass that is loaded.
    pub origin: &'static str,
    /// Makes the pass from its options; the error says which option is wrong.
    pub create: &'static CreatePass,
}

/// Makes a pass from its options.
pub type CreatePass = dyn Fn(Options) -> Result<Box<dyn Pass>, Diagnostic> + Send + Sync;

impl fmt::Debug for PassEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pass '{}' of {}", self.name, self.origin)
    }
}
