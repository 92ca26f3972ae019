//! Operators that choose elements by index, and put them by index.
//!
//! Indices of several axes become one index into the flattened tensor: one GATHER, whatever the rank.

use octet_ir::ops::{self, BinaryKind, CompareKind, ReduceKind, UnaryKind, UnsortedSegmentKind};
use octet_ir::{ElementType, Shape, Type, ValueId};

use super::{Inputs, Lowering, Outputs, Table, axis, input, optional};
use crate::attributes::{Node, Refusal};
use crate::build::small;
use crate::scope::Scope;

pub(super) const TABLE: Table = &[
    ("CumSum", cumsum),
    ("GatherElements", gather_elements),
    ("GatherND", gather_nd),
    ("NonZero", non_zero),
    ("OneHot", one_hot),
    ("Range", range),
    ("ReverseSequence", reverse_sequence),
    ("Scatter", |l, n, i| scatter_elements(l, n, i)),
    ("ScatterElements", |l, n, i| scatter_elements(l, n, i)),
    ("ScatterND", scatter_nd),
    ("Tile", tile),
    ("TopK", top_k),
    ("Trilu", trilu),
];

/// Row-major strides.
fn strides(dims: &[usize]) -> Vec<usize> {
    Shape::new(dims).strides()
}

/// For indices along `along`, each at its own place in the other axes: indices into the flattened tensor, in a vector.
fn flat_elements(scope: &mut Scope<'_>, dims: &[usize], indices: ValueId, along: usize) -> Result<ValueId, Refusal> {
    let places = scope.dims(indices).to_vec();
    if places.len() != dims.len() || places.iter().zip(dims).enumerate().any(|(a, (p, d))| a != along && p > d) {
        return Err(format!("indices of {places:?} do not fit {dims:?}"));
    }
    let strides = strides(dims);
    let count: usize = places.iter().product();
    let mut offsets = Vec::with_capacity(count);
    let own = self::strides(&places);
    for flat in 0..count {
        let offset = (0..places.len()).filter(|&a| a != along).map(|a| flat / own[a] % places[a] * strides[a]).sum();
        offsets.push(small(offset)?);
    }
    let indices = scope.indices(indices, dims[along])?;
    let indices = scope.reshape(indices, &[count])?;
    let stride = scope.i32(small(strides[along])?);
    let scaled = scope.binary(BinaryKind::Mul, indices, stride)?;
    let offsets = scope.i32s(&offsets);
    scope.binary(BinaryKind::Add, scaled, offsets)
}

/// For index vectors along the innermost axis, after `batch` shared axes: indices of the slices that they name, in a vector.
fn flat_slices(scope: &mut Scope<'_>, dims: &[usize], indices: ValueId, batch: usize) -> Result<(ValueId, usize), Refusal> {
    let shape = scope.dims(indices).to_vec();
    let (&depth, outer) = shape.split_last().ok_or("the indices are a scalar")?;
    if batch + depth > dims.len() || batch > outer.len() || outer[..batch] != dims[..batch] {
        return Err(format!("index vectors of {shape:?} do not fit {dims:?}"));
    }
    let named = &dims[..batch + depth];
    let strides = strides(named);
    let count: usize = outer.iter().product();
    let indices = scope.cast(indices, ElementType::I32)?;
    let indices = scope.reshape(indices, &[count, depth])?;
    let sizes = scope.sizes(&dims[batch..batch + depth])?;
    // Negative ones count from the end.
    let is_known = scope.ints(indices).is_some_and(|v| v.iter().all(|&i| i >= 0));
    let indices = if is_known {
        indices
    } else {
        let zero = scope.i32(0);
        let negative = scope.compare(CompareKind::Less, indices, zero)?;
        let wrapped = scope.binary(BinaryKind::Add, indices, sizes)?;
        scope.select(negative, wrapped, indices)?
    };
    let weights = scope.sizes(&strides[batch..])?;
    let scaled = scope.binary(BinaryKind::Mul, indices, weights)?;
    let mut flat = scope.reduce(ReduceKind::Sum, scaled, &[1], false)?;
    if batch > 0 {
        let own = self::strides(outer);
        let offset = |k: usize| small((0..batch).map(|a| k / own[a] % outer[a] * strides[a]).sum());
        let offsets: Vec<i32> = (0..count).map(offset).collect::<Result<_, _>>()?;
        let offsets = scope.i32s(&offsets);
        flat = scope.binary(BinaryKind::Add, flat, offsets)?;
    }
    Ok((flat, named.iter().product()))
}

fn gather_elements(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (x, indices) = (input(inputs, 0)?, input(inputs, 1)?);
    let dims = scope.dims(x).to_vec();
    let places = scope.dims(indices).to_vec();
    let along = axis(node.int_or("axis", 0), dims.len())?;
    let flat = flat_elements(scope, &dims, indices, along)?;
    let x = scope.reshape(x, &[dims.iter().product()])?;
    let chosen = scope.gather(x, flat, 0)?;
    Ok(vec![scope.reshape(chosen, &places)?])
}

fn gather_nd(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (x, indices) = (input(inputs, 0)?, input(inputs, 1)?);
    let dims = scope.dims(x).to_vec();
    let mut result = scope.dims(indices).to_vec();
    let batch = usize::try_from(node.int_or("batch_dims", 0)).map_err(|_| "batch_dims is negative")?;
    let (flat, slices) = flat_slices(scope, &dims, indices, batch)?;
    let depth = result.pop().unwrap_or(0);
    let inner = &dims[batch + depth..];
    let x = scope.reshape(x, &[slices, inner.iter().product()])?;
    let chosen = scope.gather(x, flat, 0)?;
    result.extend(inner);
    Ok(vec![scope.reshape(chosen, &result)?])
}

fn scatter_elements(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (x, indices, updates) = (input(inputs, 0)?, input(inputs, 1)?, input(inputs, 2)?);
    let dims = scope.dims(x).to_vec();
    let along = axis(node.int_or("axis", 0), dims.len())?;
    let count: usize = scope.dims(indices).iter().product();
    let flat = flat_elements(scope, &dims, indices, along)?;
    let rows = scope.reshape(x, &[dims.iter().product(), 1])?;
    let updates = scope.reshape(updates, &[count, 1])?;
    let result = scatter(scope, rows, flat, updates, node.text_or("reduction", "none"))?;
    Ok(vec![scope.reshape(result, &dims)?])
}

fn scatter_nd(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (x, indices, updates) = (input(inputs, 0)?, input(inputs, 1)?, input(inputs, 2)?);
    let dims = scope.dims(x).to_vec();
    let depth = *scope.dims(indices).last().ok_or("the indices are a scalar")?;
    let count = scope.dims(indices).iter().rev().skip(1).product();
    let (flat, slices) = flat_slices(scope, &dims, indices, 0)?;
    let inner: usize = dims[depth..].iter().product();
    let rows = scope.reshape(x, &[slices, inner])?;
    let updates = scope.reshape(updates, &[count, inner])?;
    let result = scatter(scope, rows, flat, updates, node.text_or("reduction", "none"))?;
    Ok(vec![scope.reshape(result, &dims)?])
}

/// Rows `[N, K]` with the updates `[M, K]` at indices `[M]` combined into them.
fn scatter(scope: &mut Scope<'_>, rows: ValueId, indices: ValueId, updates: ValueId, reduction: &str) -> Result<ValueId, Refusal> {
    let (&[count, inner], &[given, _]) = (scope.dims(rows), scope.dims(updates)) else { return Err("rows have two axes".into()) };
    if reduction == "none"
        && let Some(known) = scope.ints(indices)
    {
        // Known places: every row comes from the old ones or from the updates, the last one wins.
        let mut order: Vec<usize> = (0..count).collect();
        for (k, &at) in known.iter().enumerate() {
            let at = usize::try_from(at).ok().filter(|&at| at < count).ok_or_else(|| format!("index {at} is outside {count}"))?;
            order[at] = count + k;
        }
        let all = scope.concat(&[rows, updates], 0)?;
        return scope.reorder(all, 0, &order);
    }
    let segments = |scope: &mut Scope<'_>, kind: UnsortedSegmentKind| {
        let count = scope.i32(small(count)?);
        scope.op1(ops::UnsortedSegment { kind }, &[updates, indices, count])
    };
    match reduction {
        "none" | "add" => {
            let (at, shape) = (scope.reshape(indices, &[given, 1])?, scope.sizes(&[count, inner])?);
            let placed = scope.op1(ops::ScatterNd {}, &[at, updates, shape])?;
            if reduction == "add" {
                return scope.binary(BinaryKind::Add, rows, placed);
            }
            let (ones, shape) = (scope.f32_tensor(&vec![1.0; given], &[given, 1]), scope.sizes(&[count, 1])?);
            let marks = scope.op1(ops::ScatterNd {}, &[at, ones, shape])?;
            let zero = scope.f32(0.0);
            let marked = scope.compare(CompareKind::Greater, marks, zero)?;
            scope.select(marked, placed, rows)
        }
        "mul" => {
            let factors = segments(scope, UnsortedSegmentKind::Prod)?;
            scope.binary(BinaryKind::Mul, rows, factors)
        }
        "max" => {
            let others = segments(scope, UnsortedSegmentKind::Max)?;
            scope.binary(BinaryKind::Maximum, rows, others)
        }
        "min" => {
            let others = segments(scope, UnsortedSegmentKind::Min)?;
            scope.binary(BinaryKind::Minimum, rows, others)
        }
        other => Err(format!("reduction '{other}' is not known")),
    }
}

/// Index vectors of the elements that are not zero, a column each.
fn non_zero(l: &mut Lowering<'_, '_, '_>, _: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let x = input(inputs, 0)?;
    let rank = scope.rank(x);
    let condition = if scope.elem(x) == ElementType::Bool {
        x
    } else {
        let zero = scope.scalar(0.0, scope.elem(x))?;
        scope.compare(CompareKind::NotEqual, x, zero)?
    };
    let ty = Type::new(ElementType::I64, Shape::new([1, rank]).with_dynamic(0, "nonzero"));
    let found = scope.op_typed(ops::Where {}, &[Some(condition)], vec![ty])?[0];
    Ok(vec![scope.transpose(found, &[1, 0])?])
}

fn one_hot(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (indices, values) = (input(inputs, 0)?, input(inputs, 2)?);
    let depth = scope.cast(input(inputs, 1)?, ElementType::I32)?;
    let depth = scope.need_ints(depth, "the depth")?.first().copied().unwrap_or(0);
    let depth = usize::try_from(depth).map_err(|_| "the depth is negative")?;
    let indices = scope.indices(indices, depth)?;
    let mut value = |at: usize| -> Result<ValueId, Refusal> {
        let one = scope.slice(values, 0, at, 1)?;
        scope.reshape(one, &[])
    };
    let (off, on) = (value(0)?, value(1)?);
    let rank = scope.rank(indices);
    let along = axis(node.int_or("axis", -1), rank + 1)?;
    let depth = scope.i32(small(depth)?);
    Ok(vec![scope.op1(ops::OneHot { axis: small(along)? }, &[indices, depth, on, off])?])
}

fn range(l: &mut Lowering<'_, '_, '_>, _: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let elem = scope.elem(input(inputs, 0)?);
    let through = if matches!(elem, ElementType::F16 | ElementType::BF16) { ElementType::F32 } else { elem };
    let mut scalars = Vec::new();
    for index in 0..3 {
        let scalar = scope.reshape(input(inputs, index)?, &[])?;
        scalars.push(scope.cast(scalar, through)?);
    }
    let range = scope.op1(ops::RangeOp {}, &scalars)?;
    Ok(vec![scope.cast(range, elem)?])
}

fn reverse_sequence(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (x, lengths) = (input(inputs, 0)?, input(inputs, 1)?);
    let lengths = scope.cast(lengths, ElementType::I32)?;
    let at = |name: &str, default: i64| i32::try_from(node.int_or(name, default)).map_err(|_| format!("{name} is no axis"));
    let op = ops::ReverseSequence { seq_dim: at("time_axis", 0)?, batch_dim: at("batch_axis", 1)? };
    Ok(vec![scope.op1(op, &[x, lengths])?])
}

fn tile(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (x, repeats) = (input(inputs, 0)?, input(inputs, 1)?);
    let mut repeats = scope.need_ints(repeats, "the repeats")?;
    if node.version < 6 {
        // One count along one axis.
        let along = scope.need_ints(input(inputs, 2)?, "the axis")?;
        let along = axis(along.first().copied().unwrap_or(0), scope.rank(x))?;
        let count = repeats.first().copied().unwrap_or(1);
        repeats = vec![1; scope.rank(x)];
        repeats[along] = count;
    }
    let repeats: Option<Vec<i32>> = repeats.iter().map(|&r| i32::try_from(r).ok()).collect();
    let repeats = scope.i32s(&repeats.ok_or("a repeat is too large")?);
    Ok(vec![scope.op1(ops::Tile {}, &[x, repeats])?])
}

/// The k largest or smallest, sorted; of equals the one with the smaller index first.
fn top_k(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let x = input(inputs, 0)?;
    let k = if node.version < 10 { node.int_or("k", 1) } else { scope.need_ints(input(inputs, 1)?, "k")?.first().copied().unwrap_or(0) };
    let k = scope.i32(i32::try_from(k).map_err(|_| "k is too large")?);
    let along = axis(node.int_or("axis", -1), scope.rank(x))?;
    let (mut rows, order) = scope.innermost(x, along)?;
    let smallest = node.int_or("largest", 1) == 0;
    if smallest {
        rows = scope.unary(UnaryKind::Neg, rows)?;
    }
    let found = scope.op_counted(ops::TopkV2 {}, &[Some(rows), Some(k)], 2)?;
    let (mut values, indices) = (found[0], scope.cast(found[1], ElementType::I64)?);
    if smallest {
        values = scope.unary(UnaryKind::Neg, values)?;
    }
    Ok(vec![scope.transpose(values, &order)?, scope.transpose(indices, &order)?])
}

/// The upper or lower triangle of matrices, zero elsewhere.
fn trilu(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let x = input(inputs, 0)?;
    let k = match optional(inputs, 1) {
        Some(k) => scope.need_ints(k, "the diagonal")?.first().copied().unwrap_or(0),
        None => 0,
    };
    let &[.., rows, columns] = scope.dims(x) else { return Err("its input is no matrix".into()) };
    let upper = node.int_or("upper", 1) == 1;
    let signed = |v: usize| i64::try_from(v).unwrap_or(i64::MAX);
    let cells = (0..rows).flat_map(|row| (0..columns).map(move |column| signed(column) - signed(row)));
    let kept: Vec<bool> = cells.map(|d| if upper { d >= k } else { d <= k }).collect();
    if kept.iter().all(|&k| k) {
        return Ok(vec![x]);
    }
    let mask = scope.bools(&kept, &[rows, columns]);
    let zero = scope.scalar(0.0, scope.elem(x))?;
    Ok(vec![scope.select(mask, x, zero)?])
}

fn cumsum(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let mut x = input(inputs, 0)?;
    let elem = scope.elem(x);
    if matches!(elem, ElementType::F64 | ElementType::F16 | ElementType::BF16) {
        x = scope.cast(x, ElementType::F32)?;
    }
    let along = scope.need_ints(input(inputs, 1)?, "the axis")?;
    let along = axis(along.first().copied().unwrap_or(0), scope.rank(x))?;
    let along = scope.i32(small(along)?);
    let op = ops::Cumsum { exclusive: node.flag("exclusive"), reverse: node.flag("reverse") };
    let sum = scope.op1(op, &[x, along])?;
    Ok(vec![scope.cast(sum, elem)?])
}
