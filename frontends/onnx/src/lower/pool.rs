//! Pooling over one to three spatial axes.
//!
//! TFLite pools two axes, without dilation, and counts only cells inside the input. Everything else is brought there: three axes are pooled
//! two and one at a time, windows with holes are gathered so that they have none, and a mean over other cells is corrected by a constant.

use octet_ir::ops::{self, ArgKind, BinaryKind, Padding, PoolKind, UnaryKind};
use octet_ir::{ElementType, ValueId};

use super::image::{Window, narrow, pad, sizes, spatial, widen, window};
use super::{Inputs, Lowering, Outputs, Table, input, to_first, to_last};
use crate::attributes::{Node, Refusal};
use crate::build::small;
use crate::scope::Scope;

pub(super) const TABLE: Table = &[
    ("AveragePool", |l, n, i| pool(l, n, i, Kind::Average)),
    ("LpPool", |l, n, i| pool(l, n, i, Kind::Lp)),
    ("MaxPool", |l, n, i| pool(l, n, i, Kind::Max)),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Average,
    Lp,
    Max,
}

/// Windows along the spatial axes, and how many there are.
struct Plan {
    window: Window,
    outputs: Vec<usize>,
    /// Cells beyond the padded input that the last window of an axis reaches with `ceil_mode`.
    beyond: Vec<usize>,
}

fn plan(node: &Node<'_>, spatial: &[usize], open: Vec<bool>) -> Result<Plan, Refusal> {
    let kernel = sizes(node.ints("kernel_shape"), spatial.len(), 1)?;
    let window = window(node, spatial, open, kernel)?;
    let (mut outputs, mut beyond) = (Vec::new(), Vec::new());
    for axis in 0..spatial.len() {
        let (before, after) = window.pads[axis];
        let reach = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
        let padded = spatial[axis] + before + after;
        let stride = window.stride[axis];
        let span = padded.checked_sub(reach).ok_or("the window is larger than the padded input")?;
        let mut count = if node.flag("ceil_mode") { span.div_ceil(stride) + 1 } else { span / stride + 1 };
        // A window that begins beyond the input does not count.
        if count > 1 && (count - 1) * stride >= spatial[axis] + before {
            count -= 1;
        }
        outputs.push(count);
        beyond.push(((count - 1) * stride + reach).saturating_sub(padded));
    }
    Ok(Plan { window, outputs, beyond })
}

impl Plan {
    /// For each axis and window: how many of its cells count for a mean.
    fn counts(&self, spatial: &[usize], with_padding: bool) -> Vec<Vec<usize>> {
        let axis = |axis: usize| {
            let (before, after) = self.window.pads[axis];
            let range = if with_padding { 0..before + spatial[axis] + after } else { before..before + spatial[axis] };
            let cells =
                |o: usize| (0..self.window.kernel[axis]).map(move |k| o * self.window.stride[axis] + k * self.window.dilation[axis]);
            (0..self.outputs[axis]).map(|o| cells(o).filter(|c| range.contains(c)).count()).collect()
        };
        (0..spatial.len()).map(axis).collect()
    }

    fn area(&self) -> usize {
        self.window.kernel.iter().product()
    }
}

fn pool(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>, kind: Kind) -> Outputs {
    let scope = &mut *l.scope;
    let (x, elem) = scope.as_f32(input(inputs, 0)?)?;
    let rank = scope.rank(x);
    if !(3..=5).contains(&rank) {
        return Err(format!("pooling over an input of rank {rank} is not supported"));
    }
    let (spatial, open) = spatial(scope, x);
    let plan = plan(node, &spatial, open)?;
    let mut value = to_last(scope, x)?;
    let indices = if kind == Kind::Max && node.wants(1) { Some(largest_at(scope, node, value, &plan, &spatial)?) } else { None };
    let p = node.int_or("p", 2);
    #[expect(clippy::cast_precision_loss, reason = "a small exponent")]
    if kind == Kind::Lp {
        value = if p == 2 {
            scope.unary(UnaryKind::Square, value)?
        } else {
            let (magnitude, p) = (scope.unary(UnaryKind::Abs, value)?, scope.f32(p as f32));
            scope.binary(BinaryKind::Pow, magnitude, p)?
        };
    }
    let mut result = match native(&plan, node, kind, &spatial) {
        Some(padding) => run(scope, value, kind, padding, &plan.window.kernel, &plan.window.stride)?,
        None => {
            let fill = if kind == Kind::Max { f32::MIN } else { 0.0 };
            let padded = whole_windows(scope, value, &plan, fill)?;
            run(scope, padded.0, kind, Padding::Valid, &plan.window.kernel, &padded.1)?
        }
    };
    match kind {
        Kind::Average if native(&plan, node, kind, &spatial).is_none() => {
            let counts = plan.counts(&spatial, node.flag("count_include_pad"));
            result = correct(scope, result, &plan, &counts)?;
        }
        #[expect(clippy::cast_precision_loss, reason = "the cells of a window, a small exponent")]
        Kind::Lp => {
            result = scope.times(result, plan.area() as f32)?;
            result = if p == 2 {
                scope.unary(UnaryKind::Sqrt, result)?
            } else {
                let root = scope.f32(1.0 / p as f32);
                scope.binary(BinaryKind::Pow, result, root)?
            };
        }
        Kind::Average | Kind::Max => {}
    }
    let result = to_first(scope, result)?;
    let mut outputs = vec![scope.cast(result, elem)?];
    outputs.extend(indices);
    Ok(outputs)
}

/// The padding with which TFLite's operation computes this as it is.
fn native(plan: &Plan, node: &Node<'_>, kind: Kind, spatial: &[usize]) -> Option<Padding> {
    let plain = spatial.len() < 3 && plan.window.dilation.iter().all(|&d| d == 1) && plan.beyond.iter().all(|&b| b == 0);
    let padding = plan.window.padding(spatial).filter(|_| plain)?;
    // Under SAME a mean is over the cells inside the input, and a sum would be of another number of cells.
    let fits = match kind {
        Kind::Max => true,
        Kind::Average => padding == Padding::Valid || !node.flag("count_include_pad"),
        Kind::Lp => padding == Padding::Valid,
    };
    fits.then_some(padding)
}

/// The input padded so that every window is whole, and holes in the windows gathered away: with it, the strides that remain.
fn whole_windows(scope: &mut Scope<'_>, value: ValueId, plan: &Plan, fill: f32) -> Result<(ValueId, Vec<usize>), Refusal> {
    let pads: Vec<(usize, usize)> = plan.window.pads.iter().zip(&plan.beyond).map(|(&(b, a), &extra)| (b, a + extra)).collect();
    let mut value = pad(scope, value, &pads, fill)?;
    let mut strides = plan.window.stride.clone();
    for axis in 0..strides.len() {
        let (kernel, dilation) = (plan.window.kernel[axis], plan.window.dilation[axis]);
        if dilation > 1 {
            let stride = strides[axis];
            let order: Vec<usize> = (0..plan.outputs[axis]).flat_map(|o| (0..kernel).map(move |k| o * stride + k * dilation)).collect();
            value = scope.reorder(value, axis + 1, &order)?;
            strides[axis] = kernel;
        }
    }
    Ok((value, strides))
}

/// Pools a channels-last value; three spatial axes in two steps.
fn run(
    scope: &mut Scope<'_>,
    value: ValueId,
    kind: Kind,
    padding: Padding,
    kernel: &[usize],
    stride: &[usize],
) -> Result<ValueId, Refusal> {
    let kind2 = if kind == Kind::Max { PoolKind::Max } else { PoolKind::Average };
    let one = |scope: &mut Scope<'_>, value: ValueId, filter: [usize; 2], stride: [usize; 2]| {
        scope.op1(ops::Pool2d { kind: kind2, padding, stride, filter, activation: ops::Activation::None }, &[value])
    };
    match (kernel, stride) {
        (&[k], &[s]) => {
            let image = widen(scope, value)?;
            let result = one(scope, image, [1, k], [1, s])?;
            narrow(scope, result)
        }
        (&[kh, kw], &[sh, sw]) => one(scope, value, [kh, kw], [sh, sw]),
        (&[kd, kh, kw], &[sd, sh, sw]) => {
            let &[n, d, h, w, c] = scope.dims(value) else { return Err("a volume has five axes".into()) };
            let slices = scope.reshape(value, &[n * d, h, w, c])?;
            let pooled = one(scope, slices, [kh, kw], [sh, sw])?;
            let &[_, ho, wo, _] = scope.dims(pooled) else { return Err("an image has four axes".into()) };
            let columns = scope.reshape(pooled, &[n, d, ho * wo, c])?;
            let result = one(scope, columns, [kd, 1], [sd, 1])?;
            let depth = scope.dims(result)[1];
            scope.reshape(result, &[n, depth, ho, wo, c])
        }
        _ => Err("pooling over more than three axes is not supported".into()),
    }
}

/// A mean over whole windows turned into one over the cells that count.
fn correct(scope: &mut Scope<'_>, mean: ValueId, plan: &Plan, counts: &[Vec<usize>]) -> Result<ValueId, Refusal> {
    let area = plan.area();
    let mut factors = vec![1usize];
    for axis in counts {
        factors = factors.iter().flat_map(|f| axis.iter().map(move |c| f * c)).collect();
    }
    if factors.iter().all(|&f| f == area) {
        return Ok(mean);
    }
    #[expect(clippy::cast_precision_loss, reason = "the cells of a window")]
    let factors: Vec<f32> = factors.iter().map(|&f| area as f32 / f.max(1) as f32).collect();
    let dims: Vec<usize> = std::iter::once(1).chain(plan.outputs.iter().copied()).chain([1]).collect();
    let factors = scope.f32_tensor(&factors, &dims);
    scope.binary(BinaryKind::Mul, mean, factors)
}

/// For every window of `[N, spatial..., C]` the index of its largest element in the flattened `[N, C, spatial...]` tensor, channels first.
fn largest_at(scope: &mut Scope<'_>, node: &Node<'_>, value: ValueId, plan: &Plan, spatial: &[usize]) -> Result<ValueId, Refusal> {
    let n = spatial.len();
    // Each axis becomes windows and the cells of one window.
    let holes = plan;
    let pads: Vec<(usize, usize)> = holes.window.pads.iter().zip(&holes.beyond).map(|(&(b, a), &extra)| (b, a + extra)).collect();
    let mut cells = pad(scope, value, &pads, f32::MIN)?;
    let (batch, channels) = (scope.dims(cells)[0], scope.dims(cells)[n + 1]);
    let mut shape = vec![batch];
    for axis in 0..n {
        let (kernel, stride, dilation) = (holes.window.kernel[axis], holes.window.stride[axis], holes.window.dilation[axis]);
        let order: Vec<usize> = (0..holes.outputs[axis]).flat_map(|o| (0..kernel).map(move |k| o * stride + k * dilation)).collect();
        cells = scope.reorder(cells, axis + 1, &order)?;
        shape.extend([holes.outputs[axis], kernel]);
    }
    shape.push(channels);
    let split = scope.reshape(cells, &shape)?;
    // [N, o1, k1, o2, k2, C] to [N, C, o1, o2, k1, k2].
    let order: Vec<usize> = [0, 2 * n + 1].into_iter().chain((0..n).map(|a| 2 * a + 1)).chain((0..n).map(|a| 2 * a + 2)).collect();
    let moved = scope.transpose(split, &order)?;
    let rows: Vec<usize> = [batch, channels].into_iter().chain(holes.outputs.iter().copied()).chain([plan.area()]).collect();
    let rows = scope.reshape(moved, &rows)?;
    let innermost = scope.i32(small(n + 2)?);
    let cell = scope.op1(ops::Arg { kind: ArgKind::Max, output_type: ElementType::I32 }, &[rows, innermost])?;
    // Strides of the flattened image: columns first where the file asks for it.
    let mut strides = vec![1i64; n];
    let signed = |v: usize| i64::try_from(v).unwrap_or(i64::MAX);
    let steps: Vec<usize> = if node.int_or("storage_order", 0) == 1 { (0..n).collect() } else { (0..n).rev().collect() };
    for pair in steps.windows(2) {
        strides[pair[1]] = strides[pair[0]] * signed(spatial[pair[0]]);
    }
    let grid = |sizes: &[usize], part: &dyn Fn(usize, usize) -> i64| -> Vec<i64> {
        sizes
            .iter()
            .enumerate()
            .fold(vec![0], |all, (axis, &size)| all.iter().flat_map(|v| (0..size).map(move |i| v + part(axis, i))).collect())
    };
    let narrow = |values: Vec<i64>| -> Result<Vec<i32>, Refusal> {
        values.into_iter().map(|v| i32::try_from(v).map_err(|_| "the image is too large".to_owned())).collect()
    };
    let offsets = narrow(grid(&holes.window.kernel, &|a, k| signed(k * holes.window.dilation[a]) * strides[a]))?;
    let origins = narrow(grid(&holes.outputs, &|a, o| (signed(o * holes.window.stride[a]) - signed(holes.window.pads[a].0)) * strides[a]))?;
    let planes = narrow((0..batch * channels).map(|p| signed(p) * spatial.iter().map(|&s| signed(s)).product::<i64>()).collect())?;
    let offsets = scope.i32s(&offsets);
    let at = scope.gather(offsets, cell, 0)?;
    let origins = scope.i32_tensor(&origins, &holes.outputs);
    let plane_dims: Vec<usize> = [batch, channels].into_iter().chain(vec![1; n]).collect();
    let planes = scope.i32_tensor(&planes, &plane_dims);
    let at = scope.binary(BinaryKind::Add, at, origins)?;
    let at = scope.binary(BinaryKind::Add, at, planes)?;
    scope.cast(at, ElementType::I64)
}
