//! QUANTIZE and DEQUANTIZE, per tensor and per axis.
//!
//! Arithmetic: `reference/{quantize,requantize,dequantize}.h`.

use octet_ir::arith::quantize_saturating;

use super::simd::dispatch;
use super::{Affine, Multiplier, Quantized, Result, ensure};

/// Real numbers to integers: `round(x / scale)`, half away from zero, in single precision. NaN gives the zero point.
pub fn quantize<T: Quantized>(input: &[f32], output: &mut [T], affine: Affine) -> Result<()> {
    ensure(input.len() == output.len(), || format!("{} inputs and {} outputs", input.len(), output.len()))?;
    dispatch(
        #[inline(always)]
        || {
            for (o, &x) in output.iter_mut().zip(input) {
                *o = T::saturate(quantize_saturating(x, affine, T::MIN, T::MAX));
            }
        },
    );
    Ok(())
}

/// Integers to real numbers.
pub fn dequantize<T: Quantized>(input: &[T], output: &mut [f32], affine: Affine) -> Result<()> {
    ensure(input.len() == output.len(), || format!("{} inputs and {} outputs", input.len(), output.len()))?;
    for (o, &x) in output.iter_mut().zip(input) {
        *o = affine.dequantize(x.get());
    }
    Ok(())
}

/// [`quantize()`] with a scale per index of an axis; `inner` is the number of elements behind it.
pub fn quantize_per_axis<T: Quantized>(input: &[f32], output: &mut [T], affine: &[Affine], inner: usize) -> Result<()> {
    per_axis(input, output, affine, inner, |x, a| T::saturate(quantize_saturating(x, a, T::MIN, T::MAX)))
}

/// [`dequantize`] with a scale per index of an axis; the product is rounded in single precision.
pub fn dequantize_per_axis<T: Quantized>(input: &[T], output: &mut [f32], affine: &[Affine], inner: usize) -> Result<()> {
    per_axis(input, output, affine, inner, |x, a| a.scale * (x.get().wrapping_sub(a.zero_point)) as f32)
}

fn per_axis<A: Copy, B>(input: &[A], output: &mut [B], affine: &[Affine], inner: usize, f: impl Fn(A, Affine) -> B) -> Result<()> {
    ensure(input.len() == output.len() && inner > 0 && !affine.is_empty() && input.len().is_multiple_of(inner * affine.len()), || {
        format!("{} values do not fit {} scales", input.len(), affine.len())
    })?;
    for (i, (o, x)) in output.chunks_mut(inner).zip(input.chunks(inner)).enumerate() {
        let a = affine[i % affine.len()];
        for (o, &x) in o.iter_mut().zip(x) {
            *o = f(x, a);
        }
    }
    Ok(())
}

/// QUANTIZE between integers: one multiplication by the ratio of scales.
#[derive(Clone, Copy, Debug)]
pub struct Requantize {
    multiplier: Multiplier,
    input_zero: i32,
    output_zero: i32,
}

impl Requantize {
    /// The ratio is taken in double precision.
    pub fn prepare(input: Affine, output: Affine) -> Self {
        Self {
            multiplier: Multiplier::from_real(f64::from(input.scale) / f64::from(output.scale)),
            input_zero: input.zero_point,
            output_zero: output.zero_point,
        }
    }

    /// Converts between any two integer types.
    pub fn run<I: Quantized, O: Quantized>(&self, input: &[I], output: &mut [O]) -> Result<()> {
        ensure(input.len() == output.len(), || format!("{} inputs and {} outputs", input.len(), output.len()))?;
        for (o, &x) in output.iter_mut().zip(input) {
            let centred = x.get().wrapping_sub(self.input_zero);
            *o = O::saturate(self.multiplier.apply(centred).wrapping_add(self.output_zero));
        }
        Ok(())
    }
}
