//! The passes of Octet and what runs them: pipelines, the pass manager, rewrites.
//!
//! A *rewrite* is one pattern in one file; a *pass* is whole-graph work, often a list of rewrites run to a fixpoint; a *pipeline* is a list of
//! passes with options, written as text. All passes register through `octet-plugin`, like a third party's.
//!
//! This crate never reads or writes files: data sets come through [`octet_plugin::DataSource`], reproducers are handed back.

pub mod calibrate;
mod clamp;
mod cleanup;
mod defaults;
mod docs;
mod fold;
mod fuse;
mod layout;
mod legalize;
mod manager;
mod pipeline;
pub mod quantize;
pub mod rewrite;

pub use defaults::{Goal, default_pipeline};
pub use docs::{docs, examples, module_doc, rewrites};
pub use manager::{Failure, Monitor, Outcome, PassRecord, Reproducer, Settings, Silent, run};
pub use pipeline::{PassSpec, Pipeline};
