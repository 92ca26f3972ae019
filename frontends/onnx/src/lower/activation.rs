//! Functions of one number that TFLite has no operation for: short compositions that are exact in floats and quantize.

use octet_ir::ValueId;
use octet_ir::ops::{BinaryKind, CompareKind, UnaryKind};

use super::{Inputs, Lowering, Outputs, Table, input};
use crate::attributes::{Node, Refusal};
use crate::scope::Scope;

pub(super) const TABLE: Table = &[
    ("Acos", |l, _, i| real(l, i, |s, x| arc(s, x, true))),
    ("Acosh", |l, _, i| {
        real(l, i, |s, x| {
            let square = s.unary(UnaryKind::Square, x)?;
            let less = s.plus(square, -1.0)?;
            let root = s.unary(UnaryKind::Sqrt, less)?;
            let sum = s.binary(BinaryKind::Add, x, root)?;
            s.unary(UnaryKind::Log, sum)
        })
    }),
    ("Asin", |l, _, i| real(l, i, |s, x| arc(s, x, false))),
    ("Asinh", |l, _, i| {
        real(l, i, |s, x| {
            // On the magnitude, so that nothing cancels for negative numbers.
            let magnitude = s.unary(UnaryKind::Abs, x)?;
            let square = s.unary(UnaryKind::Square, x)?;
            let more = s.plus(square, 1.0)?;
            let root = s.unary(UnaryKind::Sqrt, more)?;
            let sum = s.binary(BinaryKind::Add, magnitude, root)?;
            let log = s.unary(UnaryKind::Log, sum)?;
            let sign = s.unary(UnaryKind::Sign, x)?;
            s.binary(BinaryKind::Mul, sign, log)
        })
    }),
    ("Atan", |l, _, i| {
        real(l, i, |s, x| {
            // LiteRT's kernel does not broadcast.
            let dims = s.dims(x).to_vec();
            let count: usize = dims.iter().product();
            let one = if count <= 1 << 16 && !s.ty(x).shape.is_dynamic() { s.f32_tensor(&vec![1.0; count], &dims) } else { s.f32(1.0) };
            s.binary(BinaryKind::Atan2, x, one)
        })
    }),
    ("Atanh", |l, _, i| {
        real(l, i, |s, x| {
            let more = s.plus(x, 1.0)?;
            let one = s.f32(1.0);
            let less = s.binary(BinaryKind::Sub, one, x)?;
            let ratio = s.binary(BinaryKind::Div, more, less)?;
            let log = s.unary(UnaryKind::Log, ratio)?;
            s.times(log, 0.5)
        })
    }),
    ("Celu", |l, n, i| {
        let alpha = n.float_or("alpha", 1.0);
        real(l, i, |s, x| exponential_unit(s, x, alpha, 1.0 / alpha, 1.0))
    }),
    ("Cosh", |l, _, i| real(l, i, |s, x| exponentials(s, x, BinaryKind::Add))),
    ("Elu", |l, n, i| {
        let alpha = n.float_or("alpha", 1.0);
        real(l, i, |s, x| exponential_unit(s, x, alpha, 1.0, 1.0))
    }),
    ("IsInf", is_inf),
    ("IsNaN", |l, _, i| {
        let (x, _) = l.scope.as_f32(input(i, 0)?)?;
        Ok(vec![l.scope.compare(CompareKind::NotEqual, x, x)?])
    }),
    ("Mish", |l, _, i| {
        real(l, i, |s, x| {
            let gate = tanh_of_softplus(s, x)?;
            s.binary(BinaryKind::Mul, x, gate)
        })
    }),
    ("Selu", |l, n, i| {
        let (alpha, gamma) = (n.float_or("alpha", 1.673_263_2), n.float_or("gamma", 1.050_701));
        real(l, i, |s, x| exponential_unit(s, x, alpha, 1.0, gamma))
    }),
    ("Shrink", shrink),
    ("Sinh", |l, _, i| real(l, i, |s, x| exponentials(s, x, BinaryKind::Sub))),
    ("Softplus", |l, _, i| real(l, i, softplus)),
    ("Softsign", |l, _, i| {
        real(l, i, |s, x| {
            let magnitude = s.unary(UnaryKind::Abs, x)?;
            let shifted = s.plus(magnitude, 1.0)?;
            s.binary(BinaryKind::Div, x, shifted)
        })
    }),
    ("Swish", |l, n, i| {
        let alpha = n.float_or("alpha", 1.0);
        real(l, i, |s, x| {
            let scaled = s.times(x, alpha)?;
            let gate = s.unary(UnaryKind::Logistic, scaled)?;
            s.binary(BinaryKind::Mul, x, gate)
        })
    }),
    ("Tan", |l, _, i| {
        real(l, i, |s, x| {
            let (sine, cosine) = (s.unary(UnaryKind::Sin, x)?, s.unary(UnaryKind::Cos, x)?);
            s.binary(BinaryKind::Div, sine, cosine)
        })
    }),
    ("ThresholdedRelu", |l, n, i| {
        let alpha = n.float_or("alpha", 1.0);
        real(l, i, |s, x| {
            let (threshold, zero) = (s.f32(alpha), s.f32(0.0));
            let above = s.compare(CompareKind::Greater, x, threshold)?;
            s.select(above, x, zero)
        })
    }),
];

/// Runs a composition in f32, whatever float type the input has.
fn real(
    l: &mut Lowering<'_, '_, '_>,
    inputs: Inputs<'_>,
    compute: impl FnOnce(&mut Scope<'_>, ValueId) -> Result<ValueId, Refusal>,
) -> Outputs {
    let (x, elem) = l.scope.as_f32(input(inputs, 0)?)?;
    let result = compute(l.scope, x)?;
    Ok(vec![l.scope.cast(result, elem)?])
}

/// `gamma * (relu(x) + alpha * (e^(inner * min(x, 0)) - 1))`; ELU itself where that is what it is.
fn exponential_unit(scope: &mut Scope<'_>, x: ValueId, alpha: f32, inner: f32, gamma: f32) -> Result<ValueId, Refusal> {
    #[expect(clippy::float_cmp, reason = "exactly 1 is the operation's own slope")]
    if alpha == 1.0 && inner == 1.0 && gamma == 1.0 {
        return scope.unary(UnaryKind::Elu, x);
    }
    let zero = scope.f32(0.0);
    let negative = scope.binary(BinaryKind::Minimum, x, zero)?;
    let negative = scope.times(negative, inner)?;
    let negative = scope.unary(UnaryKind::Elu, negative)?;
    let negative = scope.times(negative, alpha)?;
    let positive = scope.unary(UnaryKind::Relu, x)?;
    let sum = scope.binary(BinaryKind::Add, positive, negative)?;
    scope.times(sum, gamma)
}

/// `log(1 + e^x)`, as `max(x, 0) + log(1 + e^-|x|)` so that nothing overflows.
pub(super) fn softplus(scope: &mut Scope<'_>, x: ValueId) -> Result<ValueId, Refusal> {
    let magnitude = scope.unary(UnaryKind::Abs, x)?;
    let negated = scope.unary(UnaryKind::Neg, magnitude)?;
    let decay = scope.unary(UnaryKind::Exp, negated)?;
    let sum = scope.plus(decay, 1.0)?;
    let log = scope.unary(UnaryKind::Log, sum)?;
    let positive = scope.unary(UnaryKind::Relu, x)?;
    let result = scope.binary(BinaryKind::Add, positive, log)?;
    scope.note_softplus(result, x);
    Ok(result)
}

/// `tanh(log(1 + w))` with `w = e^x` is `w (w + 2) / (w (w + 2) + 2)`: nothing cancels where w is small, and beyond 20 the ratio is 1.
pub(super) fn tanh_of_softplus(scope: &mut Scope<'_>, x: ValueId) -> Result<ValueId, Refusal> {
    let most = scope.f32(20.0);
    let bounded = scope.binary(BinaryKind::Minimum, x, most)?;
    let power = scope.unary(UnaryKind::Exp, bounded)?;
    let more = scope.plus(power, 2.0)?;
    let above = scope.binary(BinaryKind::Mul, power, more)?;
    let below = scope.plus(above, 2.0)?;
    scope.binary(BinaryKind::Div, above, below)
}

/// Half the sum or difference of `e^x` and `e^-x`.
fn exponentials(scope: &mut Scope<'_>, x: ValueId, kind: BinaryKind) -> Result<ValueId, Refusal> {
    let up = scope.unary(UnaryKind::Exp, x)?;
    let negated = scope.unary(UnaryKind::Neg, x)?;
    let down = scope.unary(UnaryKind::Exp, negated)?;
    let sum = scope.binary(kind, up, down)?;
    scope.times(sum, 0.5)
}

/// The angle whose sine (or cosine) is x: that of the point on the unit circle.
fn arc(scope: &mut Scope<'_>, x: ValueId, cosine: bool) -> Result<ValueId, Refusal> {
    let square = scope.unary(UnaryKind::Square, x)?;
    let one = scope.f32(1.0);
    let rest = scope.binary(BinaryKind::Sub, one, square)?;
    let other = scope.unary(UnaryKind::Sqrt, rest)?;
    if cosine { scope.binary(BinaryKind::Atan2, other, x) } else { scope.binary(BinaryKind::Atan2, x, other) }
}

fn is_inf(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (x, _) = scope.as_f32(input(inputs, 0)?)?;
    let (positive, negative) = (node.int_or("detect_positive", 1) == 1, node.int_or("detect_negative", 1) == 1);
    let (value, infinity) = match (positive, negative) {
        (true, true) => (scope.unary(UnaryKind::Abs, x)?, f32::INFINITY),
        (true, false) => (x, f32::INFINITY),
        (false, true) => (x, f32::NEG_INFINITY),
        (false, false) => {
            let dims = scope.dims(x).to_vec();
            let none = vec![false; dims.iter().product()];
            return Ok(vec![scope.bools(&none, &dims)]);
        }
    };
    let infinity = scope.f32(infinity);
    Ok(vec![scope.compare(CompareKind::Equal, value, infinity)?])
}

/// `x + bias` below `-lambd`, `x - bias` above `lambd`, else 0.
fn shrink(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let (bias, lambd) = (node.float_or("bias", 0.0), node.float_or("lambd", 0.5));
    real(l, inputs, |s, x| {
        let (low, high, zero) = (s.f32(-lambd), s.f32(lambd), s.f32(0.0));
        let below = s.compare(CompareKind::Less, x, low)?;
        let above = s.compare(CompareKind::Greater, x, high)?;
        let (raised, lowered) = (s.plus(x, bias)?, s.plus(x, -bias)?);
        let upper = s.select(above, lowered, zero)?;
        s.select(below, raised, upper)
    })
}

/// Between two bounds.
pub(super) fn clamp(scope: &mut Scope<'_>, x: ValueId, low: f32, high: f32) -> Result<ValueId, Refusal> {
    let (low, high) = (scope.f32(low), scope.f32(high));
    let raised = scope.binary(BinaryKind::Maximum, x, low)?;
    scope.binary(BinaryKind::Minimum, raised, high)
}

/// `max(0, min(1, alpha x + beta))`.
pub(super) fn hard_sigmoid(scope: &mut Scope<'_>, x: ValueId, alpha: f32, beta: f32) -> Result<ValueId, Refusal> {
    let scaled = scope.times(x, alpha)?;
    let shifted = scope.plus(scaled, beta)?;
    scope.unary(UnaryKind::Relu0To1, shifted)
}
