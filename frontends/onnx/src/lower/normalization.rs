//! Normalizations: by mean and variance over some axes, by the length of a vector, by neighbouring channels.

use octet_ir::ValueId;
use octet_ir::ops::{self, BinaryKind, ReduceKind, UnaryKind};

use super::{Inputs, Lowering, Outputs, Table, axis, input, optional, to_first, to_last};
use crate::attributes::{Node, Refusal};
use crate::scope::Scope;

pub(super) const TABLE: Table = &[
    ("GroupNormalization", group),
    ("InstanceNormalization", instance),
    ("LRN", lrn),
    ("LayerNormalization", layer),
    ("LpNormalization", lp),
    ("MeanVarianceNormalization", mean_variance),
    ("RMSNormalization", rms),
];

/// `(x - mean) / sqrt(variance + epsilon)` over these axes, with the mean and the inverse deviation.
fn standardize(scope: &mut Scope<'_>, x: ValueId, axes: &[usize], epsilon: f32) -> Result<[ValueId; 3], Refusal> {
    let mean = scope.reduce(ReduceKind::Mean, x, axes, true)?;
    let distance = scope.binary(BinaryKind::SquaredDifference, x, mean)?;
    let variance = scope.reduce(ReduceKind::Mean, distance, axes, true)?;
    let shifted = scope.plus(variance, epsilon)?;
    let inverse = scope.unary(UnaryKind::Rsqrt, shifted)?;
    let centred = scope.binary(BinaryKind::Sub, x, mean)?;
    Ok([scope.binary(BinaryKind::Mul, centred, inverse)?, mean, inverse])
}

fn layer(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (x, elem) = scope.as_f32(input(inputs, 0)?)?;
    let rank = scope.rank(x);
    let axes: Vec<usize> = (axis(node.int_or("axis", -1), rank)?..rank).collect();
    let [mut result, mean, inverse] = standardize(scope, x, &axes, node.float_or("epsilon", 1e-5))?;
    let scale = scope.as_f32(input(inputs, 1)?)?.0;
    result = scope.binary(BinaryKind::Mul, result, scale)?;
    if let Some(bias) = optional(inputs, 2) {
        let bias = scope.as_f32(bias)?.0;
        result = scope.binary(BinaryKind::Add, result, bias)?;
    }
    Ok(vec![scope.cast(result, elem)?, mean, inverse])
}

/// `x / sqrt(mean of squares + epsilon) * scale`.
fn rms(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (x, elem) = scope.as_f32(input(inputs, 0)?)?;
    let rank = scope.rank(x);
    let axes: Vec<usize> = (axis(node.int_or("axis", -1), rank)?..rank).collect();
    let squares = scope.unary(UnaryKind::Square, x)?;
    let mean = scope.reduce(ReduceKind::Mean, squares, &axes, true)?;
    let shifted = scope.plus(mean, node.float_or("epsilon", 1e-5))?;
    let inverse = scope.unary(UnaryKind::Rsqrt, shifted)?;
    let normalized = scope.binary(BinaryKind::Mul, x, inverse)?;
    let scale = scope.as_f32(input(inputs, 1)?)?.0;
    let result = scope.binary(BinaryKind::Mul, normalized, scale)?;
    Ok(vec![scope.cast(result, elem)?])
}

/// Scale and bias of `[C]` on `[N, C, ...]`.
fn per_channel(scope: &mut Scope<'_>, x: ValueId, scale: ValueId, bias: ValueId) -> Result<ValueId, Refusal> {
    let rank = scope.rank(x);
    let mut shape = vec![1; rank];
    shape[1] = scope.dims(scale).iter().product();
    let scale = scope.reshape(scale, &shape)?;
    let bias = scope.reshape(bias, &shape)?;
    let scaled = scope.binary(BinaryKind::Mul, x, scale)?;
    scope.binary(BinaryKind::Add, scaled, bias)
}

fn instance(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let x = input(inputs, 0)?;
    let axes: Vec<usize> = (2..scope.rank(x)).collect();
    if axes.is_empty() {
        return Err("an instance has no axes to normalize over".into());
    }
    let [result, ..] = standardize(scope, x, &axes, node.float_or("epsilon", 1e-5))?;
    Ok(vec![per_channel(scope, result, input(inputs, 1)?, input(inputs, 2)?)?])
}

/// Channels in groups; before opset 21 scale and bias are per group, later per channel.
fn group(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (x, elem) = scope.as_f32(input(inputs, 0)?)?;
    let dims = scope.dims(x).to_vec();
    let groups = usize::try_from(node.int_or("num_groups", 0)).unwrap_or(0);
    let (&[batch, channels], spatial) = (dims.get(..2).and_then(|d| d.as_array()).ok_or("its input needs two axes or more")?, &dims[2..]);
    if groups == 0 || !channels.is_multiple_of(groups) {
        return Err(format!("{channels} channels do not divide into {groups} groups"));
    }
    let inner = channels / groups * spatial.iter().product::<usize>();
    let grouped = scope.reshape(x, &[batch, groups, inner])?;
    let [mut result, ..] = standardize(scope, grouped, &[2], node.float_or("epsilon", 1e-5))?;
    let (scale, bias) = (scope.as_f32(input(inputs, 1)?)?.0, scope.as_f32(input(inputs, 2)?)?.0);
    if scope.dims(scale) == [channels] {
        result = scope.reshape(result, &dims)?;
        result = per_channel(scope, result, scale, bias)?;
    } else {
        result = per_channel(scope, result, scale, bias)?;
        result = scope.reshape(result, &dims)?;
    }
    Ok(vec![scope.cast(result, elem)?])
}

fn mean_variance(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let x = input(inputs, 0)?;
    let rank = scope.rank(x);
    let axes = node.ints("axes").unwrap_or(&[0, 2, 3]);
    let axes: Vec<usize> = axes.iter().map(|&a| axis(a, rank)).collect::<Result<_, _>>()?;
    let [result, ..] = standardize(scope, x, &axes, 1e-9)?;
    Ok(vec![result])
}

/// Vectors along an axis divided by their length; a vector of zeros stays as it is.
fn lp(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (x, elem) = scope.as_f32(input(inputs, 0)?)?;
    let along = axis(node.int_or("axis", -1), scope.rank(x))?;
    let length = match node.int_or("p", 2) {
        1 => {
            let magnitude = scope.unary(UnaryKind::Abs, x)?;
            scope.reduce(ReduceKind::Sum, magnitude, &[along], true)?
        }
        2 => {
            let squares = scope.unary(UnaryKind::Square, x)?;
            let sum = scope.reduce(ReduceKind::Sum, squares, &[along], true)?;
            scope.unary(UnaryKind::Sqrt, sum)?
        }
        p => return Err(format!("the norm of order {p} is not defined for it")),
    };
    let least = scope.f32(f32::MIN_POSITIVE);
    let length = scope.binary(BinaryKind::Maximum, length, least)?;
    let result = scope.binary(BinaryKind::Div, x, length)?;
    Ok(vec![scope.cast(result, elem)?])
}

/// Division by a power of the squares of neighbouring channels.
fn lrn(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let x = input(inputs, 0)?;
    let size = node.int_or("size", 1);
    if size < 1 || size % 2 == 0 || scope.rank(x) != 4 {
        return Err(format!("a window of {size} channels over {} axes is not supported", scope.rank(x)));
    }
    #[expect(clippy::cast_precision_loss, reason = "a few channels")]
    let op = ops::LocalResponseNormalization {
        radius: i32::try_from((size - 1) / 2).map_err(|_| "the window is too large")?,
        bias: node.float_or("bias", 1.0),
        alpha: node.float_or("alpha", 1e-4) / size as f32,
        beta: node.float_or("beta", 0.75),
    };
    let value = to_last(scope, x)?;
    let result = scope.op1(op, &[value])?;
    Ok(vec![to_first(scope, result)?])
}
