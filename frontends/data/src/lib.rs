//! Data for calibration, runs and comparisons: `.npy`, `.npz`, PNG and JPEG files, and folders of them, as the samples that a model takes.
//!
//! A [`Source`] knows the model's inputs and how to preprocess, and opens a path as a stream of samples. Arrays of `.npy` files and of
//! uncompressed `.npz` files stay in the file (memory-mapped), pictures are decoded when they are asked for, and values are converted batch by
//! batch: a set larger than memory works. A compressed `.npz` array is held in its stored type.
//!
//! # Which array feeds which input
//!
//! An array of an `.npz` feeds the input of its name: the tensor's name, its name in a signature, or either without `serving_default_` and `:0`.
//! A model with one input also takes the only array there is, else the only array whose shape fits, else the one called `x`.
//!
//! # Samples
//!
//! The outermost axis counts samples: an input of `[1, 28, 28, 1]` takes `[N, 28, 28, 1]`, or one sample as `[28, 28, 1]`, or whole
//! inputs stacked as `[N, 1, 28, 28, 1]`.
//!
//! # Values
//!
//! - Floats and integers go into a float input as the numbers that they are; an integer that has no float of its own is an error, a
//!   wider float is rounded and a note says so.
//! - A quantized input takes integers of its own type as they are. Real numbers are quantized for it where that is asked for
//!   ([`Feed::Real`]) or where preprocessing makes them.
//! - An integer input without a scale takes integers of any type that fit.
//! - NaN and infinity are errors.
//!
//! # Codes
//!
//! | code | what is wrong |
//! |---|---|
//! | DAT001 | a file or folder cannot be read |
//! | DAT002 | it is of no kind that holds data, or a folder mixes kinds or holds none |
//! | DAT003 | a file is shorter than it says |
//! | DAT004 | an element type that is not numbers (pickled objects, strings, records) |
//! | DAT005 | the header of a `.npy` is malformed |
//! | DAT006 | a `.npz` is damaged, or its sizes contradict each other |
//! | DAT007 | a compressed array is larger than is read into memory |
//! | DAT010 | no array, or more than one, for an input |
//! | DAT011 | a shape does not fit the input |
//! | DAT012 | values of one type do not fit the other |
//! | DAT013 | NaN or infinity |
//! | DAT014 | inputs have different numbers of samples |
//! | DAT015 | there is no sample |
//! | DAT016 | (note) floats are rounded to a narrower type |
//! | DAT020 | a picture cannot be decoded |
//! | DAT021 | a picture has another size than the input |
//! | DAT022 | the input is no picture |
//! | DAT023 | samples beyond the end |
//! | DAT030 | the text of `--preprocess` is malformed |
//! | DAT031 | preprocessing that applies to nothing, or does not fit |
//! | DAT032 | (note) bytes feed a float input without preprocessing |
//! | DAT040 | an array cannot be written |
//!
//! This crate never runs a model and never decides what the data means.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::as_conversions))]

mod ahead;
mod array;
mod convert;
mod files;
mod input;
mod map;
mod npy;
mod npz;
mod picture;
mod preprocess;
mod source;
mod write;

pub use ahead::Ahead;
pub use files::{NamedTensor, read_arrays};
pub use input::{Feed, Input};
pub use map::{map_file, read_file};
pub use preprocess::{Preprocess, ResizeFilter};
pub use source::{FileStream, Source};
pub use write::{write_npy, write_npz};
