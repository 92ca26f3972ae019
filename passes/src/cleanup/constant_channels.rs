//! Removes channels of quantized layers that are the same number whatever the input, or that nothing reads.
//!
//! Between two layers with constant weights (CONV_2D or FULLY_CONNECTED, with depthwise convolutions, pooling, MEAN, RESHAPE and elementwise functions
//! in between), a channel whose filter holds zeros alone is its bias, rounded and clamped. What it adds to the second layer's sums is added
//! to the second layer's biases, and filters, scales and biases of the channel go away. A channel that the second layer multiplies by zeros goes
//! away as it is. Training with weight decay leaves many such channels.
//!
//! Legal because integer sums are exact in any order: the result has the same bits. The number that a channel holds is what the interpreter computes
//! for it, at every place; where padding makes the border differ, or the second layer pads around a channel that is not zero, the channel stays.
//! So does the last one, and every one whose sum would not fit the bias. Only for weights of 8 bits and activations with one scale
//! that nothing else reads.
//!
//! ```ir
//! graph @main(%0: 1x2x2x1 !q<i8, 0.5:0> loc("x")) {
//!   %1 = const [3, 0, 5] : 3x1x1x1 !q<i8, axis 0, [0.5, 0.5, 0.25]> loc("w")
//!   %2 = const [1, 8, 2] : 3 !q<i32, axis 0, [0.25, 0.25, 0.125]> loc("b")
//!   %3 = conv_2d(%0, %1, %2) {activation = relu} : 1x2x2x3 !q<i8, 0.5:-128> loc("hidden")
//!   %4 = const [1, 2, 3, 4, 5, 6] : 2x1x1x3 !q<i8, axis 0, [0.5, 0.25]> loc("w2")
//!   %5 = const [0, 1] : 2 !q<i32, axis 0, [0.25, 0.125]> loc("b2")
//!   %6 = conv_2d(%3, %4, %5) : 1x2x2x2 !q<i8, 0.5:0> loc("y")
//!   return %6
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 1x2x2x1 !q<i8, 0.5:0> loc("x")) {
//!   %1 = const [3, 5] : 2x1x1x1 !q<i8, axis 0, [0.5, 0.25]> loc("w")
//!   %2 = const [1, 2] : 2 !q<i32, axis 0, [0.25, 0.125]> loc("b")
//!   %3 = conv_2d(%0, %1, %2) {activation = relu} : 1x2x2x2 !q<i8, 0.5:-128> loc("hidden")
//!   %4 = const [1, 3, 4, 6] : 2x1x1x2 !q<i8, axis 0, [0.5, 0.25]> loc("w2")
//!   %5 = const [8, 21] : 2 !q<i32, axis 0, [0.25, 0.125]> loc("b2")
//!   %6 = conv_2d(%3, %4, %5) : 1x2x2x2 !q<i8, 0.5:0> loc("y")
//!   return %6
//! }
//! ```

use std::sync::Arc;

use octet_ir::ops::Reshape;
use octet_ir::{Constant, ElementType, Graph, Module, Op, OpId, Operation, Patch, Quantization, Shape, Type, ValueId};

use crate::fuse::layer::Layer;
use crate::rewrite::pattern::{ints, operand, result, sole_producer};
use crate::rewrite::{Refusal, rewrite};

rewrite!(ConstantChannels = "constant_channels", constant_channels);

fn constant_channels(module: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let chain = Chain::above(module, graph, root)?;
    let kept = chain.kept()?;
    chain.without_others(&kept)
}

/// A layer with weights, what follows it channel by channel, and the layer that reads all channels.
///
/// In every tensor on the way the last axis is a multiple of the channels, so that an element's channel is its index modulo their number.
struct Chain<'g> {
    module: &'g Module,
    graph: &'g Graph,
    /// From the first layer to the last operation before the reader.
    links: Vec<(OpId, &'g Operation)>,
    reader: (OpId, Layer<'g>),
    channels: usize,
}

/// A constant's elements and where they are an operand.
#[derive(Clone, Copy)]
struct Weights<'g> {
    op: OpId,
    operand: usize,
    value: ValueId,
    bytes: &'g [u8],
}

/// What may go away: the channels that stay, and what the others add to each sum of the reader.
struct Kept {
    channels: Vec<bool>,
    sums: Vec<i64>,
}

impl<'g> Chain<'g> {
    /// The chain that ends at `root`.
    fn above(module: &'g Module, graph: &'g Graph, root: OpId) -> Result<Self, Refusal> {
        let reader = Layer::of(graph, root)?;
        if !is_dense(graph, &reader) {
            return Err(Refusal::NoMatch);
        }
        let (mut links, mut value) = (Vec::new(), reader.input);
        let channels = loop {
            // A branch is nothing to tell of: most networks have some.
            let (id, operation) = sole_producer(graph, value).map_err(|_| Refusal::NoMatch)?;
            let ty = graph.ty(value);
            let dynamic = (1..ty.shape.rank()).any(|axis| ty.shape.dynamic(axis).is_some());
            if !matches!(ty.elem, ElementType::I8 | ElementType::I16) || ty.scale_zero_point().is_none() || dynamic {
                return Err(Refusal::NoMatch);
            }
            links.push((id, operation));
            match operation.op() {
                Op::Conv2d(_) | Op::FullyConnected(_) => {
                    let layer = Layer::of(graph, id)?;
                    let integer = matches!(graph.ty(layer.input).elem, ElementType::I8 | ElementType::I16);
                    if !integer || !is_dense(graph, &layer) {
                        return Err(Refusal::NoMatch);
                    }
                    break layer.channels;
                }
                Op::DepthwiseConv2d(_) | Op::Pool2d(_) | Op::Reduce(_) | Op::Reshape(_) => {}
                Op::Unary(_) | Op::LeakyRelu(_) | Op::Gelu(_) | Op::Quantize(_) => {}
                _ => return Err(Refusal::NoMatch),
            }
            value = operand(operation, 0)?;
        };
        links.reverse();
        let chain = Self { module, graph, links, reader: (root, reader), channels };
        if chain.is_by_channel()? { Ok(chain) } else { Err(Refusal::NoMatch) }
    }

    /// Whether every operation on the way leaves channels apart.
    fn is_by_channel(&self) -> Result<bool, Refusal> {
        let last = |value: ValueId| self.graph.ty(value).shape.dims().last().copied().unwrap_or(0);
        let whole = |size: usize| self.channels > 1 && size > 0 && size.is_multiple_of(self.channels);
        for (_, operation) in &self.links {
            let (from, to) = (last(operand(operation, 0)?), last(result(operation)?));
            let apart = match operation.op() {
                Op::DepthwiseConv2d(_) => from == self.channels && to == from,
                Op::Reduce(_) => {
                    let rank = self.graph.ty(operand(operation, 0)?).shape.rank();
                    let axes = ints(self.module, self.graph, operand(operation, 1)?).ok_or(Refusal::NoMatch)?;
                    let inner = i64::try_from(rank).map_err(|_| Refusal::NoMatch)? - 1;
                    axes.iter().all(|&axis| axis != inner && axis != -1)
                }
                _ => true,
            };
            if !apart || !whole(to) {
                return Ok(false);
            }
        }
        Ok(whole(last(self.reader.1.filter)))
    }

    /// The filter of a layer: 8-bit integers around zero.
    fn filter(&self, op: OpId, layer: &Layer<'_>) -> Result<Weights<'g>, Refusal> {
        let weights = self.weights(op, 1, layer.filter)?;
        let ty = self.graph.ty(layer.filter);
        let fits = ty.elem == ElementType::I8 && ty.quant.as_ref().is_some_and(|q| q.is_symmetric());
        if fits && weights.bytes.len() == ty.shape.elements() { Ok(weights) } else { Err(Refusal::NoMatch) }
    }

    /// The bias of a layer: one integer a channel.
    fn bias(&self, op: OpId, layer: &Layer<'_>) -> Result<Option<Weights<'g>>, Refusal> {
        let Some(bias) = layer.bias else { return Ok(None) };
        let dims = self.graph.ty(bias).shape.dims();
        if dims == [layer.channels] { self.weights(op, 2, bias).map(Some) } else { Err(Refusal::NoMatch) }
    }

    fn weights(&self, op: OpId, operand: usize, value: ValueId) -> Result<Weights<'g>, Refusal> {
        let bytes = self.module.constant_of(self.graph, value).ok_or(Refusal::NoMatch)?.bytes();
        Ok(Weights { op, operand, value, bytes })
    }

    /// Which channels stay.
    fn kept(&self) -> Result<Kept, Refusal> {
        let (reader_op, reader) = &self.reader;
        let filter = self.filter(*reader_op, reader)?.bytes;
        let mut kept = vec![false; self.channels];
        for (index, weight) in filter.iter().enumerate() {
            kept[index % self.channels] |= *weight != 0;
        }
        let (_, zero) = self.graph.ty(reader.input).scale_zero_point().ok_or(Refusal::NoMatch)?;
        let pads = reader.adds_zeros()?;
        let mut offsets = vec![0; self.channels];
        for (channel, number) in self.constants()?.into_iter().enumerate() {
            if let Some(number) = number
                && (!pads || number == zero)
            {
                (kept[channel], offsets[channel]) = (false, number - zero);
            }
        }
        if !kept.contains(&true) {
            (kept[0], offsets[0]) = (true, 0);
        }
        if !kept.contains(&false) {
            return Err(Refusal::NoMatch);
        }
        let row = (filter.len() / reader.channels).max(1);
        let mut sums = vec![0i64; reader.channels];
        for (index, weight) in filter.iter().enumerate() {
            if !kept[index % self.channels] {
                sums[index / row] += offsets[index % self.channels] * i64::from(weight.cast_signed());
            }
        }
        Ok(Kept { channels: kept, sums })
    }

    /// The number that each channel always holds where the reader reads it.
    fn constants(&self) -> Result<Vec<Option<i64>>, Refusal> {
        let mut known: Vec<Option<i64>> = vec![None; self.channels];
        let mut idle = Vec::with_capacity(self.links.len());
        for (index, (op, operation)) in self.links.iter().enumerate() {
            idle.push(match operation.op() {
                Op::DepthwiseConv2d(_) | Op::Conv2d(_) | Op::FullyConnected(_) => {
                    let filter = self.filter(*op, &Layer::of(self.graph, *op)?)?.bytes;
                    let row = filter.len() / self.channels;
                    let channel = |at: usize| if index == 0 { at / row.max(1) } else { at % self.channels };
                    let mut idle = vec![true; self.channels];
                    for (at, weight) in filter.iter().enumerate() {
                        idle[channel(at)] &= *weight == 0;
                    }
                    idle
                }
                _ => vec![false; self.channels],
            });
        }
        if idle.iter().all(|link| !link.contains(&true)) {
            return Ok(known);
        }
        for ((_, operation), idle) in self.links.iter().zip(&idle) {
            let computed = self.computed(operation, &known)?;
            for (channel, known) in known.iter_mut().enumerate() {
                let mut values = computed.iter().skip(channel).step_by(self.channels);
                let first = values.next().copied();
                let constant = (idle[channel] || known.is_some()) && values.all(|v| Some(*v) == first);
                *known = first.filter(|_| constant);
            }
        }
        Ok(known)
    }

    /// What an operation computes from these channels, with zeros in all others.
    fn computed(&self, operation: &Operation, known: &[Option<i64>]) -> Result<Vec<i64>, Refusal> {
        let fixed = |value: ValueId| {
            let ty = self.graph.ty(value).clone();
            let shape = ty.shape.to_static();
            ty.with_shape(shape)
        };
        let input = fixed(operand(operation, 0)?);
        let (_, zero) = input.scale_zero_point().ok_or(Refusal::NoMatch)?;
        let number = |index: usize| known.get(index % self.channels).copied().flatten().unwrap_or(zero);
        let numbers = (0..input.shape.elements()).map(number);
        let constant = integers(input.elem, numbers).ok_or(Refusal::NoMatch)?;
        let mut operands: Vec<Option<(&Type, &Constant)>> = Vec::new();
        for (index, value) in operation.operands().iter().enumerate() {
            operands.push(match value {
                _ if index == 0 => Some((&input, &constant)),
                Some(value) => Some((self.graph.ty(*value), self.module.constant_of(self.graph, *value).ok_or(Refusal::NoMatch)?)),
                None => None,
            });
        }
        let declared = fixed(result(operation)?);
        let results = octet_eval::evaluate(operation.op(), &operands, std::slice::from_ref(&declared)).map_err(|_| Refusal::NoMatch)?;
        results.first().and_then(|(ty, constant)| read(ty.elem, constant.bytes())).ok_or(Refusal::NoMatch)
    }

    /// The patch that takes all other channels away.
    fn without_others(&self, kept: &Kept) -> Result<Patch, Refusal> {
        let (reader_op, reader) = &self.reader;
        let mut patch = Patch::before(self.graph, *reader_op);
        for (index, (op, operation)) in self.links.iter().enumerate() {
            match operation.op() {
                Op::Conv2d(_) | Op::FullyConnected(_) | Op::DepthwiseConv2d(_) => {
                    let layer = Layer::of(self.graph, *op)?;
                    let axis = if index == 0 { 0 } else { 3 };
                    self.cut(&mut patch, self.filter(*op, &layer)?, axis, kept);
                    if let Some(bias) = self.bias(*op, &layer)? {
                        self.cut(&mut patch, bias, 0, kept);
                    }
                }
                Op::Reshape(reshape) => self.reshape(&mut patch, *op, reshape, kept)?,
                _ => {}
            }
            let value = result(operation)?;
            let ty = self.graph.ty(value);
            let last = ty.shape.rank().saturating_sub(1);
            patch.set_type(value, ty.clone().with_shape(self.smaller(&ty.shape, last, kept)));
        }
        let filter = self.filter(*reader_op, reader)?;
        let last = self.graph.ty(filter.value).shape.rank().saturating_sub(1);
        self.cut(&mut patch, filter, last, kept);
        if kept.sums.iter().any(|sum| *sum != 0) {
            let bias = self.bias(*reader_op, reader)?;
            let bias = bias.ok_or_else(|| Refusal::check(format!("the {} has no bias to add constant channels to", reader.name())))?;
            let (ty, loc) = (self.graph.ty(bias.value), self.graph.value(bias.value).loc());
            let old = read(ty.elem, bias.bytes).ok_or(Refusal::NoMatch)?;
            let sums = old.iter().zip(&kept.sums).map(|(bias, sum)| bias + sum);
            let constant = integers(ty.elem, sums)
                .ok_or_else(|| Refusal::check(format!("with constant channels added, the bias of the {} would not fit", reader.name())))?;
            let new = patch.constant(constant, ty.clone(), loc.clone());
            patch.set_operand(bias.op, bias.operand, Some(new));
        }
        Ok(patch)
    }

    /// A shape with fewer channels along an axis.
    fn smaller(&self, shape: &Shape, axis: usize, kept: &Kept) -> Shape {
        let mut dims = shape.dims().to_vec();
        if let Some(size) = dims.get_mut(axis) {
            *size = *size / self.channels * kept.count();
        }
        let new = Shape::new(dims);
        (0..shape.rank()).fold(new, |new, axis| match shape.dynamic(axis) {
            Some(name) => new.with_dynamic(axis, name),
            None => new,
        })
    }

    /// Replaces an operand by what of it belongs to the channels that stay, which lie along `axis`.
    fn cut(&self, patch: &mut Patch, weights: Weights<'_>, axis: usize, kept: &Kept) {
        let value = self.graph.value(weights.value);
        let ty = value.ty();
        let size = weights.bytes.len() / ty.shape.elements().max(1);
        let stride = ty.shape.strides().get(axis).copied().unwrap_or(1).max(1);
        let stays = |index: usize| kept.channels[index / stride % self.channels];
        let elements = weights.bytes.chunks_exact(size.max(1)).enumerate().filter(|(index, _)| stays(*index));
        let bytes: Vec<u8> = elements.flat_map(|(_, element)| element.iter().copied()).collect();
        let quant = ty.quant.as_ref().map(|quant| if quant.axis() == Some(axis) { kept.scales(quant) } else { quant.clone() });
        let new = ty.clone().with_shape(self.smaller(&ty.shape, axis, kept)).with_quant(quant);
        let new = patch.constant(Constant::new(bytes), new, value.loc().clone());
        patch.set_operand(weights.op, weights.operand, Some(new));
    }

    /// Gives a RESHAPE the smaller last axis.
    fn reshape(&self, patch: &mut Patch, op: OpId, reshape: &Reshape, kept: &Kept) -> Result<(), Refusal> {
        let last = self.graph.ty(result(self.graph.op(op))?).shape.dims().last().copied().unwrap_or(0);
        let last = i32::try_from(last / self.channels * kept.count()).map_err(|_| Refusal::NoMatch)?;
        let fewer = |mut entries: Vec<i32>| {
            if let Some(entry) = entries.last_mut().filter(|entry| **entry != -1) {
                *entry = last;
            }
            entries
        };
        if let Some(entries) = &reshape.new_shape {
            patch.set_op(op, Reshape { new_shape: Some(fewer(entries.clone())) });
        }
        if let Some(shape) = self.graph.op(op).operand(1) {
            let entries = ints(self.module, self.graph, shape).filter(|_| self.graph.ty(shape).elem == ElementType::I32);
            let entries: Option<Vec<i32>> = entries.ok_or(Refusal::NoMatch)?.into_iter().map(|e| i32::try_from(e).ok()).collect();
            let new = Constant::from_i32(&fewer(entries.ok_or(Refusal::NoMatch)?));
            let new = patch.constant(new, self.graph.ty(shape).clone(), self.graph.value(shape).loc().clone());
            patch.set_operand(op, 1, Some(new));
        }
        Ok(())
    }
}

impl Kept {
    fn count(&self) -> usize {
        self.channels.iter().filter(|stays| **stays).count()
    }

    /// Scales and zero points of the channels that stay.
    fn scales(&self, quant: &Arc<Quantization>) -> Arc<Quantization> {
        let stay = quant.parameters().zip(&self.channels).filter(|(_, stays)| **stays).map(|(p, _)| p);
        let (scales, zero_points) = stay.unzip();
        Quantization::with_granularity(quant.granularity(), scales, zero_points).map_or_else(|| quant.clone(), Arc::new)
    }
}

/// Whether every output channel of a layer sees every input channel.
fn is_dense(graph: &Graph, layer: &Layer<'_>) -> bool {
    let last = |value: ValueId| graph.ty(value).shape.dims().last().copied();
    match layer.operation.op() {
        Op::Conv2d(_) => last(layer.input) == last(layer.filter),
        op => matches!(op, Op::FullyConnected(_)),
    }
}

/// Elements of a tensor of signed integers; `None` for other types.
fn read(elem: ElementType, bytes: &[u8]) -> Option<Vec<i64>> {
    Some(match elem {
        ElementType::I8 => bytes.iter().map(|b| b.cast_signed().into()).collect(),
        ElementType::I16 => bytes.as_chunks().0.iter().map(|b| i16::from_le_bytes(*b).into()).collect(),
        ElementType::I32 => bytes.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b).into()).collect(),
        ElementType::I64 => bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect(),
        _ => return None,
    })
}

/// A tensor of signed integers; `None` where one does not fit.
fn integers(elem: ElementType, numbers: impl Iterator<Item = i64>) -> Option<Constant> {
    let (least, most) = elem.integer_range()?;
    let width = elem.bits()? / 8;
    let mut bytes = Vec::new();
    for number in numbers {
        if !(least..=most).contains(&number) {
            return None;
        }
        bytes.extend_from_slice(number.to_le_bytes().get(..width)?);
    }
    Some(Constant::new(bytes))
}
