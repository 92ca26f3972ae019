//! A flatbuffer builder that writes equal things once and leaves few gaps.
//!
//! Vectors, strings, quantization parameters and options that were written before are named again instead of repeated, which the format
//! allows and every runtime reads. Constants begin at multiples of 16 bytes and 64-bit numbers at multiples of 8; small vectors and strings,
//! which take any multiple of 4, fill the gaps before them. For that the file is made twice: a survey, without constants, lists the
//! small things, and the second run begins with them.
//!
//! A flatbuffer grows from its end, and alignment counts from there: the finished length is a multiple of 16, so what is aligned
//! to the end is aligned to the start.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use bytes::Bytes;
use flatbuffers::{FlatBufferBuilder, ForwardsUOffset, Push, UnionWIPOffset, Vector, WIPOffset};
use octet_tflite_schema as fb;

/// Alignment of constants' bytes, which SIMD kernels rely on.
pub(crate) const ALIGNMENT: usize = 16;
/// What everything in a flatbuffer is aligned to at least, apart from bytes.
const WORD: usize = 4;

/// Options of an operator: which member of the union, and where.
pub(crate) type Options = (fb::BuiltinOptions, WIPOffset<UnionWIPOffset>);

/// Something that names nothing else, so that it may stand anywhere.
#[derive(Clone, Debug)]
pub(crate) enum Leaf {
    Ints(Vec<i32>),
    Longs(Vec<i64>),
    Floats(Vec<f32>),
    Text(String),
}

impl Leaf {
    /// Size in words, its length included.
    fn words(&self) -> usize {
        1 + match self {
            Self::Ints(values) => values.len(),
            Self::Longs(values) => 2 * values.len(),
            Self::Floats(values) => values.len(),
            // A zero ends the text.
            Self::Text(text) => (text.len() + 1).div_ceil(WORD),
        }
    }
}

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
    /// Every leaf so far: what a survey is made for.
    written: Vec<Leaf>,
    /// Whether constants are left out.
    is_survey: bool,
    /// Leaves that a survey listed and that still wait for a place, by their words modulo 4; 64-bit ones last.
    waiting: [VecDeque<Leaf>; 5],
}

/// Index of the 64-bit leaves among those that wait.
const LONGS: usize = 4;

/// Quantization parameters by where their parts lie: min, max, scales, zero points, details, axis.
type QuantizationKey = ([Option<u32>; 5], i32);

impl<'f> Packer<'f> {
    /// A packer that leaves out constants and lists leaves.
    pub(crate) fn survey() -> Self {
        Self { is_survey: true, ..Self::default() }
    }

    /// A packer that knows from a survey which leaves will come, and has room for this many bytes.
    pub(crate) fn new(leaves: Vec<Leaf>, bytes: usize) -> Self {
        let mut packer = Self { fbb: FlatBufferBuilder::with_capacity(bytes), ..Self::default() };
        for leaf in leaves {
            let class = if matches!(leaf, Leaf::Longs(_)) { LONGS } else { leaf.words() % 4 };
            packer.waiting[class].push_back(leaf);
        }
        packer
    }

    /// The leaves that were written, in order.
    pub(crate) fn into_leaves(self) -> Vec<Leaf> {
        self.written
    }

    /// Bytes written so far.
    fn used(&self) -> usize {
        self.fbb.unfinished_data().len()
    }

    /// Fills up so that after `bytes` more the end is `alignment` bytes aligned: with leaves if some fit, then with zeros.
    fn align_after(&mut self, bytes: usize, alignment: usize) {
        let gap = |used: usize| (alignment - (used + bytes) % alignment) % alignment;
        // Leaves are whole words; what is over is for zeros.
        for _ in 0..3 {
            let words = gap(self.used()) / WORD;
            let Some(leaf) = self.filler(words, alignment / WORD) else { break };
            self.write(leaf);
        }
        for _ in 0..gap(self.used()) {
            self.fbb.push(0u8);
        }
    }

    /// A waiting leaf that fills a gap of `words` modulo `modulus`, or brings it nearer to being filled.
    fn filler(&mut self, words: usize, modulus: usize) -> Option<Leaf> {
        if words == 0 {
            return None;
        }
        let fits = |class: usize| class % modulus == words;
        let exact = (1..4).find(|c| fits(*c) && !self.waiting[*c].is_empty());
        // Otherwise one that leaves a gap which a second one of what waits fills.
        let partial = || {
            let rest = |class: usize| (words + modulus - class % modulus) % modulus;
            (1..4).find(|&c| {
                let taken = |d: usize| usize::from(d == c);
                !self.waiting[c].is_empty() && (1..4).any(|d| d % modulus == rest(c) && self.waiting[d].len() > taken(d))
            })
        };
        let class = exact.or_else(partial)?;
        self.waiting[class].pop_front()
    }

    /// Writes the leaves that still wait.
    pub(crate) fn flush(&mut self) {
        while let Some(leaf) = self.waiting[LONGS].pop_front() {
            self.align_after(0, 8);
            self.write(leaf);
        }
        for class in 0..4 {
            while let Some(leaf) = self.waiting[class].pop_front() {
                self.write(leaf);
            }
        }
    }

    fn write(&mut self, leaf: Leaf) {
        match leaf {
            Leaf::Ints(values) => drop(self.ints(&values)),
            Leaf::Longs(values) => drop(self.longs(&values)),
            Leaf::Floats(values) => drop(self.floats(&values)),
            Leaf::Text(text) => drop(self.string(&text)),
        }
    }

    pub(crate) fn ints(&mut self, values: &[i32]) -> WIPOffset<Vector<'f, i32>> {
        shared(&mut self.fbb, &mut self.ints, values.to_vec(), values, || self.written.push(Leaf::Ints(values.to_vec())))
    }

    pub(crate) fn longs(&mut self, values: &[i64]) -> WIPOffset<Vector<'f, i64>> {
        shared(&mut self.fbb, &mut self.longs, values.to_vec(), values, || self.written.push(Leaf::Longs(values.to_vec())))
    }

    pub(crate) fn floats(&mut self, values: &[f32]) -> WIPOffset<Vector<'f, f32>> {
        let key = values.iter().map(|v| v.to_bits()).collect();
        shared(&mut self.fbb, &mut self.floats, key, values, || self.written.push(Leaf::Floats(values.to_vec())))
    }

    pub(crate) fn string(&mut self, text: &str) -> WIPOffset<&'f str> {
        if let Some(&known) = self.strings.get(text) {
            return known;
        }
        let offset = self.fbb.create_string(text);
        self.strings.insert(text.to_owned(), offset);
        self.written.push(Leaf::Text(text.to_owned()));
        offset
    }

    /// A table. Whether two tables have one layout, and so share its description, must not depend on what was written before them: both
    /// begin at a whole word.
    pub(crate) fn table<T>(&mut self, create: impl FnOnce(&mut FlatBufferBuilder<'f>) -> WIPOffset<T>) -> WIPOffset<T> {
        self.align_after(0, WORD);
        create(&mut self.fbb)
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
        if self.is_survey {
            return self.fbb.create_vector::<u8>(&[]);
        }
        self.align_after(bytes.len(), ALIGNMENT);
        self.fbb.create_vector(bytes)
    }

    /// Quantization parameters; equal ones are one table.
    pub(crate) fn quantization(&mut self, args: &fb::QuantizationParametersArgs<'f>) -> WIPOffset<fb::QuantizationParameters<'f>> {
        let key = (
            [
                args.min.map(WIPOffset::value),
                args.max.map(WIPOffset::value),
                args.scale.map(WIPOffset::value),
                args.zero_point.map(WIPOffset::value),
                args.details.map(WIPOffset::value),
            ],
            args.quantized_dimension,
        );
        if let Some(&known) = self.quantizations.get(&key) {
            return known;
        }
        let offset = self.table(|fbb| fb::QuantizationParameters::create(fbb, args));
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
    pub(crate) fn finish_model(&mut self, args: &fb::ModelArgs<'f>) -> Bytes {
        let root = self.table(|fbb| fb::Model::create(fbb, args));
        // The root offset and the identifier follow.
        self.align_after(8, ALIGNMENT);
        fb::finish_model_buffer(&mut self.fbb, root);
        let (buffer, start) = std::mem::take(&mut self.fbb).collapse();
        Bytes::from(buffer).slice(start..)
    }
}

fn shared<'f, T: Push + Copy + 'f, K: Hash + Eq>(
    fbb: &mut FlatBufferBuilder<'f>,
    known: &mut HashMap<K, WIPOffset<Vector<'f, T::Output>>>,
    key: K,
    values: &[T],
    note: impl FnOnce(),
) -> WIPOffset<Vector<'f, T::Output>> {
    *known.entry(key).or_insert_with(|| {
        note();
        fbb.create_vector(values)
    })
}
