//! Matrix products on integers.

use octet_ir::ElementType as E;
use octet_ir::ops::{BatchMatmul, FullyConnected, WeightsFormat};

use super::conv::{bias, is_wide, layer_scales, weights};
use super::{by_storage, kernel, operand, prepared, result};
use crate::int::{self, Storage};
use crate::kernel::{PrepareCx, Prepared};

pub(super) fn fully_connected(op: &FullyConnected, cx: &PrepareCx<'_>) -> Prepared {
    let elem = cx.elem(0)?;
    let fits = matches!((elem, cx.elem(1)?), (E::U8, E::U8) | (E::I8 | E::I16, E::I8 | E::I4 | E::I2));
    if !fits || cx.result(0)?.elem != elem || op.weights_format != WeightsFormat::Default {
        return Err(cx.unsupported());
    }
    let shape: [usize; 2] = cx.dims(1)?;
    let bias = bias(cx, 2, shape[0], is_wide(cx, elem, 2, op.quantized_bias_type))?;
    let scales = layer_scales(cx, 0, 1, 0, op.activation)?;
    let profile = cx.profile;
    by_storage!(cx, elem, T => {
        use int::fully_connected::FullyConnected as Kernel;
        let layer = prepared(cx, Kernel::prepare(Storage::of::<T>(), Storage::of::<T>(), shape, &weights(cx, 1)?, bias, scales, profile))?;
        kernel(move |io| layer.run::<T, T>(io.input(0), io.output(0)))
    })
}

pub(super) fn batch_matmul(op: &BatchMatmul, cx: &PrepareCx<'_>) -> Prepared {
    let elem = cx.elem(0)?;
    if cx.elem(1)? != elem || cx.result(0)?.elem != elem {
        return Err(cx.unsupported());
    }
    let (lhs, rhs) = (cx.shape(0)?, cx.shape(1)?);
    let (a, b, out) = (operand(cx, 0)?, operand(cx, 1)?, result(cx)?);
    by_storage!(cx, elem, T => {
        let product = prepared(cx, int::batch_matmul::BatchMatmul::prepare(Storage::of::<T>(), lhs, rhs, op.adj_x, op.adj_y, a, b, out))?;
        kernel(move |io| product.run::<T>(io.input(0), io.input(1), io.output(0)))
    })
}
