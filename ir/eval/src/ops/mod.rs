//! Kernels of every op: one file per family, named as in `octet_ir::ops`.
//!
//! [`prepare`] is the only door. Each function behind it looks at element types (and
//! quantization), picks float or integer code, and refuses the rest with a diagnostic that
//! names the op and its types.

mod cast;
mod conv;
mod create;
mod dense;
mod elementwise;
mod gather;
mod integer;
mod join;
mod normalization;
mod pad;
mod pool;
mod quantize;
mod recurrent;
mod reduce;
mod resize;
mod shape;
mod slice;
mod space;
mod util;

use octet_ir::{Diagnostic, Op};

use crate::kernel::{PrepareCx, Prepared};

pub(crate) use util::{fill, zero_element};

/// Prepares the kernel of `cx.op`.
///
/// Control flow and resource variables have none: [`crate::Interpreter`] runs them itself.
pub fn prepare(cx: &PrepareCx<'_>) -> Prepared {
    if let Some(kernel) = integer::prepare(cx)? {
        return Ok(kernel);
    }
    match cx.op {
        Op::Conv2d(op) => conv::conv_2d(op, cx),
        Op::DepthwiseConv2d(op) => conv::depthwise_conv_2d(op, cx),
        Op::TransposeConv(op) => conv::transpose_conv(op, cx),
        Op::Conv3d(op) => conv::conv_3d(op, cx),
        Op::Conv3dTranspose(op) => conv::conv_3d_transpose(op, cx),
        Op::FullyConnected(op) => dense::fully_connected(op, cx),
        Op::BatchMatmul(op) => dense::batch_matmul(op, cx),
        Op::EmbeddingLookup(op) => dense::embedding_lookup(op, cx),
        Op::Unary(op) => elementwise::unary(op, cx),
        Op::Binary(op) => elementwise::binary(op, cx),
        Op::Compare(op) => elementwise::compare(op, cx),
        Op::Gelu(op) => elementwise::gelu(op, cx),
        Op::LeakyRelu(op) => elementwise::leaky_relu(op, cx),
        Op::Prelu(op) => elementwise::prelu(op, cx),
        Op::Select(op) => elementwise::select(op, cx),
        Op::Cast(op) => elementwise::cast(op, cx),
        Op::Bitcast(op) => elementwise::bitcast(op, cx),
        Op::Pool2d(op) => pool::pool_2d(op, cx),
        Op::Reduce(op) => reduce::reduce(op, cx),
        Op::Arg(op) => reduce::arg(op, cx),
        Op::Cumsum(op) => reduce::cumsum(op, cx),
        Op::TopkV2(op) => reduce::topk_v2(op, cx),
        Op::Unique(op) => reduce::unique(op, cx),
        Op::SegmentSum(op) => reduce::segment_sum(op, cx),
        Op::UnsortedSegment(op) => reduce::unsorted_segment(op, cx),
        Op::Softmax(op) => normalization::softmax(op, cx),
        Op::LogSoftmax(op) => normalization::log_softmax(op, cx),
        Op::L2Normalization(op) => normalization::l2_normalization(op, cx),
        Op::LocalResponseNormalization(op) => normalization::local_response_normalization(op, cx),
        Op::Reshape(op) => shape::reshape(op, cx),
        Op::Squeeze(op) => shape::squeeze(op, cx),
        Op::ExpandDims(op) => shape::expand_dims(op, cx),
        Op::Transpose(op) => shape::transpose(op, cx),
        Op::ShapeOf(op) => shape::shape_of(op, cx),
        Op::Rank(op) => shape::rank(op, cx),
        Op::BroadcastTo(op) => shape::broadcast_to(op, cx),
        Op::BroadcastArgs(op) => shape::broadcast_args(op, cx),
        Op::MatrixDiag(op) => shape::matrix_diag(op, cx),
        Op::MatrixSetDiag(op) => shape::matrix_set_diag(op, cx),
        Op::Slice(op) => slice::slice(op, cx),
        Op::StridedSlice(op) => slice::strided_slice(op, cx),
        Op::Split(op) => slice::split(op, cx),
        Op::SplitV(op) => slice::split_v(op, cx),
        Op::DynamicUpdateSlice(op) => slice::dynamic_update_slice(op, cx),
        Op::ReverseV2(op) => slice::reverse_v2(op, cx),
        Op::ReverseSequence(op) => slice::reverse_sequence(op, cx),
        Op::Tile(op) => slice::tile(op, cx),
        Op::Concatenation(op) => join::concatenation(op, cx),
        Op::Pack(op) => join::pack(op, cx),
        Op::Unpack(op) => join::unpack(op, cx),
        Op::Pad(op) => pad::pad(op, cx),
        Op::PadV2(op) => pad::pad_v2(op, cx),
        Op::MirrorPad(op) => pad::mirror_pad(op, cx),
        Op::Gather(op) => gather::gather(op, cx),
        Op::GatherNd(op) => gather::gather_nd(op, cx),
        Op::ScatterNd(op) => gather::scatter_nd(op, cx),
        Op::SpaceToDepth(op) => space::space_to_depth(op, cx),
        Op::DepthToSpace(op) => space::depth_to_space(op, cx),
        Op::SpaceToBatchNd(op) => space::space_to_batch_nd(op, cx),
        Op::BatchToSpaceNd(op) => space::batch_to_space_nd(op, cx),
        Op::ResizeBilinear(op) => resize::resize_bilinear(op, cx),
        Op::ResizeNearestNeighbor(op) => resize::resize_nearest_neighbor(op, cx),
        Op::Fill(op) => create::fill(op, cx),
        Op::RangeOp(op) => create::range(op, cx),
        Op::OneHot(op) => create::one_hot(op, cx),
        Op::Where(op) => create::where_op(op, cx),
        Op::SparseToDense(op) => create::sparse_to_dense(op, cx),
        Op::Quantize(op) => quantize::quantize(op, cx),
        Op::Dequantize(op) => quantize::dequantize(op, cx),
        Op::FakeQuant(op) => quantize::fake_quant(op, cx),
        Op::Densify(op) => quantize::densify(op, cx),
        Op::Svdf(op) => recurrent::svdf(op, cx),
        Op::UnidirectionalSequenceLstm(op) => recurrent::unidirectional_sequence_lstm(op, cx),
        Op::BidirectionalSequenceLstm(op) => recurrent::bidirectional_sequence_lstm(op, cx),
        Op::Lstm(op) => recurrent::lstm(op, cx),
        Op::Rnn(op) => recurrent::rnn(op, cx),
        Op::UnidirectionalSequenceRnn(op) => recurrent::unidirectional_sequence_rnn(op, cx),
        Op::BidirectionalSequenceRnn(op) => recurrent::bidirectional_sequence_rnn(op, cx),
        Op::If(_) | Op::While(_) | Op::CallOnce(_) | Op::VarHandle(_) | Op::ReadVariable(_) | Op::AssignVariable(_) => {
            let name = cx.op.mnemonic().to_uppercase();
            Err(Diagnostic::error("EVL003", format!("{name} runs only inside an interpreter")).into())
        }
        Op::Custom(op) => Err(Diagnostic::error("EVL004", format!("no kernel is registered for the custom op '{}'", op.name)).into()),
        Op::Opaque(_) => Err(cx.unsupported()),
    }
}
