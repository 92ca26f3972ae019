//! Loads WebAssembly plugins and runs them where they can do no harm.
//!
//! A pass is a component of the WIT package `octet:plugin@0.1.0` (`plugins/wit/plugin.wit`). It sees a graph by handle and answers with edits; the
//! host checks them, turns them into one `Patch`, applies it to a copy and verifies that. A plugin proposes, the compiler disposes:
//! whatever it does, the module is as it was or sound. A kernel is a core module with the ABI of `docs/wasm-kernel-abi.md`, and computes a custom
//! operation wherever a model runs.
//!
//! The sandbox has no clock, no randomness, no files and no network: nothing is linked but the interface. Fuel, memory, tables, instances, output
//! and time are limited (`Limits`); files are screened before they are compiled; every call has a store of its own. The same plugin, model and
//! options give the same edits on every machine, unless the wall clock stops it.
//!
//! `Model` runs models that the compiler wrote as WebAssembly.
//!
//! This is the only crate that sees the WebAssembly engine. It opens no file but those that it is told to load, and writes none but compiled code,
//! into the cache that it is given.
//!
//! | code | what is wrong |
//! |---|---|
//! | `PLG010` | the file cannot be read |
//! | `PLG011` | the file is no sound WebAssembly plugin |
//! | `PLG012` | the plugin imports what the sandbox does not have |
//! | `PLG013` | the plugin was built for a version of the interface that this compiler does not serve |
//! | `PLG014` | the plugin does not export what a pass or kernel exports, or with other types |
//! | `PLG015` | what the plugin says of itself is not well formed |
//! | `PLG016` | all fuel is used up |
//! | `PLG017` | the time is over |
//! | `PLG018` | a limit of memory, tables, instances or output was reached |
//! | `PLG019` | the plugin trapped, or broke the rules of its interface |
//! | `PLG020` | an edit is wrong |
//! | `PLG021` | the edits together would break the module |
//! | `PLG022` | an error that the plugin itself reports |
//! | `PLG023` | a note or warning that the plugin reports |
//! | `PLG024` | the file is larger than what is compiled |
//! | `PLG025` | a kernel cannot be given these types, or does not take them |
//! | `PLG030` | a relaxed build of a model is not exact on this machine |
//! | `PLG031` | an input of a model that does not exist, or of another size |

#[cfg(feature = "engine")]
mod bindings;
#[cfg(feature = "engine")]
mod cache;
#[cfg(feature = "engine")]
mod contents;
#[cfg(feature = "edits")]
pub mod edits;
#[cfg(feature = "engine")]
mod faults;
#[cfg(feature = "engine")]
mod kernel;
#[cfg(feature = "engine")]
mod legible;
#[cfg(feature = "engine")]
mod limits;
#[cfg(feature = "engine")]
mod load;
#[cfg(feature = "engine")]
mod model;
#[cfg(feature = "engine")]
mod pack;
#[cfg(feature = "engine")]
mod pass;
#[cfg(feature = "engine")]
mod run;
#[cfg(feature = "engine")]
mod screen;
#[cfg(feature = "engine")]
mod view;

#[cfg(feature = "engine")]
pub use {
    cache::Cache,
    contents::{Contents, contents},
    kernel::KERNEL_INTERFACE,
    limits::Limits,
    load::{Loaded, Plugin, load, load_bytes},
    model::Model,
    pack::{WIT, pack},
};

/// The interface of passes.
pub const INTERFACE: &str = "octet:plugin@0.1.0";
