//! QUANTIZE and DEQUANTIZE.

use octet_ir::{ElementType as E, Type};

use super::{affine, kernel, operand, result};
use crate::int::quantize::{Requantize, dequantize as to_real, dequantize_per_axis, quantize as to_integer, quantize_per_axis};
use crate::int::{Affine, Quantized, unpack_i2, unpack_i4};
use crate::kernel::{PrepareCx, PrepareError, Prepared};

/// Scales along an axis and the number of elements behind it; `None` for per-tensor types.
fn axis_scales(cx: &PrepareCx<'_>, ty: &Type) -> Result<Option<(Vec<Affine>, usize)>, PrepareError> {
    let quant = ty.quant.as_ref().ok_or_else(|| cx.unsupported())?;
    let Some(axis) = quant.axis() else { return Ok(None) };
    let dims = ty.shape.dims();
    if dims.get(axis) != Some(&quant.scales().len()) {
        return Err(cx.invalid(format!("{} scales along axis {axis} of shape {}", quant.scales().len(), ty.shape)));
    }
    let pairs = quant.scales().iter().zip(quant.zero_points());
    let affine = pairs.map(|(&scale, &zero)| i32::try_from(zero).map(|zero_point| Affine { scale, zero_point })).collect::<Result<_, _>>();
    let affine = affine.map_err(|_| cx.invalid("a zero point does not fit 32 bits"))?;
    Ok(Some((affine, dims[axis + 1..].iter().product())))
}

pub(super) fn quantize(cx: &PrepareCx<'_>) -> Prepared {
    let (from, to) = (cx.elem(0)?, cx.result(0)?.elem);
    if from == E::F32 {
        return match to {
            E::I8 => from_real::<i8>(cx),
            E::U8 => from_real::<u8>(cx),
            E::I16 => from_real::<i16>(cx),
            E::I32 => from_real::<i32>(cx),
            _ => Err(cx.unsupported()),
        };
    }
    match from {
        E::I8 => requantize_from::<i8>(cx, to),
        E::U8 => requantize_from::<u8>(cx, to),
        E::I16 => requantize_from::<i16>(cx, to),
        E::I32 => requantize_from::<i32>(cx, to),
        _ => Err(cx.unsupported()),
    }
}

fn from_real<T: Quantized + bytemuck::Pod>(cx: &PrepareCx<'_>) -> Prepared {
    if let Some((scales, inner)) = axis_scales(cx, cx.result(0)?)? {
        return kernel(move |io| quantize_per_axis::<T>(io.input(0), io.output(0), &scales, inner));
    }
    let affine = result(cx)?;
    kernel(move |io| to_integer::<T>(io.input(0), io.output(0), affine))
}

fn requantize_from<I: Quantized + bytemuck::Pod>(cx: &PrepareCx<'_>, to: E) -> Prepared {
    let requantize = Requantize::prepare(operand(cx, 0)?, result(cx)?);
    match to {
        E::I8 => kernel(move |io| requantize.run::<I, i8>(io.input(0), io.output(0))),
        E::U8 => kernel(move |io| requantize.run::<I, u8>(io.input(0), io.output(0))),
        E::I16 => kernel(move |io| requantize.run::<I, i16>(io.input(0), io.output(0))),
        E::I32 => kernel(move |io| requantize.run::<I, i32>(io.input(0), io.output(0))),
        _ => Err(cx.unsupported()),
    }
}

pub(super) fn dequantize(cx: &PrepareCx<'_>) -> Prepared {
    if cx.result(0)?.elem != E::F32 {
        return Err(cx.unsupported());
    }
    match cx.elem(0)? {
        E::I8 => into_real::<i8>(cx),
        E::U8 => into_real::<u8>(cx),
        E::I16 => into_real::<i16>(cx),
        E::I32 => into_real::<i32>(cx),
        E::I4 => unpacked(cx, unpack_i4),
        E::I2 => unpacked(cx, unpack_i2),
        _ => Err(cx.unsupported()),
    }
}

fn into_real<T: Quantized + bytemuck::Pod>(cx: &PrepareCx<'_>) -> Prepared {
    let ty = cx.ty(0)?;
    if let Some((scales, inner)) = axis_scales(cx, ty)? {
        return kernel(move |io| dequantize_per_axis::<T>(io.input(0), io.output(0), &scales, inner));
    }
    let affine = affine(cx, ty)?;
    kernel(move |io| to_real::<T>(io.input(0), io.output(0), affine))
}

/// DEQUANTIZE of values of less than a byte.
fn unpacked(cx: &PrepareCx<'_>, unpack: fn(&[u8], usize) -> Vec<i8>) -> Prepared {
    let ty = cx.ty(0)?;
    let count = ty.shape.elements();
    if let Some((scales, inner)) = axis_scales(cx, ty)? {
        return kernel(move |io| dequantize_per_axis(&unpack(io.input(0), count), io.output(0), &scales, inner));
    }
    let affine = affine(cx, ty)?;
    kernel(move |io| to_real(&unpack(io.input(0), count), io.output(0), affine))
}
