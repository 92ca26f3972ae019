//! Convolutions.

use octet_ir::ElementType as E;
use octet_ir::ops::{Activation, Conv2d, Conv3d, Conv3dTranspose, DepthwiseConv2d, Padding, TransposeConv, conv_padding};

use crate::float::conv::{Axis, Conv, ConvShape};
use crate::float::depthwise::{Depthwise, DepthwiseShape};
use crate::kernel::{PrepareCx, Prepared, kernel, kernel_with_scratch};

/// The geometry along one axis, as TFLite places the window.
pub(super) fn axis(padding: Padding, input: usize, output: usize, filter: usize, stride: usize, dilation: usize) -> Axis {
    let (pad, _) = conv_padding(padding, input, output, filter, stride, dilation);
    Axis { input, output, filter, stride, dilation, pad }
}

pub(super) fn conv_2d(op: &Conv2d, cx: &PrepareCx<'_>) -> Prepared {
    match (cx.elem(0)?, cx.elem(1)?) {
        (E::F32, E::F32) => float_conv_2d(op, cx),
        _ => Err(cx.unsupported()),
    }
}

/// The interval of a clamping activation; others are applied to the output afterwards.
pub(super) fn clamp_of(activation: Activation) -> (f32, f32) {
    activation.bounds().unwrap_or((f32::NEG_INFINITY, f32::INFINITY))
}

fn float_conv_2d(op: &Conv2d, cx: &PrepareCx<'_>) -> Prepared {
    let [batch, h, w, input_channels] = cx.dims(0)?;
    let [output_channels, kh, kw, group] = cx.dims(1)?;
    let &[_, oh, ow, _] = cx.result_shape(0)? else { return Err(cx.invalid("the result has rank 4")) };
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
    let clamp = clamp_of(op.activation);
    let has_bias = cx.optional(2).is_some();
    if let Some(filter) = cx.constant::<f32>(1)
        && (!has_bias || cx.constant::<f32>(2).is_some())
    {
        let conv = Conv::new(shape, &filter, cx.constant::<f32>(2).as_deref(), clamp);
        kernel_with_scratch(conv.scratch() * size_of::<f32>(), move |io| {
            let input = io.input(0);
            let (output, scratch) = io.output_and_scratch(0);
            conv.run(input, output, scratch);
        })
    } else {
        kernel(move |io| {
            let conv = Conv::new(shape, io.input(1), io.optional(2), clamp);
            conv.run(io.input(0), io.output(0), &mut vec![0.0; conv.scratch()]);
        })
    }
}

pub(super) fn depthwise_conv_2d(op: &DepthwiseConv2d, cx: &PrepareCx<'_>) -> Prepared {
    match (cx.elem(0)?, cx.elem(1)?) {
        (E::F32, E::F32) => float_depthwise(op, cx),
        _ => Err(cx.unsupported()),
    }
}

fn float_depthwise(op: &DepthwiseConv2d, cx: &PrepareCx<'_>) -> Prepared {
    let [batch, h, w, input_channels] = cx.dims(0)?;
    let [_, kh, kw, channels] = cx.dims(1)?;
    let &[_, oh, ow, _] = cx.result_shape(0)? else { return Err(cx.invalid("the result has rank 4")) };
    let shape = DepthwiseShape {
        batch,
        axes: [axis(op.padding, h, oh, kh, op.stride[0], op.dilation[0]), axis(op.padding, w, ow, kw, op.stride[1], op.dilation[1])],
        input_channels,
        multiplier: channels / input_channels.max(1),
    };
    let clamp = clamp_of(op.activation);
    let has_bias = cx.optional(2).is_some();
    if let Some(filter) = cx.constant::<f32>(1)
        && (!has_bias || cx.constant::<f32>(2).is_some())
    {
        let conv = Depthwise::new(shape, &filter, cx.constant::<f32>(2).as_deref(), clamp);
        kernel_with_scratch(conv.scratch() * size_of::<f32>(), move |io| {
            let input = io.input(0);
            let (output, scratch) = io.output_and_scratch(0);
            conv.run(input, output, scratch);
        })
    } else {
        kernel(move |io| {
            let conv = Depthwise::new(shape, io.input(1), io.optional(2), clamp);
            conv.run(io.input(0), io.output(0), &mut vec![0.0; conv.scratch()]);
        })
    }
}

pub(super) fn transpose_conv(_op: &TransposeConv, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn conv_3d(_op: &Conv3d, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn conv_3d_transpose(_op: &Conv3dTranspose, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}
