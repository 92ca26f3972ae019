//! Ops that change or read shapes.

use octet_ir::ops::{BroadcastArgs, BroadcastTo, ExpandDims, MatrixDiag, MatrixSetDiag, Rank, Reshape, ShapeOf, Squeeze, Transpose};
use octet_ir::{ElementType as E, Type};

use super::util::{copy_kernel, put_ints, width};
use crate::data::strided::{StridedCopy, View, dense_strides};
use crate::kernel::{PrepareCx, Prepared, kernel};

/// The same bytes under another shape.
pub(super) fn same_bytes(cx: &PrepareCx<'_>, operand: usize) -> Prepared {
    let (from, to) = (cx.ty(operand)?, cx.result(0)?);
    if from.elem.bits() != to.elem.bits() || from.elem.bits().is_none() {
        return Err(cx.unsupported());
    }
    if from.shape.elements() != to.shape.elements() {
        return Err(cx.invalid(format!("{from} and {to} differ in their number of elements")));
    }
    kernel(move |io| {
        let input = io.input::<u8>(operand);
        io.output::<u8>(0).copy_from_slice(input);
    })
}

pub(super) fn reshape(_: &Reshape, cx: &PrepareCx<'_>) -> Prepared {
    same_bytes(cx, 0)
}

pub(super) fn squeeze(_: &Squeeze, cx: &PrepareCx<'_>) -> Prepared {
    same_bytes(cx, 0)
}

pub(super) fn expand_dims(_: &ExpandDims, cx: &PrepareCx<'_>) -> Prepared {
    same_bytes(cx, 0)
}

pub(super) fn transpose(_: &Transpose, cx: &PrepareCx<'_>) -> Prepared {
    let dims = cx.shape(0)?;
    let strides = dense_strides(dims);
    let mut view = View::new(0, Vec::with_capacity(dims.len()));
    let mut result = Vec::with_capacity(dims.len());
    for axis in cx.ints(1)? {
        let axis = cx.axis(axis, dims.len())?;
        view.strides.push(strides[axis]);
        result.push(dims[axis]);
    }
    if result != cx.result_shape(0)? {
        return Err(cx.invalid("the permutation does not give the result's shape"));
    }
    copy_kernel(0, StridedCopy::gather(width(cx, 0)?, &result, &view))
}

/// Whether results are integers that SHAPE and its kin can write.
fn integer_result(cx: &PrepareCx<'_>, index: usize) -> bool {
    cx.results.get(index).is_some_and(|ty| matches!(ty.elem, E::I32 | E::I64))
}

pub(super) fn shape_of(_: &ShapeOf, cx: &PrepareCx<'_>) -> Prepared {
    if !integer_result(cx, 0) {
        return Err(cx.unsupported());
    }
    let elem = cx.result(0)?.elem;
    let dims = cx.shape(0)?.to_vec();
    kernel(move |io| put_ints(io, 0, elem, dims.iter().map(|&dim| dim as i64)))
}

pub(super) fn rank(_: &Rank, cx: &PrepareCx<'_>) -> Prepared {
    if !integer_result(cx, 0) {
        return Err(cx.unsupported());
    }
    let elem = cx.result(0)?.elem;
    let rank = cx.shape(0)?.len() as i64;
    kernel(move |io| put_ints(io, 0, elem, [rank]))
}

/// Strides of a tensor of type `from` broadcast to `dims`.
pub(super) fn broadcast_view(from: &Type, dims: &[usize]) -> Option<View> {
    let own = from.shape.dims();
    let skip = dims.len().checked_sub(own.len())?;
    let strides = dense_strides(own);
    let mut view = View::new(0, vec![0; dims.len()]);
    for (axis, &size) in own.iter().enumerate() {
        if size == dims[skip + axis] {
            view.strides[skip + axis] = strides[axis];
        } else if size != 1 {
            return None;
        }
    }
    Some(view)
}

pub(super) fn broadcast_to(_: &BroadcastTo, cx: &PrepareCx<'_>) -> Prepared {
    let dims = cx.result_shape(0)?;
    let view = broadcast_view(cx.ty(0)?, dims);
    let view = view.ok_or_else(|| cx.invalid("the operand does not broadcast to the result"))?;
    copy_kernel(0, StridedCopy::gather(width(cx, 0)?, dims, &view))
}

pub(super) fn broadcast_args(_: &BroadcastArgs, cx: &PrepareCx<'_>) -> Prepared {
    fn run<T: bytemuck::Pod + PartialEq + From<u8>>() -> Prepared {
        kernel(|io| {
            let one = T::from(1);
            let (a, b) = (io.input::<T>(0), io.input::<T>(1));
            let (long, short) = if a.len() >= b.len() { (a, b) } else { (b, a) };
            let skip = long.len() - short.len();
            for (axis, out) in io.output::<T>(0).iter_mut().enumerate() {
                *out = match axis.checked_sub(skip).map(|i| short[i]) {
                    Some(size) if long[axis] == one => size,
                    _ => long[axis],
                };
            }
        })
    }
    match cx.elem(0)? {
        E::I32 => run::<i32>(),
        E::I64 => run::<i64>(),
        _ => Err(cx.unsupported()),
    }
}

/// Copies the diagonal (operand `diagonal`) into square matrices of the result's sizes.
fn set_diagonal(cx: &PrepareCx<'_>, diagonal: usize, keep: bool) -> Prepared {
    let width = width(cx, diagonal)?;
    let &[.., rows, columns] = cx.result_shape(0)? else { return Err(cx.invalid("the result is no matrix")) };
    let count = rows.min(columns);
    kernel(move |io| {
        let (input, diagonal) = (io.input::<u8>(0), io.input::<u8>(diagonal));
        let output = io.output::<u8>(0);
        if keep {
            output.copy_from_slice(input);
        } else {
            output.fill(0);
        }
        if count == 0 {
            return;
        }
        let matrices = output.chunks_exact_mut(rows * columns * width);
        for (matrix, diagonal) in matrices.zip(diagonal.chunks_exact(count * width)) {
            for (i, entry) in diagonal.chunks_exact(width).enumerate() {
                matrix[(i * columns + i) * width..][..width].copy_from_slice(entry);
            }
        }
    })
}

pub(super) fn matrix_diag(_: &MatrixDiag, cx: &PrepareCx<'_>) -> Prepared {
    set_diagonal(cx, 0, false)
}

pub(super) fn matrix_set_diag(_: &MatrixSetDiag, cx: &PrepareCx<'_>) -> Prepared {
    set_diagonal(cx, 1, true)
}
