//! Transposed convolution: TFLite's on two axes or three, cut to the size that ONNX computes.

use octet_ir::ops::{self, Padding};
use octet_ir::{Type, ValueId};

use super::image::{narrow, sizes, widen};
use super::{Inputs, Lowering, Outputs, Table, input, optional, to_first, to_last};
use crate::attributes::{Node, Refusal};
use crate::scope::Scope;

pub(super) const TABLE: Table = &[("ConvTranspose", conv_transpose)];

/// One spatial axis.
#[derive(Clone, Copy)]
struct Axis {
    input: usize,
    kernel: usize,
    stride: usize,
    /// Entries of the whole result that are cut off in front.
    before: usize,
    output: usize,
}

impl Axis {
    /// The size that TFLite computes without padding: the whole result, and more where the output reaches beyond it.
    fn whole(&self) -> usize {
        ((self.input - 1) * self.stride + self.kernel).max(self.before + self.output)
    }

    /// Whether TFLite's SAME padding cuts off just this.
    fn is_same(&self) -> bool {
        self.output.div_ceil(self.stride) == self.input
            && ops::conv_padding(Padding::Same, self.output, self.input, self.kernel, self.stride, 1).0 == self.before
    }
}

fn axes(node: &Node<'_>, spatial: &[usize], kernel: &[usize], dilation: &[usize]) -> Result<Vec<Axis>, Refusal> {
    let n = spatial.len();
    let stride = sizes(node.ints("strides"), n, 1)?;
    let extra = sizes(node.ints("output_padding"), n, 0)?;
    let pads = sizes(node.ints("pads"), 2 * n, 0)?;
    let wanted = node.ints("output_shape").map(|s| s.get(s.len().saturating_sub(n)..).unwrap_or_default());
    let wanted = wanted.map(|s| sizes(Some(s), n, 0)).transpose()?;
    let auto = node.text_or("auto_pad", "NOTSET");
    let mut axes = Vec::with_capacity(n);
    for a in 0..n {
        if stride[a] == 0 || spatial[a] == 0 || kernel[a] == 0 {
            return Err("sizes and strides must be positive".into());
        }
        let reach = (kernel[a] - 1) * dilation[a] + 1;
        let full = (spatial[a] - 1) * stride[a] + reach + extra[a];
        let target = match (&wanted, auto) {
            (Some(sizes), _) => Some(sizes[a]),
            (None, "SAME_UPPER" | "SAME_LOWER") => Some(spatial[a] * stride[a]),
            (None, _) => None,
        };
        let (before, output) = match target {
            Some(target) => {
                let total = full.saturating_sub(target);
                (if auto == "SAME_UPPER" { total / 2 } else { total - total / 2 }, target)
            }
            None if auto == "VALID" => (0, full),
            None => (pads[a], full.checked_sub(pads[a] + pads[n + a]).ok_or("the padding exceeds the output")?),
        };
        let axis = Axis { input: spatial[a], kernel: reach, stride: stride[a], before, output };
        if axis.whole() >= (spatial[a] - 1) * stride[a] + reach + stride[a] {
            return Err(format!("an output of {output} from an input of {} is not supported", spatial[a]));
        }
        axes.push(axis);
    }
    Ok(axes)
}

fn conv_transpose(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (x, mut filter) = (input(inputs, 0)?, input(inputs, 1)?);
    let rank = scope.rank(x);
    if !(3..=5).contains(&rank) || scope.rank(filter) != rank {
        return Err(format!("a transposed convolution over an input of rank {rank} is not supported"));
    }
    let (spatial, kernel) = (scope.dims(x)[2..].to_vec(), scope.dims(filter)[2..].to_vec());
    let dilation = sizes(node.ints("dilations"), spatial.len(), 1)?;
    let axes = axes(node, &spatial, &kernel, &dilation)?;
    for (a, &d) in dilation.iter().enumerate().filter(|(_, d)| **d > 1) {
        filter = spread(scope, filter, a + 2, d)?;
    }
    let groups = usize::try_from(node.int_or("group", 1)).unwrap_or(0);
    let (channels, per_group) = (scope.dims(x)[1], scope.dims(filter)[1]);
    if groups == 0 || !channels.is_multiple_of(groups) || scope.dims(filter)[0] != channels {
        return Err(format!("{groups} groups do not fit {channels} channels"));
    }
    let bias = optional(inputs, 2);
    let value = to_last(scope, x)?;
    let mut parts = Vec::with_capacity(groups);
    let size = channels / groups;
    for g in 0..groups {
        let part = scope.slice(value, rank - 1, g * size, size)?;
        let own = scope.slice(filter, 0, g * size, size)?;
        let bias = bias.map(|b| scope.slice(b, 0, g * per_group, per_group)).transpose()?;
        parts.push(one(scope, part, own, bias, &axes)?);
    }
    let result = scope.concat(&parts, rank - 1)?;
    Ok(vec![to_first(scope, result)?])
}

/// The filter with `dilation - 1` zeros between its taps along an axis.
fn spread(scope: &mut Scope<'_>, filter: ValueId, axis: usize, dilation: usize) -> Result<ValueId, Refusal> {
    let mut dims = scope.dims(filter).to_vec();
    let taps = dims[axis];
    dims[axis] = 1;
    let zeros = scope.f32_tensor(&vec![0.0; dims.iter().product()], &dims);
    let all = scope.concat(&[filter, zeros], axis)?;
    let order: Vec<usize> = (0..(taps - 1) * dilation + 1).map(|i| if i % dilation == 0 { i / dilation } else { taps }).collect();
    scope.reorder(all, axis, &order)
}

/// One group: `x [N, spatial..., C]`, `filter [C, M, spatial...]`.
fn one(scope: &mut Scope<'_>, x: ValueId, filter: ValueId, bias: Option<ValueId>, axes: &[Axis]) -> Result<ValueId, Refusal> {
    let same = axes.len() < 3 && axes.iter().all(Axis::is_same);
    let padding = if same { Padding::Same } else { Padding::Valid };
    let size = |a: &Axis| if same { a.output } else { a.whole() };
    let (batch, outputs) = (scope.dims(x)[0], scope.dims(filter)[1]);
    let mut shape = vec![batch];
    let mut result = match axes {
        [w] => {
            let image = widen(scope, x)?;
            let mut dims = scope.dims(filter).to_vec();
            dims.insert(2, 1);
            let filter = scope.reshape(filter, &dims)?;
            shape.extend([1, size(w), outputs]);
            let result = two(scope, image, filter, bias, padding, [w.stride, w.stride], &shape)?;
            narrow(scope, result)?
        }
        [h, w] => {
            shape.extend([size(h), size(w), outputs]);
            two(scope, x, filter, bias, padding, [h.stride, w.stride], &shape)?
        }
        [d, h, w] => {
            shape.extend([size(d), size(h), size(w), outputs]);
            let filter = scope.transpose(filter, &[2, 3, 4, 1, 0])?;
            let target = scope.sizes(&shape)?;
            let op = ops::Conv3dTranspose { padding, stride: [d.stride, h.stride, w.stride], ..ops::Conv3dTranspose::default() };
            let operands = [Some(target), Some(filter), Some(x), bias];
            let ty = Type::f32(shape.clone());
            scope.op_typed(op, if bias.is_some() { &operands } else { &operands[..3] }, vec![ty])?[0]
        }
        _ => return Err("more than three spatial axes".into()),
    };
    if !same {
        for (index, axis) in axes.iter().enumerate() {
            result = scope.slice(result, index + 1, axis.before, axis.output)?;
        }
    }
    Ok(result)
}

fn two(
    scope: &mut Scope<'_>,
    x: ValueId,
    filter: ValueId,
    bias: Option<ValueId>,
    padding: Padding,
    stride: [usize; 2],
    shape: &[usize],
) -> Result<ValueId, Refusal> {
    let filter = scope.transpose(filter, &[1, 2, 3, 0])?;
    let target = scope.sizes(shape)?;
    let op = ops::TransposeConv { padding, stride, ..ops::TransposeConv::default() };
    let operands = [Some(target), Some(filter), Some(x), bias];
    scope.op(op, if bias.is_some() { &operands } else { &operands[..3] }).map(|results| results[0])
}
