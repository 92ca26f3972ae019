//! Transcendental functions on Q-format integers, as gemmlowp's `fixedpoint.h` computes them.
//!
//! A `Qn.(31-n)` number is an `i32` with n integer bits: its value is `raw / 2^(31-n)`. The product of `Qa` and `Qb` by the
//! doubling high multiplication is `Qa+b`. The functions take and give raw integers and say the format.

use super::multiplier::{rounding_divide_by_pot as rdpot, saturating_rounding_doubling_high_mul as mul};

/// 1 in Q0.31: the largest value below it.
const ONE_Q0: i32 = i32::MAX;
/// 1 in Q2.29.
const ONE_Q2: i32 = 1 << 29;

/// `x * 2^exponent`, saturating when it grows, rounding half away from zero when it shrinks.
fn scale_by_pot(x: i32, exponent: i32) -> i32 {
    if exponent <= 0 {
        return rdpot(x, (-exponent) as u32);
    }
    let threshold = ((1i64 << (31 - exponent.min(31))) - 1) as i32;
    if x > threshold {
        i32::MAX
    } else if x < -threshold {
        i32::MIN
    } else {
        x.wrapping_shl(exponent as u32)
    }
}

/// Changes the number of integer bits, saturating or rounding.
pub fn rescale(raw: i32, from_bits: i32, to_bits: i32) -> i32 {
    scale_by_pot(raw, from_bits - to_bits)
}

/// `(a + b) / 2`, rounded half away from zero.
fn rounding_half_sum(a: i32, b: i32) -> i32 {
    let sum = i64::from(a) + i64::from(b);
    ((sum + if sum >= 0 { 1 } else { -1 }) / 2) as i32
}

/// `exp(a)` for `a` in `[-1/4, 0)`, Q0 to Q0: a Taylor series around -1/8.
fn exp_on_quarter(a: i32) -> i32 {
    const EXP_MINUS_EIGHTH: i32 = 1_895_147_668;
    const ONE_THIRD: i32 = 715_827_883;
    let x = a.wrapping_add(1 << 28);
    let x2 = mul(x, x);
    let x3 = mul(x2, x);
    let x4 = mul(x2, x2);
    let x4_over_4 = rdpot(x4, 2);
    let tail = rdpot(mul(x4_over_4.wrapping_add(x3), ONE_THIRD).wrapping_add(x2), 1);
    EXP_MINUS_EIGHTH.wrapping_add(mul(EXP_MINUS_EIGHTH, x.wrapping_add(tail)))
}

/// `exp(a)` for `a <= 0`: Q`bits` to Q0.
pub fn exp_on_negative_values(a: i32, bits: i32) -> i32 {
    /// exp(-2^k) in Q0 for k = -2..=4.
    const FACTORS: [(i32, i32); 7] =
        [(-2, 1_672_461_947), (-1, 1_302_514_674), (0, 790_015_084), (1, 290_630_308), (2, 39_332_535), (3, 720_401), (4, 242)];
    let fraction_bits = 31 - bits;
    let quarter = 1i32 << (fraction_bits - 2);
    let in_quarter = (a & (quarter - 1)).wrapping_sub(quarter);
    let mut result = exp_on_quarter(rescale(in_quarter, bits, 0));
    let remainder = in_quarter.wrapping_sub(a);
    for (exponent, factor) in FACTORS {
        if bits > exponent && remainder & (1 << (fraction_bits + exponent)) != 0 {
            result = mul(result, factor);
        }
    }
    if bits > 5 && a < -(1 << (36 - bits)) {
        result = 0;
    }
    if a == 0 { ONE_Q0 } else { result }
}

/// Newton-Raphson quotient `1 / ((1 + a) / 2)` in Q2 for `a` in `[0, 1]` (Q0).
fn two_over_one_plus_x(a: i32) -> i32 {
    const FORTY_EIGHT_OVER_17: i32 = 1_515_870_810;
    const MINUS_32_OVER_17: i32 = -1_010_580_540;
    let half_denominator = rounding_half_sum(a, ONE_Q0);
    let mut x = FORTY_EIGHT_OVER_17.wrapping_add(mul(half_denominator, MINUS_32_OVER_17));
    for _ in 0..3 {
        let error = ONE_Q2.wrapping_sub(mul(half_denominator, x));
        x = x.wrapping_add(rescale(mul(x, error), 4, 2));
    }
    x
}

/// `1 / (1 + a)` for `a` in `[0, 1]`, Q0 to Q0.
pub fn one_over_one_plus_x(a: i32) -> i32 {
    // Halving a Q2 number is reading it as Q1.
    rescale(two_over_one_plus_x(a), 1, 0)
}

/// `(1 - a) / (1 + a)` for `a` in `[0, 1]`, Q0 to Q0.
fn one_minus_x_over_one_plus_x(a: i32) -> i32 {
    rescale(two_over_one_plus_x(a).wrapping_sub(ONE_Q2), 2, 0)
}

/// `1 / (1 + exp(-a))`, Q`bits` to Q0.
pub fn logistic(a: i32, bits: i32) -> i32 {
    if a == 0 {
        return 1 << 30;
    }
    let magnitude = if a > 0 { a } else { a.wrapping_neg() };
    let positive = one_over_one_plus_x(exp_on_negative_values(magnitude.wrapping_neg(), bits));
    if a > 0 { positive } else { ONE_Q0 - positive }
}

/// `tanh(a)`, Q`bits` to Q0.
pub fn tanh(a: i32, bits: i32) -> i32 {
    if a == 0 {
        return 0;
    }
    let negative = if a < 0 { a } else { a.wrapping_neg() };
    // Doubling is reading it with one integer bit more.
    let t = one_minus_x_over_one_plus_x(exp_on_negative_values(negative, bits + 1));
    if a < 0 { t.wrapping_neg() } else { t }
}

/// `1 / x` for `x > 0` in Q`bits`: a Q0 number, and how many bits the value of `x` lies above 1, so that
/// `1 / x = result * 2^-bits_over_unit` (`GetReciprocal`).
pub fn reciprocal(x: i32, bits: i32) -> (i32, i32) {
    let headroom_plus_one = (x as u32).leading_zeros();
    let bits_over_unit = bits - headroom_plus_one as i32;
    let minus_one = (x as u32).checked_shl(headroom_plus_one).unwrap_or(0).wrapping_sub(1 << 31) as i32;
    (one_over_one_plus_x(minus_one), bits_over_unit)
}

/// `ln(x)` for `x >= 1`: Q`input_bits` to Q`output_bits`.
pub fn log_at_least_one(x: i32, input_bits: i32, output_bits: i32) -> i32 {
    const LN_2: i32 = 1_488_522_236;
    const SQRT_SQRT_HALF: i32 = 1_805_811_301;
    const SQRT_HALF: i32 = 1_518_500_250;
    const ONE_QUARTER: i32 = 536_870_912;
    const ALPHA_N: i32 = 117_049_297;
    const ALPHA_D: i32 = 127_690_142;
    const ALPHA_I: i32 = 1_057_819_769;
    const ALPHA_F: i32 = 638_450_708;
    let accum_bits = output_bits + 1;
    let shifted_quarter = rescale(ONE_QUARTER, 0, accum_bits);

    // Two candidates for the reduced argument, at x and at x * sqrt(1/2): the smaller residue wins.
    let headroom_a_plus_one = (x as u32).leading_zeros() as i32;
    let r_a_tmp = scale_by_pot_left(x, headroom_a_plus_one - 1);
    let r_a = scale_by_pot_left(mul(r_a_tmp, SQRT_HALF), 1);
    let pow_a = scale_by_pot_left(input_bits - headroom_a_plus_one, 31 - accum_bits).saturating_add(shifted_quarter);

    let z_b = mul(x, SQRT_HALF);
    let headroom_b = (z_b as u32).leading_zeros() as i32 - 1;
    let r_b = scale_by_pot_left(x, headroom_b);
    let pow_b = scale_by_pot_left(input_bits - headroom_b, 31 - accum_bits).saturating_sub(shifted_quarter);

    let r = r_a.min(r_b);
    let pow = pow_a.max(pow_b);

    let p = rounding_half_sum(r, SQRT_SQRT_HALF);
    let q = r.wrapping_sub(SQRT_SQRT_HALF);
    let q = q.wrapping_add(q);
    let common_sq = mul(q, q);
    let num = mul(q, r).wrapping_add(mul(mul(q, common_sq), ALPHA_N));
    let denom_minus_one = mul(p, ALPHA_I.wrapping_add(q).wrapping_add(mul(ALPHA_D, common_sq))).wrapping_add(mul(ALPHA_F, q));
    let recip_denom = one_over_one_plus_x(denom_minus_one);
    let num_scaled = rescale(num, 0, accum_bits);
    rescale(mul(pow, LN_2).wrapping_add(mul(num_scaled, recip_denom)), accum_bits, output_bits)
}

/// Like [`scale_by_pot`] for shifts to the left only, with the run-time variant's strict zero case.
fn scale_by_pot_left(x: i32, exponent: i32) -> i32 {
    if exponent <= 0 { x } else { scale_by_pot(x, exponent) }
}

/// `1 / sqrt(x)` for an integer `x`, as a multiplier: `(mantissa, left shift)` (`GetInvSqrtQuantizedMultiplierExp` with
/// its shift reversed). Five Newton-Raphson steps in Q3; 0 and 1 both give 1.
pub fn inverse_sqrt_multiplier(x: i32) -> (i32, i32) {
    const HALF_THREE: i32 = (1 << 28) + (1 << 27);
    const HALF_SQRT_2: i32 = 1_518_500_250;
    if x <= 1 {
        return (i32::MAX, 0);
    }
    let mut x = x;
    let mut shift = 11;
    while x >= 1 << 29 {
        x /= 4;
        shift += 1;
    }
    let pairs = ((x as u32).leading_zeros() - 1) / 2 - 1;
    shift -= pairs as i32;
    x <<= 2 * pairs;
    let input = x >> 1;
    let half_input = rdpot(input, 1);
    let mut y = 1i32 << 28;
    for _ in 0..5 {
        let cube = rescale(mul(mul(y, y), y), 9, 3);
        y = rescale(mul(HALF_THREE, y).wrapping_sub(mul(half_input, cube)), 6, 3);
    }
    let mut mantissa = mul(y, HALF_SQRT_2);
    if shift < 0 {
        mantissa = mantissa.wrapping_shl((-shift) as u32);
        shift = 0;
    }
    (mantissa, -shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn q(x: f64, bits: i32) -> i32 {
        (x * f64::from(2f32.powi(31 - bits))).round().min(2_147_483_647.0) as i32
    }

    fn real(raw: i32, bits: i32) -> f64 {
        f64::from(raw) / f64::from(2f32.powi(31 - bits))
    }

    #[test]
    fn functions_are_near_the_real_ones() {
        for i in 1..200 {
            let x = f64::from(i) * 0.05;
            assert!((real(exp_on_negative_values(q(-x, 5), 5), 0) - (-x).exp()).abs() < 1e-6, "exp {x}");
            assert!((real(logistic(q(x, 4), 4), 0) - 1.0 / (1.0 + (-x).exp())).abs() < 1e-6, "logistic {x}");
            assert!((real(tanh(q(-x, 4), 4), 0) - (-x).tanh()).abs() < 1e-6, "tanh {x}");
            let (r, over) = reciprocal(q(1.0 + x, 12), 12);
            assert!((real(r, 0) * 0.5f64.powi(over) - 1.0 / (1.0 + x)).abs() < 1e-5, "1/x {x}");
            assert!((real(log_at_least_one(q(1.0 + x, 12), 12, 5), 5) - (1.0 + x).ln()).abs() < 1e-5, "ln {x}");
            let (m, shift) = inverse_sqrt_multiplier(i * 37);
            let got = f64::from(m) * 2f64.powi(shift - 31);
            assert!((got * f64::from(i * 37).sqrt() - 1.0).abs() < 1e-5, "rsqrt {i}: {got}");
        }
    }
}
