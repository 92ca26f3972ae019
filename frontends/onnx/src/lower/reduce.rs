//! Reductions along axes, and the index of an extreme.

use octet_ir::ops::{self, ArgKind, BinaryKind, ReduceKind, UnaryKind};
use octet_ir::{ElementType, ValueId};

use super::{Inputs, Lowering, Outputs, Table, axes, axis, input};
use crate::attributes::{Node, Refusal};
use crate::build::small;
use crate::scope::Scope;

pub(super) const TABLE: Table = &[
    ("ArgMax", |l, n, i| arg(l, n, i, ArgKind::Max)),
    ("ArgMin", |l, n, i| arg(l, n, i, ArgKind::Min)),
    ("ReduceL1", |l, n, i| composed(l, n, i, Some(UnaryKind::Abs), None)),
    ("ReduceL2", |l, n, i| composed(l, n, i, Some(UnaryKind::Square), Some(UnaryKind::Sqrt))),
    ("ReduceLogSum", |l, n, i| composed(l, n, i, None, Some(UnaryKind::Log))),
    ("ReduceLogSumExp", log_sum_exp),
    ("ReduceMax", |l, n, i| plain(l, n, i, ReduceKind::Max)),
    ("ReduceMean", |l, n, i| plain(l, n, i, ReduceKind::Mean)),
    ("ReduceMin", |l, n, i| plain(l, n, i, ReduceKind::Min)),
    ("ReduceProd", |l, n, i| plain(l, n, i, ReduceKind::Prod)),
    ("ReduceSum", |l, n, i| plain(l, n, i, ReduceKind::Sum)),
    ("ReduceSumSquare", |l, n, i| composed(l, n, i, Some(UnaryKind::Square), None)),
];

/// The axes to reduce; `None` where nothing is to be done.
fn reduced(scope: &Scope<'_>, node: &Node<'_>, inputs: Inputs<'_>) -> Result<Option<Vec<usize>>, Refusal> {
    let rank = scope.rank(input(inputs, 0)?);
    let axes = axes(scope, node, inputs, 1)?.unwrap_or_default();
    if axes.is_empty() {
        return Ok((!node.flag("noop_with_empty_axes")).then(|| (0..rank).collect()));
    }
    axes.iter().map(|&a| axis(a, rank)).collect::<Result<_, _>>().map(Some)
}

fn plain(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>, kind: ReduceKind) -> Outputs {
    let x = input(inputs, 0)?;
    let Some(axes) = reduced(l.scope, node, inputs)? else { return Ok(vec![x]) };
    // Of booleans, the largest is "any" and the smallest "all".
    let kind = match (kind, l.scope.elem(x)) {
        (ReduceKind::Max, ElementType::Bool) => ReduceKind::Any,
        (ReduceKind::Min, ElementType::Bool) => ReduceKind::All,
        _ => kind,
    };
    Ok(vec![total(l.scope, kind, x, &axes, node)?])
}

/// The reduction, in f32 for the float types that have no kernels, in i32 for small integers.
fn total(scope: &mut Scope<'_>, kind: ReduceKind, x: ValueId, axes: &[usize], node: &Node<'_>) -> Result<ValueId, Refusal> {
    let elem = scope.elem(x);
    let through = match elem {
        ElementType::F16 | ElementType::BF16 | ElementType::F64 => ElementType::F32,
        ElementType::I8 | ElementType::U8 | ElementType::I16 | ElementType::U16 => ElementType::I32,
        _ => elem,
    };
    let x = scope.cast(x, through)?;
    let result = scope.reduce(kind, x, axes, node.int_or("keepdims", 1) == 1)?;
    scope.cast(result, elem)
}

/// A sum of `before(x)`, and `after` of that.
fn composed(
    l: &mut Lowering<'_, '_, '_>,
    node: &Node<'_>,
    inputs: Inputs<'_>,
    before: Option<UnaryKind>,
    after: Option<UnaryKind>,
) -> Outputs {
    let scope = &mut *l.scope;
    let axes = reduced(scope, node, inputs)?;
    let mut value = input(inputs, 0)?;
    if let Some(kind) = before {
        value = scope.unary(kind, value)?;
    }
    if let Some(axes) = axes {
        value = total(scope, ReduceKind::Sum, value, &axes, node)?;
    }
    if let Some(kind) = after {
        let (real, elem) = scope.as_f32(value)?;
        let result = scope.unary(kind, real)?;
        value = scope.cast(result, elem)?;
    }
    Ok(vec![value])
}

/// `m + log(sum(e^(x - m)))` with the largest element m, so that nothing overflows.
fn log_sum_exp(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (x, elem) = scope.as_f32(input(inputs, 0)?)?;
    let Some(axes) = reduced(scope, node, inputs)? else { return Ok(vec![input(inputs, 0)?]) };
    let largest = scope.reduce(ReduceKind::Max, x, &axes, true)?;
    // An infinite maximum would cancel itself into NaN.
    let (least, most) = (scope.f32(f32::MIN), scope.f32(f32::MAX));
    let largest = scope.binary(BinaryKind::Maximum, largest, least)?;
    let largest = scope.binary(BinaryKind::Minimum, largest, most)?;
    let shifted = scope.binary(BinaryKind::Sub, x, largest)?;
    let powers = scope.unary(UnaryKind::Exp, shifted)?;
    let sum = scope.reduce(ReduceKind::Sum, powers, &axes, true)?;
    let log = scope.unary(UnaryKind::Log, sum)?;
    let mut result = scope.binary(BinaryKind::Add, log, largest)?;
    if node.int_or("keepdims", 1) != 1 {
        let kept: Vec<Option<usize>> = (0..scope.rank(x)).filter(|a| !axes.contains(a)).map(Some).collect();
        result = scope.regroup(result, &kept)?;
    }
    Ok(vec![scope.cast(result, elem)?])
}

fn arg(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>, kind: ArgKind) -> Outputs {
    let scope = &mut *l.scope;
    let (x, _) = scope.as_f32(input(inputs, 0)?)?;
    let along = axis(node.int_or("axis", 0), scope.rank(x))?;
    let (rank, size) = (scope.rank(x), scope.size(x, along)?);
    let last = node.flag("select_last_index");
    let at = scope.i32(small(along)?);
    let source = if last {
        let axes = scope.i32s(&[small(along)?]);
        scope.op1(ops::ReverseV2 {}, &[x, axes])?
    } else {
        x
    };
    let mut result = scope.op1(ops::Arg { kind, output_type: ElementType::I64 }, &[source, at])?;
    if last {
        // Counted from the end of the reversed axis.
        let end = scope.scalar(0.0, ElementType::I64)?;
        let size = i64::try_from(size).unwrap_or(i64::MAX).saturating_sub(1);
        let size = scope.constant_value(octet_ir::Constant::from_i64(&[size]), scope.ty(end).clone());
        result = scope.binary(BinaryKind::Sub, size, result)?;
    }
    if node.int_or("keepdims", 1) == 1 {
        let axes: Vec<Option<usize>> = (0..along).map(Some).chain([None]).chain((along..rank - 1).map(Some)).collect();
        result = scope.regroup(result, &axes)?;
    }
    Ok(vec![result])
}
