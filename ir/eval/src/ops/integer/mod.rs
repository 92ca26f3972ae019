//! Integer kernels: from ops with quantized types to [`crate::int`].
//!
//! [`prepare`] is asked first. It answers for every op whose arithmetic depends on quantization, and leaves to the others what only
//! moves data or computes on plain numbers.

mod conv;
mod dense;
mod elementwise;
mod join;
mod normalization;
mod pool;
mod quantize;
mod recurrent;
mod reduce;
mod resize;

use octet_ir::ops::{Activation, UnaryKind};
use octet_ir::{Diagnostic, ElementType as E, Op, Type};

use crate::int::{Affine, Bounds, KernelError};
use crate::kernel::{Io, Kernel, PrepareCx, PrepareError, Prepared, fallible_kernel};

/// A kernel, or nothing if the op is not a matter of integer arithmetic.
pub(super) type Answer = Result<Option<Box<dyn Kernel>>, PrepareError>;

/// The integer kernel of `cx.op`, if its operands are quantized and its arithmetic depends on that.
pub(super) fn prepare(cx: &PrepareCx<'_>) -> Answer {
    match cx.op {
        Op::Conv2d(op) => stored(cx, 0).then(|| conv::conv_2d(op, cx)).transpose(),
        Op::DepthwiseConv2d(op) => stored(cx, 0).then(|| conv::depthwise_conv_2d(op, cx)).transpose(),
        Op::TransposeConv(op) => stored(cx, 2).then(|| conv::transpose_conv(op, cx)).transpose(),
        Op::FullyConnected(op) => stored(cx, 0).then(|| dense::fully_connected(op, cx)).transpose(),
        Op::BatchMatmul(op) => (stored(cx, 0) && stored(cx, 1)).then(|| dense::batch_matmul(op, cx)).transpose(),
        Op::Unary(op) => (quantized(cx, 0) && op.kind != UnaryKind::ZerosLike).then(|| elementwise::unary(op, cx)).transpose(),
        Op::Binary(op) => quantized(cx, 0).then(|| elementwise::binary(op, cx)).transpose(),
        Op::Compare(op) => quantized(cx, 0).then(|| elementwise::compare(op, cx)).transpose(),
        Op::Gelu(op) => quantized(cx, 0).then(|| elementwise::gelu(op, cx)).transpose(),
        Op::LeakyRelu(op) => quantized(cx, 0).then(|| elementwise::leaky_relu(op, cx)).transpose(),
        Op::Prelu(_) => quantized(cx, 0).then(|| elementwise::prelu(cx)).transpose(),
        Op::Pool2d(op) => quantized(cx, 0).then(|| pool::pool_2d(op, cx)).transpose(),
        Op::Reduce(op) => quantized(cx, 0).then(|| reduce::reduce(op, cx)).transpose(),
        Op::Arg(op) => quantized(cx, 0).then(|| reduce::arg(op, cx)).transpose(),
        Op::Softmax(op) => quantized(cx, 0).then(|| normalization::softmax(op, cx)).transpose(),
        Op::LogSoftmax(_) => quantized(cx, 0).then(|| normalization::log_softmax(cx)).transpose(),
        Op::L2Normalization(_) => quantized(cx, 0).then(|| normalization::l2_normalization(cx)).transpose(),
        Op::Concatenation(op) => join::concatenation(op, cx),
        Op::ResizeBilinear(op) => stored(cx, 0).then(|| resize::resize_bilinear(op, cx)).transpose(),
        Op::Quantize(_) => quantize::quantize(cx).map(Some),
        Op::Dequantize(_) => cx.elem(0)?.is_integer().then(|| quantize::dequantize(cx)).transpose(),
        Op::Svdf(op) => stored(cx, 0).then(|| recurrent::svdf(op, cx)).transpose(),
        Op::UnidirectionalSequenceLstm(op) => stored(cx, 0).then(|| recurrent::unidirectional_sequence_lstm(op, cx)).transpose(),
        Op::Lstm(op) => stored(cx, 0).then(|| recurrent::lstm(op, cx)).transpose(),
        // No runtime computes these on quantized integers.
        Op::Conv3d(_)
        | Op::Conv3dTranspose(_)
        | Op::Cumsum(_)
        | Op::LocalResponseNormalization(_)
        | Op::FakeQuant(_)
        | Op::BidirectionalSequenceLstm(_)
        | Op::Rnn(_)
        | Op::UnidirectionalSequenceRnn(_)
        | Op::BidirectionalSequenceRnn(_)
        | Op::SegmentSum(_)
        | Op::UnsortedSegment(_) => Ok(None),
        // These move, count or compare stored values; quantization does not matter.
        Op::EmbeddingLookup(_)
        | Op::Select(_)
        | Op::Cast(_)
        | Op::Bitcast(_)
        | Op::TopkV2(_)
        | Op::Unique(_)
        | Op::Reshape(_)
        | Op::Squeeze(_)
        | Op::ExpandDims(_)
        | Op::Transpose(_)
        | Op::ShapeOf(_)
        | Op::Rank(_)
        | Op::BroadcastTo(_)
        | Op::BroadcastArgs(_)
        | Op::MatrixDiag(_)
        | Op::MatrixSetDiag(_)
        | Op::Slice(_)
        | Op::StridedSlice(_)
        | Op::Split(_)
        | Op::SplitV(_)
        | Op::DynamicUpdateSlice(_)
        | Op::ReverseV2(_)
        | Op::ReverseSequence(_)
        | Op::Tile(_)
        | Op::Pack(_)
        | Op::Unpack(_)
        | Op::Pad(_)
        | Op::PadV2(_)
        | Op::MirrorPad(_)
        | Op::Gather(_)
        | Op::GatherNd(_)
        | Op::ScatterNd(_)
        | Op::SpaceToDepth(_)
        | Op::DepthToSpace(_)
        | Op::SpaceToBatchNd(_)
        | Op::BatchToSpaceNd(_)
        | Op::ResizeNearestNeighbor(_)
        | Op::Fill(_)
        | Op::RangeOp(_)
        | Op::OneHot(_)
        | Op::Where(_)
        | Op::SparseToDense(_)
        | Op::Densify(_)
        | Op::If(_)
        | Op::While(_)
        | Op::CallOnce(_)
        | Op::VarHandle(_)
        | Op::ReadVariable(_)
        | Op::AssignVariable(_)
        | Op::Custom(_)
        | Op::Opaque(_) => Ok(None),
    }
}

/// Runs `$body` with `$t` as the Rust type that stores `$elem`; refuses types that integer kernels do not compute on.
macro_rules! by_storage {
    ($cx:expr, $elem:expr, $t:ident => $body:expr) => {
        match $elem {
            octet_ir::ElementType::I8 => {
                type $t = i8;
                $body
            }
            octet_ir::ElementType::U8 => {
                type $t = u8;
                $body
            }
            octet_ir::ElementType::I16 => {
                type $t = i16;
                $body
            }
            _ => Err($cx.unsupported()),
        }
    };
}
use by_storage;

/// Whether operand `index` is stored as integers of the kinds that kernels compute on.
fn stored(cx: &PrepareCx<'_>, index: usize) -> bool {
    cx.optional(index).is_some_and(|ty| matches!(ty.elem, E::I8 | E::U8 | E::I16))
}

/// Whether operand `index` holds integers that stand for reals.
fn quantized(cx: &PrepareCx<'_>, index: usize) -> bool {
    stored(cx, index) && cx.optional(index).is_some_and(Type::is_quantized)
}

/// Per-tensor scale and zero point of a type.
fn affine(cx: &PrepareCx<'_>, ty: &Type) -> Result<Affine, PrepareError> {
    let (scale, zero_point) = ty.scale_zero_point().ok_or_else(|| cx.unsupported())?;
    let zero_point = i32::try_from(zero_point).map_err(|_| cx.invalid(format!("the zero point {zero_point} does not fit 32 bits")))?;
    if scale.is_finite() && scale > 0.0 {
        Ok(Affine { scale, zero_point })
    } else {
        Err(cx.invalid(format!("the scale {scale} is not positive")))
    }
}

/// Scale and zero point of operand `index`.
fn operand(cx: &PrepareCx<'_>, index: usize) -> Result<Affine, PrepareError> {
    affine(cx, cx.ty(index)?)
}

/// Scale and zero point of result 0.
fn result(cx: &PrepareCx<'_>) -> Result<Affine, PrepareError> {
    affine(cx, cx.result(0)?)
}

/// Bounds of a fused activation; refuses what is no clamp.
fn bounds(cx: &PrepareCx<'_>, activation: Activation) -> Result<Bounds, PrepareError> {
    let (low, high) = activation.bounds().ok_or_else(|| cx.unsupported())?;
    Ok(Bounds { low: Some(low).filter(|x| x.is_finite()), high: Some(high).filter(|x| x.is_finite()) })
}

/// What a preparation gives, with the kernel's reason as a refusal of the op.
fn prepared<T>(cx: &PrepareCx<'_>, result: crate::int::Result<T>) -> Result<T, PrepareError> {
    result.map_err(|KernelError(why)| cx.invalid(why))
}

/// A kernel around a slice-level one.
fn kernel(run: impl Fn(&mut Io<'_>) -> crate::int::Result<()> + Send + Sync + 'static) -> Prepared {
    fallible_kernel(0, move |io| run(io).map_err(|KernelError(why)| Diagnostic::error("EVL002", why)))
}
