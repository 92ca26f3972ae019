//! How far a float result may be from the runtimes' for one operation on equal operands.
//!
//! Both sides compute in single precision, so where an operation is one rounding, or none, the bits are equal. Where it is a function of the C
//! library's, one or two units in the last place are the library's own uncertainty. Where it adds up products, the order of the sum is the
//! implementation's, and the error grows with the terms and not with the result, which may have cancelled.

use octet_ir::Op;
use octet_ir::ops::{BinaryKind, PoolKind, ReduceKind, UnaryKind};

/// The bound: units in the last place, or a share of the largest magnitude that went in or came out, whichever is looser.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Units in the last place.
    pub ulps: u32,
    /// Share of the largest magnitude.
    pub share: f32,
}

const EXACT: Tolerance = Tolerance { ulps: 0, share: 0.0 };
const ROUNDED: Tolerance = Tolerance { ulps: 1, share: 0.0 };
const FUNCTION: Tolerance = Tolerance { ulps: 4, share: 2e-7 };
const SUM: Tolerance = Tolerance { ulps: 4, share: 2e-6 };
const LAYERS: Tolerance = Tolerance { ulps: 16, share: 1e-5 };
/// A layer that quantizes its own state may round it the other way after a difference of one unit: one step of 127, times a weight,
/// of which generated graphs have none above 0.7.
const QUANTIZED_STATE: Tolerance = Tolerance { ulps: 16, share: 6e-3 };

/// The bound for an operation on floats; `hybrid` says that its weights are quantized.
#[must_use]
pub fn tolerance(op: &Op, hybrid: bool) -> Tolerance {
    match op {
        Op::Conv2d(_)
        | Op::DepthwiseConv2d(_)
        | Op::TransposeConv(_)
        | Op::Conv3d(_)
        | Op::Conv3dTranspose(_)
        | Op::FullyConnected(_)
        | Op::BatchMatmul(_)
        | Op::Cumsum(_)
        | Op::SegmentSum(_)
        | Op::UnsortedSegment(_)
        | Op::ScatterNd(_) => SUM,
        Op::Svdf(_)
        | Op::UnidirectionalSequenceLstm(_)
        | Op::BidirectionalSequenceLstm(_)
        | Op::Lstm(_)
        | Op::Rnn(_)
        | Op::UnidirectionalSequenceRnn(_)
        | Op::BidirectionalSequenceRnn(_) => {
            if hybrid {
                QUANTIZED_STATE
            } else {
                LAYERS
            }
        }
        Op::Softmax(_) | Op::LogSoftmax(_) | Op::L2Normalization(_) | Op::LocalResponseNormalization(_) => LAYERS,
        Op::Unary(o) => match o.kind {
            UnaryKind::Cos
            | UnaryKind::Elu
            | UnaryKind::Exp
            | UnaryKind::HardSwish
            | UnaryKind::Log
            | UnaryKind::Logistic
            | UnaryKind::Rsqrt
            | UnaryKind::Sin
            | UnaryKind::Tanh => FUNCTION,
            UnaryKind::Abs
            | UnaryKind::Ceil
            | UnaryKind::Floor
            | UnaryKind::LogicalNot
            | UnaryKind::Neg
            | UnaryKind::Relu
            | UnaryKind::Relu6
            | UnaryKind::ReluN1To1
            | UnaryKind::Relu0To1
            | UnaryKind::Round
            | UnaryKind::Sign
            | UnaryKind::Sqrt
            | UnaryKind::Square
            | UnaryKind::ZerosLike => EXACT,
        },
        Op::Binary(o) => match o.kind {
            BinaryKind::Pow | BinaryKind::Atan2 => FUNCTION,
            BinaryKind::Add
            | BinaryKind::Sub
            | BinaryKind::Mul
            | BinaryKind::Div
            | BinaryKind::FloorDiv
            | BinaryKind::FloorMod
            | BinaryKind::Maximum
            | BinaryKind::Minimum
            | BinaryKind::SquaredDifference
            | BinaryKind::LogicalAnd
            | BinaryKind::LogicalOr
            | BinaryKind::BitwiseXor
            | BinaryKind::RightShift => EXACT,
        },
        Op::Gelu(_) => FUNCTION,
        Op::LeakyRelu(_) | Op::Prelu(_) | Op::Dequantize(_) => ROUNDED,
        Op::Pool2d(o) => match o.kind {
            PoolKind::Max => EXACT,
            PoolKind::Average | PoolKind::L2 => SUM,
        },
        Op::Reduce(o) => match o.kind {
            ReduceKind::Mean | ReduceKind::Sum | ReduceKind::Prod => SUM,
            ReduceKind::Max | ReduceKind::Min | ReduceKind::Any | ReduceKind::All => EXACT,
        },
        Op::ResizeBilinear(_) | Op::FakeQuant(_) => Tolerance { ulps: 4, share: 1e-6 },
        // Bodies are a few operations.
        Op::If(_) | Op::While(_) => LAYERS,
        Op::EmbeddingLookup(_)
        | Op::Compare(_)
        | Op::Select(_)
        | Op::Cast(_)
        | Op::Bitcast(_)
        | Op::Arg(_)
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
        | Op::Concatenation(_)
        | Op::Pack(_)
        | Op::Unpack(_)
        | Op::Pad(_)
        | Op::PadV2(_)
        | Op::MirrorPad(_)
        | Op::Gather(_)
        | Op::GatherNd(_)
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
        | Op::Quantize(_)
        | Op::Densify(_)
        | Op::CallOnce(_)
        | Op::VarHandle(_)
        | Op::ReadVariable(_)
        | Op::AssignVariable(_)
        | Op::Custom(_)
        | Op::Opaque(_) => EXACT,
    }
}
