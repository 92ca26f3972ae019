//! Which weights the float kernels take in int8, as data: LiteRT's *hybrid* kernels, which dynamic-range quantization serves.

use octet_ir::Op;
use octet_ir::ops::{LstmKernel, WeightsFormat};

/// A weight that a kernel with float activations takes in int8, and the axis along which it may have several scales: the
/// operations of dynamic-range quantization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HybridWeight {
    /// Operand number of the weight.
    pub operand: usize,
    /// Axis of per-axis scales; `None` where the kernel takes one scale for the tensor.
    pub axis: Option<usize>,
    /// The kernel also takes one scale for the whole tensor.
    pub takes_one_scale: bool,
    /// The operation has the attribute `asymmetric_quantize_inputs`, which the converter sets.
    pub asymmetric_inputs: bool,
}

/// Weights that an operation's float kernel takes in int8 (LiteRT's hybrid kernels). Empty for operations that have none.
pub fn hybrid_weights(op: &Op) -> Vec<HybridWeight> {
    let one = |axis, takes_one_scale, asymmetric_inputs| vec![HybridWeight { operand: 1, axis, takes_one_scale, asymmetric_inputs }];
    let several = |range: &[std::ops::RangeInclusive<usize>]| {
        let operands = range.iter().cloned().flatten();
        operands.map(|operand| HybridWeight { operand, axis: None, takes_one_scale: true, asymmetric_inputs: true }).collect()
    };
    match op {
        Op::Conv2d(_) => one(Some(0), true, false),
        // These look up a scale per channel, whatever there is.
        Op::DepthwiseConv2d(_) => one(Some(3), false, false),
        Op::TransposeConv(_) => one(Some(0), false, false),
        Op::FullyConnected(o) if o.weights_format == WeightsFormat::Default => one(Some(0), true, true),
        Op::FullyConnected(_) => Vec::new(),
        // The right side's columns become rows only when the kernel need not transpose it.
        Op::BatchMatmul(_) => one(None, true, true),
        Op::EmbeddingLookup(_) => one(Some(0), true, false),
        Op::UnidirectionalSequenceLstm(_) => several(&[1..=11, 16..=16]),
        Op::Lstm(o) if o.kernel_type == LstmKernel::Full => several(&[1..=11, 16..=16]),
        // The five-operand cell has no such kernel.
        Op::Lstm(_) => Vec::new(),
        Op::BidirectionalSequenceLstm(_) => several(&[1..=11, 16..=16, 18..=28, 33..=33, 40..=47]),
        Op::Svdf(_) | Op::Rnn(_) | Op::UnidirectionalSequenceRnn(_) => several(&[1..=2]),
        Op::BidirectionalSequenceRnn(_) => several(&[1..=2, 4..=5]),
        Op::Conv3d(_)
        | Op::Conv3dTranspose(_)
        | Op::Unary(_)
        | Op::Binary(_)
        | Op::Compare(_)
        | Op::Gelu(_)
        | Op::LeakyRelu(_)
        | Op::Prelu(_)
        | Op::Select(_)
        | Op::Cast(_)
        | Op::Bitcast(_)
        | Op::Pool2d(_)
        | Op::Reduce(_)
        | Op::Arg(_)
        | Op::Cumsum(_)
        | Op::TopkV2(_)
        | Op::Unique(_)
        | Op::SegmentSum(_)
        | Op::UnsortedSegment(_)
        | Op::Softmax(_)
        | Op::LogSoftmax(_)
        | Op::L2Normalization(_)
        | Op::LocalResponseNormalization(_)
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
        | Op::Concatenation(_)
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
        | Op::ResizeBilinear(_)
        | Op::ResizeNearestNeighbor(_)
        | Op::Fill(_)
        | Op::RangeOp(_)
        | Op::OneHot(_)
        | Op::Where(_)
        | Op::SparseToDense(_)
        | Op::Quantize(_)
        | Op::Dequantize(_)
        | Op::FakeQuant(_)
        | Op::Densify(_)
        | Op::If(_)
        | Op::While(_)
        | Op::CallOnce(_)
        | Op::VarHandle(_)
        | Op::ReadVariable(_)
        | Op::AssignVariable(_)
        | Op::Custom(_)
        | Op::Opaque(_) => Vec::new(),
    }
}
