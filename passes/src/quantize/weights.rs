//! Quantized constants: filters and biases.

use octet_ir::{Constant, ElementType, Granularity, Quantization, Type};

use super::params::{Params, Width, quantize_elements, symmetric_scale};

/// Largest magnitude of a bias: half of int32, so that the accumulator has room; beside int16 activations int64 accumulators are rescaled
/// through 48 bits at most.
pub(super) fn bias_limit(width: Width) -> f64 {
    match width {
        Width::I8 => f64::from(i32::MAX / 2),
        Width::I16 => f64::from(1u32 << 30) * 512.0,
    }
}

/// The coarsest scale that the largest of these biases asks of a filter whose input has `input_scale`; see [`make_room_for_bias`].
pub(super) fn least_filter_scale(bias: &[f32], input_scale: f32, width: Width) -> f64 {
    let largest = bias.iter().fold(0.0, |m: f32, b| m.max(b.abs()));
    f64::from(largest) / (bias_limit(width) * f64::from(input_scale))
}

/// Scales of a filter whose elements are `values`: largest magnitude per index of `axis` at 127, or the largest of all.
pub(super) fn filter_scales(values: &[f32], shape: &[usize], axis: Option<usize>) -> Vec<f32> {
    let magnitudes = match axis {
        Some(axis) => magnitudes(values, shape, axis),
        None => vec![values.iter().fold(0.0, |m: f32, v| m.max(v.abs()))],
    };
    // A channel of zeros has no scale of its own: it takes the largest one, which keeps multipliers in a sane range.
    let largest = magnitudes.iter().copied().fold(0.0, f32::max);
    magnitudes.into_iter().map(|m| symmetric_scale(if m == 0.0 { largest } else { m }, 127.0)).collect()
}

/// One scale for a fully connected layer in place of `scales` per unit, where it serves as well: the layer has so few inputs that scales per
/// unit take more bytes (4 for the filter, 4 for the bias) than the filter itself, and rounding with the one scale moves no output by more than
/// two quanta, which is about what rounding the input does. `reach` is the largest magnitude of the input, `quantum` the output's scale.
pub(super) fn one_scale(scales: &[f32], dims: &[usize], reach: f32, quantum: f32) -> Option<f32> {
    const BYTES_OF_SCALES: usize = 8;
    let &inputs = dims.last().filter(|&&inputs| inputs < BYTES_OF_SCALES)?;
    let scale = scales.iter().copied().reduce(f32::max)?;
    #[expect(clippy::cast_precision_loss, reason = "less than 8")]
    let moved = inputs as f32 * 0.5 * scale * reach;
    (moved <= 2.0 * quantum).then_some(scale)
}

/// Largest magnitude per index of an axis.
fn magnitudes(values: &[f32], shape: &[usize], axis: usize) -> Vec<f32> {
    let channels = shape.get(axis).copied().unwrap_or(1).max(1);
    let inner: usize = shape.get(axis + 1..).map_or(1, |rest| rest.iter().product::<usize>().max(1));
    let mut result = vec![0.0f32; channels];
    for (block, row) in values.chunks(inner).enumerate() {
        let slot = &mut result[block % channels];
        *slot = row.iter().fold(*slot, |m, v| m.max(v.abs()));
    }
    result
}

/// Raises scales of a filter until the bias fits: its scale is the product of the filter's and the input's, and it stays within
/// [`bias_limit`]. Answers how many channels it raised.
pub(super) fn make_room_for_bias(scales: &mut [f32], bias: &[f32], input_scale: f32, width: Width) -> usize {
    let mut raised = 0;
    let last = scales.len() - 1;
    for (index, b) in bias.iter().enumerate() {
        let scale = &mut scales[index.min(last)];
        let needed = least_filter_scale(&[*b], input_scale, width);
        if f64::from(*scale) < needed {
            #[expect(clippy::cast_possible_truncation, reason = "rounded up to single precision")]
            let up = (needed as f32).next_up();
            *scale = up;
            raised += 1;
        }
    }
    raised
}

/// Per-axis quantization of these scales, or per-tensor if there is one.
pub(super) fn symmetric(scales: Vec<f32>, axis: usize) -> Quantization {
    match scales.as_slice() {
        [scale] => Quantization::new(*scale, 0),
        _ => Quantization::per_axis(axis, scales),
    }
}

/// A filter in int8 over [-127, 127].
pub(super) fn filter(values: &[f32], ty: &Type, quant: Quantization) -> (Constant, Type) {
    let q = quantize_elements(values, &quant, ty.shape.dims(), -127, 127);
    (pack(&q, ElementType::I8), Type::quantized(ElementType::I8, ty.shape.clone(), quant))
}

/// A bias whose scale is `input_scale` times the filter's scales: int32, or int64 beside int16 activations. The scales have room for it:
/// [`make_room_for_bias`] and the solver's limits see to that.
pub(super) fn bias(values: &[f32], input_scale: f32, filter: &Quantization, width: Width) -> (Constant, Type) {
    let filter_scales = filter.scales();
    let scale_of = |index: usize| filter_scales[index.min(filter_scales.len() - 1)];
    let limit = bias_limit(width);
    let elem = match width {
        Width::I8 => ElementType::I32,
        Width::I16 => ElementType::I64,
    };
    let quantize = |(index, &b): (usize, &f32)| {
        let step = f64::from(input_scale) * f64::from(scale_of(index));
        #[expect(clippy::cast_possible_truncation, reason = "clamped first")]
        let q = (f64::from(b) / step).round().clamp(-limit, limit) as i64;
        q
    };
    let q: Vec<i64> = values.iter().enumerate().map(quantize).collect();
    let scales: Vec<f32> = filter_scales.iter().map(|s| (input_scale * s).max(f32::MIN_POSITIVE)).collect();
    let quant = if values.len() == scales.len() { symmetric(scales, 0) } else { Quantization::new(scales[0], 0) };
    (pack(&q, elem), Type::quantized(elem, [values.len()], quant))
}

/// An activation that is a constant.
pub(super) fn activation(values: &[f32], ty: &Type, params: Params, width: Width) -> (Constant, Type) {
    let (low, high) = width.limits();
    let quant = params.to_quantization();
    let q = quantize_elements(values, &quant, ty.shape.dims(), low, high);
    (pack(&q, width.elem()), Type::quantized(width.elem(), ty.shape.clone(), quant))
}

/// Integers in an element type that holds them.
pub(super) fn pack(values: &[i64], elem: ElementType) -> Constant {
    #[expect(clippy::cast_possible_truncation, reason = "the caller has clamped them to the type")]
    match elem {
        ElementType::I8 => Constant::from_i8(&values.iter().map(|&v| v as i8).collect::<Vec<_>>()),
        ElementType::I16 => Constant::from_i16(&values.iter().map(|&v| v as i16).collect::<Vec<_>>()),
        ElementType::I32 => Constant::from_i32(&values.iter().map(|&v| v as i32).collect::<Vec<_>>()),
        _ => Constant::from_i64(values),
    }
}

/// A filter's quantization as training found it: the annotation of its `f32` type, if that is symmetric and fits the axis.
pub(super) fn trained_filter(ty: &Type, axis: usize) -> Option<Quantization> {
    let quant = ty.quant.as_ref().filter(|q| q.is_symmetric())?;
    let fits = match quant.granularity() {
        Granularity::PerTensor => true,
        Granularity::PerAxis(own) => own == axis,
        Granularity::Blockwise { .. } => false,
    };
    fits.then(|| quant.as_ref().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_fills_its_range() {
        // [2, 2, 1] along axis 0 and along axis 1.
        let values = [1.0, -2.0, 0.5, 0.25];
        assert_eq!(filter_scales(&values, &[2, 2, 1], Some(0)), [2.0 / 127.0, 0.5 / 127.0]);
        assert_eq!(filter_scales(&values, &[2, 2, 1], Some(1)), [1.0 / 127.0, 2.0 / 127.0]);
        assert_eq!(filter_scales(&values, &[2, 2, 1], None), [2.0 / 127.0]);
        let (constant, ty) = filter(&values, &Type::f32([2, 2, 1]), symmetric(vec![2.0 / 127.0, 0.5 / 127.0], 0));
        assert_eq!(constant.to_i8(), [64, -127, 127, 64]);
        assert_eq!(ty.quant.unwrap().axis(), Some(0));
    }

    #[test]
    fn zeros_have_a_scale() {
        assert_eq!(filter_scales(&[0.0, 0.0, 3.0, 1.0], &[2, 2], Some(0)), [3.0 / 127.0; 2]);
        assert_eq!(filter_scales(&[0.0; 4], &[2, 2], Some(0)), [1.0; 2]);
    }

    #[test]
    fn a_large_bias_raises_its_channel() {
        let mut scales = vec![1e-9, 1e-3];
        assert_eq!(make_room_for_bias(&mut scales, &[10.0, 10.0], 0.01, Width::I8), 1);
        let (constant, _) = bias(&[10.0, 10.0], 0.01, &symmetric(scales.clone(), 0), Width::I8);
        let q = constant.to_i32();
        assert!(q[0] > 1 << 29 && q[0] <= i32::MAX / 2, "{q:?}");
        assert_eq!((scales[1], q[1]), (1e-3, 1_000_000));
    }

    #[test]
    fn biases_are_as_wide_as_the_accumulator() {
        let quant = symmetric(vec![0.5, 0.25], 0);
        let (constant, ty) = bias(&[1.0, -1.0], 0.5, &quant, Width::I16);
        assert_eq!((ty.elem, constant.to_i64()), (ElementType::I64, vec![4, -8]));
        assert_eq!(ty.quant.unwrap().scales(), [0.25, 0.125]);
    }
}
