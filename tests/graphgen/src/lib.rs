//! Random valid graphs for tests: seeded, the same on every platform, over every operation that the IR models.
//!
//! [`generate`] makes a module from a seed and a [`Profile`], [`random_inputs`] makes what it is fed with, and [`shrink`](fn@shrink) reduces a
//! module that fails a test to a small one that still does. A generated module passes the verifier; with [`Runtime::LiteRt`] or
//! [`Runtime::Tflm`] it besides keeps to what that runtime's kernels take, as [`support`] lists it.
//!
//! It sees the IR alone, decides nothing about right results, and never touches a file.
//!
//! ```
//! use octet_graphgen::{Profile, generate, random_inputs};
//!
//! let module = generate(7, &Profile::int8());
//! assert_eq!(module, generate(7, &Profile::int8()));
//! assert_eq!(random_inputs(&module, 1).len(), module.main().inputs().len());
//! ```

mod build;
mod decorate;
mod generate;
mod inputs;
mod kind;
mod ops;
mod profile;
mod random;
mod shrink;
pub mod support;

pub use generate::generate;
pub use inputs::{random_constant, random_inputs};
pub use kind::Kind;
pub use ops::generated_mnemonics;
pub use profile::{Profile, Runtime};
pub use random::Random;
pub use shrink::{extract, isolate, isolated_inputs, report, shrink};
