//! Convolutions: filters slide over `[N, H, W, C]` (or `[N, D, H, W, C]`) tensors.

use super::common::{Activation, Padding, window_output};
use super::infer::{InferCx, InferError, Inferred, invalid, keep_dynamic};
use crate::types::ElementType;

op! {
    /// 2-D convolution: `input [N, H, W, Ci]`, `filter [Co, Kh, Kw, Ci / groups]`, `bias [Co]` give `[N, Ho, Wo, Co]`.
    /// The number of groups is `Ci` divided by the filter's innermost size.
    Conv2d = "conv_2d" [input, filter, bias?] conv_2d;
    {
        /// Border treatment.
        padding: Padding = Padding::Same,
        /// Step along height and width.
        stride: [usize; 2] = [1, 1],
        /// Distance between filter taps along height and width.
        dilation: [usize; 2] = [1, 1],
        /// Fused activation.
        activation: Activation = Activation::None,
        /// Element type of the accumulator and bias of a 16x8 kernel, where the source says.
        quantized_bias_type: Option<ElementType> = None,
    }
}

fn conv_2d(op: &Conv2d, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let [n, h, w, ci] = cx.dims(0)?;
    let [co, kh, kw, group_ci] = cx.dims(1)?;
    if group_ci == 0 || ci % group_ci != 0 || co % (ci / group_ci).max(1) != 0 {
        return Err(invalid(format!("{ci} input channels and {co} filters do not split into groups of {group_ci} channels")));
    }
    check_bias(cx, 2, co)?;
    let ho = window_output(op.padding, h, kh, op.stride[0], op.dilation[0])?;
    let wo = window_output(op.padding, w, kw, op.stride[1], op.dilation[1])?;
    let shape = keep_dynamic(cx.shape(0)?, vec![n, ho, wo, co], &[0, 1, 2]);
    Ok(vec![(cx.result_elem(0, cx.elem(0)?), shape)])
}

fn check_bias(cx: &InferCx<'_>, operand: usize, channels: usize) -> Result<(), InferError> {
    match cx.optional(operand) {
        Some(bias) if bias.shape.elements() != channels => {
            Err(invalid(format!("the bias has {} elements, expected {channels}", bias.shape.elements())))
        }
        _ => Ok(()),
    }
}

op! {
    /// Depthwise 2-D convolution: `input [N, H, W, C]`, `filter [1, Kh, Kw, C * depth_multiplier]`, `bias`.
    /// Output channel `c * depth_multiplier + m` reads input channel `c`.
    DepthwiseConv2d = "depthwise_conv_2d" [input, filter, bias?] depthwise_conv_2d;
    {
        /// Border treatment.
        padding: Padding = Padding::Same,
        /// Step along height and width.
        stride: [usize; 2] = [1, 1],
        /// Distance between filter taps along height and width.
        dilation: [usize; 2] = [1, 1],
        /// Output channels per input channel, as the source states it; kernels divide the filter's channels by the input's.
        depth_multiplier: usize = 1,
        /// Fused activation.
        activation: Activation = Activation::None,
    }
}

fn depthwise_conv_2d(op: &DepthwiseConv2d, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let [n, h, w, ci] = cx.dims(0)?;
    let [one, kh, kw, co] = cx.dims(1)?;
    if one != 1 || ci == 0 || co % ci != 0 {
        return Err(invalid(format!("a filter of {one}x{kh}x{kw}x{co} does not fit {ci} input channels")));
    }
    check_bias(cx, 2, co)?;
    let ho = window_output(op.padding, h, kh, op.stride[0], op.dilation[0])?;
    let wo = window_output(op.padding, w, kw, op.stride[1], op.dilation[1])?;
    let shape = keep_dynamic(cx.shape(0)?, vec![n, ho, wo, co], &[0, 1, 2]);
    Ok(vec![(cx.result_elem(0, cx.elem(0)?), shape)])
}

op! {
    /// Transposed 2-D convolution: `output_shape` holds `[N, Ho, Wo, Co]`, `filter [Co, Kh, Kw, Ci]`, `input [N, H, W, Ci]`.
    TransposeConv = "transpose_conv" [output_shape, filter, input, bias?] transpose_conv;
    {
        /// Border treatment of the convolution whose gradient this is.
        padding: Padding = Padding::Same,
        /// Step along height and width.
        stride: [usize; 2] = [1, 1],
        /// Fused activation.
        activation: Activation = Activation::None,
        /// Element type of the accumulator and bias of a 16x8 kernel, where the source says.
        quantized_bias_type: Option<ElementType> = None,
    }
}

fn transpose_conv(op: &TransposeConv, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let [co, kh, kw, filter_ci] = cx.dims(1)?;
    let [n, h, w, ci] = cx.dims(2)?;
    if filter_ci != ci {
        return Err(invalid(format!("the filter takes {filter_ci} channels, the input has {ci}")));
    }
    check_bias(cx, 3, co)?;
    let sizes = cx.sizes(0)?;
    let &[out_n, ho, wo, out_co] = sizes.as_slice() else {
        return Err(invalid(format!("output_shape has {} entries, expected 4", sizes.len())));
    };
    if out_n != n || out_co != co {
        return Err(invalid(format!("output_shape [{out_n}, .., .., {out_co}] does not fit {n} images and {co} filters")));
    }
    for (input, output, filter, stride) in [(h, ho, kh, op.stride[0]), (w, wo, kw, op.stride[1])] {
        if window_output(op.padding, output, filter, stride, 1)? != input {
            return Err(invalid(format!(
                "an output of {output} with filter {filter} and stride {stride} does not come from an input of {input}"
            )));
        }
    }
    let shape = keep_dynamic(cx.shape(2)?, sizes, &[0]);
    Ok(vec![(cx.result_elem(0, cx.elem(2)?), shape)])
}

op! {
    /// 3-D convolution: `input [N, D, H, W, Ci]`, `filter [Kd, Kh, Kw, Ci, Co]`, `bias [Co]`.
    Conv3d = "conv_3d" [input, filter, bias?] conv_3d;
    {
        /// Border treatment.
        padding: Padding = Padding::Same,
        /// Step along depth, height and width.
        stride: [usize; 3] = [1, 1, 1],
        /// Distance between filter taps along depth, height and width.
        dilation: [usize; 3] = [1, 1, 1],
        /// Fused activation.
        activation: Activation = Activation::None,
    }
}

fn conv_3d(op: &Conv3d, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let [n, d, h, w, ci] = cx.dims(0)?;
    let [kd, kh, kw, filter_ci, co] = cx.dims(1)?;
    if filter_ci != ci {
        return Err(invalid(format!("the filter takes {filter_ci} channels, the input has {ci}")));
    }
    check_bias(cx, 2, co)?;
    let mut dims = vec![n];
    for (axis, (input, filter)) in [(d, kd), (h, kh), (w, kw)].into_iter().enumerate() {
        dims.push(window_output(op.padding, input, filter, op.stride[axis], op.dilation[axis])?);
    }
    dims.push(co);
    Ok(vec![(cx.elem(0)?, keep_dynamic(cx.shape(0)?, dims, &[0, 1, 2, 3]))])
}

op! {
    /// Transposed 3-D convolution: `output_shape` holds `[N, D, H, W, Co]`, `filter [Kd, Kh, Kw, Co, Ci]`, `input [N, D, H, W, Ci]`.
    Conv3dTranspose = "conv_3d_transpose" [output_shape, filter, input, bias?] conv_3d_transpose;
    {
        /// Border treatment of the convolution whose gradient this is.
        padding: Padding = Padding::Same,
        /// Step along depth, height and width.
        stride: [usize; 3] = [1, 1, 1],
        /// Distance between filter taps along depth, height and width.
        dilation: [usize; 3] = [1, 1, 1],
        /// Fused activation.
        activation: Activation = Activation::None,
    }
}

fn conv_3d_transpose(_: &Conv3dTranspose, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let [_, _, _, co, filter_ci] = cx.dims(1)?;
    let [_, _, _, _, ci] = cx.dims(2)?;
    if filter_ci != ci {
        return Err(invalid(format!("the filter takes {filter_ci} channels, the input has {ci}")));
    }
    check_bias(cx, 3, co)?;
    let sizes = cx.sizes(0)?;
    if sizes.len() != 5 {
        return Err(invalid(format!("output_shape has {} entries, expected 5", sizes.len())));
    }
    Ok(vec![(cx.elem(2)?, sizes.into())])
}
