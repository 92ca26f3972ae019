//! A flatbuffer builder that writes equal things once: vectors, strings, quantization parameters and options that were written before are
//! named again instead of repeated, which the format allows and every runtime reads.
//!
//! A flatbuffer grows from its end, and alignment counts from there: the finished length is a multiple of 16, so what is aligned
//! to the end is aligned to the start.

use std::collections::HashMap;
use std::hash::Hash;

use bytes::Bytes;
use flatbuffers::{FlatBufferBuilder, ForwardsUOffset, Push, UnionWIPOffset, Vector, WIPOffset};
use octet_tflite_schema as fb;

/// Alignment of constants' bytes, which SIMD kernels rely on.
pub(crate) const ALIGNMENT: usize = 16;

/// Options of an operator: which member of the union, and where.
pub(crate) type Options = (fb::BuiltinOptions, WIPOffset<UnionWIPOffset>);

/// The builder and what it has written already.
#[derive(Default)]
pub(crate) struct Packer<'f> {
    pub(crate) fbb: FlatBufferBuilder<'f>,
    ints: HashMap<Vec<i32>, WIPOffset<Vector<'f, i32>>>,
    longs: HashMap<Vec<i64>, WIPOffset<Vector<'f, i64>>>,
    floats: HashMap<Vec<u32>, WIPOffset<Vector<'f, f32>>>,
    strings: HashMap<String, WIPOffset<&'f str>>,
    quantizations: HashMap<QuantizationKey, WIPOffset<fb::QuantizationParameters<'f>>>,
    options: HashMap<String, Options>,
}

/// Quantization parameters by where their parts lie: min, max, scales, zero points, details, axis.
type QuantizationKey = ([Option<u32>; 5], i32);

impl<'f> Packer<'f> {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { fbb: FlatBufferBuilder::with_capacity(bytes), ..Self::default() }
    }

    /// Bytes written so far.
    fn written(&self) -> usize {
        self.fbb.unfinished_data().len()
    }

    /// Fills up so that after `bytes` more the end is `ALIGNMENT` bytes aligned.
    fn align_after(&mut self, bytes: usize) {
        let over = (self.written() + bytes) % ALIGNMENT;
        for _ in 0..(ALIGNMENT - over) % ALIGNMENT {
            self.fbb.push(0u8);
        }
    }

    pub(crate) fn ints(&mut self, values: &[i32]) -> WIPOffset<Vector<'f, i32>> {
        shared(&mut self.fbb, &mut self.ints, values.to_vec(), values)
    }

    pub(crate) fn longs(&mut self, values: &[i64]) -> WIPOffset<Vector<'f, i64>> {
        shared(&mut self.fbb, &mut self.longs, values.to_vec(), values)
    }

    pub(crate) fn floats(&mut self, values: &[f32]) -> WIPOffset<Vector<'f, f32>> {
        shared(&mut self.fbb, &mut self.floats, values.iter().map(|v| v.to_bits()).collect(), values)
    }

    pub(crate) fn string(&mut self, text: &str) -> WIPOffset<&'f str> {
        if let Some(&known) = self.strings.get(text) {
            return known;
        }
        let offset = self.fbb.create_string(text);
        self.strings.insert(text.to_owned(), offset);
        offset
    }

    /// Offsets of tables.
    pub(crate) fn tables<T: 'f>(&mut self, offsets: &[WIPOffset<T>]) -> WIPOffset<Vector<'f, ForwardsUOffset<T>>> {
        self.fbb.create_vector(offsets)
    }

    /// Bytes as they are, with the length's alignment.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> WIPOffset<Vector<'f, u8>> {
        self.fbb.create_vector(bytes)
    }

    /// Bytes that begin at a multiple of [`ALIGNMENT`].
    pub(crate) fn aligned_bytes(&mut self, bytes: &[u8]) -> WIPOffset<Vector<'f, u8>> {
        self.align_after(bytes.len());
        self.fbb.create_vector(bytes)
    }

    /// Quantization parameters; equal ones are one table.
    pub(crate) fn quantization(&mut self, args: &fb::QuantizationParametersArgs<'f>) -> WIPOffset<fb::QuantizationParameters<'f>> {
        let key = (
            [
                args.min.map(|o| o.value()),
                args.max.map(|o| o.value()),
                args.scale.map(|o| o.value()),
                args.zero_point.map(|o| o.value()),
                args.details.map(|o| o.value()),
            ],
            args.quantized_dimension,
        );
        if let Some(&known) = self.quantizations.get(&key) {
            return known;
        }
        let offset = fb::QuantizationParameters::create(&mut self.fbb, args);
        self.quantizations.insert(key, offset);
        offset
    }

    /// Options of an operation that were written before, by its description.
    pub(crate) fn known_options(&self, description: &str) -> Option<Options> {
        self.options.get(description).copied()
    }

    /// Notes where the options of such an operation are.
    pub(crate) fn note_options(&mut self, description: String, options: Options) {
        self.options.insert(description, options);
    }

    /// Ends the file; its length is a multiple of [`ALIGNMENT`].
    pub(crate) fn finish_model(mut self, args: &fb::ModelArgs<'f>) -> Bytes {
        let root = fb::Model::create(&mut self.fbb, args);
        // The root offset and the identifier follow.
        self.align_after(8);
        fb::finish_model_buffer(&mut self.fbb, root);
        let (buffer, start) = self.fbb.collapse();
        Bytes::from(buffer).slice(start..)
    }
}

fn shared<'f, T: Push + Copy + 'f, K: Hash + Eq>(
    fbb: &mut FlatBufferBuilder<'f>,
    known: &mut HashMap<K, WIPOffset<Vector<'f, T::Output>>>,
    key: K,
    values: &[T],
) -> WIPOffset<Vector<'f, T::Output>> {
    *known.entry(key).or_insert_with(|| fbb.create_vector(values))
}
