//! The way in for TensorFlow Lite: a `.tflite` flatbuffer becomes a [`Module`].
//!
//! A file is taken as hostile until proven sound: the flatbuffer verifier runs first, with limits that follow the file's size, and then
//! every index, offset, size and option is checked. What is wrong is reported, all of it at once, as diagnostics with the codes of [`codes`].
//! Memory stays within a small multiple of the file's size; constants are slices of the file, never copies, so a memory map works.
//!
//! Nothing that a runtime reads is dropped on the way; a note (`TFL021`) tells of what is: `metadata_buffer`, `debug_metadata_index`,
//! `custom_options` of builtin operators, and `mutating_variable_inputs` where no variable tensor says the same.
//! Tensor *i* becomes value `%i`; operators that the IR does not model travel as [`Opaque`](octet_ir::ops::Opaque), custom ones as
//! [`Custom`](octet_ir::ops::Custom).
//!
//! This crate never opens a file, never runs a model and never judges whether a target could.
#![deny(clippy::as_conversions, clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod codes;
mod container;
mod model;
mod operators;
mod tensors;

use bytes::Bytes;
use octet_ir::{Diagnostics, Module};
use octet_plugin::{Frontend, Import, register_frontend};

/// Reads a `.tflite` file. The bytes may be a memory map; the module's constants keep it alive.
///
/// # Errors
/// Everything that is wrong with the file, up to a hundred findings.
pub fn read(bytes: &Bytes) -> Result<Module, Diagnostics> {
    model::read(bytes, &mut Diagnostics::default())
}

/// The registered frontend `tflite`.
#[derive(Clone, Copy, Debug)]
pub struct TfliteFrontend;

impl Frontend for TfliteFrontend {
    fn extensions(&self) -> &'static [&'static str] {
        &["tflite", "lite"]
    }

    fn recognizes(&self, head: &[u8]) -> bool {
        head.get(4..8) == Some(octet_tflite_schema::MODEL_IDENTIFIER.as_bytes())
    }

    fn read(&self, bytes: Bytes, _import: &Import<'_>, notes: &mut Diagnostics) -> Result<Module, Diagnostics> {
        model::read(&bytes, notes)
    }
}

register_frontend!("tflite", "TensorFlow Lite flatbuffers.", &TfliteFrontend);
