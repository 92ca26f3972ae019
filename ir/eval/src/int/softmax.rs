//! SOFTMAX and LOG_SOFTMAX over the last axis.
//!
//! Arithmetic: `reference/softmax.h` and `log_softmax.h`; prepares in `micro/kernels/{softmax_common,log_softmax}.cc`.

use octet_ir::arith::{
    Interpolated, exp_on_negative_values, input_radius, interpolated_table, log_at_least_one, reciprocal, rescale, rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul, softmax_scaling,
};

use super::{Affine, Multiplier, Quantized, Result, ensure};

const DIFF_BITS: i32 = 5;
const ACCUM_BITS: i32 = 12;

/// A prepared SOFTMAX on 8 bits; the result is in units of 1/256 (or 1/65536 when the output has 16 bits).
#[derive(Clone, Debug)]
pub struct Softmax8 {
    /// exp(-d) in Q0 for a difference of d steps to the row's maximum.
    exp: Vec<i32>,
}

impl Softmax8 {
    /// `beta` multiplies the input.
    pub fn prepare(input: Affine, beta: f32) -> Result<Self> {
        let scaling = softmax_scaling(f64::from(beta), f64::from(input.scale), DIFF_BITS);
        ensure(scaling.mantissa > 0 && scaling.shift >= 0, || {
            format!("scale {} times beta {beta} is too small for an 8-bit softmax", input.scale)
        })?;
        Ok(Self { exp: exp_table(scaling) })
    }

    /// Rows of `depth` values.
    pub fn run<I: Quantized, O: Quantized>(&self, depth: usize, input: &[I], output: &mut [O]) -> Result<()> {
        ensure(depth > 0 && input.len() == output.len() && input.len().is_multiple_of(depth), || {
            format!("{} values are not rows of {depth}", input.len())
        })?;
        let bits = if O::MAX > 255 { 16 } else { 8 };
        for (input, output) in input.chunks(depth).zip(output.chunks_mut(depth)) {
            let max = input.iter().map(|x| x.get()).max().unwrap_or(0);
            let exp = |x: I| self.exp.get((max - x.get()) as usize).copied();
            let sum = input.iter().filter_map(|&x| exp(x)).fold(0i32, |sum, e| sum.wrapping_add(rescale(e, 0, ACCUM_BITS)));
            let (scale, over) = reciprocal(sum, ACCUM_BITS);
            let exponent = (over + 31 - bits).clamp(0, 31) as u32;
            for (o, &x) in output.iter_mut().zip(input) {
                *o = exp(x).map_or(O::saturate(O::MIN), |e| {
                    let product = saturating_rounding_doubling_high_mul(scale, e);
                    O::saturate(rounding_divide_by_pot(product, exponent).wrapping_add(O::MIN))
                });
            }
        }
        Ok(())
    }
}

/// exp(-d) in Q0 for the differences 0, 1, ... that are not negligible.
fn exp_table(scaling: Multiplier) -> Vec<i32> {
    let radius = input_radius(DIFF_BITS, scaling.shift).clamp(0, 255);
    (0..=radius).map(|d| exp_on_negative_values(scaling.apply(-d), DIFF_BITS)).collect()
}

/// A prepared SOFTMAX on 16 bits, in units of 1/32768.
#[derive(Clone, Debug)]
pub struct Softmax16 {
    exp: Interpolated,
    one_over_one_plus_x: Interpolated,
    multiplier: Multiplier,
}

impl Softmax16 {
    /// `beta` multiplies the input.
    pub fn prepare(input: Affine, beta: f32) -> Self {
        let range = 65535.0f32;
        let half = Affine { scale: 2.0 / range, zero_point: 0 };
        Self {
            exp: interpolated_table(Affine { scale: 10.0 / range, zero_point: 32767 }, half, |x| f64::from(x).exp() as f32),
            one_over_one_plus_x: interpolated_table(Affine { scale: 1.0 / range, zero_point: -32768 }, half, |x| 1.0 / (1.0 + x)),
            multiplier: Multiplier::from_real(f64::from(input.scale) * f64::from(beta) / (10.0 / 65535.0)),
        }
    }

    /// Rows of `depth` values.
    pub fn run(&self, depth: usize, input: &[i16], output: &mut [i16]) -> Result<()> {
        ensure(depth > 0 && input.len() == output.len() && input.len().is_multiple_of(depth), || {
            format!("{} values are not rows of {depth}", input.len())
        })?;
        for (input, output) in input.chunks(depth).zip(output.chunks_mut(depth)) {
            let max = input.iter().map(|&x| i32::from(x)).max().unwrap_or(0);
            let mut sum = 0i32;
            for (o, &x) in output.iter_mut().zip(input) {
                let scaled = self.multiplier.apply(i32::from(x) - max).saturating_add(32767);
                *o = self.exp.at(scaled.clamp(-32768, 32767) as i16);
                sum = sum.wrapping_add(i32::from(*o));
            }
            let headroom_plus_one = (sum as u32).leading_zeros();
            let shifted = ((i64::from(sum) << headroom_plus_one.saturating_sub(1)) + (1 << 13)) >> 14;
            let symmetric = (shifted as i32).wrapping_sub((1 << 15) + (1 << 16));
            let inverse = i64::from(self.one_over_one_plus_x.at(symmetric.clamp(-32768, 32767) as i16));
            let right = 31u32.saturating_sub(headroom_plus_one);
            let round = if right > 0 { 1i64 << (right - 1) } else { 0 };
            for o in output {
                *o = (((i64::from(*o) * inverse + round) >> right) as i32).clamp(0, 32767) as i16;
            }
        }
        Ok(())
    }
}

/// A prepared LOG_SOFTMAX on 8 bits, in units of 1/16 below the largest storable value.
#[derive(Clone, Debug)]
pub struct LogSoftmax8 {
    scaling: Multiplier,
    reverse: Multiplier,
    diff_min: i32,
    exp: Vec<i32>,
}

impl LogSoftmax8 {
    /// Beta is 1.
    pub fn prepare(input: Affine) -> Result<Self> {
        let scaling = softmax_scaling(1.0, f64::from(input.scale), DIFF_BITS);
        ensure(scaling.mantissa > 0 && scaling.shift >= 0 && scaling.shift <= 31, || {
            format!("scale {} is too small for an 8-bit log softmax", input.scale)
        })?;
        let divisor = f64::from((1u32 << (31 - scaling.shift)) as i32) / f64::from(scaling.mantissa);
        let reverse = Multiplier::from_real(divisor);
        Ok(Self { scaling, reverse, diff_min: -input_radius(DIFF_BITS, scaling.shift), exp: exp_table(scaling) })
    }

    /// Rows of `depth` values.
    pub fn run<T: Quantized>(&self, depth: usize, input: &[T], output: &mut [T]) -> Result<()> {
        const OUTPUT_BITS: i32 = 4;
        ensure(depth > 0 && input.len() == output.len() && input.len().is_multiple_of(depth), || {
            format!("{} values are not rows of {depth}", input.len())
        })?;
        for (input, output) in input.chunks(depth).zip(output.chunks_mut(depth)) {
            let max = input.iter().map(|x| x.get()).max().unwrap_or(0);
            let sum = input
                .iter()
                .filter_map(|x| self.exp.get((max - x.get()) as usize))
                .fold(0i32, |sum, &e| sum.wrapping_add(rescale(e, 0, ACCUM_BITS)));
            let log_sum = log_at_least_one(sum, ACCUM_BITS, DIFF_BITS);
            let lowest = self.reverse.apply(log_sum.wrapping_add(i32::MIN));
            let diff_min = (self.diff_min - 1).max(lowest);
            for (o, &x) in output.iter_mut().zip(input) {
                let diff = x.get() - max;
                *o = T::saturate(if diff > diff_min {
                    let value = self.scaling.apply(diff).wrapping_sub(log_sum);
                    rounding_divide_by_pot(value, (31 - DIFF_BITS - OUTPUT_BITS) as u32).wrapping_add(T::MAX)
                } else {
                    T::MIN
                });
            }
        }
        Ok(())
    }
}
