//! Affine quantization of single real numbers.

/// Scale and zero point shared by a whole tensor: `real = (q - zero_point) * scale`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// Real size of one step, positive.
    pub scale: f32,
    /// The integer that stands for 0.
    pub zero_point: i32,
}

impl Affine {
    /// Symmetric parameters.
    pub fn symmetric(scale: f32) -> Self {
        Self { scale, zero_point: 0 }
    }

    /// `(q - zero_point) * scale`: the difference is exact, the product is rounded once, to `f32` (DEQUANTIZE multiplies in
    /// double precision and rounds, which is the same).
    #[inline]
    pub fn dequantize(self, q: i32) -> f32 {
        (f64::from(self.scale) * f64::from(q.wrapping_sub(self.zero_point))) as f32
    }
}

/// `round(x / scale) + zero_point` with the division and rounding in `f32`, half away from zero. Values beyond `i32` saturate.
#[inline]
pub fn quantize(x: f32, affine: Affine) -> i32 {
    ((x / affine.scale).round() as i32).saturating_add(affine.zero_point)
}

/// [`quantize`], clamped to a storage range.
#[inline]
pub fn quantize_saturating(x: f32, affine: Affine, qmin: i32, qmax: i32) -> i32 {
    quantize(x, affine).clamp(qmin, qmax)
}

/// `log2(x)` rounded to an integer, if `x` is within 0.1 % of that power of two (`CheckedLog2`, in `f32`).
pub fn checked_log2(x: f32) -> (i32, bool) {
    let log2 = x.ln() * (1.0 / std::f32::consts::LN_2);
    let rounded = log2.round();
    (rounded as i32, (log2 - rounded).abs() < 1e-3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantization_rounds_half_away_and_saturates() {
        let a = Affine { scale: 0.5, zero_point: -3 };
        assert_eq!(quantize(0.25, a), -2);
        assert_eq!(quantize(-0.25, a), -4);
        assert_eq!(quantize_saturating(1e9, a, -128, 127), 127);
        assert_eq!(quantize(f32::NAN, a), -3);
        assert_eq!(a.dequantize(-2), 0.5);
    }

    #[test]
    fn powers_of_two_are_found() {
        assert_eq!(checked_log2(1.0 / 32768.0), (-15, true));
        assert!(!checked_log2(0.3).1);
    }
}
