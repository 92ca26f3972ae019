//! Dynamic-range arithmetic: float activations that are rounded to 8 bits for each run, times
//! integer weights.
//!
//! The rounded activations stay f32 numbers that hold small integers, so the float kernels do
//! the sums: they are exact as long as they stay below 2^24, and within an ULP beyond. LiteRT's
//! `tensor_utils` define how activations are rounded.

use super::vector::map_vectorized;

/// Rounds one row to `[-127, 127]` steps around zero; answers the step.
pub fn quantize_symmetric(x: &[f32], out: &mut [f32]) -> f32 {
    let range = x.iter().fold(0.0f32, |range, x| range.max(x.abs()));
    if range == 0.0 {
        out.fill(0.0);
        return 1.0;
    }
    let inverse = 127.0 / range;
    map_vectorized(x, out, |x| (x * inverse).round().clamp(-127.0, 127.0));
    range / 127.0
}

/// Rounds one row to 255 steps between its smallest and largest element (zero included) and
/// subtracts the zero point again; answers the step.
pub fn quantize_asymmetric(x: &[f32], out: &mut [f32]) -> f32 {
    let (low, high) = x.iter().fold((0.0f32, 0.0f32), |(low, high), &x| (low.min(x), high.max(x)));
    if low == high {
        out.fill(0.0);
        return 1.0;
    }
    let (low, high) = (f64::from(low), f64::from(high));
    let step = (high - low) / 255.0;
    let (from_low, from_high) = (-128.0 - low / step, 127.0 - high / step);
    let low_error = 128.0 + (low / step).abs();
    let high_error = 127.0 + (high / step).abs();
    let zero = if low_error < high_error { from_low } else { from_high };
    let zero = zero.round().clamp(-128.0, 127.0) as f32;
    let step = step as f32;
    let inverse = 1.0 / step;
    // LiteRT's build fuses the product and the sum, which shows where a number lies between two steps.
    map_vectorized(x, out, |x| x.mul_add(inverse, zero).round().clamp(-128.0, 127.0) - zero);
    step
}

/// Turns sums of integers into reals: `y = clamp(bias[c] + y * (step * scales[c]))`, channels
/// innermost; `scales` has one entry or one per channel.
pub fn rescale(y: &mut [f32], step: f32, scales: &[f32], bias: Option<&[f32]>, channels: usize, clamp: (f32, f32)) {
    for row in y.chunks_exact_mut(channels.max(1)) {
        for (channel, y) in row.iter_mut().enumerate() {
            let scale = if scales.len() == 1 { scales[0] } else { scales[channel] };
            let bias = bias.map_or(0.0, |bias| bias[channel]);
            *y = (bias + *y * (step * scale)).clamp(clamp.0, clamp.1);
        }
    }
}

/// Signed integers of `bits` (2, 4 or 8) bits, packed from the low end of each byte, as numbers.
#[must_use]
pub fn unpack(bytes: &[u8], bits: usize, count: usize) -> Vec<f32> {
    let per_byte = 8 / bits;
    (0..count)
        .map(|i| {
            let shifted = bytes[i / per_byte] >> (i % per_byte * bits) << (8 - bits);
            f32::from(shifted.cast_signed() >> (8 - bits))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_keeps_zero_and_the_ends() {
        let x = [-1.0, 0.0, 0.5, 3.0];
        let mut q = [0.0; 4];
        let step = quantize_asymmetric(&x, &mut q);
        assert_eq!(q[1], 0.0);
        for (q, x) in q.iter().zip(x) {
            assert!((q * step - x).abs() <= step, "{q} {x}");
        }
        assert_eq!(quantize_symmetric(&x, &mut q), 3.0 / 127.0);
        assert_eq!(q, [-42.0, 0.0, 21.0, 127.0]);
    }

    #[test]
    fn nibbles_and_pairs_unpack_from_the_low_end() {
        assert_eq!(unpack(&[0x8F, 0x07], 4, 3), [-1.0, -8.0, 7.0]);
        assert_eq!(unpack(&[0b11_01_10_00], 2, 4), [0.0, -2.0, 1.0, -1.0]);
    }
}
