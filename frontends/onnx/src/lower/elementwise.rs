//! Operators that compute each element from the same element of their inputs.

use octet_ir::ops::{self, BinaryKind, CompareKind, UnaryKind};
use octet_ir::{ElementType, ValueId};

use super::{Inputs, Lowering, Outputs, Table, input, optional};
use crate::attributes::{Node, Refusal};
use crate::scope::Scope;
use crate::tensor;

pub(super) const TABLE: Table = &[
    ("Abs", |l, _, i| unary(l, i, UnaryKind::Abs)),
    ("Add", |l, n, i| binary(l, n, i, BinaryKind::Add)),
    ("And", |l, n, i| binary(l, n, i, BinaryKind::LogicalAnd)),
    ("Cast", cast),
    ("CastLike", |l, _, i| {
        let elem = l.scope.elem(input(i, 1)?);
        one(l.scope.cast(input(i, 0)?, elem))
    }),
    ("Ceil", |l, _, i| unary(l, i, UnaryKind::Ceil)),
    ("Clip", clip),
    ("Cos", |l, _, i| unary(l, i, UnaryKind::Cos)),
    ("Div", |l, n, i| binary(l, n, i, BinaryKind::Div)),
    ("Dropout", dropout),
    ("Equal", |l, n, i| compare(l, n, i, CompareKind::Equal)),
    ("Erf", |l, _, i| one(erf(l.scope, input(i, 0)?))),
    ("Exp", |l, _, i| unary(l, i, UnaryKind::Exp)),
    ("Floor", |l, _, i| unary(l, i, UnaryKind::Floor)),
    ("Gelu", gelu),
    ("Greater", |l, n, i| compare(l, n, i, CompareKind::Greater)),
    ("GreaterOrEqual", |l, n, i| compare(l, n, i, CompareKind::GreaterEqual)),
    ("HardSigmoid", |l, n, i| {
        one(super::activation::hard_sigmoid(l.scope, input(i, 0)?, n.float_or("alpha", 0.2), n.float_or("beta", 0.5)))
    }),
    ("HardSwish", |l, _, i| unary(l, i, UnaryKind::HardSwish)),
    ("Identity", |_, _, i| Ok(vec![input(i, 0)?])),
    ("LeakyRelu", |l, n, i| one(l.scope.op1(ops::LeakyRelu { alpha: n.float_or("alpha", 0.01) }, &[input(i, 0)?]))),
    ("Less", |l, n, i| compare(l, n, i, CompareKind::Less)),
    ("LessOrEqual", |l, n, i| compare(l, n, i, CompareKind::LessEqual)),
    ("Log", |l, _, i| unary(l, i, UnaryKind::Log)),
    ("Max", |l, _, i| fold(l, i, BinaryKind::Maximum)),
    ("Mean", mean),
    ("Min", |l, _, i| fold(l, i, BinaryKind::Minimum)),
    ("Mod", modulo),
    ("Mul", |l, n, i| binary(l, n, i, BinaryKind::Mul)),
    ("Neg", |l, _, i| unary(l, i, UnaryKind::Neg)),
    ("Not", |l, _, i| unary(l, i, UnaryKind::LogicalNot)),
    ("Or", |l, n, i| binary(l, n, i, BinaryKind::LogicalOr)),
    ("Pow", power),
    ("PRelu", prelu),
    ("Reciprocal", reciprocal),
    ("Relu", |l, _, i| {
        let x = input(i, 0)?;
        let elem = l.scope.elem(x);
        if !elem.is_integer() {
            return unary(l, i, UnaryKind::Relu);
        }
        // The runtimes have no RELU of plain integers.
        let zero = l.scope.scalar(0.0, elem)?;
        one(l.scope.binary(BinaryKind::Maximum, x, zero))
    }),
    ("Round", |l, _, i| unary(l, i, UnaryKind::Round)),
    ("Sigmoid", |l, _, i| unary(l, i, UnaryKind::Logistic)),
    ("Sign", |l, _, i| unary(l, i, UnaryKind::Sign)),
    ("Sin", |l, _, i| unary(l, i, UnaryKind::Sin)),
    ("Sqrt", |l, _, i| unary(l, i, UnaryKind::Sqrt)),
    ("Sub", |l, n, i| binary(l, n, i, BinaryKind::Sub)),
    ("Sum", |l, _, i| fold(l, i, BinaryKind::Add)),
    ("Tanh", |l, _, i| {
        let x = input(i, 0)?;
        // Mish in its parts: softplus and its hyperbolic tangent in one, where nothing cancels.
        match l.scope.softplus_argument(x) {
            Some(argument) => one(super::activation::tanh_of_softplus(l.scope, argument)),
            None => one(l.scope.unary(UnaryKind::Tanh, x)),
        }
    }),
    ("Where", where_),
    ("Xor", |l, n, i| compare(l, n, i, CompareKind::NotEqual)),
];

fn one(value: Result<ValueId, Refusal>) -> Outputs {
    value.map(|v| vec![v])
}

fn unary(l: &mut Lowering<'_, '_, '_>, inputs: Inputs<'_>, kind: UnaryKind) -> Outputs {
    one(l.scope.unary(kind, input(inputs, 0)?))
}

/// Both inputs, the second one moved to its place by the `axis` attribute of opsets before 7.
fn operands(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Result<[ValueId; 2], Refusal> {
    let (a, mut b) = (input(inputs, 0)?, input(inputs, 1)?);
    if node.version < 7 && node.flag("broadcast") && node.has("axis") {
        let rank = l.scope.rank(a);
        let start = super::axis(node.int_or("axis", 0), rank)?;
        let mut dims = l.scope.dims(b).to_vec();
        dims.resize(rank.saturating_sub(start).max(dims.len()), 1);
        b = l.scope.reshape(b, &dims)?;
    }
    Ok([a, b])
}

fn binary(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>, kind: BinaryKind) -> Outputs {
    let [a, b] = operands(l, node, inputs)?;
    if kind == BinaryKind::Mul
        && let Some(gelu) = super::gelu::product(l.scope, a, b)?
    {
        return Ok(vec![gelu]);
    }
    one(l.scope.binary(kind, a, b))
}

/// A power. The result has the base's type; integers are raised in floats where the exponent may be a fraction or negative.
fn power(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let [base, exponent] = operands(l, node, inputs)?;
    let scope = &mut *l.scope;
    let elem = scope.elem(base);
    let is_whole = scope.elem(exponent).is_integer() && scope.ints(exponent).is_none_or(|e| e.iter().all(|&e| e >= 0));
    let through = if elem.is_integer() && !is_whole { ElementType::F32 } else { elem };
    let (base, exponent) = (scope.cast(base, through)?, scope.cast(exponent, through)?);
    let result = scope.binary(BinaryKind::Pow, base, exponent)?;
    one(scope.cast(result, elem))
}

fn compare(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>, kind: CompareKind) -> Outputs {
    let operands = operands(l, node, inputs)?;
    one(l.scope.compare(kind, operands[0], operands[1]))
}

/// Any number of inputs, combined from the left.
fn fold(l: &mut Lowering<'_, '_, '_>, inputs: Inputs<'_>, kind: BinaryKind) -> Outputs {
    let mut result = input(inputs, 0)?;
    for index in 1..inputs.len() {
        result = l.scope.binary(kind, result, input(inputs, index)?)?;
    }
    Ok(vec![result])
}

fn mean(l: &mut Lowering<'_, '_, '_>, _: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let sum = fold(l, inputs, BinaryKind::Add)?[0];
    #[expect(clippy::cast_precision_loss, reason = "a node has few inputs")]
    let count = l.scope.scalar(inputs.len() as f32, l.scope.elem(sum))?;
    one(l.scope.binary(BinaryKind::Div, sum, count))
}

fn cast(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let code = i32::try_from(node.int_or("to", 0)).unwrap_or(0);
    let elem = tensor::element_type(code).ok_or_else(|| format!("{} has no type in the IR", tensor::element_name(code)))?;
    one(l.scope.cast(input(inputs, 0)?, elem))
}

/// The remainder with the divisor's sign, or with `fmod` that of the dividend.
fn modulo(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (a, b) = (input(inputs, 0)?, input(inputs, 1)?);
    if !node.flag("fmod") {
        return one(scope.binary(BinaryKind::FloorMod, a, b));
    }
    let (size, divisor) = (scope.unary(UnaryKind::Abs, a)?, scope.unary(UnaryKind::Abs, b)?);
    let rest = scope.binary(BinaryKind::FloorMod, size, divisor)?;
    // SIGN has no integer kernel everywhere: a comparison says the same.
    let zero = scope.scalar(0.0, scope.elem(a))?;
    let negative = scope.compare(CompareKind::Less, a, zero)?;
    let negated = scope.binary(BinaryKind::Sub, zero, rest)?;
    one(scope.select(negative, negated, rest))
}

/// Clamping; the well-known intervals become activations, which fuse.
fn clip(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let x = input(inputs, 0)?;
    let elem = l.scope.elem(x);
    let bound = |l: &mut Lowering<'_, '_, '_>, index: usize, name: &str| -> Result<Option<ValueId>, Refusal> {
        if node.version >= 11 {
            return Ok(optional(inputs, index));
        }
        node.float(name).map(|v| l.scope.scalar(v, elem)).transpose()
    };
    let (low, high) = (bound(l, 1, "min")?, bound(l, 2, "max")?);
    let number = |v: Option<ValueId>, open: f32| v.map_or(Some(open), |v| l.scope.floats(v).and_then(|f| f.first().copied()));
    let bounds = (number(low, f32::NEG_INFINITY), number(high, f32::INFINITY));
    let activation = match bounds {
        _ if elem != ElementType::F32 => None,
        (Some(0.0), Some(6.0)) => Some(UnaryKind::Relu6),
        (Some(0.0), Some(1.0)) => Some(UnaryKind::Relu0To1),
        (Some(-1.0), Some(1.0)) => Some(UnaryKind::ReluN1To1),
        (Some(0.0), Some(high)) if high >= f32::MAX => Some(UnaryKind::Relu),
        _ => None,
    };
    if let Some(kind) = activation {
        return one(l.scope.unary(kind, x));
    }
    // The upper bound comes last: it wins where the bounds cross, as ONNX says.
    let mut result = x;
    if let Some(low) = low {
        result = l.scope.binary(BinaryKind::Maximum, result, low)?;
    }
    if let Some(high) = high {
        result = l.scope.binary(BinaryKind::Minimum, result, high)?;
    }
    Ok(vec![result])
}

/// Inference keeps the input; the mask is all true.
fn dropout(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let x = input(inputs, 0)?;
    if let Some(training) = optional(inputs, 2)
        && l.scope.constant(training).is_none_or(|t| t.bytes().iter().any(|&b| b != 0))
        // Dropping nothing is the same in training.
        && optional(inputs, 1).and_then(|ratio| l.scope.floats(ratio)) != Some(vec![0.0])
    {
        return Err("training mode is not inference".into());
    }
    if !node.wants(1) {
        return Ok(vec![x]);
    }
    let equal = l.scope.op1(ops::Compare { kind: CompareKind::Equal }, &[x, x])?;
    Ok(vec![x, equal])
}

/// The error function by Abramowitz and Stegun 7.1.26, whose absolute error is below 1.5e-7: TFLite has none.
/// `sign(x) * (1 - (a1 t + ... + a5 t^5) e^(-x^2))` with `t = 1 / (1 + p |x|)`.
pub(super) fn erf(scope: &mut Scope<'_>, x: ValueId) -> Result<ValueId, Refusal> {
    const P: f32 = 0.327_591_1;
    const A: [f32; 5] = [1.061_405_4, -1.453_152_1, 1.421_413_8, -0.284_496_73, 0.254_829_6];
    let (p, unit) = (scope.f32(P), scope.f32(1.0));
    let magnitude = scope.unary(UnaryKind::Abs, x)?;
    let scaled = scope.binary(BinaryKind::Mul, magnitude, p)?;
    let shifted = scope.binary(BinaryKind::Add, scaled, unit)?;
    let t = scope.binary(BinaryKind::Div, unit, shifted)?;
    let mut polynomial = scope.f32(A[0]);
    for a in &A[1..] {
        let a = scope.f32(*a);
        polynomial = scope.binary(BinaryKind::Mul, polynomial, t)?;
        polynomial = scope.binary(BinaryKind::Add, polynomial, a)?;
    }
    polynomial = scope.binary(BinaryKind::Mul, polynomial, t)?;
    let square = scope.unary(UnaryKind::Square, x)?;
    let negated = scope.unary(UnaryKind::Neg, square)?;
    let decay = scope.unary(UnaryKind::Exp, negated)?;
    let tail = scope.binary(BinaryKind::Mul, polynomial, decay)?;
    let unsigned = scope.binary(BinaryKind::Sub, unit, tail)?;
    let sign = scope.unary(UnaryKind::Sign, x)?;
    let result = scope.binary(BinaryKind::Mul, sign, unsigned)?;
    scope.note_erf(result, x);
    Ok(result)
}

fn gelu(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let approximate = node.text_or("approximate", "none") == "tanh";
    one(l.scope.op1(ops::Gelu { approximate }, &[input(inputs, 0)?]))
}

/// PReLU; a slope per channel is given with the channel axis outermost of what follows the batch.
fn prelu(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let (x, mut slope) = (input(inputs, 0)?, input(inputs, 1)?);
    let rank = l.scope.rank(x);
    if let (&[count], Some(&channels), Some(&last)) = (l.scope.dims(slope), l.scope.dims(x).get(1), l.scope.dims(x).last())
        && count == channels
        && (count != last || node.version < 7)
    {
        let mut dims = vec![1; rank];
        dims[1] = count;
        slope = l.scope.reshape(slope, &dims)?;
    }
    one(l.scope.op1(ops::Prelu {}, &[x, slope]))
}

fn reciprocal(l: &mut Lowering<'_, '_, '_>, _: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let x = input(inputs, 0)?;
    let unit = l.scope.scalar(1.0, l.scope.elem(x))?;
    one(l.scope.binary(BinaryKind::Div, unit, x))
}

fn where_(l: &mut Lowering<'_, '_, '_>, _: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let operands = [input(inputs, 0)?, input(inputs, 1)?, input(inputs, 2)?];
    one(l.scope.op1(ops::Select { kind: ops::SelectKind::SelectV2 }, &operands))
}
