//! Resizing of any axes, in every mode of the standard.
//!
//! Where TFLite's operations compute the same, they are taken. Everything else is one step per axis: the nearest element is a GATHER, interpolation
//! a product with a constant matrix whose rows hold the coefficients of one output each.

use octet_ir::ValueId;
use octet_ir::ops::{self};

use super::{Inputs, Lowering, Outputs, Table, axis, input, optional, to_first, to_last};
use crate::attributes::{Node, Refusal};
use crate::scope::Scope;

pub(super) const TABLE: Table = &[("Resize", resize), ("Upsample", resize)];

/// One axis: its size, the size that it gets, and the factor between coordinates.
struct Axis {
    index: usize,
    input: usize,
    output: usize,
    scale: f64,
    /// Start and end of the region, where the coordinates are cropped.
    region: (f64, f64),
}

/// How to resize.
struct Mode<'n> {
    interpolation: &'n str,
    coordinates: &'n str,
    nearest: &'n str,
    cubic: f64,
    exclude_outside: bool,
    antialias: bool,
    extrapolation: f32,
}

fn mode<'n>(node: &Node<'n>) -> Mode<'n> {
    let old = node.version < 11 || node.proto.op_type == "Upsample";
    Mode {
        interpolation: match node.text_or("mode", "nearest") {
            "bilinear" => "linear",
            other => other,
        },
        coordinates: if old { "asymmetric" } else { node.text_or("coordinate_transformation_mode", "half_pixel") },
        nearest: if old { "floor" } else { node.text_or("nearest_mode", "round_prefer_floor") },
        cubic: f64::from(node.float_or("cubic_coeff_a", -0.75)),
        exclude_outside: node.flag("exclude_outside"),
        antialias: node.flag("antialias"),
        extrapolation: node.float_or("extrapolation_value", 0.0),
    }
}

/// The axes that change, with what the inputs say of them.
fn axes(scope: &Scope<'_>, node: &Node<'_>, inputs: Inputs<'_>, dims: &[usize]) -> Result<Vec<Axis>, Refusal> {
    let which: Vec<usize> = match node.ints("axes") {
        Some(axes) => axes.iter().map(|&a| axis(a, dims.len())).collect::<Result<_, _>>()?,
        None => (0..dims.len()).collect(),
    };
    let (scales, sizes, region) = if node.version < 11 || node.proto.op_type == "Upsample" {
        (optional(inputs, 1), None, None)
    } else {
        (optional(inputs, 2), optional(inputs, 3), optional(inputs, 1))
    };
    let is_given = |scope: &Scope<'_>, v: &ValueId| scope.ty(*v).shape.elements() > 0;
    let scales = scales.filter(|v| is_given(scope, v));
    let sizes = sizes.filter(|v| is_given(scope, v));
    let region = match region.filter(|v| is_given(scope, v)) {
        Some(region) => scope.floats(region).ok_or("the region must be constant")?,
        None => Vec::new(),
    };
    let count = which.len();
    let region = |k: usize| match (region.get(k), region.get(count + k)) {
        (Some(&begin), Some(&end)) => (f64::from(begin), f64::from(end)),
        _ => (0.0, 1.0),
    };
    #[expect(clippy::cast_precision_loss, reason = "sizes of axes")]
    let real = |size: usize| size as f64;
    let mut axes = Vec::with_capacity(count);
    if let Some(sizes) = sizes {
        let sizes = scope.need_ints(sizes, "the sizes")?;
        let sizes: Option<Vec<usize>> = sizes.iter().map(|&s| usize::try_from(s).ok()).collect();
        let sizes = sizes.filter(|s| s.len() == count).ok_or("the sizes do not fit the axes")?;
        let factors = which.iter().zip(&sizes).map(|(&a, &s)| real(s) / real(dims[a]));
        let common = match node.text_or("keep_aspect_ratio_policy", "stretch") {
            "not_larger" => Some(factors.fold(f64::INFINITY, f64::min)),
            "not_smaller" => Some(factors.fold(0.0, f64::max)),
            _ => None,
        };
        for (k, (&index, &size)) in which.iter().zip(&sizes).enumerate() {
            let input = dims[index];
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive size")]
            let (output, scale) = match common {
                Some(factor) => ((real(input) * factor + 0.5).floor() as usize, factor),
                None => (size, real(size) / real(input)),
            };
            axes.push(Axis { index, input, output, scale, region: region(k) });
        }
    } else {
        let given = match scales {
            Some(scales) => scope.floats(scales).ok_or("the scales must be constant")?,
            None => node.floats("scales").ok_or("it has neither scales nor sizes")?.to_vec(),
        };
        if given.len() != count {
            return Err("the scales do not fit the axes".into());
        }
        for (k, (&index, &scale)) in which.iter().zip(&given).enumerate() {
            let input = dims[index];
            // In single precision, as shape inference does: 10 times 0.7 is 7.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a positive size")]
            let output = (input as f32 * scale).floor().max(0.0) as usize;
            axes.push(Axis { index, input, output, scale: f64::from(scale), region: region(k) });
        }
    }
    Ok(axes)
}

impl Axis {
    #[expect(clippy::cast_precision_loss, reason = "sizes of axes")]
    fn sizes(&self) -> (f64, f64) {
        (self.input as f64, self.input as f64 * self.scale)
    }

    /// The place in the input of output `x`; `None` outside a cropped region.
    #[expect(clippy::cast_precision_loss, clippy::float_cmp, reason = "sizes of axes; exactly one output is a case of its own")]
    fn place(&self, mode: &Mode<'_>, x: usize) -> Result<Option<f64>, Refusal> {
        let (input, output) = self.sizes();
        let x = x as f64;
        let half = (x + 0.5) / self.scale - 0.5;
        Ok(Some(match mode.coordinates {
            "asymmetric" => x / self.scale,
            "align_corners" if output == 1.0 => 0.0,
            "align_corners" => x * (input - 1.0) / (output - 1.0),
            "half_pixel" => half,
            "pytorch_half_pixel" if output == 1.0 => 0.0,
            "pytorch_half_pixel" => half,
            "half_pixel_symmetric" => input / 2.0 * (1.0 - self.output as f64 / output) + half,
            "tf_half_pixel_for_nn" => (x + 0.5) / self.scale,
            "tf_crop_and_resize" => {
                let (begin, end) = self.region;
                let step =
                    if output == 1.0 { (end - begin) * (input - 1.0) / 2.0 } else { x * (end - begin) * (input - 1.0) / (output - 1.0) };
                let place = begin * (input - 1.0) + step;
                return Ok((0.0..=input - 1.0).contains(&place).then_some(place));
            }
            other => return Err(format!("coordinate transformation '{other}' is not known")),
        }))
    }

    /// Coefficients of the elements around `place`, the first one's index with them.
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "indices of an axis, and a few around it")]
    fn coefficients(&self, mode: &Mode<'_>, place: f64) -> (i64, Vec<f64>) {
        // A whole place belongs to the interval on its left.
        let left = place.ceil() - 1.0;
        let ratio = place - left;
        let squeeze = if mode.antialias { self.scale.min(1.0) } else { 1.0 };
        let linear = mode.interpolation == "linear";
        let reach = if linear { 1.0 } else { 2.0 };
        let start = (-reach / squeeze).floor() as i64 + 1;
        let a = mode.cubic;
        let weight = |i: i64| {
            let x = ((i as f64 - ratio) * squeeze).abs();
            match x {
                _ if linear => (1.0 - x).clamp(0.0, 1.0),
                x if x <= 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
                x if x < 2.0 => ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a,
                _ => 0.0,
            }
        };
        let weights: Vec<f64> = (start..2 - start).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        (left as i64 + start, weights.into_iter().map(|w| w / sum).collect())
    }

    /// The index of the nearest element.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "clamped to the axis")]
    fn nearest(&self, mode: &Mode<'_>, place: f64) -> usize {
        let rounded = match mode.nearest {
            "floor" => place.floor(),
            "ceil" => place.ceil(),
            "round_prefer_ceil" => (place + 0.5).floor(),
            _ => (place - 0.5).ceil(),
        };
        rounded.clamp(0.0, self.input.saturating_sub(1) as f64) as usize
    }

    /// Rows of coefficients `[outputs, inputs]`, and which outputs are outside.
    fn matrix(&self, mode: &Mode<'_>) -> Result<(Vec<f32>, Vec<bool>), Refusal> {
        let mut matrix = vec![0.0; self.output * self.input];
        let mut outside = vec![false; self.output];
        let last = i64::try_from(self.input).unwrap_or(i64::MAX) - 1;
        for x in 0..self.output {
            let Some(place) = self.place(mode, x)? else {
                outside[x] = true;
                continue;
            };
            let (first, weights) = self.coefficients(mode, place);
            let inside: f64 = (first..).zip(&weights).filter(|(i, _)| (0..=last).contains(i)).map(|(_, w)| w).sum();
            for (index, weight) in (first..).zip(weights) {
                let is_outside = !(0..=last).contains(&index);
                if is_outside && mode.exclude_outside {
                    continue;
                }
                let weight = if mode.exclude_outside { weight / inside } else { weight };
                let column = usize::try_from(index.clamp(0, last)).unwrap_or(0);
                matrix[x * self.input + column] += weight;
            }
        }
        #[expect(clippy::cast_possible_truncation, reason = "computed in double, rounded once")]
        Ok((matrix.into_iter().map(|w: f64| w as f32).collect(), outside))
    }

    /// Whether sizes alone say the scale, as TFLite takes it.
    #[expect(clippy::cast_precision_loss, reason = "sizes of axes")]
    fn is_exact(&self) -> bool {
        let (_, output) = self.sizes();
        (output - self.output as f64).abs() < 1e-6 * output
    }
}

fn resize(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (x, elem) = scope.as_f32(input(inputs, 0)?)?;
    let dims = scope.dims(x).to_vec();
    let mode = mode(node);
    let all = axes(scope, node, inputs, &dims)?;
    if all.iter().any(|a| a.input == 0 || a.output == 0 || a.scale <= 0.0) {
        return Err("an empty axis cannot be resized".into());
    }
    let changing: Vec<&Axis> =
        all.iter().filter(|a| a.input != a.output || !a.is_exact() || mode.coordinates == "tf_crop_and_resize").collect();
    if let Some(result) = native(scope, x, &mode, &changing, &dims)? {
        return Ok(vec![scope.cast(result, elem)?]);
    }
    let mut value = x;
    let mut outside: Vec<(usize, Vec<bool>)> = Vec::new();
    for axis in changing {
        if mode.interpolation == "nearest" {
            let mut order = Vec::with_capacity(axis.output);
            let mut beyond = vec![false; axis.output];
            for x in 0..axis.output {
                let place = axis.place(&mode, x)?;
                beyond[x] = place.is_none();
                order.push(axis.nearest(&mode, place.unwrap_or(0.0)));
            }
            value = scope.reorder(value, axis.index, &order)?;
            outside.push((axis.index, beyond));
        } else {
            let (matrix, beyond) = axis.matrix(&mode)?;
            value = scope.along(value, axis.index, &matrix, axis.output)?;
            outside.push((axis.index, beyond));
        }
    }
    for (axis, beyond) in outside.into_iter().filter(|(_, b)| b.contains(&true)) {
        let mut shape = vec![1; dims.len()];
        shape[axis] = beyond.len();
        let (mask, fill) = (scope.bools(&beyond, &shape), scope.f32(mode.extrapolation));
        value = scope.select(mask, fill, value)?;
    }
    Ok(vec![scope.cast(value, elem)?])
}

/// TFLite's own operation on height and width, where it computes the same.
fn native(scope: &mut Scope<'_>, x: ValueId, mode: &Mode<'_>, changing: &[&Axis], dims: &[usize]) -> Result<Option<ValueId>, Refusal> {
    let fits = dims.len() == 4
        && changing.iter().all(|a| a.index >= 2 && a.is_exact())
        && !(mode.antialias && changing.iter().any(|a| a.scale < 1.0))
        && !mode.exclude_outside;
    if !fits || changing.is_empty() {
        return Ok(None);
    }
    let target = |index: usize| changing.iter().find(|a| a.index == index).map_or(dims[index], |a| a.output);
    let more_than_one = changing.iter().all(|a| a.output > 1);
    let (align_corners, half_pixel_centers) = match mode.coordinates {
        "asymmetric" => (false, false),
        "align_corners" if more_than_one => (true, false),
        "half_pixel" => (false, true),
        "pytorch_half_pixel" if more_than_one => (false, true),
        _ => return Ok(None),
    };
    // Whole upscaling meets no tie, so that every rounding agrees with TFLite's.
    let whole = changing.iter().all(|a| a.output.is_multiple_of(a.input));
    let takes = match (mode.interpolation, mode.nearest) {
        ("linear", _) => true,
        ("nearest", "floor") => !align_corners && !half_pixel_centers && whole,
        ("nearest", "round_prefer_floor" | "round_prefer_ceil") => half_pixel_centers && whole,
        _ => false,
    };
    if !takes {
        return Ok(None);
    }
    let size = scope.sizes(&[target(2), target(3)])?;
    let value = to_last(scope, x)?;
    let result = if mode.interpolation == "linear" {
        scope.op1(ops::ResizeBilinear { align_corners, half_pixel_centers }, &[value, size])?
    } else {
        scope.op1(ops::ResizeNearestNeighbor { align_corners, half_pixel_centers }, &[value, size])?
    };
    to_first(scope, result).map(Some)
}
