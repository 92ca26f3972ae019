//! Matrix products, softmax and layer normalization.

use octet_ir::ops::{self, BinaryKind};
use octet_ir::{ElementType, ValueId};

use super::{Inputs, Lowering, Outputs, Table, axis, input, optional};
use crate::attributes::{Node, Refusal};
use crate::scope::Scope;

pub(super) const TABLE: Table = &[
    ("Gemm", gemm),
    ("LogSoftmax", |l, n, i| softmax(l, n, i, true)),
    ("MatMul", |l, _, i| Ok(vec![matmul(l.scope, input(i, 0)?, input(i, 1)?)?])),
    ("Softmax", |l, n, i| softmax(l, n, i, false)),
];

/// NumPy's matrix product. A constant right side of rank 2 becomes a fully connected layer.
pub(super) fn matmul(scope: &mut Scope<'_>, a: ValueId, b: ValueId) -> Result<ValueId, Refusal> {
    let (rank_a, rank_b) = (scope.rank(a), scope.rank(b));
    if rank_a == 0 || rank_b == 0 {
        return Err("a matrix product of scalars".into());
    }
    if rank_b == 2 && rank_a >= 2 && scope.constant(b).is_some() && scope.elem(b) == ElementType::F32 {
        let weights = scope.transpose(b, &[1, 0])?;
        let op = ops::FullyConnected { keep_num_dims: rank_a > 2, ..ops::FullyConnected::default() };
        return Ok(scope.op(op, &[Some(a), Some(weights), None])?[0]);
    }
    // Vectors become matrices for the product and lose the axis afterwards.
    let mut dims_a = scope.dims(a).to_vec();
    let mut dims_b = scope.dims(b).to_vec();
    if rank_a == 1 {
        dims_a.insert(0, 1);
    }
    if rank_b == 1 {
        dims_b.push(1);
    }
    let a = scope.reshape(a, &dims_a)?;
    let b = scope.reshape(b, &dims_b)?;
    let product = scope.batch_matmul(a, b, false)?;
    let mut dims = scope.dims(product).to_vec();
    if rank_b == 1 {
        dims.pop();
    }
    if rank_a == 1 {
        dims.remove(dims.len() - usize::from(rank_b != 1) - 1);
    }
    scope.reshape(product, &dims)
}

/// `alpha * A' * B' + beta * C`.
fn gemm(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (a, b) = (input(inputs, 0)?, input(inputs, 1)?);
    if scope.rank(a) != 2 || scope.rank(b) != 2 {
        return Err("its inputs are no matrices".into());
    }
    let a = if node.flag("transA") { scope.transpose(a, &[1, 0])? } else { a };
    // Fully connected layers take the weights as [units, K].
    let weights = if node.flag("transB") { b } else { scope.transpose(b, &[1, 0])? };
    let (alpha, beta) = (node.float_or("alpha", 1.0), node.float_or("beta", 1.0));
    let scaled = |scope: &mut Scope<'_>, value: ValueId, factor: f32| -> Result<ValueId, Refusal> {
        #[expect(clippy::float_cmp, reason = "exactly 1 changes nothing")]
        if factor == 1.0 {
            return Ok(value);
        }
        let factor = scope.scalar(factor, scope.elem(value))?;
        scope.binary(BinaryKind::Mul, value, factor)
    };
    let weights = scaled(scope, weights, alpha)?;
    let units = scope.dims(weights)[0];
    let c = optional(inputs, 2).map(|c| scaled(scope, c, beta)).transpose()?;
    // A row of constants is a bias; anything else is added.
    let is_bias = |scope: &Scope<'_>, c: ValueId| {
        let dims = scope.dims(c);
        scope.constant(c).is_some() && dims.last() == Some(&units) && dims.iter().product::<usize>() == units
    };
    let bias = match c {
        Some(c) if is_bias(scope, c) => Some(scope.reshape(c, &[units])?),
        _ => None,
    };
    let product = scope.op(ops::FullyConnected::default(), &[Some(a), Some(weights), bias])?[0];
    match c {
        Some(c) if bias.is_none() => Ok(vec![scope.binary(BinaryKind::Add, product, c)?]),
        _ => Ok(vec![product]),
    }
}

/// Softmax along an axis; before opset 13, over everything from the axis on.
fn softmax(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>, log: bool) -> Outputs {
    let scope = &mut *l.scope;
    let x = input(inputs, 0)?;
    // Half precision is computed in single.
    let elem = scope.elem(x);
    let x = if matches!(elem, ElementType::F16 | ElementType::BF16) { scope.as_f32(x)?.0 } else { x };
    let rank = scope.rank(x);
    let apply = |scope: &mut Scope<'_>, value: ValueId| {
        if log { scope.op1(ops::LogSoftmax {}, &[value]) } else { scope.op1(ops::Softmax { beta: 1.0 }, &[value]) }
    };
    let along = axis(node.int_or("axis", if node.version < 13 { 1 } else { -1 }), rank)?;
    if node.version < 13 && along + 1 != rank {
        let dims = scope.dims(x).to_vec();
        let rows = dims[..along].iter().product();
        let flat = scope.reshape(x, &[rows, dims[along..].iter().product()])?;
        let result = apply(scope, flat)?;
        let result = scope.reshape(result, &dims)?;
        return Ok(vec![scope.cast(result, elem)?]);
    }
    let mut permutation: Vec<usize> = (0..rank).collect();
    permutation.swap(along, rank - 1);
    let moved = scope.transpose(x, &permutation)?;
    let result = apply(scope, moved)?;
    let result = scope.transpose(result, &permutation)?;
    Ok(vec![scope.cast(result, elem)?])
}
