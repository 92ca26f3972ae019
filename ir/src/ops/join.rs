//! Operations that put tensors together or take them apart along one axis.

use super::common::Activation;
use super::infer::{InferCx, InferError, Inferred, axis_index, invalid, keep_dynamic, one};

op! {
    /// Operands one after the other along `axis`.
    Concatenation = "concatenation" [inputs..] concatenation;
    {
        /// The axis; negative ones count from the end.
        axis: i32 = 0,
        /// Fused activation.
        activation: Activation = Activation::None,
    }
}

fn concatenation(op: &Concatenation, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let first = cx.shape(0)?;
    let axis = axis_index(op.axis.into(), first.rank())?;
    let mut dims = first.dims().to_vec();
    for index in 1..cx.operand_count() {
        let other = cx.shape(index)?;
        let fits = other.rank() == first.rank() && (0..first.rank()).all(|a| a == axis || other.dims()[a] == dims[a]);
        if !fits || cx.elem(index)? != cx.elem(0)? {
            return Err(invalid(format!("operand {index} is {}, which does not continue {} along axis {axis}", cx.ty(index)?, cx.ty(0)?)));
        }
        dims[axis] = dims[axis].checked_add(other.dims()[axis]).ok_or_else(|| invalid("the size overflows"))?;
    }
    let keep: Vec<usize> = (0..first.rank()).filter(|&a| a != axis).collect();
    Ok(vec![(cx.elem(0)?, keep_dynamic(first, dims, &keep))])
}

op! {
    /// Operands of one shape side by side along a new axis.
    Pack = "pack" [inputs..] pack;
    {
        /// Number of operands.
        values_count: usize = 0,
        /// The new axis; negative ones count from the end.
        axis: i32 = 0,
    }
}

fn pack(op: &Pack, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let first = cx.shape(0)?;
    let axis = axis_index(op.axis.into(), first.rank() + 1)?;
    for index in 1..cx.operand_count() {
        if cx.shape(index)?.dims() != first.dims() || cx.elem(index)? != cx.elem(0)? {
            return Err(invalid(format!("operand {index} is {}, the first one {}", cx.ty(index)?, cx.ty(0)?)));
        }
    }
    let mut dims = first.dims().to_vec();
    dims.insert(axis, cx.operand_count());
    one(cx.elem(0)?, dims)
}

op! {
    /// One result per index along `axis`, which is dropped.
    Unpack = "unpack" [input] unpack;
    {
        /// Number of results.
        num: usize = 0,
        /// The axis; negative ones count from the end.
        axis: i32 = 0,
    }
}

fn unpack(op: &Unpack, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let input = cx.shape(0)?;
    let axis = axis_index(op.axis.into(), input.rank())?;
    let mut dims = input.dims().to_vec();
    let count = dims.remove(axis);
    if count != cx.result_count() {
        return Err(invalid(format!("axis {axis} has size {count}, there are {} results", cx.result_count())));
    }
    Ok(vec![(cx.elem(0)?, dims.into()); count])
}
