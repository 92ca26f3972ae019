//! GELU as exporters write it: `x * 0.5 * (1 + erf(x / sqrt(2)))`, factors in any order.
//!
//! TFLite has no ERF but a GELU, so the product is recognized while the error function is still one: before it becomes a polynomial.

use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};

use octet_ir::ops::{self, BinaryKind};
use octet_ir::{Op, ValueId};

use crate::attributes::Refusal;
use crate::scope::Scope;

/// How far a written constant may be from the number that it stands for: exporters round to single precision, some to five digits.
const SLACK: f32 = 1e-4;

fn is_near(value: f32, wanted: f32) -> bool {
    (value - wanted).abs() <= SLACK * wanted.abs()
}

/// The one number that a constant holds.
fn number(scope: &Scope<'_>, value: ValueId) -> Option<f32> {
    scope.floats(value).filter(|v| v.len() == 1).and_then(|v| v.first().copied())
}

/// Both sides of an elementwise operation of this kind.
fn sides(scope: &Scope<'_>, value: ValueId, kind: BinaryKind) -> Option<[ValueId; 2]> {
    let (_, operation) = scope.builder.graph().producer(value)?;
    match operation.op() {
        Op::Binary(op) if op.kind == kind => Some([operation.operand(0)?, operation.operand(1)?]),
        _ => None,
    }
}

/// The value and the constant of an operation that has one of each.
fn with_number(scope: &Scope<'_>, value: ValueId, kind: BinaryKind) -> Option<(ValueId, f32)> {
    let [a, b] = sides(scope, value, kind)?;
    number(scope, b).map(|c| (a, c)).or_else(|| number(scope, a).map(|c| (b, c)))
}

/// x, where this value is `1 + erf(x / sqrt(2))`.
fn gate(scope: &Scope<'_>, value: ValueId) -> Option<ValueId> {
    let (erf, one) = with_number(scope, value, BinaryKind::Add)?;
    let argument = scope.erf_argument(erf).filter(|_| is_near(one, 1.0))?;
    if let Some([x, divisor]) = sides(scope, argument, BinaryKind::Div) {
        return number(scope, divisor).filter(|&d| is_near(d, SQRT_2)).map(|_| x);
    }
    with_number(scope, argument, BinaryKind::Mul).filter(|&(_, c)| is_near(c, FRAC_1_SQRT_2)).map(|(x, _)| x)
}

/// The GELU that the product of these two values is, if it is one.
pub(super) fn product(scope: &mut Scope<'_>, a: ValueId, b: ValueId) -> Result<Option<ValueId>, Refusal> {
    let (mut factors, mut scale) = (Vec::new(), 1.0);
    let mut open = vec![(a, 0), (b, 0)];
    while let Some((value, depth)) = open.pop() {
        if let Some(number) = number(scope, value) {
            scale *= number;
        } else if let Some([a, b]) = sides(scope, value, BinaryKind::Mul).filter(|_| depth < 2) {
            open.extend([(a, depth + 1), (b, depth + 1)]);
        } else {
            factors.push(value);
        }
    }
    let &[first, second] = factors.as_slice() else { return Ok(None) };
    let is_gelu = |x: ValueId, other: ValueId| gate(scope, other) == Some(x);
    let x = if is_gelu(first, second) { first } else { second };
    if !is_near(scale, 0.5) || !(is_gelu(first, second) || is_gelu(second, first)) {
        return Ok(None);
    }
    scope.op1(ops::Gelu { approximate: false }, &[x]).map(Some)
}
