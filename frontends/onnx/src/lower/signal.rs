//! Signal processing: transforms are products with constant matrices, windows and filter banks are constants.

use std::f64::consts::TAU;

use octet_ir::ops::BinaryKind;
use octet_ir::{Constant, ElementType, Type, ValueId};

use super::{Inputs, Lowering, Outputs, Table, axis, input, optional};
use crate::attributes::{Node, Refusal};
use crate::scope::Scope;
use crate::tensor;

pub(super) const TABLE: Table = &[
    ("BlackmanWindow", |l, n, i| window(l, n, i, &[0.42, -0.5, 0.08])),
    ("DFT", dft),
    ("HammingWindow", |l, n, i| window(l, n, i, &[25.0 / 46.0, -21.0 / 46.0])),
    ("HannWindow", |l, n, i| window(l, n, i, &[0.5, -0.5])),
    ("MelWeightMatrix", mel_weight_matrix),
    ("STFT", stft),
];

/// Largest matrix of a transform, in elements.
const LARGEST: usize = 1 << 24;

/// A number that must be known at import.
fn known(scope: &mut Scope<'_>, value: ValueId, what: &str) -> Result<usize, Refusal> {
    let number = scope.need_ints(value, what)?.first().copied();
    number.and_then(|n| usize::try_from(n).ok()).ok_or_else(|| format!("{what} is not a size"))
}

/// Coefficients `[outputs, inputs]` of a function of frequency and time.
fn coefficients(outputs: usize, inputs: usize, of: impl Fn(usize, usize) -> f64) -> Result<Vec<f32>, Refusal> {
    if outputs.checked_mul(inputs).is_none_or(|n| n > LARGEST) {
        return Err(format!("a transform of {inputs} values to {outputs} is too large to be a matrix"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "computed in double, rounded once")]
    Ok((0..outputs).flat_map(|k| (0..inputs).map(move |t| (k, t))).map(|(k, t)| of(k, t) as f32).collect())
}

/// Cosine and sine of the turn `k * t / n`, the product reduced first so that large ones lose nothing.
#[expect(clippy::cast_precision_loss, reason = "indices of a transform")]
fn turn(k: usize, t: usize, n: usize) -> (f64, f64) {
    let angle = TAU * ((k * t % n) as f64) / n as f64;
    (angle.cos(), angle.sin())
}

/// The discrete Fourier transform of `x [..., 1 or 2]` along an axis.
fn transform(scope: &mut Scope<'_>, x: ValueId, along: usize, length: usize, inverse: bool, one_sided: bool) -> Result<ValueId, Refusal> {
    let last = scope.rank(x) - 1;
    let parts = scope.dims(x)[last];
    if length == 0 || !(1..=2).contains(&parts) {
        return Err(format!("a transform of length {length} over {parts} parts"));
    }
    #[expect(clippy::cast_precision_loss, reason = "the length of a transform")]
    let n = length as f64;
    let half = length / 2 + 1;
    // Entries beyond the length do not count, missing ones are zero: both are a matter of the matrix.
    let size = scope.dims(x)[along];
    let used = if inverse && one_sided { size.min(half) } else { size.min(length) };
    let x = scope.slice(x, along, 0, used)?;
    let real = scope.slice(x, last, 0, 1)?;
    let imaginary = if parts == 2 { Some(scope.slice(x, last, 1, 1)?) } else { None };
    let add = |scope: &mut Scope<'_>, a: ValueId, b: Option<ValueId>, kind| match b {
        Some(b) => scope.binary(kind, a, b),
        None => Ok(a),
    };
    if inverse && one_sided {
        // The other half is the conjugate of this one: every frequency but the first and the middle one counts twice.
        let times = |k: usize| if k == 0 || 2 * k == length { 1.0 } else { 2.0 };
        let cosines = coefficients(length, used, |t, k| times(k) * turn(k, t, length).0 / n)?;
        let sines = coefficients(length, used, |t, k| times(k) * turn(k, t, length).1 / n)?;
        let a = scope.along(real, along, &cosines, length)?;
        let b = imaginary.map(|i| scope.along(i, along, &sines, length)).transpose()?;
        return add(scope, a, b, BinaryKind::Sub);
    }
    let outputs = if one_sided { half } else { length };
    let scale = if inverse { 1.0 / n } else { 1.0 };
    let sign = if inverse { -1.0 } else { 1.0 };
    let cosines = coefficients(outputs, used, |k, t| scale * turn(k, t, length).0)?;
    let sines = coefficients(outputs, used, |k, t| sign * scale * turn(k, t, length).1)?;
    let negative: Vec<f32> = sines.iter().map(|s| -s).collect();
    let (a, c) = (scope.along(real, along, &cosines, outputs)?, scope.along(real, along, &negative, outputs)?);
    let b = imaginary.map(|i| scope.along(i, along, &sines, outputs)).transpose()?;
    let d = imaginary.map(|i| scope.along(i, along, &cosines, outputs)).transpose()?;
    let (re, im) = (add(scope, a, b, BinaryKind::Add)?, add(scope, c, d, BinaryKind::Add)?);
    scope.concat(&[re, im], last)
}

fn dft(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (x, elem) = scope.as_f32(input(inputs, 0)?)?;
    let rank = scope.rank(x);
    let along = match optional(inputs, 2) {
        Some(along) => scope.need_ints(along, "the axis")?.first().copied().unwrap_or(-2),
        None => node.int_or("axis", if node.version < 20 { 1 } else { -2 }),
    };
    let along = axis(along, rank)?;
    let (inverse, one_sided) = (node.flag("inverse"), node.flag("onesided"));
    let length = match optional(inputs, 1) {
        Some(length) => known(scope, length, "the length")?,
        None if inverse && one_sided => 2 * scope.dims(x)[along].saturating_sub(1),
        None => scope.dims(x)[along],
    };
    let result = transform(scope, x, along, length, inverse, one_sided)?;
    Ok(vec![scope.cast(result, elem)?])
}

/// Frames of `signal [B, L, 1 or 2]`, each times the window, and their transforms `[B, frames, frequencies, 2]`.
fn stft(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (x, elem) = scope.as_f32(input(inputs, 0)?)?;
    let step = known(scope, input(inputs, 1)?, "the step")?;
    let window = optional(inputs, 2);
    let mut dims = scope.dims(x).to_vec();
    if dims.len() == 2 {
        dims.push(1);
    }
    let x = scope.reshape(x, &dims)?;
    let &[batch, length, parts] = dims.as_slice() else { return Err("its signal has not three axes".into()) };
    let frame = match (optional(inputs, 3), window) {
        (Some(frame), _) => known(scope, frame, "the length of a frame")?,
        (None, Some(window)) => scope.dims(window).iter().product(),
        (None, None) => length,
    };
    if step == 0 || frame == 0 || frame > length {
        return Err(format!("frames of {frame} every {step} values do not fit a signal of {length}"));
    }
    let count = 1 + (length - frame) / step;
    let order: Vec<usize> = (0..count).flat_map(|f| (0..frame).map(move |t| f * step + t)).collect();
    let frames = scope.reorder(x, 1, &order)?;
    let mut frames = scope.reshape(frames, &[batch, count, frame, parts])?;
    if let Some(window) = window {
        let window = scope.as_f32(window)?.0;
        let window = scope.reshape(window, &[frame, 1])?;
        frames = scope.binary(BinaryKind::Mul, frames, window)?;
    }
    let result = transform(scope, frames, 2, frame, false, node.int_or("onesided", 1) == 1)?;
    Ok(vec![scope.cast(result, elem)?])
}

/// A constant of the element type that an attribute names.
fn constant(scope: &mut Scope<'_>, node: &Node<'_>, values: &[f64], dims: &[usize]) -> Outputs {
    let code = i32::try_from(node.int_or("output_datatype", 1)).unwrap_or(0);
    let elem = tensor::element_type(code).ok_or_else(|| format!("{} has no type in the IR", tensor::element_name(code)))?;
    if elem == ElementType::F64 {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        return Ok(vec![scope.constant_value(Constant::new(bytes), Type::new(elem, dims.to_vec()))]);
    }
    #[expect(clippy::cast_possible_truncation, reason = "computed in double, rounded once")]
    let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
    let values = scope.f32_tensor(&values, dims);
    Ok(vec![scope.cast(values, elem)?])
}

/// A sum of cosines: term *i* of the list turns *i* times over the window.
fn window(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>, terms: &[f64]) -> Outputs {
    let size = known(l.scope, input(inputs, 0)?, "the size")?;
    if size > LARGEST {
        return Err(format!("a window of {size} values is too large"));
    }
    let period = if node.int_or("periodic", 1) == 1 { size } else { size.saturating_sub(1) };
    #[expect(clippy::cast_precision_loss, reason = "places in a window")]
    let value = |t: usize| terms.iter().enumerate().map(|(i, c)| c * (TAU * (i * t) as f64 / period.max(1) as f64).cos()).sum();
    let values: Vec<f64> = (0..size).map(value).collect();
    constant(l.scope, node, &values, &[size])
}

/// Triangular filters on the mel scale, `[frequencies, bins]`.
fn mel_weight_matrix(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let bins = known(scope, input(inputs, 0)?, "the number of bins")?;
    let length = known(scope, input(inputs, 1)?, "the length of the transform")?;
    let rate = known(scope, input(inputs, 2)?, "the sample rate")?;
    let edge = |scope: &mut Scope<'_>, index: usize| -> Result<f64, Refusal> {
        let value = scope.as_f32(input(inputs, index)?)?.0;
        let value = scope.floats(value).and_then(|v| v.first().copied()).ok_or("the edges must be constant")?;
        Ok(f64::from(value))
    };
    let (low, high) = (edge(scope, 3)?, edge(scope, 4)?);
    let frequencies = length / 2 + 1;
    if rate == 0 || frequencies.checked_mul(bins).is_none_or(|n| n > LARGEST) {
        return Err("the matrix is too large, or the sample rate is 0".into());
    }
    let mel = |hertz: f64| 2595.0 * (1.0 + hertz / 700.0).log10();
    #[expect(clippy::cast_precision_loss, reason = "counts of bins")]
    let step = (mel(high) - mel(low)) / (bins + 2) as f64;
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a bin of a spectrum")]
    let edges: Vec<usize> = (0..bins + 2)
        .map(|i| {
            let hertz = 700.0 * (10f64.powf((i as f64 * step + mel(low)) / 2595.0) - 1.0);
            ((length + 1) as f64 * hertz / rate as f64).floor().max(0.0) as usize
        })
        .collect();
    let mut matrix = vec![0.0; frequencies * bins];
    for bin in 0..bins {
        let (left, centre, right) = (edges[bin], edges[bin + 1], edges[bin + 2]);
        let mut set = |row: usize, value: f64| -> Result<(), Refusal> {
            *matrix.get_mut(row * bins + bin).ok_or("an edge lies beyond the spectrum")? = value;
            Ok(())
        };
        #[expect(clippy::cast_precision_loss, reason = "bins of a spectrum")]
        if centre == left {
            set(centre, 1.0)?;
        } else {
            for row in left..=centre {
                set(row, (row - left) as f64 / (centre - left) as f64)?;
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "bins of a spectrum")]
        for row in centre..right {
            set(row, (right - row) as f64 / (right - centre) as f64)?;
        }
    }
    constant(scope, node, &matrix, &[frequencies, bins])
}
