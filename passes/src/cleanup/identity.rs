//! Removes operations that hand on their operand as it is.
//!
//! RESHAPE, SQUEEZE and EXPAND_DIMS to the shape that is there, TRANSPOSE in the order that is there, CAST and QUANTIZE to the same type, PAD, PADV2 and
//! MIRROR_PAD by nothing, SLICE and STRIDED_SLICE of everything, TILE by ones, BROADCAST_TO the same shape, CONCATENATION of one operand, SPLIT into
//! one part, reductions along no axis, and activations of a value that is clamped as tightly already.
//!
//! Legal where operand and result have the same type, quantization and dynamic axes included: then they hold the same bits. A graph
//! output stays the result of an operation of its own, with its own name; so a RESHAPE from a graph input straight to an output stays.
//!
//! ```ir
//! graph @main(%0: 2x3 f32 loc("x")) {
//!   %1 = relu(%0) : 2x3 f32 loc("a")
//!   %2 = const [2, -1] : 2 i32
//!   %3 = reshape(%1, %2) : 2x3 f32 loc("b")
//!   %4 = const [0, 1] : 2 i32
//!   %5 = transpose(%3, %4) : 2x3 f32 loc("c")
//!   %6 = tanh(%5) : 2x3 f32 loc("y")
//!   return %6
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 2x3 f32 loc("x")) {
//!   %1 = relu(%0) : 2x3 f32 loc("c", "b", "a")
//!   %2 = tanh(%1) : 2x3 f32 loc("y")
//!   return %2
//! }
//! ```

use octet_ir::ops::{Activation, ReduceKind};
use octet_ir::{Graph, Module, Op, OpId, Operation, Patch, ValueId};

use crate::clamp::{Clamp, after};
use crate::rewrite::pattern::{forward, ints, operand, result};
use crate::rewrite::{Refusal, rewrite};

rewrite!(Identity = "identity", identity);

fn identity(module: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let operation = graph.op(root);
    let source = handed_on(module, graph, operation)?;
    forward(graph, root, source)
}

/// The operand whose elements are the result's, in order.
fn handed_on(module: &Module, graph: &Graph, operation: &Operation) -> Result<ValueId, Refusal> {
    let first = operand(operation, 0)?;
    let to = result(operation)?;
    let same_shape = |a: ValueId| graph.ty(a).shape == graph.ty(to).shape && graph.ty(a).shape.is_ranked();
    let static_shape = !graph.ty(to).shape.is_dynamic();
    let parameter = |index: usize| ints(module, graph, operand(operation, index)?).ok_or(Refusal::NoMatch);
    let all = |index: usize, number: i64| Ok(parameter(index)?.into_iter().all(|v| v == number));
    let keeps = match operation.op() {
        // Moved in order: the shape says it all. A dynamic axis keeps its size when it is the only one that may differ.
        Op::Reshape(_) | Op::Squeeze(_) | Op::ExpandDims(_) => same_shape(first) && dynamic_axes(graph, to) <= 1,
        Op::Transpose(_) => parameter(1)?.into_iter().zip(0..).all(|(from, to)| from == to),
        Op::Cast(_) | Op::Quantize(_) => graph.ty(first) == graph.ty(to),
        Op::Pad(_) | Op::PadV2(_) | Op::MirrorPad(_) => all(1, 0)?,
        Op::Slice(_) => all(1, 0)? && (static_shape || all(2, -1)?) && same_shape(first),
        Op::StridedSlice(op) => {
            let (begin, end, strides) = (parameter(1)?, parameter(2)?, parameter(3)?);
            let dims = graph.ty(first).shape.dims();
            let (ranges, sizes) = op.ranges(dims, &begin, &end, &strides).map_err(|_| Refusal::NoMatch)?;
            let whole = ranges.iter().zip(dims).all(|(r, &d)| r.start == 0 && r.step == 1 && r.count == d && !r.shrink);
            static_shape && whole && sizes == dims
        }
        Op::Tile(_) => all(1, 1)?,
        Op::BroadcastTo(_) => static_shape && same_shape(first),
        Op::Concatenation(op) => operation.operands().len() == 1 && op.activation == Activation::None,
        Op::Split(op) if op.num_splits == 1 => return operand(operation, 1),
        Op::SplitV(op) => op.num_splits == 1,
        Op::Reduce(op) if !matches!(op.kind, ReduceKind::Any | ReduceKind::All) => parameter(1)?.is_empty(),
        Op::Unary(op) => {
            let outer = Clamp::of_unary(op.kind).ok_or(Refusal::NoMatch)?;
            let (_, producer) = graph.producer(first).ok_or(Refusal::NoMatch)?;
            let inner = Clamp::of(module, graph, producer)
                .map(|(clamp, _)| clamp)
                .or_else(|| producer.op().activation().and_then(Clamp::of_activation))
                .ok_or(Refusal::NoMatch)?;
            // TFLite Micro's RELU6 does not rescale, so it clamps at one place where its operand has the scale of its result, and at another
            // where it has not.
            let rescales = matches!(producer.op(), Op::Unary(_)) && graph.ty(operand(producer, 0)?).quant != graph.ty(to).quant;
            after(inner, outer) == inner && !rescales
        }
        _ => return Err(Refusal::NoMatch),
    };
    if keeps { Ok(first) } else { Err(Refusal::NoMatch) }
}

fn dynamic_axes(graph: &Graph, value: ValueId) -> usize {
    let shape = &graph.ty(value).shape;
    (0..shape.rank()).filter(|&axis| shape.dynamic(axis).is_some()).count()
}
