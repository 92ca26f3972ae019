//! The doors of Octet: traits for passes, frontends, backends and kernels, and the registries in which they are found.
//!
//! What ships with Octet registers through the same doors as what third parties write. A crate registers a static item with
//! [`register_pass!`], [`register_frontend!`], [`register_backend!`] or [`register_kernel!`]; the program that links the crate finds it through
//! [`Registry`]. This crate never does any work of its own and depends on the IR alone.

mod backend;
mod data;
mod frontend;
mod kernel;
mod pass;
mod registry;

pub use backend::{Artifact, Backend, BackendEntry};
pub use data::{Column, DataSource, Dataset, Loaded, SampleStream, Samples, Tensor};
pub use frontend::{Frontend, FrontendEntry, ImageLayout, Import, ImportOptions, Siblings};
pub use kernel::{Kernel, KernelAnswer, KernelCall, KernelEntry, KernelModule, KernelPlace, KernelStep};
pub use pass::{CreatePass, Observer, Options, Pass, PassContext, PassEntry};
pub use registry::{Entry, Registry, install};

/// What a crate that is linked was compiled against: this crate and its version.
pub const INTERFACE: &str = concat!("octet-plugin@", env!("CARGO_PKG_VERSION"));

#[doc(hidden)]
pub use inventory;
pub use octet_ir as ir;
