//! Parameter memory: how many bytes an accelerator keeps for the constants of each operation.
//!
//! Channels are padded to what the chip's tiles take, so a layer's bytes are not its number of weights. The layout was read from compiled models: per
//! output channel a bias and, for weights with a scale for each channel, a multiplier; then the weights, input channels padded to 4. Tables for data
//! movement, which the compiler adds as it sees fit, are not predicted.

use octet_ir::{EntityId, Graph, Module, Op, Operation, ValueId};
use serde::Serialize;

/// Predicted bytes of an operation's parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Parameters {
    /// On the chip: what edgetpu_compiler calls the memory used for caching model parameters.
    pub on_chip: usize,
    /// In the compiled file.
    pub stored: usize,
}

impl Parameters {
    fn add(self, other: Self) -> Self {
        Self { on_chip: self.on_chip.saturating_add(other.on_chip), stored: self.stored.saturating_add(other.stored) }
    }

    /// Bytes of several operations.
    pub fn total(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().fold(Self::default(), Self::add)
    }
}

/// `n` rounded up to a multiple of `to`.
fn up(n: usize, to: usize) -> usize {
    n.div_ceil(to).saturating_mul(to)
}

/// A matrix of weights: `taps` bytes for each of `channels` outputs, beside `extra` bytes each.
fn matrix(channels: usize, taps: usize, extra: usize) -> Parameters {
    let bytes = |channels: usize| up(extra.saturating_mul(channels), 64).saturating_add(taps.saturating_mul(channels));
    // A tile has 16 lanes, a full chip 64.
    let stored = if channels <= 64 { up(channels, 16) } else { up(channels, 64) };
    Parameters { on_chip: bytes(up(channels, 64)), stored: bytes(stored) }
}

/// Bytes beside the weights for each output channel.
fn extra(module: &Module, graph: &Graph, weights: ValueId, bias: Option<ValueId>) -> usize {
    let per_axis = graph.ty(weights).quant.as_ref().is_some_and(|q| q.scales().len() > 1);
    if !per_axis {
        return 4;
    }
    let zero = bias.and_then(|b| module.constant_of(graph, b)).is_none_or(|c| c.bytes().iter().all(|b| *b == 0));
    if zero { 8 } else { 12 }
}

/// Predicted bytes of an operation's parameters; none for operations without any.
pub fn parameters(module: &Module, graph: &Graph, operation: &Operation) -> Parameters {
    let dims = |index: usize| operation.operand(index).map_or(&[][..], |v| graph.ty(v).shape.dims());
    let beside = |weights: usize, bias: usize| operation.operand(weights).map_or(4, |w| extra(module, graph, w, operation.operand(bias)));
    match operation.op() {
        Op::Conv2d(_) => match dims(1) {
            &[co, kh, kw, ci] => matrix(co, kh.saturating_mul(kw).saturating_mul(up(ci, 4)), beside(1, 2)),
            _ => Parameters::default(),
        },
        Op::TransposeConv(_) => match dims(1) {
            &[co, kh, kw, ci] => matrix(co, kh.saturating_mul(kw).saturating_mul(up(ci, 4)), beside(1, 3)),
            _ => Parameters::default(),
        },
        Op::FullyConnected(_) => match dims(1) {
            &[units, depth] => matrix(units, up(depth, 4), beside(1, 2)),
            _ => Parameters::default(),
        },
        Op::DepthwiseConv2d(_) => match dims(1) {
            &[_, kh, kw, co] => {
                let (taps, extra) = (kh.saturating_mul(kw).saturating_mul(4), beside(1, 2));
                let wide = matrix(co, taps, extra).on_chip;
                Parameters { on_chip: wide, stored: up(taps.saturating_add(extra).saturating_mul(up(co, 8)), 64) }
            }
            _ => Parameters::default(),
        },
        // Three matrices that bring a row to one lane: for its largest element, the sum, and back.
        Op::Softmax(_) => match dims(0).last() {
            Some(&n) => {
                let bytes = up(n, 4).saturating_mul(3 * 16);
                Parameters { on_chip: bytes, stored: bytes }
            }
            None => Parameters::default(),
        },
        // Four gates: a matrix with a bias for the input, one without for the state.
        Op::UnidirectionalSequenceLstm(_) => {
            let gates = (1..5).filter_map(|g| {
                let (&[units, inputs], &[_, outputs]) = (dims(g), dims(g + 4)) else { return None };
                let [input, state] = [(inputs, 4), (outputs, 0)].map(|(n, extra)| matrix(units, up(n, 4), extra));
                Some(input.add(state))
            });
            Parameters::total(gates)
        }
        _ => Parameters::default(),
    }
}

/// What of the parameters stays on the chip: a prefix of whole layers, in order, that fits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cache {
    /// Bytes that there are; how many activations leave of the chip's memory varies, so this is an estimate.
    pub capacity: usize,
    /// Bytes that are used.
    pub used: usize,
    /// Bytes that are streamed at every inference.
    pub streamed: usize,
    /// Indices of the operations whose parameters stay.
    pub cached: Vec<usize>,
}

impl Cache {
    /// Fills a cache with layers `(index, bytes)`.
    pub fn fill(capacity: usize, layers: &[(usize, usize)]) -> Self {
        let mut cache = Self { capacity, ..Self::default() };
        let mut full = false;
        for &(index, bytes) in layers.iter().filter(|(_, bytes)| *bytes > 0) {
            full |= cache.used.saturating_add(bytes) > capacity;
            if full {
                cache.streamed = cache.streamed.saturating_add(bytes);
            } else {
                cache.used += bytes;
                cache.cached.push(index);
            }
        }
        cache
    }

    /// Bytes that are left.
    pub fn remaining(&self) -> usize {
        self.capacity.saturating_sub(self.used)
    }
}

/// A number for a value, for maps that must iterate in order.
pub(crate) fn key(value: ValueId) -> usize {
    value.index()
}
