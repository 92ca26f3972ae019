//! Ops that join tensors or take them apart.

use octet_ir::ops::{Concatenation, Pack, Unpack};

use super::slice::parts;
use super::util::width;
use crate::data::strided::{StridedCopy, View, dense_strides};
use crate::kernel::{PrepareCx, Prepared, kernel};

/// Copies every operand, seen as `[outer, size, inner]`, to its place along the middle axis of
/// the result.
fn join(cx: &PrepareCx<'_>, outer: usize, sizes: &[usize], inner: usize) -> Prepared {
    let width = width(cx, 0)?;
    let total: usize = sizes.iter().sum();
    let strides = dense_strides(&[outer, total, inner]);
    let mut copies = Vec::with_capacity(sizes.len());
    let mut first = 0;
    for &size in sizes {
        let view = View::new(first * inner, strides.clone());
        copies.push(StridedCopy::scatter(width, &[outer, size, inner], &view));
        first += size;
    }
    if cx.result(0)?.shape.elements() != outer * total * inner {
        return Err(cx.invalid("the operands do not fill the result"));
    }
    kernel(move |io| {
        for (index, copy) in copies.iter().enumerate() {
            let input = io.input(index);
            copy.run(input, io.output(0));
        }
    })
}

pub(super) fn concatenation(op: &Concatenation, cx: &PrepareCx<'_>) -> Prepared {
    let result = cx.result(0)?;
    let dims = result.shape.dims();
    let axis = cx.axis(op.axis.into(), dims.len())?;
    let mut sizes = Vec::with_capacity(cx.operands.len());
    for index in 0..cx.operands.len() {
        let operand = cx.ty(index)?;
        let same_scale = operand.scale_zero_point() == result.scale_zero_point();
        if operand.elem != result.elem || (operand.is_quantized() && !same_scale) {
            return Err(cx.unsupported());
        }
        let size = operand.shape.dims().get(axis);
        sizes.push(*size.ok_or_else(|| cx.invalid(format!("operand {index} has too few axes")))?);
    }
    if op.activation != octet_ir::ops::Activation::None {
        return Err(cx.unsupported());
    }
    join(cx, dims[..axis].iter().product(), &sizes, dims[axis + 1..].iter().product())
}

pub(super) fn pack(op: &Pack, cx: &PrepareCx<'_>) -> Prepared {
    let dims = cx.shape(0)?;
    let axis = cx.axis(op.axis.into(), dims.len() + 1)?;
    let sizes = vec![1; cx.operands.len()];
    join(cx, dims[..axis].iter().product(), &sizes, dims[axis..].iter().product())
}

pub(super) fn unpack(op: &Unpack, cx: &PrepareCx<'_>) -> Prepared {
    let axis = cx.axis(op.axis.into(), cx.shape(0)?.len())?;
    parts(cx, 0, axis, &vec![1; cx.results.len()])
}
