//! Convolutions.

use octet_ir::ElementType;
use octet_ir::ops::{Conv2d, Conv3d, Conv3dTranspose, DepthwiseConv2d, Padding, TransposeConv};

use super::weights::{Rules, bias, sum_range, weights};
use super::{Family, activation, clamped, padding, window};
use crate::build::Cx;
use crate::kind::Kind;
use crate::profile::Runtime;

pub(super) const FAMILIES: &[Family] = &[
    Family::new(&["conv_2d"], conv_2d),
    Family::new(&["depthwise_conv_2d"], depthwise_conv_2d),
    Family::new(&["transpose_conv"], transpose_conv),
    Family::new(&["conv_3d", "conv_3d_transpose"], conv_3d),
];

fn conv_2d(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.image(kind);
    let [_, h, w, ci] = cx.dims(x).try_into().ok()?;
    let padding = padding(cx);
    let (kh, sh, dh) = window(cx, h, padding, true);
    let (kw, sw, dw) = window(cx, w, padding, true);
    // Groups: the filter sees only some of the channels.
    let groups = if ci % 2 == 0 && cx.runtime() == Runtime::Any && cx.chance(15) { 2 } else { 1 };
    let co = groups * cx.random().between(1, 6 / groups);
    let rules = Rules { axis: Some(0), four_bits: true, blocks: false, hybrid: true };
    let filter = weights(cx, kind, vec![co, kh, kw, ci / groups], rules);
    // LiteRT takes no CONV_2D without a bias.
    let may_lack = cx.runtime() != Runtime::LiteRt;
    let b = bias(cx, x, &filter, co, may_lack);
    let activation = activation(cx);
    let (low, high) = clamped(sum_range(cx, x, &filter, kh * kw * ci / groups), activation);
    let quantized_bias_type = (kind == Kind::I16 && cx.chance(50)).then_some(ElementType::I64);
    let op = Conv2d { padding, stride: [sh, sw], dilation: [dh, dw], activation, quantized_bias_type };
    let out = cx.out(kind, low, high);
    cx.emit(op, &[Some(x), Some(filter.value), b], &[out]).map(drop)
}

fn depthwise_conv_2d(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.image(kind);
    let [_, h, w, ci] = cx.dims(x).try_into().ok()?;
    let padding = padding(cx);
    let (kh, sh, dh) = window(cx, h, padding, true);
    let (kw, _, dw) = window(cx, w, padding, true);
    let depth_multiplier = if cx.chance(70) { 1 } else { cx.random().between(1, 3) };
    let co = ci * depth_multiplier;
    let rules = Rules { axis: Some(3), four_bits: true, blocks: false, hybrid: true };
    let filter = weights(cx, kind, vec![1, kh, kw, co], rules);
    let b = bias(cx, x, &filter, co, true);
    let activation = activation(cx);
    let (low, high) = clamped(sum_range(cx, x, &filter, kh * kw), activation);
    // The optimized kernels take one step for both axes.
    let op = DepthwiseConv2d { padding, stride: [sh, sh], dilation: [dh, dw], depth_multiplier, activation };
    let out = cx.out(kind, low, high);
    cx.emit(op, &[Some(x), Some(filter.value), b], &[out]).map(drop)
}

fn transpose_conv(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.image(kind);
    let [n, h, w, ci] = cx.dims(x).try_into().ok()?;
    let padding = padding(cx);
    let (kh, kw) = (cx.random().between(1, 3), cx.random().between(1, 3));
    let (sh, sw) = (cx.random().between(1, 2), cx.random().between(1, 2));
    // The largest size whose windows are as many as the input's elements.
    let grown = |size: usize, filter: usize, stride: usize| match padding {
        Padding::Same => size * stride,
        Padding::Valid => (size - 1) * stride + filter,
    };
    let co = cx.random().between(1, 5);
    let shape = cx.vector(&[n, grown(h, kh, sh), grown(w, kw, sw), co]);
    let rules = Rules { axis: Some(0), four_bits: false, blocks: false, hybrid: false };
    let filter = weights(cx, kind, vec![co, kh, kw, ci], rules);
    let b = bias(cx, x, &filter, co, true);
    let activation = if cx.runtime() == Runtime::Tflm { octet_ir::ops::Activation::None } else { activation(cx) };
    let (low, high) = clamped(sum_range(cx, x, &filter, kh * kw * ci), activation);
    let op = TransposeConv { padding, stride: [sh, sw], activation, quantized_bias_type: None };
    let out = cx.out(kind, low, high);
    cx.emit(op, &[Some(shape), Some(filter.value), Some(x), b], &[out]).map(drop)
}

fn conv_3d(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.data(
        kind,
        None,
        |d| d.len() == 5,
        |cx| {
            let r = cx.random();
            vec![r.between(1, 2), r.between(1, 4), r.between(1, 4), r.between(1, 4), r.between(1, 3)]
        },
    );
    let [n, d, h, w, ci] = cx.dims(x).try_into().ok()?;
    let co = cx.random().between(1, 3);
    let padding = padding(cx);
    let rules = Rules { axis: None, four_bits: false, blocks: false, hybrid: false };
    let activation = activation(cx);
    if mnemonic == "conv_3d" {
        let windows = [d, h, w].map(|size| window(cx, size, padding, true));
        let [kd, kh, kw] = windows.map(|(k, _, _)| k);
        let filter = weights(cx, kind, vec![kd, kh, kw, ci, co], rules);
        let b = bias(cx, x, &filter, co, true);
        let (low, high) = clamped(sum_range(cx, x, &filter, kd * kh * kw * ci), activation);
        let op = Conv3d { padding, stride: windows.map(|(_, s, _)| s), dilation: windows.map(|(_, _, d)| d), activation };
        let out = cx.out(kind, low, high);
        return cx.emit(op, &[Some(x), Some(filter.value), b], &[out]).map(drop);
    }
    let [kd, kh, kw] = [(); 3].map(|()| cx.random().between(1, 3));
    let stride = [(); 3].map(|()| cx.random().between(1, 2));
    let grown = |size: usize, filter: usize, stride: usize| match padding {
        Padding::Same => size * stride,
        Padding::Valid => (size - 1) * stride + filter,
    };
    let shape = cx.vector(&[n, grown(d, kd, stride[0]), grown(h, kh, stride[1]), grown(w, kw, stride[2]), co]);
    let filter = weights(cx, kind, vec![kd, kh, kw, co, ci], rules);
    let b = bias(cx, x, &filter, co, true);
    let (low, high) = clamped(sum_range(cx, x, &filter, kd * kh * kw * ci), activation);
    let op = Conv3dTranspose { padding, stride, dilation: [1; 3], activation };
    let out = cx.out(kind, low, high);
    cx.emit(op, &[Some(shape), Some(filter.value), Some(x), b], &[out]).map(drop)
}
