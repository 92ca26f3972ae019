//! Operations that compute each element of the result from the same element of the operands.

use super::common::Activation;
use super::infer::{InferCx, InferError, Inferred, broadcast, invalid, same_as_first};
use crate::types::ElementType;

kinds! {
    /// A function of one number.
    UnaryKind {
        /// `|x|`.
        Abs = "abs",
        /// Round up.
        Ceil = "ceil",
        /// Cosine.
        Cos = "cos",
        /// `x` if positive, else `e^x - 1`.
        Elu = "elu",
        /// `e^x`.
        Exp = "exp",
        /// Round down.
        Floor = "floor",
        /// `x * min(max(x + 3, 0), 6) / 6`.
        HardSwish = "hard_swish",
        /// Natural logarithm.
        Log = "log",
        /// Logical negation of booleans.
        LogicalNot = "logical_not",
        /// `1 / (1 + e^-x)`.
        Logistic = "logistic",
        /// `-x`.
        Neg = "neg",
        /// `max(x, 0)`.
        Relu = "relu",
        /// Clamp to [0, 6].
        Relu6 = "relu6",
        /// Clamp to [-1, 1].
        ReluN1To1 = "relu_n1_to_1",
        /// Clamp to [0, 1].
        Relu0To1 = "relu_0_to_1",
        /// Round to nearest, halves to even.
        Round = "round",
        /// `1 / sqrt(x)`.
        Rsqrt = "rsqrt",
        /// -1, 0 or 1.
        Sign = "sign",
        /// Sine.
        Sin = "sin",
        /// Square root.
        Sqrt = "sqrt",
        /// `x * x`.
        Square = "square",
        /// Hyperbolic tangent.
        Tanh = "tanh",
        /// Zeros of the operand's type.
        ZerosLike = "zeros_like",
    }
}

op! {
    /// A function of one number, applied to every element.
    family Unary(UnaryKind) [x] unary;
    {}
}

fn unary(_: &Unary, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    Ok(vec![(cx.result_elem(0, cx.elem(0)?), cx.shape(0)?.clone())])
}

impl Unary {
    /// The operation of this kind.
    pub fn new(kind: UnaryKind) -> Self {
        Self { kind }
    }
}

kinds! {
    /// A function of two numbers.
    BinaryKind {
        /// `a + b`.
        Add = "add",
        /// `a - b`.
        Sub = "sub",
        /// `a * b`.
        Mul = "mul",
        /// `a / b`; integers round toward zero.
        Div = "div",
        /// Quotient rounded down.
        FloorDiv = "floor_div",
        /// Remainder with the divisor's sign.
        FloorMod = "floor_mod",
        /// The larger one.
        Maximum = "maximum",
        /// The smaller one.
        Minimum = "minimum",
        /// `a` to the power of `b`.
        Pow = "pow",
        /// `(a - b)^2`.
        SquaredDifference = "squared_difference",
        /// Angle of the point (b, a).
        Atan2 = "atan2",
        /// Both are true.
        LogicalAnd = "logical_and",
        /// One is true.
        LogicalOr = "logical_or",
        /// Bits that differ.
        BitwiseXor = "bitwise_xor",
        /// Arithmetic shift right of `a` by `b` bits.
        RightShift = "right_shift",
    }
}

impl BinaryKind {
    /// Whether the kernel has a fused activation.
    pub fn takes_activation(self) -> bool {
        matches!(self, Self::Add | Self::Sub | Self::Mul | Self::Div)
    }

    /// Whether swapping the operands changes nothing.
    pub fn is_commutative(self) -> bool {
        match self {
            Self::Add
            | Self::Mul
            | Self::Maximum
            | Self::Minimum
            | Self::SquaredDifference
            | Self::LogicalAnd
            | Self::LogicalOr
            | Self::BitwiseXor => true,
            Self::Sub | Self::Div | Self::FloorDiv | Self::FloorMod | Self::Pow | Self::Atan2 | Self::RightShift => false,
        }
    }
}

op! {
    /// A function of two numbers, applied to every pair of elements, with broadcasting.
    family Binary(BinaryKind) [lhs, rhs] binary;
    {
        /// Fused activation (ADD, SUB, MUL and DIV).
        activation: Activation = Activation::None,
        /// Legacy 16-bit ADD and SUB with power-of-two scales.
        pot_scale_int16: bool = true,
    }
}

fn binary(op: &Binary, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let (a, b) = (cx.elem(0)?, cx.elem(1)?);
    if a != b {
        return Err(invalid(format!("operand types {a} and {b} differ")));
    }
    if !op.kind.takes_activation() && op.activation != Activation::None {
        return Err(invalid(format!("{} has no fused activation", op.kind.mnemonic())));
    }
    Ok(vec![(cx.result_elem(0, a), broadcast(cx.shape(0)?, cx.shape(1)?)?)])
}

impl Binary {
    /// The operation of this kind without a fused activation; new ADD and SUB use general scales.
    pub fn new(kind: BinaryKind) -> Self {
        Self { kind, activation: Activation::None, pot_scale_int16: !matches!(kind, BinaryKind::Add | BinaryKind::Sub) }
    }
}

kinds! {
    /// A comparison.
    CompareKind {
        /// `a == b`.
        Equal = "equal",
        /// `a != b`.
        NotEqual = "not_equal",
        /// `a > b`.
        Greater = "greater",
        /// `a >= b`.
        GreaterEqual = "greater_equal",
        /// `a < b`.
        Less = "less",
        /// `a <= b`.
        LessEqual = "less_equal",
    }
}

op! {
    /// A comparison of every pair of elements, with broadcasting; the result is boolean.
    family Compare(CompareKind) [lhs, rhs] compare;
    {}
}

fn compare(_: &Compare, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let (a, b) = (cx.elem(0)?, cx.elem(1)?);
    if a != b {
        return Err(invalid(format!("operand types {a} and {b} differ")));
    }
    Ok(vec![(ElementType::Bool, broadcast(cx.shape(0)?, cx.shape(1)?)?)])
}

op! {
    /// Gaussian error linear unit.
    Gelu = "gelu" [x] |_, cx| same_as_first(cx);
    {
        /// Use the tanh approximation.
        approximate: bool = false,
    }
}

op! {
    /// `x` if positive, else `alpha * x`.
    LeakyRelu = "leaky_relu" [x] |_, cx| same_as_first(cx);
    {
        /// Slope for negative numbers.
        alpha: f32 = 0.0,
    }
}

op! {
    /// `x` if positive, else `alpha * x` with a learnt `alpha` that broadcasts.
    Prelu = "prelu" [x, alpha] |_, cx| Ok(vec![(cx.elem(0)?, broadcast(cx.shape(0)?, cx.shape(1)?)?)]);
    {}
}

kinds! {
    /// Which SELECT.
    SelectKind {
        /// Condition of the same shape as the operands, or of rank 0, or one entry per outermost index.
        Select = "select",
        /// All three broadcast.
        SelectV2 = "select_v2",
    }
}

op! {
    /// `a` where `condition`, else `b`.
    family Select(SelectKind) [condition, a, b] select;
    {}
}

fn select(op: &Select, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let (a, b) = (cx.elem(1)?, cx.elem(2)?);
    if a != b || cx.elem(0)? != ElementType::Bool {
        return Err(invalid(format!("operands are {}, {a} and {b}; expected bool and two of one type", cx.elem(0)?)));
    }
    let shape = match op.kind {
        SelectKind::Select => cx.shape(1)?.clone(),
        SelectKind::SelectV2 => broadcast(cx.shape(0)?, &broadcast(cx.shape(1)?, cx.shape(2)?)?)?,
    };
    Ok(vec![(a, shape)])
}

op! {
    /// Conversion to the result's element type: floats to integers truncate toward zero.
    Cast = "cast" [x] |_, cx| Ok(vec![(cx.result_elem(0, cx.elem(0)?), cx.shape(0)?.clone())]);
    {
        /// Source type as the file states it; kernels look at the operand.
        in_type: Option<ElementType> = None,
        /// Target type as the file states it; kernels look at the result.
        out_type: Option<ElementType> = None,
    }
}

op! {
    /// The same bytes read as the result's element type.
    Bitcast = "bitcast" [x] bitcast;
    {}
}

fn bitcast(_: &Bitcast, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let from = cx.elem(0)?;
    let to = cx.result_elem(0, from);
    let (Some(a), Some(b)) = (from.bits(), to.bits()) else { return Err(InferError::Unknown) };
    let mut dims = cx.shape(0)?.dims().to_vec();
    if a > b {
        dims.push(a / b);
    } else if a < b && dims.pop() != Some(b / a) {
        return Err(invalid(format!("the innermost size must be {} to become {to}", b / a)));
    }
    Ok(vec![(to, dims.into())])
}
