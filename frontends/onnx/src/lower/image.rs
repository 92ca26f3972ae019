//! Convolution, pooling, normalization and resizing of images, which ONNX keeps as `[N, C, spatial...]`.
//!
//! Each is lowered between two transposes: channels last before it, channels first after it. A pass cancels them along the wires.

use octet_ir::ops::{self, BinaryKind, Padding, ReduceKind, UnaryKind};
use octet_ir::{Type, ValueId};

use super::{Inputs, Lowering, Outputs, Table, input, optional};
use crate::attributes::{Node, Refusal};
use crate::scope::Scope;

pub(super) const TABLE: Table = &[
    ("BatchNormalization", batch_normalization),
    ("Conv", conv),
    ("GlobalAveragePool", |l, _, i| global(l, i, ReduceKind::Mean)),
    ("GlobalMaxPool", |l, _, i| global(l, i, ReduceKind::Max)),
];

/// The rank of a value that has a batch and channels.
fn images(scope: &Scope<'_>, value: ValueId) -> Result<usize, Refusal> {
    Some(scope.rank(value)).filter(|&r| r >= 2).ok_or_else(|| "its input has no axis of channels".into())
}

/// `[N, C, ...]` to `[N, ..., C]`.
pub(crate) fn to_last(scope: &mut Scope<'_>, value: ValueId) -> Result<ValueId, Refusal> {
    let rank = images(scope, value)?;
    let permutation: Vec<usize> = std::iter::once(0).chain(2..rank).chain([1]).collect();
    scope.transpose(value, &permutation)
}

/// `[N, ..., C]` to `[N, C, ...]`.
pub(crate) fn to_first(scope: &mut Scope<'_>, value: ValueId) -> Result<ValueId, Refusal> {
    let rank = images(scope, value)?;
    let permutation: Vec<usize> = [0, rank - 1].into_iter().chain(1..rank - 1).collect();
    scope.transpose(value, &permutation)
}

/// A window: sizes along each spatial axis.
pub(super) struct Window {
    pub(super) kernel: Vec<usize>,
    pub(super) stride: Vec<usize>,
    pub(super) dilation: Vec<usize>,
    /// Before and after each axis; may be negative in a file, which is refused.
    pub(super) pads: Vec<(usize, usize)>,
    /// Which of the spatial axes the file leaves open: what is padded there must hold for every size.
    open: Vec<bool>,
    /// Whether the file asks for TFLite's own SAME.
    same_upper: bool,
}

pub(super) fn sizes(values: Option<&[i64]>, count: usize, default: usize) -> Result<Vec<usize>, Refusal> {
    let Some(values) = values.filter(|v| !v.is_empty()) else { return Ok(vec![default; count]) };
    let sizes: Option<Vec<usize>> = values.iter().map(|&v| usize::try_from(v).ok()).collect();
    sizes.filter(|s| s.len() == count).ok_or_else(|| format!("{values:?} does not fit {count} spatial axes"))
}

/// The spatial axes of `[N, C, spatial...]`, and which of them are open.
pub(super) fn spatial(scope: &Scope<'_>, x: ValueId) -> (Vec<usize>, Vec<bool>) {
    let shape = &scope.ty(x).shape;
    (2..shape.rank()).filter_map(|a| Some((*shape.dims().get(a)?, shape.dynamic(a).is_some()))).unzip()
}

pub(super) fn window(node: &Node<'_>, spatial: &[usize], open: Vec<bool>, kernel: Vec<usize>) -> Result<Window, Refusal> {
    let count = spatial.len();
    let stride = sizes(node.ints("strides"), count, 1)?;
    let dilation = sizes(node.ints("dilations"), count, 1)?;
    if stride.contains(&0) || dilation.contains(&0) || kernel.contains(&0) {
        return Err("kernel, strides and dilations must be positive".into());
    }
    let explicit = sizes(node.ints("pads"), 2 * count, 0)?;
    let same = |axis: usize, upper: bool| {
        let effective = (kernel[axis] - 1) * dilation[axis] + 1;
        let output = spatial[axis].div_ceil(stride[axis]);
        let total = (output.saturating_sub(1) * stride[axis] + effective).saturating_sub(spatial[axis]);
        if upper { (total / 2, total - total / 2) } else { (total - total / 2, total / 2) }
    };
    let pads = (0..count)
        .map(|axis| match node.text_or("auto_pad", "NOTSET") {
            "NOTSET" => Ok((explicit[axis], explicit[count + axis])),
            "VALID" => Ok((0, 0)),
            "SAME_UPPER" => Ok(same(axis, true)),
            "SAME_LOWER" => Ok(same(axis, false)),
            other => Err(format!("auto_pad '{other}' is not known")),
        })
        .collect::<Result<_, _>>()?;
    let same_upper = node.text_or("auto_pad", "NOTSET") == "SAME_UPPER";
    Ok(Window { kernel, stride, dilation, pads, open, same_upper })
}

impl Window {
    /// The TFLite padding that equals the explicit one, if there is one.
    pub(super) fn padding(&self, spatial: &[usize]) -> Option<Padding> {
        let is_open = self.open.contains(&true);
        if self.pads.iter().all(|&p| p == (0, 0)) && !(is_open && self.same_upper) {
            return Some(Padding::Valid);
        }
        let same = spatial.iter().enumerate().all(|(axis, &input)| {
            if self.open[axis] && (self.same_upper || self.stride[axis] > 1) {
                // With a stride, TFLite's padding depends on the size.
                return self.same_upper;
            }
            let output = input.div_ceil(self.stride[axis]);
            ops::conv_padding(Padding::Same, input, output, self.kernel[axis], self.stride[axis], self.dilation[axis]) == self.pads[axis]
        });
        same.then_some(Padding::Same)
    }
}

/// Pads the spatial axes of a channels-last value with `fill`.
pub(super) fn pad(scope: &mut Scope<'_>, value: ValueId, pads: &[(usize, usize)], fill: f32) -> Result<ValueId, Refusal> {
    if pads.iter().all(|&p| p == (0, 0)) {
        return Ok(value);
    }
    let rank = scope.rank(value);
    let mut flat = vec![0i32; 2 * rank];
    for (axis, &(before, after)) in pads.iter().enumerate() {
        flat[2 * axis + 2] = i32::try_from(before).map_err(|_| "a padding is too large")?;
        flat[2 * axis + 3] = i32::try_from(after).map_err(|_| "a padding is too large")?;
    }
    let paddings = scope.constant_value(octet_ir::Constant::from_i32(&flat), Type::i32([rank, 2]));
    if fill == 0.0 {
        return scope.op1(ops::Pad {}, &[value, paddings]);
    }
    let fill = scope.scalar(fill, scope.elem(value))?;
    scope.op1(ops::PadV2 {}, &[value, paddings, fill])
}

/// A one-dimensional image gets a height of 1: `[N, W, C]` to `[N, 1, W, C]`.
pub(super) fn widen(scope: &mut Scope<'_>, value: ValueId) -> Result<ValueId, Refusal> {
    let axis = scope.i32(1);
    scope.op1(ops::ExpandDims {}, &[value, axis])
}

pub(super) fn narrow(scope: &mut Scope<'_>, value: ValueId) -> Result<ValueId, Refusal> {
    scope.op1(ops::Squeeze { dims: vec![1] }, &[value])
}

fn conv(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let (x, filter) = (input(inputs, 0)?, input(inputs, 1)?);
    Ok(vec![convolution(l.scope, node, x, filter, optional(inputs, 2))?])
}

/// Convolution of `x [N, C, spatial...]` with `filter [M, C / group, spatial...]`; the result is channels first.
pub(super) fn convolution(
    scope: &mut Scope<'_>,
    node: &Node<'_>,
    x: ValueId,
    filter: ValueId,
    bias: Option<ValueId>,
) -> Result<ValueId, Refusal> {
    let rank = scope.rank(x);
    if !(3..=5).contains(&rank) || scope.rank(filter) != rank {
        return Err(format!("a convolution over an input of rank {rank} is not supported"));
    }
    let (spatial, open) = spatial(scope, x);
    let channels = scope.dims(x)[1];
    let filter_dims = scope.dims(filter).to_vec();
    let window = window(node, &spatial, open, filter_dims[2..].to_vec())?;
    let groups = usize::try_from(node.int_or("group", 1)).unwrap_or(0);
    if groups == 0 || filter_dims[1] * groups != channels || !filter_dims[0].is_multiple_of(groups) {
        return Err(format!("{groups} groups do not fit {channels} channels and a filter of {filter_dims:?}"));
    }
    let mut x = to_last(scope, x)?;
    let (padding, window) = match window.padding(&spatial) {
        Some(padding) => (padding, window),
        None => {
            x = pad(scope, x, &window.pads, 0.0)?;
            (Padding::Valid, window)
        }
    };
    let result = if rank == 5 {
        convolution_3d(scope, x, filter, bias, padding, &window, groups)?
    } else {
        convolution_2d(scope, x, filter, bias, padding, &window, groups, channels, rank == 3)?
    };
    to_first(scope, result)
}

fn convolution_3d(
    scope: &mut Scope<'_>,
    x: ValueId,
    filter: ValueId,
    bias: Option<ValueId>,
    padding: Padding,
    window: &Window,
    groups: usize,
) -> Result<ValueId, Refusal> {
    if groups > 1 {
        let (channels, outputs) = (scope.dims(filter)[1], scope.dims(filter)[0] / groups);
        let mut parts = Vec::with_capacity(groups);
        for g in 0..groups {
            let part = scope.slice(x, 4, g * channels, channels)?;
            let own = scope.slice(filter, 0, g * outputs, outputs)?;
            let bias = bias.map(|b| scope.slice(b, 0, g * outputs, outputs)).transpose()?;
            parts.push(convolution_3d(scope, part, own, bias, padding, window, 1)?);
        }
        return scope.concat(&parts, 4);
    }
    let triple = |v: &[usize]| [v[0], v[1], v[2]];
    let filter = scope.transpose(filter, &[2, 3, 4, 1, 0])?;
    let op = ops::Conv3d { padding, stride: triple(&window.stride), dilation: triple(&window.dilation), ..ops::Conv3d::default() };
    Ok(scope.op(op, &[Some(x), Some(filter), bias])?[0])
}

fn convolution_2d(
    scope: &mut Scope<'_>,
    mut x: ValueId,
    mut filter: ValueId,
    bias: Option<ValueId>,
    padding: Padding,
    window: &Window,
    groups: usize,
    channels: usize,
    one_dimensional: bool,
) -> Result<ValueId, Refusal> {
    let (mut stride, mut dilation) = (window.stride.clone(), window.dilation.clone());
    if one_dimensional {
        x = widen(scope, x)?;
        let mut dims = scope.dims(filter).to_vec();
        dims.insert(2, 1);
        filter = scope.reshape(filter, &dims)?;
        stride.insert(0, stride[0]);
        dilation.insert(0, 1);
    }
    let (stride, dilation) = ([stride[0], stride[1]], [dilation[0], dilation[1]]);
    let outputs = scope.dims(filter)[0];
    // A filter per channel is a depthwise convolution: [M, 1, H, W] to [1, H, W, M].
    let depthwise = groups == channels && groups > 1;
    // LiteRT's kernels take no convolution without a bias.
    let bias = Some(bias.unwrap_or_else(|| scope.f32s(&vec![0.0; outputs])));
    let result = if depthwise {
        let filter = scope.transpose(filter, &[1, 2, 3, 0])?;
        let op =
            ops::DepthwiseConv2d { padding, stride, dilation, depth_multiplier: outputs / channels, ..ops::DepthwiseConv2d::default() };
        scope.op(op, &[Some(x), Some(filter), bias])?[0]
    } else {
        let filter = scope.transpose(filter, &[0, 2, 3, 1])?;
        let op = ops::Conv2d { padding, stride, dilation, ..ops::Conv2d::default() };
        scope.op(op, &[Some(x), Some(filter), bias])?[0]
    };
    if one_dimensional { narrow(scope, result) } else { Ok(result) }
}

fn global(l: &mut Lowering<'_, '_, '_>, inputs: Inputs<'_>, kind: ReduceKind) -> Outputs {
    let x = input(inputs, 0)?;
    let rank = l.scope.rank(x);
    let value = to_last(l.scope, x)?;
    let axes: Vec<i32> = (1..rank).take(rank.saturating_sub(2)).map(|a| i32::try_from(a).unwrap_or(0)).collect();
    let axes = l.scope.i32s(&axes);
    let reduced = l.scope.op1(ops::Reduce { kind, keep_dims: true }, &[value, axes])?;
    Ok(vec![to_first(l.scope, reduced)?])
}

/// `scale * (x - mean) / sqrt(variance + epsilon) + bias` as one multiplication and one addition per channel.
fn batch_normalization(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    if node.flag("training_mode") {
        return batch_statistics(scope, node, inputs);
    }
    let x = input(inputs, 0)?;
    let parameters = (1..5).map(|i| input(inputs, i)).collect::<Result<Vec<_>, _>>()?;
    let epsilon = node.float_or("epsilon", 1e-5);
    let known: Option<Vec<Vec<f32>>> = parameters.iter().map(|&p| scope.floats(p)).collect();
    let (factor, offset) = if let Some([scale, bias, mean, variance]) = known.as_deref().and_then(|k| <&[Vec<f32>; 4]>::try_from(k).ok()) {
        let inverse = |v: &f32| 1.0 / (f64::from(*v) + f64::from(epsilon)).sqrt();
        #[expect(clippy::cast_possible_truncation, reason = "computed in double, rounded once")]
        let factor: Vec<f32> = scale.iter().zip(variance).map(|(s, v)| (f64::from(*s) * inverse(v)) as f32).collect();
        #[expect(clippy::cast_possible_truncation, reason = "computed in double, rounded once")]
        let offset: Vec<f32> = bias
            .iter()
            .zip(mean)
            .zip(scale.iter().zip(variance))
            .map(|((b, m), (s, v))| (f64::from(*b) - f64::from(*m) * f64::from(*s) * inverse(v)) as f32)
            .collect();
        (scope.f32s(&factor), scope.f32s(&offset))
    } else {
        let epsilon = scope.f32(epsilon);
        let shifted = scope.binary(BinaryKind::Add, parameters[3], epsilon)?;
        let inverse = scope.unary(UnaryKind::Rsqrt, shifted)?;
        let factor = scope.binary(BinaryKind::Mul, parameters[0], inverse)?;
        let moved = scope.binary(BinaryKind::Mul, parameters[2], factor)?;
        (factor, scope.binary(BinaryKind::Sub, parameters[1], moved)?)
    };
    let value = if scope.rank(x) > 2 { to_last(scope, x)? } else { x };
    let scaled = scope.binary(BinaryKind::Mul, value, factor)?;
    let result = scope.binary(BinaryKind::Add, scaled, offset)?;
    Ok(vec![if scope.rank(x) > 2 { to_first(scope, result)? } else { result }])
}

/// Normalization by the batch's own mean and variance, and the running ones moved towards them.
fn batch_statistics(scope: &mut Scope<'_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let x = input(inputs, 0)?;
    let rank = scope.rank(x);
    let axes: Vec<usize> = (0..rank).filter(|&a| a != 1).collect();
    let channels = *scope.dims(x).get(1).ok_or("its input has no channels")?;
    let mut shape = vec![1; rank];
    shape[1] = channels;
    let mean = scope.reduce(ReduceKind::Mean, x, &axes, true)?;
    let distance = scope.binary(BinaryKind::SquaredDifference, x, mean)?;
    let variance = scope.reduce(ReduceKind::Mean, distance, &axes, true)?;
    let shifted = scope.plus(variance, node.float_or("epsilon", 1e-5))?;
    let inverse = scope.unary(UnaryKind::Rsqrt, shifted)?;
    let centred = scope.binary(BinaryKind::Sub, x, mean)?;
    let mut result = scope.binary(BinaryKind::Mul, centred, inverse)?;
    for (index, kind) in [(1, BinaryKind::Mul), (2, BinaryKind::Add)] {
        let parameter = scope.reshape(input(inputs, index)?, &shape)?;
        result = scope.binary(kind, result, parameter)?;
    }
    let mut outputs = vec![result];
    let momentum = node.float_or("momentum", 0.9);
    for (index, batch) in [(3, mean), (4, variance)] {
        let old = scope.times(input(inputs, index)?, momentum)?;
        let own = scope.reshape(batch, &[channels])?;
        let own = scope.times(own, 1.0 - momentum)?;
        outputs.push(scope.binary(BinaryKind::Add, old, own)?);
    }
    Ok(outputs)
}
