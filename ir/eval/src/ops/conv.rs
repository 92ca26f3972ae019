//! Convolutions.

use octet_ir::ElementType as E;
use octet_ir::ops::{Activation, Conv2d, Conv3d, Conv3dTranspose, DepthwiseConv2d, Padding, TransposeConv, conv_padding};

use super::dense::{integer_weights, weight_scales};
use super::util::float_if_there;
use crate::float::activation::activate;
use crate::float::conv::{Axis, Conv, ConvShape};
use crate::float::depthwise::{Depthwise, DepthwiseShape};
use crate::float::hybrid::{quantize_asymmetric, quantize_symmetric, rescale};
use crate::float::transposed::{Transposed, TransposedShape};
use crate::kernel::{PrepareCx, PrepareError, Prepared, kernel_with_scratch};

/// The geometry along one axis, as TFLite places the window.
pub(super) fn axis(padding: Padding, input: usize, output: usize, filter: usize, stride: usize, dilation: usize) -> Axis {
    let (pad, _) = conv_padding(padding, input, output, filter, stride, dilation);
    Axis { input, output, filter, stride, dilation, pad }
}

/// The interval of a clamping activation; others are applied to the output afterwards.
pub(super) fn clamp_of(activation: Activation) -> (f32, f32) {
    activation.bounds().unwrap_or(UNCLAMPED)
}

const UNCLAMPED: (f32, f32) = (f32::NEG_INFINITY, f32::INFINITY);

/// The two convolutions over weights, ready to run.
trait Convolution: Send + Sync + Sized + 'static {
    /// What it is made from besides weights.
    type Shape: Copy + Send + Sync + 'static;
    fn prepare(shape: Self::Shape, filter: &[f32], bias: Option<&[f32]>, clamp: (f32, f32)) -> Self;
    /// Elements of scratch.
    fn scratch(shape: Self::Shape) -> usize;
    fn run(&self, input: &[f32], output: &mut [f32], scratch: &mut [f32]);
}

impl Convolution for Conv {
    type Shape = ConvShape;
    fn prepare(shape: ConvShape, filter: &[f32], bias: Option<&[f32]>, clamp: (f32, f32)) -> Self {
        Self::new(shape, filter, bias, clamp)
    }
    fn scratch(shape: ConvShape) -> usize {
        shape.scratch()
    }
    fn run(&self, input: &[f32], output: &mut [f32], scratch: &mut [f32]) {
        self.run(input, output, scratch);
    }
}

impl Convolution for Depthwise {
    type Shape = DepthwiseShape;
    fn prepare(shape: DepthwiseShape, filter: &[f32], bias: Option<&[f32]>, clamp: (f32, f32)) -> Self {
        Self::new(shape, filter, bias, clamp)
    }
    fn scratch(shape: DepthwiseShape) -> usize {
        shape.scratch()
    }
    fn run(&self, input: &[f32], output: &mut [f32], scratch: &mut [f32]) {
        self.run(input, output, scratch);
    }
}

/// Operands input, filter and bias, all f32. Constant weights are packed now, others in every run.
fn float<C: Convolution>(cx: &PrepareCx<'_>, shape: C::Shape, activation: Activation) -> Prepared {
    float_if_there(cx, 2)?;
    let clamp = clamp_of(activation);
    let finish = move |output: &mut [f32]| {
        if activation.bounds().is_none() {
            activate(activation, output);
        }
    };
    let bias = cx.constant::<f32>(2);
    let scratch = C::scratch(shape).saturating_mul(size_of::<f32>());
    match cx.constant::<f32>(1).filter(|_| cx.optional(2).is_none() || bias.is_some()) {
        Some(filter) => {
            let conv = C::prepare(shape, &filter, bias.as_deref(), clamp);
            kernel_with_scratch(scratch, move |io| {
                let input = io.input(0);
                let (output, scratch) = io.output_and_scratch(0);
                conv.run(input, output, scratch);
                finish(output);
            })
        }
        None => kernel_with_scratch(scratch, move |io| {
            let conv = C::prepare(shape, io.input(1), io.optional(2), clamp);
            let input = io.input(0);
            let (output, scratch) = io.output_and_scratch(0);
            conv.run(input, output, scratch);
            finish(output);
        }),
    }
}

/// Float input and integer weights: the input is rounded to 8 bits, sample by sample.
fn hybrid<C: Convolution>(cx: &PrepareCx<'_>, one: C::Shape, channels: usize, activation: Activation, symmetric: bool) -> Prepared {
    float_if_there(cx, 2)?;
    let weights = cx.ty(1)?;
    let scales = weight_scales(cx, weights)?;
    if scales.len() != 1 && scales.len() != channels {
        return Err(cx.unsupported());
    }
    let numbers = integer_weights(&cx.value::<u8>(1)?, weights);
    let conv = C::prepare(one, &numbers, None, UNCLAMPED);
    let scratch = C::scratch(one);
    let batch = cx.shape(0)?.first().copied().unwrap_or(1).max(1);
    let sample = cx.ty(0)?.shape.elements() / batch;
    let result = cx.result(0)?.shape.elements() / batch;
    let clamp = clamp_of(activation);
    kernel_with_scratch(sample.saturating_add(scratch).saturating_mul(size_of::<f32>()), move |io| {
        let (input, bias) = (io.input::<f32>(0), io.optional::<f32>(2));
        let (output, scratch) = io.output_and_scratch::<f32, f32>(0);
        let (rounded, scratch) = scratch.split_at_mut(sample);
        for (x, y) in input.chunks_exact(sample.max(1)).zip(output.chunks_exact_mut(result.max(1))) {
            let step = if symmetric { quantize_symmetric(x, rounded) } else { quantize_asymmetric(x, rounded) };
            conv.run(rounded, y, scratch);
            rescale(y, step, &scales, bias, channels, clamp);
        }
        if activation.bounds().is_none() {
            activate(activation, output);
        }
    })
}

pub(super) fn conv_2d(op: &Conv2d, cx: &PrepareCx<'_>) -> Prepared {
    let [batch, h, w, input_channels] = cx.dims(0)?;
    let [output_channels, kh, kw, group] = cx.dims(1)?;
    let &[_, oh, ow, _] = cx.result_shape(0)? else { return Err(cx.invalid("the result has no rank of 4")) };
    let shape = ConvShape {
        batch,
        axes: [
            Axis::UNIT,
            axis(op.padding, h, oh, kh, op.stride[0], op.dilation[0]),
            axis(op.padding, w, ow, kw, op.stride[1], op.dilation[1]),
        ],
        input_channels,
        output_channels,
        groups: input_channels / group.max(1),
    };
    match (cx.elem(0)?, cx.elem(1)?) {
        (E::F32, E::F32) => float::<Conv>(cx, shape, op.activation),
        (E::F32, E::I8 | E::I4) => {
            // With one scale for all filters (and no groups) LiteRT rounds the input symmetrically.
            let scales = weight_scales(cx, cx.ty(1)?)?;
            let symmetric = shape.groups == 1 && scales.iter().all(|scale| *scale == scales[0]);
            hybrid::<Conv>(cx, ConvShape { batch: 1, ..shape }, output_channels, op.activation, symmetric)
        }
        _ => Err(cx.unsupported()),
    }
}

pub(super) fn depthwise_conv_2d(op: &DepthwiseConv2d, cx: &PrepareCx<'_>) -> Prepared {
    let [batch, h, w, input_channels] = cx.dims(0)?;
    let [_, kh, kw, channels] = cx.dims(1)?;
    let &[_, oh, ow, _] = cx.result_shape(0)? else { return Err(cx.invalid("the result has no rank of 4")) };
    let shape = DepthwiseShape {
        batch,
        axes: [axis(op.padding, h, oh, kh, op.stride[0], op.dilation[0]), axis(op.padding, w, ow, kw, op.stride[1], op.dilation[1])],
        input_channels,
        multiplier: channels / input_channels.max(1),
    };
    match (cx.elem(0)?, cx.elem(1)?) {
        (E::F32, E::F32) => float::<Depthwise>(cx, shape, op.activation),
        (E::F32, E::I8) => hybrid::<Depthwise>(cx, DepthwiseShape { batch: 1, ..shape }, channels, op.activation, false),
        _ => Err(cx.unsupported()),
    }
}

/// A transposed convolution whose filter's weight of `(tap, output channel, input channel)` stands at `at`.
fn transposed(
    cx: &PrepareCx<'_>,
    shape: TransposedShape,
    at: impl Fn(usize, usize, usize) -> usize + Send + Sync + 'static,
    activation: Activation,
) -> Prepared {
    float_if_there(cx, 3)?;
    let clamp = clamp_of(activation);
    let finish = move |output: &mut [f32]| {
        if activation.bounds().is_none() {
            activate(activation, output);
        }
    };
    let bias = cx.constant::<f32>(3);
    let scratch = shape.scratch().saturating_mul(size_of::<f32>());
    let make = move |filter: &[f32], bias: Option<&[f32]>| Transposed::new(shape, |tap, co, ci| filter[at(tap, co, ci)], bias, clamp);
    match cx.constant::<f32>(1).filter(|_| cx.optional(3).is_none() || bias.is_some()) {
        Some(filter) => {
            let conv = make(&filter, bias.as_deref());
            kernel_with_scratch(scratch, move |io| {
                let input = io.input(2);
                let (output, scratch) = io.output_and_scratch(0);
                conv.run(input, output, scratch);
                finish(output);
            })
        }
        None => kernel_with_scratch(scratch, move |io| {
            let conv = make(io.input(1), io.optional(3));
            let input = io.input(2);
            let (output, scratch) = io.output_and_scratch(0);
            conv.run(input, output, scratch);
            finish(output);
        }),
    }
}

/// Refuses anything but f32 input and filter.
fn only_float(cx: &PrepareCx<'_>, input: usize, filter: usize) -> Result<(), PrepareError> {
    if cx.elem(input)? == E::F32 && cx.elem(filter)? == E::F32 { Ok(()) } else { Err(cx.unsupported()) }
}

/// A transposed convolution of float input and integer weights: the input is rounded to 8 bits, sample by sample.
fn hybrid_transposed(
    cx: &PrepareCx<'_>,
    one: TransposedShape,
    at: impl Fn(usize, usize, usize) -> usize,
    activation: Activation,
) -> Prepared {
    float_if_there(cx, 3)?;
    let (weights, channels) = (cx.ty(1)?, one.output_channels);
    let scales = weight_scales(cx, weights)?;
    if scales.len() != 1 && scales.len() != channels {
        return Err(cx.unsupported());
    }
    let numbers = integer_weights(&cx.value::<u8>(1)?, weights);
    let conv = Transposed::new(one, |tap, co, ci| numbers[at(tap, co, ci)], None, UNCLAMPED);
    let batch = cx.shape(2)?.first().copied().unwrap_or(1).max(1);
    let sample = cx.ty(2)?.shape.elements() / batch;
    let result = cx.result(0)?.shape.elements() / batch;
    let clamp = clamp_of(activation);
    kernel_with_scratch(sample.saturating_add(one.scratch()).saturating_mul(size_of::<f32>()), move |io| {
        let (input, bias) = (io.input::<f32>(2), io.optional::<f32>(3));
        let (output, scratch) = io.output_and_scratch::<f32, f32>(0);
        let (rounded, scratch) = scratch.split_at_mut(sample);
        for (x, y) in input.chunks_exact(sample.max(1)).zip(output.chunks_exact_mut(result.max(1))) {
            let step = quantize_asymmetric(x, rounded);
            conv.run(rounded, y, scratch);
            rescale(y, step, &scales, bias, channels, clamp);
        }
        if activation.bounds().is_none() {
            activate(activation, output);
        }
    })
}

pub(super) fn transpose_conv(op: &TransposeConv, cx: &PrepareCx<'_>) -> Prepared {
    let [output_channels, kh, kw, input_channels] = cx.dims(1)?;
    let [batch, h, w, _] = cx.dims(2)?;
    let &[_, oh, ow, _] = cx.result_shape(0)? else { return Err(cx.invalid("the result has no rank of 4")) };
    let shape = TransposedShape {
        batch,
        axes: [Axis::UNIT, axis(op.padding, oh, h, kh, op.stride[0], 1), axis(op.padding, ow, w, kw, op.stride[1], 1)],
        input_channels,
        output_channels,
    };
    let taps = kh * kw;
    let at = move |tap, co, ci| (co * taps + tap) * input_channels + ci;
    match (cx.elem(2)?, cx.elem(1)?) {
        (E::F32, E::F32) => transposed(cx, shape, at, op.activation),
        (E::F32, E::I8) => hybrid_transposed(cx, TransposedShape { batch: 1, ..shape }, at, op.activation),
        _ => Err(cx.unsupported()),
    }
}

pub(super) fn conv_3d(op: &Conv3d, cx: &PrepareCx<'_>) -> Prepared {
    only_float(cx, 0, 1)?;
    let [batch, d, h, w, input_channels] = cx.dims(0)?;
    let [kd, kh, kw, _, output_channels] = cx.dims(1)?;
    let &[_, od, oh, ow, _] = cx.result_shape(0)? else { return Err(cx.invalid("the result has no rank of 5")) };
    let (stride, dilation) = (op.stride, op.dilation);
    let shape = ConvShape {
        batch,
        axes: [
            axis(op.padding, d, od, kd, stride[0], dilation[0]),
            axis(op.padding, h, oh, kh, stride[1], dilation[1]),
            axis(op.padding, w, ow, kw, stride[2], dilation[2]),
        ],
        input_channels,
        output_channels,
        groups: 1,
    };
    float::<Conv3dKernel>(cx, shape, op.activation)
}

/// A convolution whose filter is `[D, H, W, I, O]`.
struct Conv3dKernel(Conv);

impl Convolution for Conv3dKernel {
    type Shape = ConvShape;
    fn prepare(shape: ConvShape, filter: &[f32], bias: Option<&[f32]>, clamp: (f32, f32)) -> Self {
        let outputs = shape.output_channels;
        Self(Conv::with_filter(shape, |out, k| filter[k * outputs + out], bias, clamp))
    }
    fn scratch(shape: ConvShape) -> usize {
        shape.scratch()
    }
    fn run(&self, input: &[f32], output: &mut [f32], scratch: &mut [f32]) {
        self.0.run(input, output, scratch);
    }
}

pub(super) fn conv_3d_transpose(op: &Conv3dTranspose, cx: &PrepareCx<'_>) -> Prepared {
    only_float(cx, 2, 1)?;
    let [kd, kh, kw, output_channels, input_channels] = cx.dims(1)?;
    let [batch, d, h, w, _] = cx.dims(2)?;
    let &[n, od, oh, ow, co] = cx.result_shape(0)? else { return Err(cx.invalid("the result has no rank of 5")) };
    let axes = [
        axis(op.padding, od, d, kd, op.stride[0], op.dilation[0]),
        axis(op.padding, oh, h, kh, op.stride[1], op.dilation[1]),
        axis(op.padding, ow, w, kw, op.stride[2], op.dilation[2]),
    ];
    if n != batch || co != output_channels {
        return Err(cx.invalid("output_shape does not fit the input and the filter"));
    }
    let shape = TransposedShape { batch, axes, input_channels, output_channels };
    transposed(cx, shape, move |tap, co, ci| (tap * output_channels + co) * input_channels + ci, op.activation)
}
