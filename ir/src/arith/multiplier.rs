//! Multiplication of an integer by a real number, the way integer kernels do it.

/// A positive real number as `mantissa * 2^(shift - 31)` with a mantissa of 31 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Multiplier {
    /// Q0.31 significand: 0, or in `[2^30, 2^31)` for positive multipliers.
    pub mantissa: i32,
    /// Power of two; positive shifts left.
    pub shift: i32,
}

impl Multiplier {
    /// Splits `real` (TFLite's `QuantizeMultiplier`). Values below about `2^-32` become 0; NaN becomes 0, and what is too
    /// large for a shift of 30 saturates there.
    pub fn from_real(real: f64) -> Self {
        if real == 0.0 || real.is_nan() {
            return Self::default();
        }
        if real.is_infinite() {
            return Self { mantissa: if real > 0.0 { i32::MAX } else { -i32::MAX }, shift: 30 };
        }
        let (fraction, mut shift) = frexp(real);
        let mut mantissa = round_half_away(fraction * 2_147_483_648.0) as i64;
        // Rounding may reach 2^31 (or -2^31, which the C++ lets pass as it fits).
        if mantissa == 1 << 31 {
            mantissa /= 2;
            shift += 1;
        }
        if shift < -31 {
            return Self::default();
        }
        Self { mantissa: mantissa as i32, shift }
    }

    /// Whether multiplying by it changes nothing.
    pub fn is_one(self) -> bool {
        self.mantissa == 1 << 30 && self.shift == 1
    }

    /// `round(x * self)` with two roundings: the doubling high product (half up), then the right shift (half away from
    /// zero). A left shift wraps, as the C++ does in practice.
    #[inline]
    pub fn apply(self, x: i32) -> i32 {
        let left = self.shift.max(0) as u32;
        let right = (-self.shift).max(0) as u32;
        rounding_divide_by_pot(saturating_rounding_doubling_high_mul(x.wrapping_shl(left), self.mantissa), right)
    }

    /// `x * self` for a 64-bit accumulator (16x8 kernels): the mantissa is first rounded to 15 bits, then there is a single
    /// rounding, half up. The result is cut to 32 bits.
    #[inline]
    pub fn apply_i64(self, x: i64) -> i32 {
        let reduced = i64::from(self.reduced());
        let total_shift = 15 - self.shift;
        if total_shift < 1 {
            return x.wrapping_mul(reduced).wrapping_shl((-total_shift) as u32) as i32;
        }
        (x.wrapping_mul(reduced).wrapping_add(1i64 << (total_shift - 1)) >> total_shift.min(63)) as i32
    }

    /// The 15-bit mantissa that [`apply_i64`](Self::apply_i64) uses.
    pub fn reduced(self) -> i32 {
        if self.mantissa < 0x7FFF_0000 { (self.mantissa + (1 << 15)) >> 16 } else { 0x7FFF }
    }

    /// The multiplier divided by `count`, precisely as MEAN folds its 1/N: as many bits as fit are gained by a left shift
    /// first, then the division truncates.
    #[must_use]
    pub fn divided_by(self, count: u64) -> Self {
        if count == 0 {
            return self;
        }
        let shift = (63 - count.leading_zeros() as i32).min(32).min(31 + self.shift);
        let shift = shift.max(0);
        let mantissa = (i128::from(self.mantissa) << shift) / i128::from(count);
        Self { mantissa: mantissa as i32, shift: self.shift - shift }
    }

    /// The real number that it stands for.
    pub fn to_real(self) -> f64 {
        ldexp(f64::from(self.mantissa), self.shift - 31)
    }
}

/// `(a * b + 2^30) >> 31`, saturating: the high half of twice the product, rounded half up.
#[inline]
pub fn saturating_rounding_doubling_high_mul(a: i32, b: i32) -> i32 {
    if a == i32::MIN && b == i32::MIN {
        return i32::MAX;
    }
    ((i64::from(a) * i64::from(b) + (1 << 30)) >> 31) as i32
}

/// The same on 16 bits: `(a * b + 2^14) >> 15`, saturating.
#[inline]
pub fn saturating_rounding_doubling_high_mul_i16(a: i16, b: i16) -> i16 {
    if a == i16::MIN && b == i16::MIN {
        return i16::MAX;
    }
    ((i32::from(a) * i32::from(b) + (1 << 14)) >> 15) as i16
}

/// `a * b / 2^15` on 16 bits, truncating toward zero, saturating (HARD_SWISH's last product).
#[inline]
pub fn saturating_doubling_high_mul_i16(a: i16, b: i16) -> i16 {
    if a == i16::MIN && b == i16::MIN {
        return i16::MAX;
    }
    (i32::from(a) * i32::from(b) / (1 << 15)) as i16
}

/// `value * 2^amount` on 16 bits, saturating.
#[inline]
pub fn saturating_left_shift_i16(value: i16, amount: u32) -> i16 {
    (i64::from(value) << amount.min(31)).clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16
}

/// `x / 2^exponent`, rounded half away from zero. `exponent` in `0..=31`.
#[inline]
pub fn rounding_divide_by_pot(x: i32, exponent: u32) -> i32 {
    let exponent = exponent.min(31);
    let mask = ((1i64 << exponent) - 1) as i32;
    let remainder = x & mask;
    let threshold = (mask >> 1) + i32::from(x < 0);
    (x >> exponent) + i32::from(remainder > threshold)
}

/// Splits a finite number into a fraction in `[0.5, 1)` (with its sign) and a power of two (C `frexp`).
pub fn frexp(x: f64) -> (f64, i32) {
    if x == 0.0 || !x.is_finite() {
        return (x, 0);
    }
    let bits = x.to_bits();
    let exponent = ((bits >> 52) & 0x7FF) as i32;
    if exponent == 0 {
        // Subnormal: normalise first.
        let (fraction, shift) = frexp(x * 18_014_398_509_481_984.0);
        return (fraction, shift - 54);
    }
    let fraction = f64::from_bits((bits & !(0x7FF << 52)) | (1022 << 52));
    (fraction, exponent - 1022)
}

/// `x * 2^exponent` without rounding inside the normal range (C `ldexp`).
pub fn ldexp(x: f64, exponent: i32) -> f64 {
    x * 2f64.powi(exponent)
}

/// C `round`: half away from zero.
#[inline]
pub fn round_half_away(x: f64) -> f64 {
    x.round()
}

/// The 16-bit form of a Q0.31 multiplier, rounded half up and saturating (`DownScaleInt32ToInt16Multiplier`).
pub fn downscale_to_i16(mantissa: i32) -> i16 {
    if mantissa >= i32::MAX - (1 << 15) { i16::MAX } else { ((mantissa + (1 << 15)) >> 16) as i16 }
}

/// The multiplier that brings an input difference of SOFTMAX to Q`integer_bits` (`PreprocessSoftmaxScaling`).
pub fn softmax_scaling(beta: f64, input_scale: f64, integer_bits: i32) -> Multiplier {
    let real = beta * input_scale * ldexp(1.0, 31 - integer_bits);
    Multiplier::from_real(real.min(2_147_483_647.0))
}

/// The largest input whose rescaled form still fits Q`integer_bits` (`CalculateInputRadius` with 31 bits in total).
pub fn input_radius(integer_bits: i32, left_shift: i32) -> i32 {
    let max = f64::from((1i32 << integer_bits) - 1) * ldexp(1.0, 31 - integer_bits) / ldexp(1.0, left_shift);
    max.floor() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiplier_splits_like_quantize_multiplier() {
        assert_eq!(Multiplier::from_real(1.0), Multiplier { mantissa: 1 << 30, shift: 1 });
        assert_eq!(Multiplier::from_real(0.5), Multiplier { mantissa: 1 << 30, shift: 0 });
        assert_eq!(Multiplier::from_real(1e-30), Multiplier::default());
        // The largest double below 1 rounds up to 2^31 and is halved.
        assert_eq!(Multiplier::from_real(1.0 - f64::EPSILON / 2.0), Multiplier { mantissa: 1 << 30, shift: 1 });
    }

    #[test]
    fn rounding_shift_is_half_away_from_zero() {
        for (x, e, want) in [(5, 1, 3), (-5, 1, -3), (-6, 2, -2), (6, 2, 2), (-1, 1, -1), (7, 0, 7), (i32::MIN, 31, -1)] {
            assert_eq!(rounding_divide_by_pot(x, e), want, "{x} / 2^{e}");
        }
    }

    #[test]
    fn high_product_is_half_up() {
        assert_eq!(saturating_rounding_doubling_high_mul(i32::MIN, i32::MIN), i32::MAX);
        assert_eq!(saturating_rounding_doubling_high_mul(-1, 1 << 30), 0);
        assert_eq!(saturating_rounding_doubling_high_mul(1, 1 << 30), 1);
        assert_eq!(saturating_rounding_doubling_high_mul(-3, 1 << 30), -1);
    }

    #[test]
    fn apply_stays_within_the_two_roundings() {
        // Each rounding is off by at most half a unit of its own place.
        for real in [0.3, 0.0017, 0.9999, 3.7] {
            let m = Multiplier::from_real(real);
            for x in [-12345, -1, 0, 1, 777, 99_999] {
                let exact = f64::from(x) * real;
                assert!((f64::from(m.apply(x)) - exact).abs() <= 1.0, "{x} * {real}");
                assert!((f64::from(m.apply_i64(x.into())) - exact).abs() <= 0.5 + exact.abs() / 32768.0, "{x} * {real}");
            }
        }
    }

    #[test]
    fn frexp_inverts() {
        for x in [1.0, 0.75, -3.5, 1e-310, 1e300, 0.1] {
            let (f, e) = frexp(x);
            assert!((0.5..1.0).contains(&f.abs()));
            let half = e / 2;
            assert_eq!(ldexp(ldexp(f, half), e - half), x);
        }
    }
}
