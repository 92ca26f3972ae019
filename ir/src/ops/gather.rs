//! Gathering and scattering by index.

use super::infer::{InferCx, InferError, Inferred, axis_index, invalid, one};

op! {
    /// Slices of `params` along `axis` at `indices`; the first `batch_dims` axes of both run in step.
    Gather = "gather" [params, indices] gather;
    {
        /// The axis; negative ones count from the end.
        axis: i32 = 0,
        /// Leading axes that both operands share; negative ones count from the end of the indices.
        batch_dims: i32 = 0,
    }
}

fn gather(op: &Gather, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let (params, indices) = (cx.shape(0)?, cx.shape(1)?);
    let axis = axis_index(op.axis.into(), params.rank())?;
    // A count of axes, not an index: it may be all of them.
    let signed = i64::try_from(indices.rank()).unwrap_or(i64::MAX);
    let batch = i64::from(op.batch_dims) + if op.batch_dims < 0 { signed } else { 0 };
    let batch = usize::try_from(batch).map_err(|_| invalid(format!("{} batch axes", op.batch_dims)))?;
    if batch > axis || batch > indices.rank() || params.dims()[..batch] != indices.dims()[..batch] {
        return Err(invalid(format!("{batch} batch axes do not fit {params} and {indices} at axis {axis}")));
    }
    let dims: Vec<usize> =
        params.dims()[..axis].iter().chain(&indices.dims()[batch..]).chain(&params.dims()[axis + 1..]).copied().collect();
    one(cx.elem(0)?, dims)
}

op! {
    /// Slices of `params` at the index vectors along the innermost axis of `indices`.
    GatherNd = "gather_nd" [params, indices] gather_nd;
    {}
}

fn gather_nd(_: &GatherNd, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let (params, indices) = (cx.shape(0)?, cx.shape(1)?);
    let Some((&depth, outer)) = indices.dims().split_last() else { return Err(invalid("the indices are a scalar")) };
    let inner = params.dims().get(depth..).ok_or_else(|| invalid(format!("index vectors of {depth} for {} axes", params.rank())))?;
    one(cx.elem(0)?, outer.iter().chain(inner).copied().collect::<Vec<_>>())
}

op! {
    /// A tensor of the shape that `shape` holds, zero but for `updates` added at `indices`.
    ScatterNd = "scatter_nd" [indices, updates, shape] |_, cx| one(cx.elem(1)?, cx.sizes(2)?);
    {}
}
