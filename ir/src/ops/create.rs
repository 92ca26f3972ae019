//! Tensors made from few numbers.

use super::infer::{InferCx, InferError, Inferred, Numbers, axis_index, invalid, one};

op! {
    /// A tensor of the shape that `dims` holds, every element `value`.
    Fill = "fill" [dims, value] |_, cx| one(cx.elem(1)?, cx.sizes(0)?);
    {}
}

op! {
    /// `start`, `start + delta`, ... before `limit`.
    RangeOp = "range" [start, limit, delta] range;
    {}
}

fn range(_: &RangeOp, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let scalar = |index: usize| -> Result<f64, InferError> {
        match cx.numbers(index)? {
            #[expect(clippy::cast_precision_loss, reason = "lengths beyond 2^53 do not fit in memory")]
            Numbers::Ints(v) if v.len() == 1 => Ok(v[0] as f64),
            Numbers::Floats(v) if v.len() == 1 => Ok(v[0]),
            Numbers::Ints(_) | Numbers::Floats(_) => Err(invalid(format!("operand {index} must be one number"))),
        }
    };
    let (start, limit, delta) = (scalar(0)?, scalar(1)?, scalar(2)?);
    let count = ((limit - start) / delta).ceil();
    if !count.is_finite() || count > 2f64.powi(40) {
        return Err(invalid(format!("a range from {start} to {limit} in steps of {delta} does not end")));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to lie in 0..=2^40")]
    let count = count.max(0.0) as usize;
    one(cx.elem(0)?, [count])
}

op! {
    /// `on_value` at the index, `off_value` elsewhere, along a new axis of size `depth`.
    OneHot = "one_hot" [indices, depth, on_value, off_value] one_hot;
    {
        /// Where the new axis goes; -1 is innermost.
        axis: i32 = -1,
    }
}

fn one_hot(op: &OneHot, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let &[depth] = cx.sizes(1)?.as_slice() else { return Err(invalid("depth must be one number")) };
    let mut dims = cx.shape(0)?.dims().to_vec();
    dims.insert(axis_index(op.axis.into(), dims.len() + 1)?, depth);
    one(cx.elem(2)?, dims)
}

op! {
    /// Index vectors `[count, rank]` of the elements that are true (not zero).
    Where = "where" [condition] |_, cx| cx.declared_results();
    {}
}

op! {
    /// A tensor of the shape that `shape` holds, `default` but for `values` at `indices`.
    SparseToDense = "sparse_to_dense" [indices, shape, values, default] |_, cx| one(cx.elem(2)?, cx.sizes(1)?);
    {
        /// Refuse unsorted or repeated indices.
        validate_indices: bool = false,
    }
}
