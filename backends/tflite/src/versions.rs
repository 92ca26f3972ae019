//! Operator versions: the smallest one that a runtime needs for an operation as it stands.
//!
//! An operator's version grows when its kernel learns a type, a rank or an option; a runtime refuses versions that it does not know. The rows
//! are the facts of LiteRT's `tools/versioning/op_version.cc` in its order: the first row whose condition holds gives the version, and where
//! none holds it is 1. Nothing here decides whether some runtime has the kernel at all.

use octet_ir::ElementType::{
    self, BF16, Bool, Complex64, F8E4M3FN, F8E5M2, F16, F32, F64, I2, I4, I8, I16, I32, I64, String as Text, U4, U8, U16, U32,
};
use octet_ir::ops::{Activation, BinaryKind, CompareKind, LstmKernel, PoolKind, ReduceKind, SelectKind, UnaryKind, WeightsFormat};
use octet_ir::{Graph, Op, Operation, Value};

/// What versions depend on: the operation, and types and quantization of what it reads and writes.
pub(crate) struct Signature<'g> {
    op: &'g Op,
    inputs: Vec<Option<&'g Value>>,
    outputs: Vec<&'g Value>,
}

type Condition = fn(&Signature<'_>) -> bool;
type Rule = (i32, Condition);

const F8: [ElementType; 2] = [F8E4M3FN, F8E5M2];

impl<'g> Signature<'g> {
    pub(crate) fn of(graph: &'g Graph, operation: &'g Operation) -> Self {
        Self {
            op: operation.op(),
            inputs: operation.operands().iter().map(|v| v.and_then(|v| graph.get_value(v))).collect(),
            outputs: operation.results().iter().filter_map(|v| graph.get_value(*v)).collect(),
        }
    }

    /// The version to write.
    pub(crate) fn version(&self) -> i32 {
        match self.op {
            Op::Opaque(op) => op.version,
            Op::Custom(op) => op.version,
            _ => rules(self.op).iter().find(|(_, holds)| holds(self)).map_or_else(|| lowest(self.op), |(version, _)| *version),
        }
    }

    fn value(&self, index: usize) -> Option<&'g Value> {
        self.inputs.get(index).copied().flatten()
    }

    /// Whether operand `index` has this element type.
    fn is(&self, index: usize, elem: ElementType) -> bool {
        self.value(index).is_some_and(|v| v.ty().elem == elem)
    }

    /// Whether operand `index` has one of these element types.
    fn any(&self, index: usize, elems: &[ElementType]) -> bool {
        self.value(index).is_some_and(|v| elems.contains(&v.ty().elem))
    }

    /// Whether result `index` has this element type.
    fn out(&self, index: usize, elem: ElementType) -> bool {
        self.outputs.get(index).is_some_and(|v| v.ty().elem == elem)
    }

    /// Whether operands 0 and 1 and result 0 have these types.
    fn types(&self, input: ElementType, weights: ElementType, output: ElementType) -> bool {
        self.is(0, input) && self.is(1, weights) && self.out(0, output)
    }

    /// Float in, 8-bit weights, float out.
    fn hybrid(&self) -> bool {
        self.types(F32, I8, F32)
    }

    fn rank(&self, index: usize) -> usize {
        self.value(index).map_or(0, |v| v.ty().shape.rank())
    }

    fn dim(&self, index: usize, axis: usize) -> Option<usize> {
        self.value(index)?.ty().shape.dims().get(axis).copied()
    }

    fn is_quantized(&self, index: usize) -> bool {
        self.value(index).is_some_and(|v| v.ty().quant.is_some())
    }

    /// Whether operand `index` has a scale per index of `axis` (which one scale is, for one index).
    fn per_channel(&self, index: usize, axis: usize) -> bool {
        let scales = self.value(index).and_then(|v| v.ty().quant.as_ref()).map(|q| q.scales().len());
        scales.is_some() && scales == self.dim(index, axis)
    }

    /// Both operands of a binary operation have one shape, or it broadcasts over more than four axes.
    fn broadcasts_over_4(&self) -> bool {
        let shape = |i| self.value(i).map(|v| v.ty().shape.dims());
        shape(0) != shape(1) && (0..self.inputs.len()).any(|i| self.rank(i) > 4)
    }

    /// A product of scales that the rescaling of MUL must bring up, not down.
    fn grows(&self) -> bool {
        let scale = |v: Option<&Value>| v.and_then(|v| v.ty().quant.as_ref()).and_then(|q| q.scales().first().copied());
        match (scale(self.value(0)), scale(self.value(1)), scale(self.outputs.first().copied())) {
            (Some(a), Some(b), Some(out)) => a * b / out >= 1.0,
            _ => false,
        }
    }
}

/// The version of an operation for which no row holds.
fn lowest(op: &Op) -> i32 {
    // Version 1 of BROADCAST_TO was taken back.
    if matches!(op, Op::BroadcastTo(_)) { 2 } else { 1 }
}

const NONE: &[Rule] = &[];
/// 8-bit kernels came second, 16-bit ones third.
const INT8_INT16: &[Rule] = &[(3, |s| s.is(0, I16)), (2, |s| s.is(0, I8))];
const INT8: &[Rule] = &[(2, |s| s.is(0, I8))];
const INT8_OR_INT16: &[Rule] = &[(2, |s| s.any(0, &[I8, I16]))];
const INT16: &[Rule] = &[(2, |s| s.is(0, I16))];
const F16_ALSO: &[Rule] = &[(2, |s| s.is(0, F16))];

/// The rows of an operation.
fn rules(op: &Op) -> &'static [Rule] {
    match op {
        Op::Conv2d(_) => CONV_2D,
        Op::DepthwiseConv2d(_) => DEPTHWISE_CONV_2D,
        Op::TransposeConv(_) => TRANSPOSE_CONV,
        Op::FullyConnected(_) => FULLY_CONNECTED,
        Op::BatchMatmul(_) => BATCH_MATMUL,
        Op::EmbeddingLookup(_) => EMBEDDING_LOOKUP,
        Op::Unary(o) => unary(o.kind),
        Op::Binary(o) => binary(o.kind),
        Op::Compare(o) => compare(o.kind),
        Op::Gelu(_) => &[(3, |s| s.is(0, F16)), (2, |s| s.any(0, &[I8, U8]))],
        Op::LeakyRelu(_) => INT16,
        Op::Select(o) => match o.kind {
            SelectKind::Select => &[(4, |s| s.is(0, U32)), (3, |s| (0..3).any(|i| s.rank(i) == 5)), (2, |s| s.is(0, I8))],
            SelectKind::SelectV2 => &[(2, |s| s.is(0, U32))],
        },
        Op::Cast(_) => CAST,
        Op::Pool2d(o) => match o.kind {
            PoolKind::Average | PoolKind::Max => &[(3, |s| s.is(0, I16) && s.out(0, I16)), (2, |s| s.is(0, I8))],
            PoolKind::L2 => NONE,
        },
        Op::Reduce(o) => match o.kind {
            ReduceKind::Mean | ReduceKind::Max | ReduceKind::Min => INT8_INT16,
            ReduceKind::Sum => INT8,
            ReduceKind::Prod => INT8_OR_INT16,
            ReduceKind::Any | ReduceKind::All => NONE,
        },
        Op::Arg(_) => &[(3, |s| s.is(0, Bool)), (2, |s| s.is(0, I8))],
        Op::TopkV2(_) => &[(3, |s| s.is(0, I16) || s.is(1, I16) || s.out(1, I16)), (2, |s| s.is(0, I8))],
        Op::Softmax(_) => &[(4, |s| s.is(0, F16)), (3, |s| s.is(0, I16)), (2, |s| s.is(0, I8))],
        Op::LogSoftmax(_) | Op::SpaceToDepth(_) | Op::DepthToSpace(_) => INT8,
        Op::L2Normalization(_) => &[(2, |s| s.out(0, I8))],
        Op::Squeeze(_) => &[(2, |s| s.is(0, Text))],
        Op::Transpose(_) => TRANSPOSE,
        Op::BroadcastTo(_) => &[(4, |s| s.any(0, &F8)), (3, |s| s.any(0, &[I8, I16]))],
        Op::Slice(_) => SLICE,
        Op::StridedSlice(_) => STRIDED_SLICE,
        Op::Split(_) => &[(5, |s| s.any(1, &F8)), (4, |s| s.is(1, I16)), (3, |s| s.is(1, I32)), (2, |s| s.is(1, I8))],
        Op::SplitV(_) => &[(3, |s| s.any(0, &F8)), (2, |s| s.is(0, I8))],
        Op::DynamicUpdateSlice(_) => {
            &[(6, |s| s.is(0, BF16)), (5, |s| s.is(0, I4)), (4, |s| s.is(0, I16)), (3, |s| s.is(0, F16)), (2, |s| s.is(2, I64))]
        }
        Op::ReverseV2(_) => &[(4, |s| s.any(0, &F8)), (3, |s| s.is(0, I8)), (2, |s| s.is(0, Bool))],
        Op::Tile(_) => &[(3, |s| s.is(0, I8)), (2, |s| s.is(0, Text))],
        Op::Concatenation(_) => CONCATENATION,
        Op::Pack(_) => &[(5, |s| s.any(0, &F8)), (2, |s| s.is(0, I8)), (3, |s| s.is(0, I16) && s.out(0, I16)), (4, |s| s.is(0, U32))],
        Op::Unpack(_) => UNPACK,
        Op::Pad(_) | Op::PadV2(_) => PAD,
        Op::MirrorPad(_) => INT8_INT16,
        Op::Gather(_) => GATHER,
        Op::GatherNd(_) => {
            &[(6, |s| s.any(0, &F8)), (5, |s| s.is(0, Bool)), (4, |s| s.is(1, I16)), (3, |s| s.is(0, I16)), (2, |s| s.is(0, Text))]
        }
        Op::SpaceToBatchNd(_) | Op::BatchToSpaceNd(_) => &[(4, |s| s.is(0, I16)), (3, |s| s.rank(0) != 4), (2, |s| s.is(0, I8))],
        Op::ResizeBilinear(_) | Op::ResizeNearestNeighbor(_) => RESIZE,
        Op::Fill(_) => &[(5, |s| s.any(1, &F8)), (4, |s| s.is(1, F16)), (3, |s| s.any(1, &[I8, I16])), (2, |s| s.any(1, &[Bool, Text]))],
        Op::RangeOp(_) => &[(2, |s| s.is(0, I64))],
        Op::Where(_) => &[(2, |s| !s.is(0, Bool))],
        Op::SparseToDense(_) => &[(3, |s| s.any(2, &[I8, U8])), (2, |s| s.is(2, I64))],
        Op::Quantize(_) => QUANTIZE,
        Op::Dequantize(_) => DEQUANTIZE,
        Op::FakeQuant(_) => &[(2, |s| matches!(s.op, Op::FakeQuant(o) if o.narrow_range))],
        Op::Svdf(_) => SVDF,
        Op::Lstm(_) => LSTM,
        Op::UnidirectionalSequenceLstm(_) => UNIDIRECTIONAL_SEQUENCE_LSTM,
        Op::BidirectionalSequenceLstm(_) | Op::Rnn(_) | Op::UnidirectionalSequenceRnn(_) | Op::BidirectionalSequenceRnn(_) => RECURRENT,
        Op::Conv3d(_)
        | Op::Conv3dTranspose(_)
        | Op::Prelu(_)
        | Op::Bitcast(_)
        | Op::Cumsum(_)
        | Op::Unique(_)
        | Op::SegmentSum(_)
        | Op::UnsortedSegment(_)
        | Op::LocalResponseNormalization(_)
        | Op::Reshape(_)
        | Op::ExpandDims(_)
        | Op::ShapeOf(_)
        | Op::Rank(_)
        | Op::BroadcastArgs(_)
        | Op::MatrixDiag(_)
        | Op::MatrixSetDiag(_)
        | Op::ReverseSequence(_)
        | Op::ScatterNd(_)
        | Op::OneHot(_)
        | Op::Densify(_)
        | Op::If(_)
        | Op::While(_)
        | Op::CallOnce(_)
        | Op::VarHandle(_)
        | Op::ReadVariable(_)
        | Op::AssignVariable(_)
        | Op::Custom(_)
        | Op::Opaque(_) => NONE,
    }
}

const CONV_2D: &[Rule] = &[
    (8, |s| s.types(I16, I8, I16) && matches!(s.op, Op::Conv2d(o) if o.quantized_bias_type.is_some())),
    (6, |s| s.rank(0) == 4 && s.dim(0, 3) != s.dim(1, 3)),
    (4, |s| s.is(0, I16) && s.is(1, I16) && s.out(0, I16)),
    (3, |s| s.types(I8, I8, I8)),
    (7, |s| s.types(I8, I4, I8)),
    (5, |s| s.hybrid() && s.per_channel(1, 0)),
    (2, |s| s.hybrid()),
];

const DEPTHWISE_CONV_2D: &[Rule] = &[
    (5, |s| s.is(0, I16) && s.is(1, I16) && s.out(0, I16)),
    (6, |s| s.hybrid() && s.per_channel(1, 3)),
    (4, |s| s.hybrid()),
    (3, |s| s.types(I8, I8, I8)),
    (7, |s| s.types(I8, I4, I8)),
    (2, |s| matches!(s.op, Op::DepthwiseConv2d(o) if o.dilation != [1, 1])),
];

const TRANSPOSE_CONV: &[Rule] = &[
    // The operands begin with the output's shape; the condition looks at it all the same, as LiteRT's does.
    (5, |s| s.types(I16, I8, I16) && matches!(s.op, Op::TransposeConv(o) if o.quantized_bias_type.is_some())),
    (4, |s| matches!(s.op, Op::TransposeConv(o) if o.activation != Activation::None)),
    (3, |s| s.inputs.len() == 4 && s.value(3).is_some()),
    (2, |s| s.is(1, I8)),
];

const FULLY_CONNECTED: &[Rule] = &[
    (14, |s| s.is(1, I2)),
    (13, |s| s.types(I16, I4, I16)),
    (12, |s| s.hybrid() && s.per_channel(1, 0)),
    (11, |s| s.types(I16, I8, I16) && matches!(s.op, Op::FullyConnected(o) if o.quantized_bias_type.is_some())),
    (8, |s| s.value(1).is_some_and(|v| v.sparsity().is_some())),
    (7, |s| s.types(I16, I16, I16)),
    (6, |s| s.inputs.len() == 2),
    (5, |s| matches!(s.op, Op::FullyConnected(o) if o.keep_num_dims)),
    (4, |s| s.types(I8, I8, I8)),
    (10, |s| s.types(I8, I4, I8)),
    (9, |s| s.hybrid() && matches!(s.op, Op::FullyConnected(o) if o.asymmetric_quantize_inputs)),
    (3, |s| s.hybrid()),
    (2, |s| matches!(s.op, Op::FullyConnected(o) if o.weights_format == WeightsFormat::Shuffled4x16Int8)),
];

const BATCH_MATMUL: &[Rule] = &[
    (3, |s| s.is(0, I16)),
    (2, |s| s.is(0, I8)),
    (4, |s| s.hybrid() && matches!(s.op, Op::BatchMatmul(o) if o.asymmetric_quantize_inputs)),
];

const EMBEDDING_LOOKUP: &[Rule] = &[(4, |s| s.is(1, I4) || (s.per_channel(1, 0) && s.dim(1, 0) != Some(1))), (5, |s| s.is(1, I2))];

fn unary(kind: UnaryKind) -> &'static [Rule] {
    match kind {
        UnaryKind::Abs => {
            &[(5, |s| s.is(0, I32)), (3, |s| s.is(0, I16) && s.is_quantized(0)), (4, |s| s.is(0, I16)), (2, |s| s.any(0, &[I8, U8]))]
        }
        UnaryKind::Relu => &[(3, |s| s.is(0, I16)), (2, |s| s.any(0, &[I8, U8]))],
        UnaryKind::Relu6 | UnaryKind::Rsqrt => INT8_INT16,
        UnaryKind::Tanh | UnaryKind::Logistic => &[(3, |s| s.is(0, I16) && s.out(0, I16)), (2, |s| s.is(0, I8))],
        UnaryKind::Exp | UnaryKind::Log | UnaryKind::Sqrt => INT8_OR_INT16,
        UnaryKind::Sign => &[(2, |s| s.is(0, I32))],
        UnaryKind::Sin | UnaryKind::Cos => F16_ALSO,
        UnaryKind::Ceil
        | UnaryKind::Elu
        | UnaryKind::Floor
        | UnaryKind::HardSwish
        | UnaryKind::LogicalNot
        | UnaryKind::Neg
        | UnaryKind::ReluN1To1
        | UnaryKind::Relu0To1
        | UnaryKind::Round
        | UnaryKind::Square
        | UnaryKind::ZerosLike => NONE,
    }
}

/// New arithmetic of 16-bit ADD and SUB, with general scales.
fn general_int16(s: &Signature<'_>) -> bool {
    s.is(0, I16) && s.out(0, I16) && matches!(s.op, Op::Binary(o) if !o.pot_scale_int16)
}

fn binary(kind: BinaryKind) -> &'static [Rule] {
    match kind {
        BinaryKind::Add => &[
            (6, |s| s.is(0, F16)),
            (5, |s| s.is(0, I16) && !s.is_quantized(0)),
            (4, |s| s.is(0, I64)),
            (3, general_int16),
            (2, |s| s.is(0, I8)),
        ],
        BinaryKind::Sub => &[(5, general_int16), (4, |s| s.is(0, I64)), (3, |s| s.broadcasts_over_4()), (2, |s| s.is(0, I8))],
        BinaryKind::Mul => &[
            (8, |s| s.is(0, F16)),
            (7, |s| (s.is(0, I16) && !s.is_quantized(0) && !s.is_quantized(1)) || s.is(0, U32)),
            (6, |s| s.is(0, Complex64)),
            (5, |s| s.is(0, I64)),
            (4, |s| s.is(0, I16)),
            (3, |s| s.grows()),
            (2, |s| s.is(0, I8)),
        ],
        BinaryKind::Div => &[(2, |s| s.broadcasts_over_4())],
        BinaryKind::Maximum | BinaryKind::Minimum => {
            &[(4, |s| s.is(0, I16) && s.out(0, I16)), (3, |s| s.broadcasts_over_4()), (2, |s| s.is(0, I8))]
        }
        BinaryKind::FloorDiv => &[(3, |s| s.any(0, &[I16, I8])), (2, |s| s.is(0, F32))],
        BinaryKind::FloorMod => INT8_OR_INT16,
        BinaryKind::SquaredDifference => INT8,
        BinaryKind::Pow
        | BinaryKind::Atan2
        | BinaryKind::LogicalAnd
        | BinaryKind::LogicalOr
        | BinaryKind::BitwiseXor
        | BinaryKind::RightShift => NONE,
    }
}

fn compare(kind: CompareKind) -> &'static [Rule] {
    match kind {
        CompareKind::Equal => &[(5, |s| s.is(0, I16)), (3, |s| s.is(0, Text)), (2, |s| s.is(0, I8))],
        CompareKind::NotEqual => &[(4, |s| s.is(0, I16)), (3, |s| s.is(0, Text)), (2, |s| s.is(0, I8))],
        CompareKind::Less | CompareKind::GreaterEqual => INT8_INT16,
        CompareKind::Greater | CompareKind::LessEqual => INT8,
    }
}

const CAST: &[Rule] = &[
    (9, |s| s.any(0, &F8) || F8.iter().any(|e| s.out(0, *e))),
    (8, |s| s.any(0, &[I2, U4]) || s.out(0, I2) || s.out(0, U4)),
    (7, |s| s.is(0, BF16) || s.out(0, BF16)),
    (6, |s| s.is(0, I4) && s.out(0, F32)),
    (5, |s| s.any(0, &[F64, F16]) || s.out(0, F64) || s.out(0, F16)),
    (4, |s| s.is(0, U16) || s.out(0, U16)),
    (3, |s| s.is(0, I8) || s.out(0, I8)),
    (2, |s| s.is(0, U32) || s.out(0, U32)),
];

const TRANSPOSE: &[Rule] = &[
    (9, |s| s.is(0, F16)),
    (8, |s| s.rank(0) > 6 || s.is(0, BF16)),
    (7, |s| s.is(0, I4)),
    (6, |s| s.rank(0) > 5),
    (5, |s| s.is(0, I16)),
    (4, |s| s.rank(0) > 4),
    (3, |s| s.is(0, Bool)),
    (2, |s| s.is(0, I8)),
];

const SLICE: &[Rule] = &[
    (8, |s| s.is(0, F16)),
    (7, |s| s.is(0, I4)),
    (6, |s| s.is(0, U32)),
    (5, |s| s.rank(0) > 4),
    (4, |s| s.is(0, I16)),
    (3, |s| s.is(0, Text)),
    (2, |s| s.is(0, I8)),
];

const STRIDED_SLICE: &[Rule] = &[
    (8, |s| matches!(s.op, Op::StridedSlice(o) if o.offset)),
    (7, |s| s.is(0, U32)),
    (6, |s| matches!(s.op, Op::StridedSlice(o) if o.ellipsis_mask != 0 || o.new_axis_mask != 0)),
    (5, |s| s.is(0, Text)),
    (4, |s| s.rank(0) > 4),
    (3, |s| s.is(0, Bool)),
    (2, |s| s.is(0, I8)),
];

const CONCATENATION: &[Rule] = &[
    (7, |s| s.any(0, &F8)),
    (6, |s| s.is(0, F16)),
    (5, |s| s.is(0, I4)),
    (4, |s| s.is(0, U32)),
    (3, |s| s.is(0, I16)),
    (2, |s| s.is(0, I8)),
];

const UNPACK: &[Rule] = &[
    (6, |s| s.any(0, &F8)),
    (2, |s| s.any(0, &[I8, U8])),
    (3, |s| s.is(0, Bool)),
    (4, |s| s.is(0, I16) && s.out(0, I16)),
    (5, |s| s.any(0, &[F16, BF16])),
];

const PAD: &[Rule] = &[(6, |s| s.any(0, &F8)), (5, |s| s.is(0, Bool)), (4, |s| s.rank(0) > 4), (3, |s| s.is(0, I16)), (2, |s| s.is(0, I8))];

const GATHER: &[Rule] = &[
    (8, |s| s.any(0, &F8)),
    (7, |s| s.is(0, I4)),
    (6, |s| s.is(1, I16)),
    (5, |s| matches!(s.op, Op::Gather(o) if o.batch_dims != 0)),
    (4, |s| s.is(0, I16)),
    (3, |s| s.is(0, Bool)),
    (2, |s| s.is(0, I8)),
];

const RESIZE: &[Rule] = &[
    (4, |s| s.is(0, I16)),
    (3, |s| match s.op {
        Op::ResizeBilinear(o) => o.half_pixel_centers,
        Op::ResizeNearestNeighbor(o) => o.half_pixel_centers || o.align_corners,
        _ => false,
    }),
    (2, |s| s.is(0, I8)),
];

const QUANTIZE: &[Rule] = &[
    (5, |s| s.is(0, U4) || s.out(0, U4)),
    (4, |s| s.is(0, I4) || s.out(0, I4)),
    (3, |s| s.outputs.first().and_then(|v| v.ty().quant.as_ref()).is_some_and(|q| q.axis().is_some() && q.scales().len() > 1)),
    (2, |s| s.out(0, I16)),
];

const DEQUANTIZE: &[Rule] = &[
    (9, |s| s.any(0, &F8)),
    (8, |s| s.is(0, U4)),
    (7, |s| s.is(0, I2)),
    (6, |s| s.is(0, I4)),
    (3, |s| s.any(0, &[I16, F16])),
    (5, |s| s.is(0, I8) && s.value(0).and_then(|v| v.ty().quant.as_ref()).is_some_and(|q| q.axis().is_some() && q.scales().len() > 1)),
    (2, |s| s.is(0, I8)),
];

const SVDF: &[Rule] =
    &[(3, |s| s.is(0, I8)), (4, |s| s.hybrid() && matches!(s.op, Op::Svdf(o) if o.asymmetric_quantize_inputs)), (2, |s| s.hybrid())];

fn is_full_lstm(s: &Signature<'_>) -> bool {
    matches!(s.op, Op::Lstm(o) if o.kernel_type == LstmKernel::Full)
}

const LSTM: &[Rule] = &[
    (5, |s| is_full_lstm(s) && s.is(0, I16) && s.is(2, I8) && s.out(0, I16)),
    (4, |s| is_full_lstm(s) && s.is(0, F32) && s.is(2, I8) && s.out(0, F32) && asymmetric(s)),
    (3, |s| is_full_lstm(s) && s.is(0, F32) && s.is(2, I8) && s.out(0, F32)),
    (2, |s| !is_full_lstm(s)),
];

const UNIDIRECTIONAL_SEQUENCE_LSTM: &[Rule] = &[
    (5, |s| s.is(0, I16) && s.is(2, I8) && s.out(0, I16)),
    (4, |s| matches!(s.op, Op::UnidirectionalSequenceLstm(o) if o.diagonal_recurrent_tensors)),
    (3, |s| s.is(0, F32) && s.is(2, I8) && s.out(0, F32) && asymmetric(s)),
    (2, |s| s.is(0, F32) && s.is(2, I8) && s.out(0, F32)),
];

const RECURRENT: &[Rule] = &[(3, |s| s.is(1, I8) && s.out(0, F32) && asymmetric(s)), (2, |s| s.is(1, I8) && s.out(0, F32))];

/// Whether a recurrent kernel with 8-bit weights quantizes its float input asymmetrically.
fn asymmetric(s: &Signature<'_>) -> bool {
    match s.op {
        Op::Lstm(o) => o.asymmetric_quantize_inputs,
        Op::UnidirectionalSequenceLstm(o) => o.asymmetric_quantize_inputs,
        Op::BidirectionalSequenceLstm(o) => o.asymmetric_quantize_inputs,
        Op::Rnn(o) => o.asymmetric_quantize_inputs,
        Op::UnidirectionalSequenceRnn(o) => o.asymmetric_quantize_inputs,
        Op::BidirectionalSequenceRnn(o) => o.asymmetric_quantize_inputs,
        _ => false,
    }
}
