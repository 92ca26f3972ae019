//! Registries: what is linked into this program or was installed while it ran, sorted by name, each name once.

use std::sync::RwLock;

use octet_ir::Diagnostic;

use crate::{BackendEntry, FrontendEntry, KernelEntry, PassEntry};

/// What the registries need to know of an entry.
pub trait Entry: inventory::Collect + Sync + 'static {
    /// What kind of thing it is, for messages: `pass`, `frontend`, ...
    const KIND: &'static str;
    /// The name under which users ask for it.
    fn name(&self) -> &'static str;
    /// One sentence on what it does.
    fn summary(&self) -> &'static str;
    /// Crate and version that registered it, such as `octet-passes 0.1.0`.
    fn origin(&self) -> &'static str;
    #[doc(hidden)]
    fn installed() -> &'static RwLock<Vec<&'static Self>>;
}

macro_rules! entry {
    ($entry:ident, $kind:literal) => {
        inventory::collect!($entry);
        impl Entry for $entry {
            const KIND: &'static str = $kind;
            fn name(&self) -> &'static str {
                self.name
            }
            fn summary(&self) -> &'static str {
                self.summary
            }
            fn origin(&self) -> &'static str {
                self.origin
            }
            fn installed() -> &'static RwLock<Vec<&'static Self>> {
                static INSTALLED: RwLock<Vec<&'static $entry>> = RwLock::new(Vec::new());
                &INSTALLED
            }
        }
    };
}

entry!(PassEntry, "pass");
entry!(FrontendEntry, "frontend");
entry!(BackendEntry, "backend");
entry!(KernelEntry, "kernel");

/// Adds an entry to the registries of this program from now on, as if it were linked: kernels of plugins are found this way wherever a model runs.
///
/// # Errors
/// `PLG001` when its name is taken; the message names both origins.
pub fn install<E: Entry>(entry: &'static E) -> Result<(), Diagnostic> {
    Registry::<E>::collect_with(&[entry])?;
    // A list of references is whole whatever happened to a thread that held it.
    E::installed().write().unwrap_or_else(std::sync::PoisonError::into_inner).push(entry);
    Ok(())
}

/// Everything of one kind that is linked into this program or was installed.
#[derive(Debug)]
pub struct Registry<E: 'static>(Vec<&'static E>);

impl<E: Entry> Registry<E> {
    /// Collects the entries, sorted by name. Two entries of one name are an error (`PLG001`) that names both origins.
    pub fn collect() -> Result<Self, Diagnostic> {
        Self::collect_with(&[])
    }

    /// [`collect`](Self::collect), and entries that were loaded while the program ran. They may not take a name that is taken either.
    pub fn collect_with(loaded: &[&'static E]) -> Result<Self, Diagnostic> {
        let installed = E::installed().read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let mut entries: Vec<&'static E> = inventory::iter::<E>.into_iter().chain(installed).chain(loaded.iter().copied()).collect();
        entries.sort_by_key(|e| (e.name(), e.origin()));
        if let Some([a, b]) = entries.array_windows().find(|[a, b]| a.name() == b.name()) {
            let message = format!("{} '{}' is registered twice: by {} and by {}", E::KIND, a.name(), a.origin(), b.origin());
            return Err(Diagnostic::error("PLG001", message).with_help("leave one of the two out"));
        }
        Ok(Self(entries))
    }

    /// The entry of this name; the error (`PLG002`) lists what there is.
    pub fn get(&self, name: &str) -> Result<&'static E, Diagnostic> {
        self.0.iter().copied().find(|e| e.name() == name).ok_or_else(|| {
            let known: Vec<&str> = self.0.iter().map(|e| e.name()).collect();
            Diagnostic::error("PLG002", format!("there is no {} '{name}'", E::KIND)).with_note(format!("there are: {}", known.join(", ")))
        })
    }

    /// All entries in name order.
    pub fn iter(&self) -> impl Iterator<Item = &'static E> {
        self.0.iter().copied()
    }
}

/// Registers a pass: `register_pass!("fold", "Evaluates operations on constants.", create)`, where `create` turns
/// [`Options`](crate::Options) into a boxed [`Pass`](crate::Pass).
#[macro_export]
macro_rules! register_pass {
    ($name:literal, $summary:expr, $create:expr) => {
        $crate::inventory::submit! { $crate::PassEntry { name: $name, summary: $summary, origin: $crate::origin!(), create: &$create } }
    };
}

/// Registers a frontend: `register_frontend!("tflite", "TensorFlow Lite flatbuffers.", &TfliteFrontend)`.
#[macro_export]
macro_rules! register_frontend {
    ($name:literal, $summary:expr, $frontend:expr) => {
        $crate::inventory::submit! { $crate::FrontendEntry { name: $name, summary: $summary, origin: $crate::origin!(), frontend: $frontend } }
    };
}

/// Registers a backend: `register_backend!("tflite", "TensorFlow Lite flatbuffers.", create)`.
#[macro_export]
macro_rules! register_backend {
    ($name:literal, $summary:expr, $create:expr) => {
        $crate::inventory::submit! { $crate::BackendEntry { name: $name, summary: $summary, origin: $crate::origin!(), create: $create } }
    };
}

/// Registers the kernel of a custom operation: `register_kernel!("AcmeNorm", "Acme's normalization.", &AcmeNorm)`.
#[macro_export]
macro_rules! register_kernel {
    ($name:literal, $summary:expr, $kernel:expr) => {
        $crate::inventory::submit! { $crate::KernelEntry { name: $name, summary: $summary, origin: $crate::origin!(), kernel: $kernel } }
    };
}

/// Name and version of the crate that expands this.
#[doc(hidden)]
#[macro_export]
macro_rules! origin {
    () => {
        concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"))
    };
}
