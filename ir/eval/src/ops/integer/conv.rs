//! Convolutions on integers.

use octet_ir::ElementType as E;
use octet_ir::ops::{Activation, Conv2d, DepthwiseConv2d, Padding, TransposeConv, conv_padding};

use super::{affine, bounds, by_storage, kernel, operand, prepared};
use crate::int::conv2d::{Bias, LayerScales};
use crate::int::window::Window;
use crate::int::{self, Storage, unpack_i2, unpack_i4};
use crate::kernel::{PrepareCx, PrepareError, Prepared};

/// The weights in operand `index`, 16 bits each, less their zero point.
pub(super) fn weights(cx: &PrepareCx<'_>, index: usize) -> Result<Vec<i16>, PrepareError> {
    let ty = cx.ty(index)?;
    let count = ty.shape.elements();
    let (scales, zero) = zero_point(cx, index)?;
    let mut weights: Vec<i16> = match ty.elem {
        E::I8 => cx.value::<i8>(index)?.iter().copied().map(i16::from).collect(),
        E::U8 => cx.value::<u8>(index)?.iter().copied().map(i16::from).collect(),
        E::I4 => unpack_i4(&cx.value::<u8>(index)?, count).into_iter().map(i16::from).collect(),
        E::I2 => unpack_i2(&cx.value::<u8>(index)?, count).into_iter().map(i16::from).collect(),
        _ => return Err(cx.unsupported()),
    };
    // Per-channel kernels take zero point 0 for granted.
    if scales == 1 {
        weights.iter_mut().for_each(|w| *w = w.wrapping_sub(zero));
    }
    Ok(weights)
}

/// How many scales the weights in operand `index` have, and their common zero point.
fn zero_point(cx: &PrepareCx<'_>, index: usize) -> Result<(usize, i16), PrepareError> {
    let quant = cx.ty(index)?.quant.as_ref().ok_or_else(|| cx.unsupported())?;
    let zero = quant.zero_points().first().copied().unwrap_or(0);
    if quant.zero_points().iter().any(|&z| z != zero) {
        return Err(cx.invalid("the weights have several zero points"));
    }
    let zero = i16::try_from(zero).ok().filter(|z| (-255..=255).contains(z));
    Ok((quant.scales().len(), zero.ok_or_else(|| cx.invalid("the weights' zero point does not fit"))?))
}

/// Scales of the weights in operand `index`, per tensor or along `axis`.
pub(super) fn weight_scales<'a>(cx: &PrepareCx<'a>, index: usize, axis: usize) -> Result<&'a [f32], PrepareError> {
    let quant = cx.ty(index)?.quant.as_ref().ok_or_else(|| cx.unsupported())?;
    let fits = match quant.axis() {
        Some(a) => a == axis || quant.scales().len() == 1,
        None => quant.per_tensor().is_some(),
    };
    let positive = quant.scales().iter().all(|s| s.is_finite() && *s >= 0.0);
    if fits && positive { Ok(quant.scales()) } else { Err(cx.unsupported()) }
}

/// The bias in operand `index`, 32 or 64 bits, as wide as the accumulator.
pub(super) fn bias(cx: &PrepareCx<'_>, index: usize, channels: usize, wide: bool) -> Result<Bias, PrepareError> {
    let Some(ty) = cx.optional(index) else { return Ok(Bias::zeros(channels, wide)) };
    Ok(match (ty.elem, wide) {
        (E::I32, false) => Bias::Narrow(cx.value::<i32>(index)?.into_owned()),
        (E::I64, true) => Bias::Wide(cx.value::<i64>(index)?.into_owned()),
        (E::I32 | E::I16, true) => Bias::Wide(cx.ints(index)?),
        _ => return Err(cx.unsupported()),
    })
}

/// Whether a kernel with 16-bit activations sums in 64 bits: unless the bias, or what stands for a missing one, has 32.
pub(super) fn is_wide(cx: &PrepareCx<'_>, activations: E, bias: usize, bias_type: Option<E>) -> bool {
    activations == E::I16 && cx.optional(bias).map(|ty| ty.elem).or(bias_type) != Some(E::I32)
}

pub(super) fn layer_scales<'a>(
    cx: &PrepareCx<'a>,
    input: usize,
    filter: usize,
    axis: usize,
    activation: Activation,
) -> Result<LayerScales<'a>, PrepareError> {
    Ok(LayerScales {
        input: operand(cx, input)?,
        weights: weight_scales(cx, filter, axis)?,
        output: affine(cx, cx.result(0)?)?,
        activation: bounds(cx, activation)?,
    })
}

fn window(padding: Padding, input: [usize; 2], output: [usize; 2], filter: [usize; 2], stride: [usize; 2], dilation: [usize; 2]) -> Window {
    let front = |axis: usize| conv_padding(padding, input[axis], output[axis], filter[axis], stride[axis], dilation[axis]).0;
    Window { stride, dilation, padding: [front(0), front(1)] }
}

/// Input, filter and output must be of one storage, with weights of 8 signed bits for 16-bit activations.
fn check_types(cx: &PrepareCx<'_>, input: usize, filter: usize) -> Result<E, PrepareError> {
    let elem = cx.elem(input)?;
    let fits = matches!((elem, cx.elem(filter)?), (E::U8, E::U8) | (E::I8 | E::I16, E::I8 | E::I4));
    if fits && cx.result(0)?.elem == elem { Ok(elem) } else { Err(cx.unsupported()) }
}

pub(super) fn conv_2d(op: &Conv2d, cx: &PrepareCx<'_>) -> Prepared {
    let elem = check_types(cx, 0, 1)?;
    let [_, height, width, _] = cx.dims(0)?;
    let [channels, kh, kw, _] = cx.dims(1)?;
    let output = cx.result_shape(0)?;
    let &[_, out_height, out_width, _] = output else { return Err(cx.invalid("the result needs 4 axes")) };
    let window = window(op.padding, [height, width], [out_height, out_width], [kh, kw], op.stride, op.dilation);
    let bias = bias(cx, 2, channels, is_wide(cx, elem, 2, op.quantized_bias_type))?;
    let scales = layer_scales(cx, 0, 1, 0, op.activation)?;
    let (input, filter) = (cx.shape(0)?, cx.shape(1)?);
    by_storage!(cx, elem, T => {
        let conv = prepared(cx, int::conv2d::Conv2d::prepare(Storage::of::<T>(), window, input, filter, output, &weights(cx, 1)?, bias, scales))?;
        kernel(move |io| conv.run::<T>(io.input(0), io.output(0)))
    })
}

pub(super) fn depthwise_conv_2d(op: &DepthwiseConv2d, cx: &PrepareCx<'_>) -> Prepared {
    let elem = check_types(cx, 0, 1)?;
    let [_, height, width, _] = cx.dims(0)?;
    let [_, kh, kw, channels] = cx.dims(1)?;
    let output = cx.result_shape(0)?;
    let &[_, out_height, out_width, _] = output else { return Err(cx.invalid("the result needs 4 axes")) };
    let window = window(op.padding, [height, width], [out_height, out_width], [kh, kw], op.stride, op.dilation);
    let bias = bias(cx, 2, channels, elem == E::I16)?;
    let scales = layer_scales(cx, 0, 1, 3, op.activation)?;
    let (input, filter) = (cx.shape(0)?, cx.shape(1)?);
    by_storage!(cx, elem, T => {
        use int::depthwise::DepthwiseConv2d as Kernel;
        let conv = prepared(cx, Kernel::prepare(Storage::of::<T>(), window, input, filter, output, &weights(cx, 1)?, bias, scales))?;
        kernel(move |io| conv.run::<T>(io.input(0), io.output(0)))
    })
}

pub(super) fn transpose_conv(op: &TransposeConv, cx: &PrepareCx<'_>) -> Prepared {
    let elem = check_types(cx, 2, 1)?;
    let [_, height, width, _] = cx.dims(2)?;
    let [channels, kh, kw, _] = cx.dims(1)?;
    let output = cx.result_shape(0)?;
    let &[_, out_height, out_width, _] = output else { return Err(cx.invalid("the result needs 4 axes")) };
    // The convolution that this one transposes reads our output and writes our input.
    let window = window(op.padding, [out_height, out_width], [height, width], [kh, kw], op.stride, [1, 1]);
    let bias = bias(cx, 3, channels, elem == E::I16)?;
    let scales = layer_scales(cx, 2, 1, 0, op.activation)?;
    let (input, filter) = (cx.shape(2)?, cx.shape(1)?);
    by_storage!(cx, elem, T => {
        use int::transpose_conv::TransposeConv as Kernel;
        let conv = prepared(cx, Kernel::prepare(Storage::of::<T>(), window, input, filter, output, &weights(cx, 1)?, bias, scales))?;
        kernel(move |io| conv.run::<T>(io.input(2), io.output(0)))
    })
}
