//! Ops that pick or place slices by index.

use octet_ir::ElementType as E;
use octet_ir::ops::{Gather, GatherNd, ScatterNd};

use super::util::{out_of_bounds, read_ints, width};
use crate::data::index::{GatherShape, tuple_offset};
use crate::kernel::{PrepareCx, Prepared, fallible_kernel};

/// Whether operand `index` holds integers that may be indices.
fn indexes(cx: &PrepareCx<'_>, index: usize) -> bool {
    cx.optional(index).is_some_and(|ty| matches!(ty.elem, E::I64 | E::I32 | E::I16))
}

pub(super) fn gather(op: &Gather, cx: &PrepareCx<'_>) -> Prepared {
    let (params, indices) = (cx.shape(0)?, cx.shape(1)?);
    let axis = cx.axis(op.axis.into(), params.len())?;
    let batch = match op.batch_dims {
        0 => 0,
        dims => cx.axis(dims.into(), indices.len() + 1)?,
    };
    if !indexes(cx, 1) || batch > axis || batch > indices.len() {
        return Err(cx.unsupported());
    }
    let shape = GatherShape {
        batch: params[..batch].iter().product(),
        outer: params[batch..axis].iter().product(),
        axis: params[axis],
        inner: params[axis + 1..].iter().product::<usize>() * width(cx, 0)?,
        count: indices[batch..].iter().product(),
    };
    let elem = cx.elem(1)?;
    fallible_kernel(0, move |io| {
        let source = io.input(0);
        match elem {
            E::I64 => shape.run::<i64>(source, io.input(1), io.output(0)),
            E::I32 => shape.run::<i32>(source, io.input(1), io.output(0)),
            _ => shape.run::<i16>(source, io.input(1), io.output(0)),
        }
        .map_err(out_of_bounds)
    })
}

pub(super) fn gather_nd(_: &GatherNd, cx: &PrepareCx<'_>) -> Prepared {
    let (params, indices) = (cx.shape(0)?, cx.shape(1)?);
    let Some(&depth) = indices.last() else { return Err(cx.invalid("the indices are a scalar")) };
    let Some((dims, inner)) = params.split_at_checked(depth).filter(|_| indexes(cx, 1)) else {
        return Err(cx.unsupported());
    };
    let dims = dims.to_vec();
    let tuples: usize = indices[..indices.len() - 1].iter().product();
    if cx.result(0)?.shape.elements() != tuples * inner.iter().product::<usize>() {
        return Err(cx.invalid("the result has one slice per index tuple"));
    }
    let inner = inner.iter().product::<usize>() * width(cx, 0)?;
    let elem = cx.elem(1)?;
    fallible_kernel(0, move |io| {
        let indices = read_ints(io, 1, elem);
        let source = io.input::<u8>(0);
        if inner == 0 {
            return Ok(());
        }
        for (i, target) in io.output::<u8>(0).chunks_exact_mut(inner).enumerate() {
            let at = tuple_offset(&indices[i * depth..][..depth], &dims).map_err(out_of_bounds)?;
            target.copy_from_slice(&source[at * inner..][..inner]);
        }
        Ok(())
    })
}

pub(super) fn scatter_nd(_: &ScatterNd, cx: &PrepareCx<'_>) -> Prepared {
    /// Adds where indices repeat, as TFLite does.
    fn run<T>(cx: &PrepareCx<'_>, add: impl Fn(T, T) -> T + Send + Sync + 'static) -> Prepared
    where
        T: bytemuck::Pod + Default,
    {
        let (indices, dims) = (cx.shape(0)?, cx.result_shape(0)?);
        let Some(&depth) = indices.last() else { return Err(cx.invalid("the indices are a scalar")) };
        let Some((dims, inner)) = dims.split_at_checked(depth) else {
            return Err(cx.invalid("the index tuples are longer than the result has axes"));
        };
        let (dims, inner) = (dims.to_vec(), inner.iter().product::<usize>());
        let tuples: usize = indices[..indices.len() - 1].iter().product();
        if cx.ty(1)?.shape.elements() != tuples * inner {
            return Err(cx.invalid("there is one update slice per index tuple"));
        }
        let elem = cx.elem(0)?;
        fallible_kernel(0, move |io| {
            let indices = read_ints(io, 0, elem);
            let updates = io.input::<T>(1);
            let output = io.output::<T>(0);
            output.fill(T::default());
            for tuple in 0..tuples {
                let at = tuple_offset(&indices[tuple * depth..][..depth], &dims);
                let at = at.map_err(out_of_bounds)? * inner;
                for (out, &update) in output[at..].iter_mut().zip(&updates[tuple * inner..][..inner]) {
                    *out = add(*out, update);
                }
            }
            Ok(())
        })
    }
    if !indexes(cx, 0) {
        return Err(cx.unsupported());
    }
    match cx.elem(1)? {
        E::F32 => run::<f32>(cx, |a, b| a + b),
        E::I64 => run::<i64>(cx, i64::wrapping_add),
        E::I32 => run::<i32>(cx, i32::wrapping_add),
        E::I16 => run::<i16>(cx, i16::wrapping_add),
        E::I8 => run::<i8>(cx, i8::wrapping_add),
        E::U8 => run::<u8>(cx, u8::wrapping_add),
        E::Bool => run::<u8>(cx, |a, b| a | b),
        _ => Err(cx.unsupported()),
    }
}
