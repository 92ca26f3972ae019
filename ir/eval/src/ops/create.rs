//! Ops that make tensors.

use octet_ir::ElementType as E;
use octet_ir::ops::{Fill, OneHot, RangeOp, SparseToDense, Where};

use super::elementwise::with_number;
use super::util::{fill as fill_with, int_elem, one_element, out_of_bounds, read_ints, width};
use crate::data::index::tuple_offset;
use crate::float::number::Number;
use crate::kernel::{PrepareCx, Prepared, fallible_kernel, kernel};

pub(super) fn fill(_: &Fill, cx: &PrepareCx<'_>) -> Prepared {
    width(cx, 1)?;
    one_element(cx, 1, cx.elem(1)?)?;
    kernel(|io| {
        let value = io.input(1);
        fill_with(io.output(0), value);
    })
}

pub(super) fn range(_: &RangeOp, cx: &PrepareCx<'_>) -> Prepared {
    fn run<T: Number>(cx: &PrepareCx<'_>) -> Prepared {
        let elem = cx.elem(0)?;
        (0..3).try_for_each(|index| one_element(cx, index, elem))?;
        kernel(|io| {
            let (Some(&start), Some(&delta)) = (io.input::<T>(0).first(), io.input::<T>(2).first()) else { return };
            let mut value = start;
            for out in io.output::<T>(0) {
                *out = value;
                value = value.add(delta);
            }
        })
    }
    let elem = cx.elem(0)?;
    with_number!(elem, cx, run(cx))
}

pub(super) fn one_hot(op: &OneHot, cx: &PrepareCx<'_>) -> Prepared {
    let indices = cx.shape(0)?;
    let axis = cx.axis(op.axis.into(), indices.len() + 1)?;
    let result = cx.result_shape(0)?;
    let depth = *result.get(axis).ok_or_else(|| cx.invalid("the result has too few axes"))?;
    let (elem, width) = (int_elem(cx, 0)?, width(cx, 2)?);
    let value = cx.elem(2)?;
    one_element(cx, 2, value)?;
    one_element(cx, 3, value)?;
    let inner: usize = indices[axis..].iter().product();
    kernel(move |io| {
        let indices = read_ints(io, 0, elem);
        let (on, off) = (io.input::<u8>(2), io.input::<u8>(3));
        let output = io.output::<u8>(0);
        fill_with(output, off);
        for (i, &index) in indices.iter().enumerate() {
            if let Some(index) = usize::try_from(index).ok().filter(|&index| index < depth) {
                let at = ((i / inner * depth + index) * inner + i % inner) * width;
                output[at..at + width].copy_from_slice(on);
            }
        }
    })
}

pub(super) fn where_op(_: &Where, cx: &PrepareCx<'_>) -> Prepared {
    fn run<T: bytemuck::Pod + PartialEq + Default>(cx: &PrepareCx<'_>) -> Prepared {
        let dims = cx.shape(0)?.to_vec();
        if cx.result(0)?.elem != E::I64 {
            return Err(cx.unsupported());
        }
        kernel(move |io| {
            let mut found: Vec<i64> = Vec::new();
            for (at, _) in io.input::<T>(0).iter().enumerate().filter(|(_, x)| **x != T::default()) {
                let (mut rest, first) = (at, found.len());
                found.resize(first + dims.len(), 0);
                for axis in (0..dims.len()).rev() {
                    found[first + axis] = (rest % dims[axis]) as i64;
                    rest /= dims[axis];
                }
            }
            let count =
                if dims.is_empty() { io.input::<T>(0).iter().filter(|x| **x != T::default()).count() } else { found.len() / dims.len() };
            let output = &mut io.outputs[0];
            output.data.resize(size_of_val(found.as_slice()));
            output.data.as_mut_slice::<i64>().copy_from_slice(&found);
            output.dims = Some(vec![count, dims.len()]);
        })
    }
    let elem = cx.elem(0)?;
    match elem {
        E::Bool => run::<u8>(cx),
        _ => with_number!(elem, cx, run(cx)),
    }
}

pub(super) fn sparse_to_dense(_: &SparseToDense, cx: &PrepareCx<'_>) -> Prepared {
    let dims = cx.result_shape(0)?.to_vec();
    let (elem, width) = (int_elem(cx, 0)?, width(cx, 2)?);
    // Indices are one tuple (rank 0 or 1 over a vector) or a list of them.
    let depth = match cx.shape(0)? {
        [_, depth] => *depth,
        _ => 1,
    };
    if depth != dims.len() {
        return Err(cx.invalid(format!("index tuples of {depth} for a result of rank {}", dims.len())));
    }
    let values = cx.ty(2)?.shape.elements();
    let tuples = cx.ty(0)?.shape.elements() / depth.max(1);
    if values != 1 && values != tuples {
        return Err(cx.invalid(format!("{values} values for {tuples} indices")));
    }
    one_element(cx, 3, cx.elem(2)?)?;
    fallible_kernel(0, move |io| {
        let indices = read_ints(io, 0, elem);
        let (values, default) = (io.input::<u8>(2), io.input::<u8>(3));
        let output = io.output::<u8>(0);
        fill_with(output, default);
        for (i, tuple) in indices.chunks_exact(depth.max(1)).enumerate() {
            let at = tuple_offset(tuple, &dims).map_err(out_of_bounds)? * width;
            let from = if values.len() == width { 0 } else { i * width };
            output[at..at + width].copy_from_slice(&values[from..from + width]);
        }
        Ok(())
    })
}
