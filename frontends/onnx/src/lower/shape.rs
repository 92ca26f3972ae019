//! Operators that move elements or tell shapes.

use octet_ir::ops;
use octet_ir::{Constant, ElementType, Type};

use super::{Inputs, Lowering, Outputs, Table, axes, axis, input, optional};
use crate::attributes::{Node, Refusal};
use crate::scope::{Probe, Scope};

pub(super) const TABLE: Table = &[
    ("Concat", concat),
    ("Constant", constant),
    ("ConstantOfShape", constant_of_shape),
    ("Expand", expand),
    ("Flatten", flatten),
    ("Gather", gather),
    ("Reshape", reshape),
    ("Shape", shape),
    ("Size", size),
    ("Slice", slice),
    ("Split", split),
    ("Squeeze", squeeze),
    ("Transpose", transpose),
    ("Unsqueeze", unsqueeze),
];

/// Sizes of the nominal choice, and of another one for every dynamic axis.
fn shape(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let x = input(inputs, 0)?;
    let shape = scope.ty(x).shape.clone();
    let rank = i64::try_from(shape.rank()).unwrap_or(i64::MAX);
    let clamp = |v: i64| usize::try_from(if v < 0 { v + rank } else { v }.clamp(0, rank)).unwrap_or(0);
    let (start, end) = (clamp(node.int_or("start", 0)), clamp(node.int_or("end", rank)));
    let range = start..end.max(start);
    let size = |axis: usize| i64::try_from(shape.dims()[axis]).unwrap_or(i64::MAX);
    let nominal: Vec<i64> = range.clone().map(size).collect();
    // Any other number would do; primes keep products apart.
    let other: Vec<i64> = range.clone().map(|a| if shape.dynamic(a).is_some() { size(a) * 7 + 4 } else { size(a) }).collect();
    let ty = Type::new(ElementType::I64, [nominal.len()]);
    if nominal == other {
        return Ok(vec![scope.constant_value(Constant::from_i64(&nominal), ty)]);
    }
    let whole =
        scope.op_typed(ops::ShapeOf { out_type: ElementType::I64 }, &[Some(x)], vec![Type::new(ElementType::I64, [shape.rank()])])?[0];
    let all = |part: fn(i64) -> i64| -> Vec<i64> {
        (0..shape.rank()).map(|a| if shape.dynamic(a).is_some() { part(size(a)) } else { size(a) }).collect()
    };
    let probe = Probe { nominal: Constant::from_i64(&all(|s| s)), other: Constant::from_i64(&all(|s| s * 7 + 4)) };
    scope.set_probe(whole, probe);
    if nominal.len() == shape.rank() {
        return Ok(vec![whole]);
    }
    let (begin, size) = (scope.i32s(&[i32::try_from(start).unwrap_or(0)]), scope.i32s(&[i32::try_from(nominal.len()).unwrap_or(0)]));
    Ok(vec![scope.op1(ops::Slice {}, &[whole, begin, size])?])
}

/// Where a shape operand depends on a dynamic size, that entry becomes -1: one such entry is what a reshape can express.
fn reshape(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let x = input(inputs, 0)?;
    let (nominal, other) = if node.version < 5 {
        let given = node.ints("shape").unwrap_or(&[]).to_vec();
        (given.clone(), given)
    } else {
        let probe = scope.probe(input(inputs, 1)?).ok_or("the shape must be constant or come from shapes")?;
        (probe.nominal.to_i64(), probe.other.to_i64())
    };
    let from = scope.dims(x).to_vec();
    let elements: usize = from.iter().product();
    let mut dims = Vec::with_capacity(nominal.len());
    for (index, &entry) in nominal.iter().enumerate() {
        dims.push(match entry {
            0 if !node.flag("allowzero") => *from.get(index).ok_or("a size of 0 copies an axis that the input lacks")?,
            -1 => usize::MAX,
            size => usize::try_from(size).map_err(|_| format!("{size} is not a size"))?,
        });
    }
    let known = dims.iter().filter(|&&d| d != usize::MAX).try_fold(1usize, |n, &d| n.checked_mul(d));
    let known = known.ok_or("the number of elements overflows")?;
    for dim in dims.iter_mut().filter(|d| **d == usize::MAX) {
        *dim = elements.checked_div(known).unwrap_or(0);
    }
    if dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) != Some(elements) {
        return Err(format!("{elements} elements do not fill {dims:?}"));
    }
    let is_dynamic = scope.ty(x).shape.is_dynamic();
    let moving: Vec<usize> = (0..dims.len()).filter(|&i| nominal[i] != other[i] || nominal[i] == -1).collect();
    if is_dynamic && let [hole] = moving.as_slice() {
        let mut target: Vec<i32> = dims.iter().map(|&d| i32::try_from(d).unwrap_or(i32::MAX)).collect();
        target[*hole] = -1;
        let target = scope.i32s(&target);
        return Ok(vec![scope.op1(ops::Reshape { new_shape: None }, &[x, target])?]);
    }
    Ok(vec![scope.reshape(x, &dims)?])
}

/// The number of elements, by way of the shape where that may change.
fn size(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let sizes = shape(l, node, inputs)?[0];
    Ok(vec![l.scope.reduce(ops::ReduceKind::Prod, sizes, &[0], false)?])
}

fn flatten(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let x = input(inputs, 0)?;
    let dims = l.scope.dims(x).to_vec();
    let at = node.int_or("axis", 1);
    let at = if usize::try_from(at) == Ok(dims.len()) { dims.len() } else { axis(at, dims.len().max(1))? };
    let halves = [dims[..at].iter().product(), dims[at..].iter().product()];
    let shape = &l.scope.ty(x).shape;
    let open: Vec<usize> = (0..dims.len()).filter(|&a| shape.dynamic(a).is_some()).collect();
    Ok(vec![match open.as_slice() {
        &[open] if at != 1 || open != 0 || dims.len() != 2 => l.scope.reshape_around(x, &halves, usize::from(open >= at))?,
        _ => l.scope.reshape(x, &halves)?,
    }])
}

fn transpose(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let x = input(inputs, 0)?;
    let rank = l.scope.rank(x);
    let permutation: Vec<usize> = match node.ints("perm") {
        Some(perm) => perm.iter().map(|&p| axis(p, rank)).collect::<Result<_, _>>()?,
        None => (0..rank).rev().collect(),
    };
    Ok(vec![l.scope.transpose(x, &permutation)?])
}

fn squeeze(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let x = input(inputs, 0)?;
    let dims = l.scope.dims(x).to_vec();
    let drop: Vec<usize> = match axes(l.scope, node, inputs, 1)? {
        Some(axes) => axes.iter().map(|&a| axis(a, dims.len())).collect::<Result<_, _>>()?,
        None => (0..dims.len()).filter(|&a| dims[a] == 1 && l.scope.ty(x).shape.dynamic(a).is_none()).collect(),
    };
    if drop.iter().any(|&a| dims[a] != 1) {
        return Err(format!("only axes of size 1 can be squeezed, not {drop:?} of {dims:?}"));
    }
    let kept: Vec<Option<usize>> = (0..dims.len()).filter(|a| !drop.contains(a)).map(Some).collect();
    Ok(vec![l.scope.regroup(x, &kept)?])
}

fn unsqueeze(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let x = input(inputs, 0)?;
    let given = axes(l.scope, node, inputs, 1)?.ok_or("it has no axes")?;
    let mut axes: Vec<Option<usize>> = (0..l.scope.rank(x)).map(Some).collect();
    let rank = axes.len() + given.len();
    let mut at: Vec<usize> = given.iter().map(|&a| axis(a, rank)).collect::<Result<_, _>>()?;
    at.sort_unstable();
    for position in at {
        if position > axes.len() {
            return Err(format!("axes {given:?} do not fit rank {rank}"));
        }
        axes.insert(position, None);
    }
    Ok(vec![l.scope.regroup(x, &axes)?])
}

fn concat(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let rank = l.scope.rank(input(inputs, 0)?);
    let at = axis(node.int_or("axis", 1), rank)?;
    let given: Vec<_> = inputs.iter().flatten().copied().collect();
    Ok(vec![l.scope.concat(&given, at)?])
}

fn gather(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let (x, indices) = (input(inputs, 0)?, input(inputs, 1)?);
    let at = axis(node.int_or("axis", 0), l.scope.rank(x))?;
    // ONNX counts negative indices from the end, TFLite has none.
    let indices = match l.scope.ints(indices) {
        Some(values) => {
            let size = i64::try_from(l.scope.dims(x)[at]).unwrap_or(i64::MAX);
            let wrapped: Vec<i32> = values.iter().map(|&v| i32::try_from(if v < 0 { v + size } else { v }).unwrap_or(-1)).collect();
            let shape = l.scope.ty(indices).shape.clone();
            l.scope.constant_value(Constant::from_i32(&wrapped), Type::i32(shape))
        }
        None => indices,
    };
    let op = ops::Gather { axis: i32::try_from(at).unwrap_or(0), batch_dims: 0 };
    Ok(vec![l.scope.op1(op, &[x, indices])?])
}

fn slice(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let x = input(inputs, 0)?;
    let rank = scope.rank(x);
    let from_inputs = node.version >= 10;
    let list = |scope: &Scope<'_>, index: usize, name: &str| -> Result<Option<Vec<i64>>, Refusal> {
        if from_inputs {
            optional(inputs, index).map(|v| scope.need_ints(v, &format!("the {name}"))).transpose()
        } else {
            Ok(node.ints(name).map(<[i64]>::to_vec))
        }
    };
    let starts = list(scope, 1, "starts")?.ok_or("it has no starts")?;
    let ends = list(scope, 2, "ends")?.ok_or("it has no ends")?;
    let all: Vec<i64> = (0..i64::try_from(starts.len()).unwrap_or(0)).collect();
    let axes = list(scope, 3, "axes")?.unwrap_or(all);
    let steps = if from_inputs { list(scope, 4, "steps")? } else { None }.unwrap_or_else(|| vec![1; starts.len()]);
    if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
        return Err("starts, ends, axes and steps differ in length".into());
    }
    let mut op = ops::StridedSlice { begin_mask: u32::MAX >> (32 - rank.clamp(1, 32)), ..ops::StridedSlice::default() };
    op.end_mask = op.begin_mask;
    let (mut begin, mut end, mut stride) = (vec![0i32; rank], vec![0i32; rank], vec![1i32; rank]);
    let small = |v: i64| i32::try_from(v.clamp(i64::from(i32::MIN) + 1, i64::from(i32::MAX))).unwrap_or(0);
    for (k, &a) in axes.iter().enumerate() {
        let a = axis(a, rank)?;
        let size = i64::try_from(scope.dims(x)[a]).unwrap_or(i64::MAX);
        let (start, stop, step) = (starts[k], ends[k], steps[k]);
        if step == 0 {
            return Err("a step is zero".into());
        }
        // The nominal size of an open axis says nothing: only what lies beyond every size is its end.
        let size = if scope.ty(x).shape.dynamic(a).is_some() { i64::from(i32::MAX) } else { size };
        // Going down to before the first element has no index in TFLite: the mask says "to the end".
        let to_the_end = if step > 0 { stop >= size } else { stop < -size };
        let from_the_start = if step > 0 { start == 0 || start <= -size } else { start >= size - 1 || start == -1 };
        op.begin_mask &= !(u32::from(!from_the_start) << a);
        op.end_mask &= !(u32::from(!to_the_end) << a);
        (begin[a], end[a], stride[a]) = (small(start), small(stop), small(step));
    }
    let operands = [x, scope.i32s(&begin), scope.i32s(&end), scope.i32s(&stride)];
    Ok(vec![scope.op1(op, &operands)?])
}

fn split(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let x = input(inputs, 0)?;
    let at = axis(node.int_or("axis", 0), scope.rank(x))?;
    let size = scope.dims(x)[at];
    let count = node.output_count();
    let given = match optional(inputs, 1) {
        Some(sizes) => Some(scope.need_ints(sizes, "the sizes")?),
        None => node.ints("split").map(<[i64]>::to_vec),
    };
    let sizes = given.unwrap_or_else(|| {
        let part = size.div_ceil(count.max(1));
        (0..count).map(|k| i64::try_from(part.min(size.saturating_sub(k * part))).unwrap_or(0)).collect()
    });
    let sizes: Vec<i32> = sizes.iter().map(|&s| i32::try_from(s).unwrap_or(-1)).collect();
    let sizes = scope.i32s(&sizes);
    let at = scope.i32(i32::try_from(at).unwrap_or(0));
    scope.op_counted(ops::SplitV { num_splits: count }, &[Some(x), Some(sizes), Some(at)], count)
}

/// A constant in any of the attribute's forms.
fn constant(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, _: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (ty, data) = if let Some(tensor) = node.tensor("value") {
        l.importer.tensor(tensor)?
    } else if let Some(sparse) = node.sparse_tensor("sparse_value") {
        let (_, ty, data) = l.importer.sparse(sparse)?;
        (ty, data)
    } else if let Some(v) = node.float("value_float") {
        (Type::f32([0usize; 0]), Constant::from_f32(&[v]))
    } else if let Some(v) = node.floats("value_floats") {
        (Type::f32([v.len()]), Constant::from_f32(v))
    } else if let Some(v) = node.int("value_int") {
        (Type::new(ElementType::I64, [0usize; 0]), Constant::from_i64(&[v]))
    } else if let Some(v) = node.ints("value_ints") {
        (Type::new(ElementType::I64, [v.len()]), Constant::from_i64(v))
    } else {
        return Err("its value is of a kind that is not supported".into());
    };
    Ok(vec![scope.constant_value(data, ty)])
}

fn constant_of_shape(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    const LARGEST: usize = 1 << 24;
    let dims = l.scope.need_ints(input(inputs, 0)?, "the shape")?;
    let dims: Option<Vec<usize>> = dims.iter().map(|&d| usize::try_from(d).ok()).collect();
    let dims = dims.ok_or("a size is negative")?;
    let (elem, element) = match node.tensor("value") {
        Some(tensor) => {
            let (ty, data) = l.importer.tensor(tensor)?;
            (ty.elem, data.bytes().to_vec())
        }
        None => (ElementType::F32, 0f32.to_le_bytes().to_vec()),
    };
    let ty = Type::new(elem, dims);
    let length = ty.byte_len().filter(|&n| n <= LARGEST && !element.is_empty()).ok_or("the constant is too large")?;
    Ok(vec![l.scope.constant_value(Constant::new(element.repeat(length / element.len())), ty)])
}

fn expand(l: &mut Lowering<'_, '_, '_>, _: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let x = input(inputs, 0)?;
    let target = l.scope.need_ints(input(inputs, 1)?, "the shape")?;
    let target: Option<Vec<usize>> = target.iter().map(|&d| usize::try_from(d).ok()).collect();
    let target = octet_ir::Shape::new(target.ok_or("a size is negative")?);
    let shape = ops::broadcast(&l.scope.ty(x).shape.to_static(), &target).map_err(|e| e.to_string())?;
    let dims: Vec<i32> = shape.dims().iter().map(|&d| i32::try_from(d).unwrap_or(i32::MAX)).collect();
    let dims = l.scope.i32s(&dims);
    Ok(vec![l.scope.op1(ops::BroadcastTo {}, &[x, dims])?])
}
