//! Operations that change a shape, tell it, or broadcast to it.

use super::infer::{InferCx, InferError, Inferred, axis_index, broadcast, invalid, one, product};
use crate::types::{ElementType, Shape};

op! {
    /// The same elements in another shape, from operand `shape` or, without it, the attribute. One size may be -1.
    Reshape = "reshape" [input, shape?] reshape;
    {
        /// The shape, where no operand gives it.
        new_shape: Option<Vec<i32>> = None,
    }
}

fn reshape(op: &Reshape, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let input = cx.shape(0)?;
    let wanted: Vec<i64> = match (cx.optional(1), &op.new_shape) {
        (Some(_), _) => match (cx.ints(1), &op.new_shape) {
            // LiteRT falls back on the attribute when the operand is not one-dimensional.
            (Ok(_), Some(attribute)) if cx.shape(1)?.rank() != 1 => attribute.iter().map(|&d| d.into()).collect(),
            (known, _) => known?,
        },
        (None, Some(shape)) => shape.iter().map(|&d| d.into()).collect(),
        (None, None) => return Err(invalid("neither an operand nor an attribute gives the new shape")),
    };
    let elements = product(input.dims())?;
    let known = wanted.iter().filter(|&&d| d != -1).try_fold(1usize, |n, &d| n.checked_mul(usize::try_from(d).ok()?));
    let known = known.ok_or_else(|| invalid(format!("shape {wanted:?} is not valid")))?;
    let holes = wanted.iter().filter(|&&d| d == -1).count();
    let fill = match holes {
        0 if known == elements => 0,
        1 if known > 0 && elements % known == 0 => elements / known,
        _ => return Err(invalid(format!("{elements} elements do not fill shape {wanted:?}"))),
    };
    let dims: Vec<usize> = wanted.iter().map(|&d| if d == -1 { fill } else { usize::try_from(d).unwrap_or(0) }).collect();
    // A dynamic outermost axis stays one when the reshape asks for it with -1 or leaves its size alone.
    let mut shape = Shape::new(dims);
    if let Some(name) = input.dynamic(0)
        && let Some(hole) = wanted.iter().position(|&d| d == -1)
    {
        shape = shape.with_dynamic(hole, name);
    }
    Ok(vec![(cx.elem(0)?, shape)])
}

op! {
    /// Drops axes of size 1: those in `dims`, or all of them.
    Squeeze = "squeeze" [input] squeeze;
    {
        /// Axes to drop; empty means all of size 1. Negative ones count from the end.
        dims: Vec<i32> = Vec::new(),
    }
}

fn squeeze(op: &Squeeze, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let input = cx.shape(0)?;
    let mut drop: Vec<bool> = input.dims().iter().map(|&d| op.dims.is_empty() && d == 1).collect();
    for &axis in &op.dims {
        let axis = axis_index(axis.into(), input.rank())?;
        if input.dims()[axis] != 1 {
            return Err(invalid(format!("axis {axis} has size {}, only 1 can be squeezed", input.dims()[axis])));
        }
        drop[axis] = true;
    }
    let kept: Vec<usize> = (0..input.rank()).filter(|&a| !drop[a]).collect();
    Ok(vec![(cx.elem(0)?, select_axes(input, &kept))])
}

/// The axes of `shape` with these indices, dynamic marks included.
fn select_axes(shape: &Shape, axes: &[usize]) -> Shape {
    let mut result = Shape::new(axes.iter().map(|&a| shape.dims()[a]).collect::<Vec<_>>());
    for (to, &from) in axes.iter().enumerate() {
        if let Some(name) = shape.dynamic(from) {
            result = result.with_dynamic(to, name);
        }
    }
    result
}

op! {
    /// Inserts an axis of size 1 before the one that `axis` holds.
    ExpandDims = "expand_dims" [input, axis] expand_dims;
    {}
}

fn expand_dims(_: &ExpandDims, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let input = cx.shape(0)?;
    let &[axis] = cx.ints(1)?.as_slice() else { return Err(invalid("the axis must be one number")) };
    let axis = axis_index(axis, input.rank() + 1)?;
    let mut dims = input.dims().to_vec();
    dims.insert(axis, 1);
    let mut shape = Shape::new(dims);
    for from in 0..input.rank() {
        if let Some(name) = input.dynamic(from) {
            shape = shape.with_dynamic(from + usize::from(from >= axis), name);
        }
    }
    Ok(vec![(cx.elem(0)?, shape)])
}

op! {
    /// Axis *i* of the result is axis `permutation[i]` of the input.
    Transpose = "transpose" [input, permutation] transpose;
    {}
}

fn transpose(_: &Transpose, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let input = cx.shape(0)?;
    let permutation: Vec<usize> = cx.ints(1)?.into_iter().map(|p| axis_index(p, input.rank())).collect::<Result<_, _>>()?;
    let mut sorted = permutation.clone();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..input.rank()) {
        return Err(invalid(format!("{permutation:?} is not a permutation of {} axes", input.rank())));
    }
    Ok(vec![(cx.elem(0)?, select_axes(input, &permutation))])
}

op! {
    /// The sizes of the input as a vector.
    ShapeOf = "shape" [input] |op, cx| one(op.out_type, [cx.shape(0)?.rank()]);
    {
        /// Type of the result: i32 or i64.
        out_type: ElementType = ElementType::I32,
    }
}

op! {
    /// The number of axes of the input as a scalar.
    Rank = "rank" [input] |_, _| one(ElementType::I32, Shape::scalar());
    {}
}

op! {
    /// Repeats axes of size 1 until the shape is the one that `shape` holds.
    BroadcastTo = "broadcast_to" [input, shape] broadcast_to;
    {}
}

fn broadcast_to(_: &BroadcastTo, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let target = Shape::new(cx.sizes(1)?);
    if broadcast(cx.shape(0)?, &target)?.dims() != target.dims() {
        return Err(invalid(format!("{} does not broadcast to {target}", cx.shape(0)?)));
    }
    Ok(vec![(cx.elem(0)?, target)])
}

op! {
    /// The shape to which two shapes, given as vectors, broadcast.
    BroadcastArgs = "broadcast_args" [a, b] broadcast_args;
    {}
}

fn broadcast_args(_: &BroadcastArgs, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let ([a], [b]) = (cx.dims(0)?, cx.dims(1)?);
    one(cx.elem(0)?, [a.max(b)])
}

op! {
    /// Matrices with the innermost axis of the input on their diagonals.
    MatrixDiag = "matrix_diag" [diagonal] matrix_diag;
    {}
}

fn matrix_diag(_: &MatrixDiag, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let mut dims = cx.shape(0)?.dims().to_vec();
    let Some(&last) = dims.last() else { return Err(invalid("the diagonal is a scalar")) };
    dims.push(last);
    Ok(vec![(cx.elem(0)?, dims.into())])
}

op! {
    /// The input's matrices with other diagonals.
    MatrixSetDiag = "matrix_set_diag" [input, diagonal] |_, cx| super::infer::same_as_first(cx);
    {}
}
