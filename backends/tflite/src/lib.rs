//! The way out to TensorFlow Lite: a [`Module`] becomes a `.tflite` flatbuffer that LiteRT and TFLite Micro run.
//!
//! Files are as small as those runtimes accept. Equal constants, vectors, strings, quantization parameters and options are written
//! once; fields with their default, empty options and ranges are left out; tensors without data share the empty buffer. Operator versions are
//! the smallest that describe each operation. The bytes depend on the module and the options alone.
//!
//! A value keeps its number: the writer never drops, adds or reorders tensors of its own accord (scales of blocks
//! excepted, which are tensors in this format and part of the type in the IR).
//!
//! This crate does no I/O and makes no decision about the model; what a target can run is for its profile to say.

pub mod codes;
mod constants;
mod model;
mod operators;
mod packer;
mod versions;

use bytes::Bytes;
use octet_ir::{Diagnostics, Module, from_attr};
use octet_plugin::{Artifact, Backend, Options, register_backend};
use serde::Deserialize;

/// How to write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WriteOptions {
    /// Leave out names of tensors and graphs; inputs and outputs keep theirs where no signature names them.
    pub strip_names: bool,
    /// Leave out names of constants, which tell a reader of the file where weights came from and serve no runtime.
    pub strip_constant_names: bool,
    /// Write the ranges that values carry as `min` and `max`: for files that another quantizer reads.
    pub ranges: bool,
    /// Bytes of constants from which on they go behind the flatbuffer, whose offsets have 31 bits; `None` is nearly 2 GiB.
    pub largest_flatbuffer: Option<usize>,
}

/// A file in parts, which share the memory of the module's constants where they can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    parts: Vec<Bytes>,
}

impl Encoded {
    fn new(parts: Vec<Bytes>) -> Self {
        Self { parts }
    }

    /// The parts in the order of the file.
    pub fn parts(&self) -> &[Bytes] {
        &self.parts
    }

    /// Length of the file in bytes.
    pub fn len(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }

    /// Whether there is nothing, which never happens.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The whole file in one piece; a copy only where it has several parts.
    pub fn into_bytes(self) -> Bytes {
        match <[Bytes; 1]>::try_from(self.parts) {
            Ok([whole]) => whole,
            Err(parts) => parts.concat().into(),
        }
    }
}

/// Writes a verified module.
///
/// # Errors
/// What the format cannot express, all of it at once, with the codes of [`codes`].
pub fn write(module: &Module, options: &WriteOptions) -> Result<Encoded, Diagnostics> {
    model::write(module, options)
}

/// The registered backend `tflite`.
struct TfliteBackend(WriteOptions);

impl Backend for TfliteBackend {
    fn extensions(&self) -> &'static [&'static str] {
        &["tflite"]
    }

    fn write(&self, module: &Module, _notes: &mut Diagnostics) -> Result<Vec<Artifact>, Diagnostics> {
        let bytes = model::write(module, &self.0)?.into_bytes().into();
        Ok(vec![Artifact { path: None, bytes }])
    }
}

fn create(options: Options) -> Result<Box<dyn Backend>, octet_ir::Diagnostic> {
    let options = from_attr(octet_ir::Attr::Map(options)).map_err(|why| octet_ir::Diagnostic::error(codes::OPTION, why.to_string()))?;
    Ok(Box::new(TfliteBackend(options)))
}

register_backend!("tflite", "TensorFlow Lite flatbuffers.", create);
