//! Lets a convolution or maximum pool pad for itself where a PAD does exactly what SAME padding does.
//!
//! PAD of height and width before CONV_2D, DEPTHWISE_CONV_2D or MAX_POOL_2D with VALID padding.
//!
//! Legal when SAME padding gives as many outputs and begins at the same place: TFLite puts the odd zero after the input, so a symmetric PAD of
//! one before a stride of 2 is often *not* SAME padding, and stays. Zeros after the last window that is read do not matter. The zeros of a
//! quantized PAD are zero points, which is what SAME padding of a quantized layer adds. A maximum pool leaves the border out instead of reading
//! zeros, which is the same where no element is smaller than what was padded with: after a RELU, for example. An average pool would
//! divide by another count.
//!
//! ```ir
//! graph @main(%0: 1x8x8x1 f32 loc("image")) {
//!   %1 = const [0, 0, 0, 1, 0, 1, 0, 0] : 4x2 i32
//!   %2 = pad(%0, %1) : 1x9x9x1 f32 loc("padded")
//!   %3 = const [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0] : 1x3x3x1 f32 loc("w")
//!   %4 = conv_2d(%2, %3) {padding = valid, stride = [2, 2]} : 1x4x4x1 f32 loc("conv")
//!   return %4
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 1x8x8x1 f32 loc("image")) {
//!   %1 = const [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0] : 1x3x3x1 f32 loc("w")
//!   %2 = conv_2d(%0, %1) {stride = [2, 2]} : 1x4x4x1 f32 loc("padded", "conv")
//!   return %2
//! }
//! ```

use octet_ir::ops::{Padding, PoolKind, conv_padding};
use octet_ir::{Graph, Module, Op, OpId, Operation, Patch, ValueId};

use crate::clamp::Clamp;
use crate::rewrite::pattern::{Replacement, ints, operand, result, sole_producer, splat};
use crate::rewrite::{Refusal, rewrite};

rewrite!(FusePad = "pad", pad);

/// How windows go over height and width.
struct Windows {
    taps: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
}

fn pad(module: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let operation = graph.op(root);
    let (windows, fused) = with_same_padding(graph, operation)?;
    let value = operand(operation, 0)?;
    let (_, padding) = graph.producer(value).ok_or(Refusal::NoMatch)?;
    if !matches!(padding.op(), Op::Pad(_) | Op::PadV2(_)) {
        return Err(Refusal::NoMatch);
    }
    sole_producer(graph, value)?;
    let source = operand(padding, 0)?;
    if graph.ty(source).quant != graph.ty(value).quant {
        return Err(Refusal::check("the PAD changes the quantization"));
    }
    check_padded_with(module, graph, operation, padding, source)?;
    let amounts = ints(module, graph, operand(padding, 1)?).ok_or_else(|| Refusal::check("the paddings are not constant"))?;
    let &[0, 0, top, bottom, left, right, 0, 0] = amounts.as_slice() else {
        return Err(Refusal::check(format!("the paddings {amounts:?} are not of height and width alone")));
    };
    let (input, output) = (&graph.ty(source).shape, &graph.ty(result(operation)?).shape);
    for (axis, (before, behind)) in [(top, bottom), (left, right)].into_iter().enumerate() {
        let size = |shape: &octet_ir::Shape| shape.dims().get(axis + 1).copied().ok_or(Refusal::NoMatch);
        let (taps, stride, dilation) = (windows.taps[axis], windows.stride[axis], windows.dilation[axis]);
        let (size, windows) = (size(input)?, size(output)?);
        let same = conv_padding(Padding::Same, size, windows, taps, stride, dilation);
        let name = ["height", "width"][axis];
        if input.dynamic(axis + 1).is_some() && (stride != 1 || usize::try_from(behind) != Ok(same.1)) {
            return Err(Refusal::check(format!("the {name} is dynamic, and SAME padding depends on it")));
        }
        if size.div_ceil(stride.max(1)) != windows || usize::try_from(before) != Ok(same.0) {
            return Err(Refusal::check(format!(
                "the {name} is padded by {before} and {behind} and gives {windows} outputs; SAME padding pads by {} and {} and gives {}",
                same.0,
                same.1,
                size.div_ceil(stride.max(1))
            )));
        }
    }
    let mut operands = operation.operands().to_vec();
    if let Some(first) = operands.first_mut() {
        *first = Some(source);
    }
    Replacement::of(graph, root, &[value])?.with(fused, operands)
}

/// The windows of an operation with VALID padding, and the operation with SAME padding.
fn with_same_padding(graph: &Graph, operation: &Operation) -> Result<(Windows, Op), Refusal> {
    let filter = || -> Result<[usize; 2], Refusal> {
        match graph.ty(operand(operation, 1)?).shape.dims() {
            &[_, height, width, _] => Ok([height, width]),
            _ => Err(Refusal::NoMatch),
        }
    };
    let padding = Padding::Same;
    match operation.op() {
        Op::Conv2d(op) if op.padding == Padding::Valid => Ok((
            Windows { taps: filter()?, stride: op.stride, dilation: op.dilation },
            Op::Conv2d(octet_ir::ops::Conv2d { padding, ..op.clone() }),
        )),
        Op::DepthwiseConv2d(op) if op.padding == Padding::Valid => Ok((
            Windows { taps: filter()?, stride: op.stride, dilation: op.dilation },
            Op::DepthwiseConv2d(octet_ir::ops::DepthwiseConv2d { padding, ..op.clone() }),
        )),
        Op::Pool2d(op) if op.padding == Padding::Valid => Ok((
            Windows { taps: op.filter, stride: op.stride, dilation: [1, 1] },
            Op::Pool2d(octet_ir::ops::Pool2d { padding, ..op.clone() }),
        )),
        _ => Err(Refusal::NoMatch),
    }
}

/// That the operation reads at the border what PAD put there.
fn check_padded_with(module: &Module, graph: &Graph, operation: &Operation, padding: &Operation, source: ValueId) -> Result<(), Refusal> {
    let padded_with = match padding.op() {
        Op::PadV2(_) => {
            let value = splat(module, graph, operand(padding, 2)?);
            value.ok_or_else(|| Refusal::check("what is padded with is not a constant f32"))?
        }
        _ => 0.0,
    };
    match operation.op() {
        Op::Pool2d(pool) if pool.kind == PoolKind::Max => {
            let low = smallest(module, graph, source);
            if low.is_some_and(|low| low >= padded_with) || padded_with == f32::NEG_INFINITY {
                return Ok(());
            }
            Err(Refusal::check(format!("the pool's input may be smaller than {padded_with:?}, which would win at the border")))
        }
        Op::Pool2d(_) => Err(Refusal::check(format!("{} does not count what SAME padding adds", operation.op().mnemonic()))),
        _ if padded_with == 0.0 => Ok(()),
        _ => Err(Refusal::check(format!("SAME padding adds zeros, not {padded_with:?}"))),
    }
}

/// The smallest real that a value can hold, as far as the operation that computes it says: a clamp or a fused activation.
fn smallest(module: &Module, graph: &Graph, value: ValueId) -> Option<f32> {
    let (_, operation) = graph.producer(value)?;
    let clamp = Clamp::of(module, graph, operation).map(|(clamp, _)| clamp);
    clamp.or_else(|| operation.op().activation().and_then(Clamp::of_activation)).map(Clamp::low)
}
