//! The TFLite wire format: the tables of `tflite.fbs` as Rust, shared by the reader and the writer.
//!
//! This crate knows the layout of the file and nothing else: no check beyond the flatbuffer verifier's, no meaning of any
//! operator. Everything but this page is generated; do not edit `generated.rs`. After a change of `tflite.fbs`, run (in this
//! crate's folder, with the flatc whose version is the `flatbuffers` crate's, 25.12.19):
//!
//! ```text
//! flatc --rust --gen-object-api -o OUT tflite.fbs && cp OUT/tflite_generated.rs src/generated.rs
//! ```
//!
//! Each table `X` comes as an accessor over bytes (`X`), its builder (`XArgs`), and an owned form (`XT`, with `pack` and
//! `unpack`). [`root_as_model_with_opts`] verifies a file; [`MODEL_IDENTIFIER`] is `"TFL3"`.

// The generated module says `alloc::`; naming the crate at the root makes that resolve everywhere below.
extern crate alloc;

#[allow(
    warnings,
    unsafe_code,
    clippy::all,
    reason = "generated: tflite.fbs documents the tables, the accessors read verified bytes unchecked, the style is flatc's"
)]
#[rustfmt::skip]
mod generated;

pub use generated::tflite::*;
