//! Integer products and quantization at run time.
//!
//! Products of 8-bit integers are sums of numbers that f32 holds exactly up to 2^24; TFLite has no operation on plain integers for them.

use octet_ir::ops::{BinaryKind, ReduceKind, UnaryKind};
use octet_ir::{ElementType, ValueId};

use super::{Inputs, Lowering, Outputs, Table, image, input, linear, optional};
use crate::attributes::{Node, Refusal};
use crate::scope::Scope;

pub(super) const TABLE: Table =
    &[("ConvInteger", conv_integer), ("DynamicQuantizeLinear", dynamic_quantize_linear), ("MatMulInteger", matmul_integer)];

/// Integers less their zero point, as floats. A zero point per entry of axis `along` is a vector.
fn centred(scope: &mut Scope<'_>, x: ValueId, zero_point: Option<ValueId>, along: usize) -> Result<ValueId, Refusal> {
    let real = scope.cast(x, ElementType::F32)?;
    let Some(zero_point) = zero_point else { return Ok(real) };
    let mut zero_point = scope.cast(zero_point, ElementType::F32)?;
    let count: usize = scope.dims(zero_point).iter().product();
    if count == 1 {
        zero_point = scope.reshape(zero_point, &[])?;
    } else if scope.rank(zero_point) == 1 {
        let mut dims = vec![1; scope.rank(x)];
        *dims.get_mut(along).ok_or("a zero point per axis of a scalar")? = count;
        zero_point = scope.reshape(zero_point, &dims)?;
    }
    scope.binary(BinaryKind::Sub, real, zero_point)
}

/// The nearest integers.
fn whole(scope: &mut Scope<'_>, x: ValueId) -> Result<ValueId, Refusal> {
    let rounded = scope.unary(UnaryKind::Round, x)?;
    scope.cast(rounded, ElementType::I32)
}

fn matmul_integer(l: &mut Lowering<'_, '_, '_>, _: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (a, b) = (input(inputs, 0)?, input(inputs, 1)?);
    // A zero point per row of the left side, per column of the right one.
    let rows = scope.rank(a).saturating_sub(2);
    let columns = scope.rank(b).saturating_sub(1);
    let a = centred(scope, a, optional(inputs, 2), rows)?;
    let b = centred(scope, b, optional(inputs, 3), columns)?;
    let product = linear::matmul(scope, a, b)?;
    Ok(vec![whole(scope, product)?])
}

fn conv_integer(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let x = centred(scope, input(inputs, 0)?, optional(inputs, 2), 1)?;
    let filter = centred(scope, input(inputs, 1)?, optional(inputs, 3), 0)?;
    let result = image::convolution(scope, node, x, filter, None)?;
    Ok(vec![whole(scope, result)?])
}

/// u8 over the range of the values, which always takes in 0: integers, scale and zero point.
fn dynamic_quantize_linear(l: &mut Lowering<'_, '_, '_>, _: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let x = input(inputs, 0)?;
    let axes: Vec<usize> = (0..scope.rank(x)).collect();
    let (zero, steps) = (scope.f32(0.0), scope.f32(255.0));
    let low = scope.reduce(ReduceKind::Min, x, &axes, false)?;
    let low = scope.binary(BinaryKind::Minimum, low, zero)?;
    let high = scope.reduce(ReduceKind::Max, x, &axes, false)?;
    let high = scope.binary(BinaryKind::Maximum, high, zero)?;
    let range = scope.binary(BinaryKind::Sub, high, low)?;
    let scale = scope.binary(BinaryKind::Div, range, steps)?;
    // All zeros would divide by zero.
    let least = scope.f32(f32::MIN_POSITIVE);
    let divisor = scope.binary(BinaryKind::Maximum, scale, least)?;
    let clamp = |scope: &mut Scope<'_>, value: ValueId| {
        let raised = scope.binary(BinaryKind::Maximum, value, zero)?;
        scope.binary(BinaryKind::Minimum, raised, steps)
    };
    let offset = scope.binary(BinaryKind::Div, low, divisor)?;
    let offset = scope.unary(UnaryKind::Neg, offset)?;
    let offset = clamp(scope, offset)?;
    let zero_point = scope.unary(UnaryKind::Round, offset)?;
    let scaled = scope.binary(BinaryKind::Div, x, divisor)?;
    let rounded = scope.unary(UnaryKind::Round, scaled)?;
    let shifted = scope.binary(BinaryKind::Add, rounded, zero_point)?;
    let clamped = clamp(scope, shifted)?;
    Ok(vec![scope.cast(clamped, ElementType::U8)?, scale, scope.cast(zero_point, ElementType::U8)?])
}
