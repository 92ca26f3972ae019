//! The quantization rules of every operation, as data.
//!
//! A [`Rule`] says what each operand and result of a quantized kernel is: an activation with a scale of its own, one that shares its
//! scale with others, a filter, a bias, or no real tensor at all; and which runtimes have such a kernel. [`rule`] matches every operation
//! without a wildcard, so that a new operation needs a decision here before anything compiles.
//!
//! Sources: the TFLite quantization specification, the converter's `operator_property.cc` and `tfl_ops.td`, and the `Prepare` functions of
//! LiteRT's and TFLite Micro's kernels. No rule lives anywhere else.

use octet_ir::Op;
use octet_ir::ops::{Activation, BinaryKind, PoolKind, ReduceKind, UnaryKind, WeightsFormat};

use super::params::{Params, Width};

/// What one operand is to a quantized kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A real tensor with a scale of its own.
    Activation,
    /// A real tensor of the scale that all `Shared` operands and results of the operation have.
    Shared,
    /// Filters: int8, symmetric. Constant ones have a scale per index of `axis`, others one for the tensor.
    Weight {
        /// The axis of the output channels.
        axis: usize,
    },
    /// Added to the accumulator: zero point 0, scale = scale of operand `input` times scale of operand `weight`.
    Bias {
        /// Operand number of the activation.
        input: usize,
        /// Operand number of the filter.
        weight: usize,
    },
    /// A real tensor that belongs to another graph or a variable as well: it is quantized if those agree, whatever the operation.
    Carried,
    /// No real tensor (shapes, axes, indices, conditions), or one that the kernel takes in any type.
    Plain,
}

/// What one result of a quantized kernel is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// A real tensor with a scale of its own.
    Free,
    /// A real tensor of the scale that all `Shared` operands and results have.
    Shared,
    /// A real tensor whose scale the kernel prescribes.
    Fixed(Params),
    /// As [`Role::Carried`].
    Carried,
    /// No real tensor.
    Plain,
}

/// Which runtimes have a quantized kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernels {
    /// LiteRT (TensorFlow Lite).
    pub litert: bool,
    /// TFLite Micro.
    pub tflm: bool,
}

impl Kernels {
    /// Both runtimes.
    pub const BOTH: Self = Self { litert: true, tflm: true };
    /// LiteRT alone.
    pub const LITERT: Self = Self { litert: true, tflm: false };
    /// TFLite Micro alone.
    pub const TFLM: Self = Self { litert: false, tflm: true };
    /// No runtime.
    pub const NONE: Self = Self { litert: false, tflm: false };
}

/// Special treatment that the table's columns cannot express.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// None.
    None,
    /// The operation has no kernel of this width, but an equal computation has: it is decomposed first.
    Decompose,
    /// Streaming filter: feature weights int8, time weights and state int16, bias scale = scale of time weights times scale of the state.
    Svdf,
    /// LSTM: int8 weights, int16 cell state with a power-of-two scale, output state of the output's scale.
    Lstm,
    /// Calls graphs or reads variables: the real tensors that it passes are [`Role::Carried`].
    Control,
    /// QUANTIZE and DEQUANTIZE that the model already has.
    Convert,
}

/// The rule of one operation at one width.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Operands in order; the last entry stands for all that follow.
    pub operands: &'static [Role],
    /// Results in order; the last entry stands for all that follow.
    pub results: &'static [Outcome],
    /// Runtimes whose kernel takes these types.
    pub kernels: Kernels,
    /// Treatment beside the table.
    pub special: Special,
    /// The shared scale must have zero point 0: the kernel writes plain zeros.
    pub symmetric: bool,
}

impl Rule {
    /// The role of operand `index`.
    pub fn role(&self, index: usize) -> Role {
        self.operands.get(index).or(self.operands.last()).copied().unwrap_or(Role::Plain)
    }

    /// What result `index` is.
    pub fn outcome(&self, index: usize) -> Outcome {
        self.results.get(index).or(self.results.last()).copied().unwrap_or(Outcome::Plain)
    }

    /// Whether the operation only moves or selects numbers: all its real operands and results share one scale.
    pub fn is_mover(&self) -> bool {
        self.special == Special::None
            && self.results.contains(&Outcome::Shared)
            && self.operands.iter().all(|r| matches!(r, Role::Shared | Role::Plain))
            && self.results.iter().all(|r| matches!(r, Outcome::Shared | Outcome::Plain))
    }

    const fn new(operands: &'static [Role], results: &'static [Outcome], kernels: Kernels) -> Self {
        Self { operands, results, kernels, special: Special::None, symmetric: false }
    }

    const fn special(mut self, special: Special) -> Self {
        self.special = special;
        self
    }

    const fn symmetric(mut self) -> Self {
        self.symmetric = true;
        self
    }
}

use Outcome::{Fixed, Free};
use Role::{Activation as Act, Bias, Plain, Weight};

const SHARED: &[Outcome] = &[Outcome::Shared];
const PLAIN: &[Outcome] = &[Outcome::Plain];

/// No kernel takes quantized reals.
const NONE: Rule = Rule::new(&[Plain], PLAIN, Kernels::NONE);
/// Works on integers, booleans or shapes only; reals never reach it, or in any type.
const ANY: Rule = Rule::new(&[Plain], PLAIN, Kernels::BOTH);

const fn unary(kernels: Kernels) -> Rule {
    Rule::new(&[Act], &[Free], kernels)
}

const fn binary(kernels: Kernels) -> Rule {
    Rule::new(&[Act], &[Free], kernels)
}

/// Operand 0 is moved, the rest says how.
const fn mover(kernels: Kernels) -> Rule {
    Rule::new(&[Role::Shared, Plain], SHARED, kernels)
}

/// As [`mover`], without integers to say what moves where.
const fn lone_mover(kernels: Kernels) -> Rule {
    Rule::new(&[Role::Shared], SHARED, kernels)
}

/// Kernels by width.
const fn by(width: Width, int8: Kernels, int16: Kernels) -> Kernels {
    match width {
        Width::I8 => int8,
        Width::I16 => int16,
    }
}

/// The rule of an operation for activations of a width.
pub fn rule(op: &Op, width: Width) -> Rule {
    const BOTH: Kernels = Kernels::BOTH;
    const LITERT: Kernels = Kernels::LITERT;
    const NO: Kernels = Kernels::NONE;
    // Only clamps exist in integers.
    if matches!(op.activation(), Some(Activation::Tanh | Activation::SignBit)) {
        return NONE;
    }
    match op {
        Op::Conv2d(_) => Rule::new(&[Act, Weight { axis: 0 }, Bias { input: 0, weight: 1 }], &[Free], BOTH),
        Op::DepthwiseConv2d(_) => Rule::new(&[Act, Weight { axis: 3 }, Bias { input: 0, weight: 1 }], &[Free], BOTH),
        Op::TransposeConv(_) => Rule::new(&[Plain, Weight { axis: 0 }, Act, Bias { input: 2, weight: 1 }], &[Free], BOTH),
        Op::FullyConnected(o) if o.weights_format != WeightsFormat::Default => NONE,
        Op::FullyConnected(_) => Rule::new(&[Act, Weight { axis: 0 }, Bias { input: 0, weight: 1 }], &[Free], BOTH),
        Op::BatchMatmul(_) => binary(BOTH),
        Op::EmbeddingLookup(_) => Rule::new(&[Plain, Role::Shared], SHARED, by(width, BOTH, NO)),
        Op::Conv3d(_) | Op::Conv3dTranspose(_) => NONE,

        Op::Unary(o) => unary_rule(o.kind, width),
        Op::Binary(o) => binary_rule(o.kind, width),
        Op::Compare(_) => Rule::new(&[Act], PLAIN, by(width, BOTH, NO)),
        Op::Gelu(_) => unary(LITERT),
        Op::LeakyRelu(_) => unary(BOTH),
        Op::Prelu(_) => with_int16_decomposition(binary(BOTH), width),
        Op::Select(_) => Rule::new(&[Plain, Role::Shared], SHARED, BOTH),
        Op::Cast(_) | Op::Bitcast(_) => NONE,

        Op::Pool2d(o) => match o.kind {
            PoolKind::Average | PoolKind::Max => Rule::new(&[Role::Shared], SHARED, BOTH),
            PoolKind::L2 => NONE,
        },
        Op::Reduce(o) => reduce_rule(o.kind, width),
        Op::Arg(_) => Rule::new(&[Act, Plain], PLAIN, by(width, BOTH, NO)),
        // TFLite Micro's int8 CUMSUM has no counterpart in LiteRT.
        Op::Cumsum(_) => Rule::new(&[Act, Plain], &[Free], by(width, Kernels::TFLM, NO)),
        Op::TopkV2(_) => Rule::new(&[Role::Shared, Plain], &[Outcome::Shared, Outcome::Plain], LITERT),
        Op::Unique(_) | Op::SegmentSum(_) | Op::UnsortedSegment(_) => NONE,

        Op::Softmax(_) => Rule::new(&[Act], fixed(width, &UNIT, &UNIT_16), BOTH),
        Op::LogSoftmax(_) => Rule::new(&[Act], &LOG_UNIT, by(width, BOTH, NO)),
        Op::L2Normalization(_) => Rule::new(&[Act], &SYMMETRIC_UNIT, by(width, BOTH, NO)),
        Op::LocalResponseNormalization(_) => NONE,

        Op::Squeeze(_) => lone_mover(BOTH),
        Op::Reshape(_) | Op::ExpandDims(_) | Op::Transpose(_) | Op::BroadcastTo(_) => mover(BOTH),
        Op::ShapeOf(_) | Op::Rank(_) | Op::BroadcastArgs(_) => ANY,
        // The kernel fills with plain zeros.
        Op::MatrixDiag(_) => lone_mover(LITERT).symmetric(),
        Op::MatrixSetDiag(_) => Rule::new(&[Role::Shared], SHARED, LITERT),

        Op::Slice(_) | Op::StridedSlice(_) | Op::SplitV(_) | Op::ReverseV2(_) => mover(BOTH),
        Op::Split(_) => Rule::new(&[Plain, Role::Shared], SHARED, BOTH),
        Op::DynamicUpdateSlice(_) => Rule::new(&[Role::Shared, Role::Shared, Plain], SHARED, BOTH),
        Op::ReverseSequence(_) => mover(by(width, NO, LITERT)),
        Op::Tile(_) => mover(LITERT),

        Op::Concatenation(o) if o.activation != Activation::None => NONE,
        Op::Concatenation(_) | Op::Pack(_) | Op::Unpack(_) => Rule::new(&[Role::Shared], SHARED, BOTH),
        Op::Pad(_) => mover(BOTH),
        Op::PadV2(_) => Rule::new(&[Role::Shared, Plain, Role::Shared], SHARED, BOTH),
        Op::MirrorPad(_) => mover(by(width, BOTH, LITERT)),

        Op::Gather(_) | Op::GatherNd(_) => mover(by(width, BOTH, LITERT)),
        // The kernel fills with plain zeros.
        Op::ScatterNd(_) => Rule::new(&[Plain, Role::Shared, Plain], SHARED, by(width, LITERT, NO)).symmetric(),
        Op::SpaceToDepth(_) | Op::DepthToSpace(_) => with_int16_decomposition(lone_mover(BOTH), width),
        Op::SpaceToBatchNd(_) | Op::BatchToSpaceNd(_) => mover(by(width, BOTH, LITERT)),
        Op::ResizeBilinear(_) => mover(by(width, BOTH, LITERT)),
        Op::ResizeNearestNeighbor(_) => mover(BOTH),

        Op::Fill(_) => Rule::new(&[Plain, Role::Shared], SHARED, BOTH),
        Op::OneHot(_) => Rule::new(&[Plain, Plain, Role::Shared], SHARED, by(width, LITERT, NO)),
        Op::SparseToDense(_) => Rule::new(&[Plain, Plain, Role::Shared], SHARED, by(width, LITERT, NO)),
        Op::RangeOp(_) | Op::Where(_) => NONE,

        Op::Quantize(_) => Rule::new(&[Act], PLAIN, BOTH).special(Special::Convert),
        Op::Dequantize(_) => Rule::new(&[Plain], &[Free], BOTH).special(Special::Convert),
        Op::FakeQuant(_) | Op::Densify(_) => NONE,

        Op::Svdf(_) => Rule::new(&[Act, Plain], &[Free], by(width, BOTH, NO)).special(Special::Svdf),
        Op::UnidirectionalSequenceLstm(_) => Rule::new(&[Act, Plain], &[Free], by(width, BOTH, NO)).special(Special::Lstm),
        Op::BidirectionalSequenceLstm(_)
        | Op::Lstm(_)
        | Op::Rnn(_)
        | Op::UnidirectionalSequenceRnn(_)
        | Op::BidirectionalSequenceRnn(_) => NONE,

        Op::If(_) | Op::While(_) => Rule::new(&[Role::Carried], &[Outcome::Carried], BOTH).special(Special::Control),
        Op::ReadVariable(_) => Rule::new(&[Plain], &[Outcome::Carried], BOTH).special(Special::Control),
        Op::AssignVariable(_) => Rule::new(&[Plain, Role::Carried], PLAIN, BOTH).special(Special::Control),
        Op::CallOnce(_) | Op::VarHandle(_) => ANY,
        Op::Custom(_) | Op::Opaque(_) => NONE,
    }
}

/// 1/256 from 0: probabilities.
const UNIT: [Outcome; 1] = [Fixed(Params { scale: 1.0 / 256.0, zero_point: -128 })];
/// 1/32768: everything between -1 and 1, in 16 bits.
const UNIT_16: [Outcome; 1] = [Fixed(Params { scale: 1.0 / 32768.0, zero_point: 0 })];
/// 1/128: everything between -1 and 1.
const SYMMETRIC_UNIT: [Outcome; 1] = [Fixed(Params { scale: 1.0 / 128.0, zero_point: 0 })];
/// 1/16 up to 0: logarithms of probabilities.
const LOG_UNIT: [Outcome; 1] = [Fixed(Params { scale: 16.0 / 256.0, zero_point: 127 })];

const fn fixed(width: Width, int8: &'static [Outcome], int16: &'static [Outcome]) -> &'static [Outcome] {
    match width {
        Width::I8 => int8,
        Width::I16 => int16,
    }
}

/// int8 as it stands; int16 through a decomposition into operations that have kernels.
const fn with_int16_decomposition(int8: Rule, width: Width) -> Rule {
    match width {
        Width::I8 => int8,
        Width::I16 => DECOMPOSED,
    }
}

const DECOMPOSED: Rule = Rule::new(&[Plain], PLAIN, Kernels::NONE).special(Special::Decompose);

fn unary_rule(kind: UnaryKind, width: Width) -> Rule {
    match kind {
        UnaryKind::Abs | UnaryKind::Rsqrt | UnaryKind::Relu => unary(Kernels::BOTH),
        UnaryKind::Exp | UnaryKind::Log | UnaryKind::Sqrt => unary(Kernels::LITERT),
        UnaryKind::Elu => unary(by(width, Kernels::BOTH, Kernels::NONE)),
        UnaryKind::HardSwish => with_int16_decomposition(unary(Kernels::BOTH), width),
        UnaryKind::ReluN1To1 | UnaryKind::Relu0To1 => with_int16_decomposition(unary(Kernels::LITERT), width),
        // LiteRT rescales, TFLite Micro clamps and never rescales: with one scale both give the same.
        UnaryKind::Relu6 => Rule::new(&[Role::Shared], SHARED, Kernels::BOTH),
        UnaryKind::Logistic => Rule::new(&[Act], fixed(width, &UNIT, &UNIT_16), Kernels::BOTH),
        UnaryKind::Tanh => Rule::new(&[Act], fixed(width, &SYMMETRIC_UNIT, &UNIT_16), Kernels::BOTH),
        // Kernels negate and square the stored integers, whatever they stand for.
        UnaryKind::Neg | UnaryKind::Square => DECOMPOSED,
        UnaryKind::LogicalNot => ANY,
        UnaryKind::Ceil
        | UnaryKind::Cos
        | UnaryKind::Floor
        | UnaryKind::Round
        | UnaryKind::Sign
        | UnaryKind::Sin
        | UnaryKind::ZerosLike => NONE,
    }
}

fn binary_rule(kind: BinaryKind, width: Width) -> Rule {
    match kind {
        BinaryKind::Add | BinaryKind::Sub | BinaryKind::Mul => binary(Kernels::BOTH),
        BinaryKind::Div => binary(by(width, Kernels::BOTH, Kernels::LITERT)),
        BinaryKind::Maximum | BinaryKind::Minimum => Rule::new(&[Role::Shared], SHARED, Kernels::BOTH),
        // LiteRT has no int16 kernel.
        BinaryKind::SquaredDifference => with_int16_decomposition(binary(Kernels::BOTH), width),
        BinaryKind::LogicalAnd | BinaryKind::LogicalOr | BinaryKind::BitwiseXor | BinaryKind::RightShift => ANY,
        BinaryKind::FloorDiv | BinaryKind::FloorMod | BinaryKind::Pow | BinaryKind::Atan2 => NONE,
    }
}

fn reduce_rule(kind: ReduceKind, width: Width) -> Rule {
    match kind {
        ReduceKind::Mean => Rule::new(&[Act, Plain], &[Free], Kernels::BOTH),
        ReduceKind::Sum => match width {
            Width::I8 => Rule::new(&[Act, Plain], &[Free], Kernels::BOTH),
            // The int16 kernel adds the stored integers.
            Width::I16 => mover(Kernels::BOTH),
        },
        ReduceKind::Max | ReduceKind::Min => mover(Kernels::BOTH),
        ReduceKind::Prod => Rule::new(&[Act, Plain], &[Free], Kernels::LITERT),
        ReduceKind::Any | ReduceKind::All => ANY,
    }
}

/// Why an operation that has real tensors cannot be quantized, when its rule says so: a sentence for the user.
pub(super) fn why_not(op: &Op, width: Width) -> String {
    let bits = match width {
        Width::I8 => "int8",
        Width::I16 => "int16",
    };
    match op {
        Op::Custom(o) => format!("'{}' is a custom operation: nothing is known about a quantized form of it", o.name),
        Op::Opaque(o) => format!("{} is not modelled by the compiler, which carries it through unchanged", o.name),
        Op::Cast(_) => "CAST converts between reals and integers, so its real side has no quantized form".into(),
        Op::FakeQuant(_) => "FAKE_QUANT states a quantization: run adopt-fake-quant first".into(),
        Op::Concatenation(o) if o.activation != Activation::None => format!("the {bits} kernel has no fused activation"),
        Op::FullyConnected(o) if o.weights_format != WeightsFormat::Default => "the weights are stored shuffled".into(),
        o if matches!(o.activation(), Some(Activation::Tanh | Activation::SignBit)) => {
            format!("the {bits} kernel fuses clamping activations only")
        }
        other => match rule(other, width).kernels {
            Kernels { litert: false, tflm: true } => format!("LiteRT has no {bits} kernel (TFLite Micro has one)"),
            Kernels { litert: true, tflm: false } => format!("TFLite Micro has no {bits} kernel (LiteRT has one)"),
            Kernels { .. } => format!("no runtime has an {bits} kernel"),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use octet_ir::ops::Arity;

    use super::*;
    use crate::quantize::docs::operations;
    use crate::quantize::hybrid::hybrid_weights;

    fn op(name: &str) -> Op {
        Op::from_attributes(name, Vec::new()).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    #[test]
    fn every_operation_has_a_rule_that_fits_its_operands() {
        let walked: BTreeSet<&str> = operations().map(|o| o.mnemonic()).collect();
        assert_eq!(walked.len(), Op::mnemonics().count(), "every mnemonic has default attributes");
        for op in operations() {
            let spec = op.operand_spec();
            let variadic = spec.last().is_some_and(|o| o.arity == Arity::Variadic);
            for width in [Width::I8, Width::I16] {
                let rule = rule(&op, width);
                assert!(variadic || rule.operands.len() <= spec.len().max(1), "{}", op.mnemonic());
                for (index, role) in rule.operands.iter().enumerate() {
                    if let Role::Bias { input, weight } = role {
                        assert_eq!(rule.role(*input), Role::Activation, "{}", op.mnemonic());
                        assert!(matches!(rule.role(*weight), Role::Weight { .. }), "{}", op.mnemonic());
                        assert_eq!(spec[index].arity, Arity::Optional);
                    }
                }
                let shares =
                    |roles: bool| if roles { rule.operands.contains(&Role::Shared) } else { rule.results.contains(&Outcome::Shared) };
                assert_eq!(shares(true), shares(false), "{}: a shared scale has both sides", op.mnemonic());
                for outcome in rule.results {
                    if let Outcome::Fixed(params) = outcome {
                        let (low, high) = width.limits();
                        assert!(params.scale > 0.0 && (low..=high).contains(&params.zero_point), "{}", op.mnemonic());
                    }
                }
            }
            for weight in hybrid_weights(&op) {
                assert!(variadic || weight.operand < spec.len(), "{}", op.mnemonic());
            }
        }
    }

    /// The specification's list of operations whose output has the scale of the input.
    #[test]
    fn operations_of_one_scale() {
        let names = "average_pool_2d max_pool_2d concatenation gather gather_nd scatter_nd expand_dims squeeze fill maximum minimum slice \
                     strided_slice reduce_min reduce_max pack unpack pad pad_v2 mirror_pad reshape select select_v2 tile topk_v2 transpose \
                     batch_to_space_nd space_to_batch_nd space_to_depth depth_to_space split split_v resize_bilinear \
                     resize_nearest_neighbor dynamic_update_slice broadcast_to reverse_v2";
        for name in names.split_whitespace() {
            let rule = rule(&op(name), Width::I8);
            assert_eq!(rule.outcome(0), Outcome::Shared, "{name}");
            assert!(rule.kernels.litert, "{name}");
        }
        assert_eq!(rule(&op("sum"), Width::I16).outcome(0), Outcome::Shared);
        assert_eq!(rule(&op("sum"), Width::I8).outcome(0), Outcome::Free);
    }

    /// The specification's list of operations with scales of their own.
    #[test]
    fn operations_of_free_scales() {
        let names = "add sub mul div mean sum relu relu_n1_to_1 leaky_relu prelu hard_swish gelu abs exp log sqrt rsqrt squared_difference \
                     reduce_prod batch_matmul conv_2d depthwise_conv_2d fully_connected transpose_conv";
        for name in names.split_whitespace() {
            let rule = rule(&op(name), Width::I8);
            assert_eq!((rule.outcome(0), rule.kernels.litert), (Outcome::Free, true), "{name}");
        }
    }

    #[test]
    fn prescribed_scales() {
        let fixed = |name: &str, width| match rule(&op(name), width).outcome(0) {
            Outcome::Fixed(p) => Some((p.scale, p.zero_point)),
            Outcome::Free | Outcome::Shared | Outcome::Carried | Outcome::Plain => None,
        };
        for name in ["softmax", "logistic"] {
            assert_eq!(fixed(name, Width::I8), Some((1.0 / 256.0, -128)), "{name}");
            assert_eq!(fixed(name, Width::I16), Some((1.0 / 32768.0, 0)), "{name}");
        }
        assert_eq!(fixed("tanh", Width::I8), Some((1.0 / 128.0, 0)));
        assert_eq!(fixed("tanh", Width::I16), Some((1.0 / 32768.0, 0)));
        assert_eq!(fixed("l2_normalization", Width::I8), Some((1.0 / 128.0, 0)));
        assert_eq!(fixed("log_softmax", Width::I8), Some((16.0 / 256.0, 127)));
    }

    #[test]
    fn operations_without_an_int16_kernel() {
        let names = "arg_max space_to_depth depth_to_space equal not_equal less less_equal greater greater_equal hard_swish log_softmax \
                     l2_normalization prelu relu_n1_to_1 svdf unidirectional_sequence_lstm";
        for name in names.split_whitespace() {
            assert_eq!(rule(&op(name), Width::I16).kernels, Kernels::NONE, "{name}");
            assert!(rule(&op(name), Width::I8).kernels.litert, "{name}");
        }
    }

    #[test]
    fn filters_have_a_scale_per_output_channel() {
        for (name, axis) in [("conv_2d", 0), ("depthwise_conv_2d", 3), ("fully_connected", 0), ("transpose_conv", 0)] {
            assert_eq!(rule(&op(name), Width::I8).role(1), Role::Weight { axis }, "{name}");
        }
    }

    #[test]
    fn only_clamps_are_fused_in_integers() {
        let tanh = vec![("activation".to_owned(), octet_ir::Attr::Word("tanh".into()))];
        let conv = Op::from_attributes("conv_2d", tanh).expect("tanh is an activation");
        assert_eq!(rule(&conv, Width::I8).kernels, Kernels::NONE);
        assert!(why_not(&conv, Width::I8).contains("clamping"));
    }
}
