//! How far two arrays are apart.

use octet_peers::{Array, Element};

/// The distance between two `f32` in units in the last place: how many floats lie between them. Zeros of both signs are
/// equal; two NaNs are equal; a NaN and a number are [`u32::MAX`] apart.
#[must_use]
pub fn ulps(a: f32, b: f32) -> u32 {
    if a.is_nan() || b.is_nan() {
        return if a.is_nan() && b.is_nan() { 0 } else { u32::MAX };
    }
    // Floats of one sign are ordered as their bits are; the negative ones are mirrored below zero.
    let order = |v: f32| {
        let bits = i64::from(v.to_bits() & 0x7fff_ffff);
        if v.is_sign_negative() { -bits } else { bits }
    };
    u32::try_from(order(a).abs_diff(order(b))).unwrap_or(u32::MAX)
}

/// The signal to quantization noise ratio of `b` against `a`, 10 log10(sum a^2 / sum (a - b)^2) in dB; infinite where
/// both are equal.
#[must_use]
pub fn sqnr(a: &[f64], b: &[f64]) -> f64 {
    let signal: f64 = a.iter().map(|v| v * v).sum();
    let noise: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
    if noise == 0.0 { f64::INFINITY } else { 10.0 * (signal / noise).log10() }
}

/// How two arrays differ, in words, or `None` where type, shape and all bytes are equal.
#[must_use]
pub fn difference(expected: &Array, found: &Array) -> Option<String> {
    if expected == found {
        return None;
    }
    if (expected.element, &expected.shape) != (found.element, &found.shape) {
        return Some(format!("expected {:?} {:?}, found {:?} {:?}", expected.element, expected.shape, found.element, found.shape));
    }
    let (a, b) = (expected.to_real()?, found.to_real()?);
    let pairs = || a.iter().zip(&b).enumerate().filter(|(_, (a, b))| a.to_bits() != b.to_bits());
    let count = pairs().count();
    let largest = pairs().map(|(_, (a, b))| (a - b).abs()).fold(0.0, f64::max);
    let (first, (x, y)) = pairs().next()?;
    Some(format!("{count} of {} elements differ, by {largest} at most; the first at {first}: expected {x}, found {y}", a.len()))
}

/// Whether two arrays agree: floats within `most_ulps` of each other or within `absolute`, everything else equal.
///
/// # Errors
/// How they differ, with the largest distance.
pub fn close(expected: &Array, found: &Array, most_ulps: u32, absolute: f32) -> Result<(), String> {
    if expected.element != Element::F32 || found.element != Element::F32 || expected.shape != found.shape {
        return difference(expected, found).map_or(Ok(()), Err);
    }
    let (a, b) = (expected.to_f32().unwrap_or_default(), found.to_f32().unwrap_or_default());
    let far = |a: f32, b: f32| {
        let near = a == b || (a - b).abs() <= absolute;
        if near { 0 } else { ulps(a, b) }
    };
    let worst = a.iter().zip(&b).enumerate().max_by_key(|(_, (a, b))| far(**a, **b));
    match worst {
        Some((at, (x, y))) if far(*x, *y) > most_ulps => Err(format!("at {at}: expected {x:e}, found {y:e}, {} ULPs apart", ulps(*x, *y))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_in_the_last_place() {
        assert_eq!(ulps(1.0, 1.0 + f32::EPSILON), 1);
        assert_eq!(ulps(0.0, -0.0), 0);
        assert_eq!(ulps(f32::from_bits(1), -f32::from_bits(1)), 2);
        assert_eq!(ulps(f32::NAN, f32::NAN), 0);
        assert_eq!(ulps(f32::NAN, 1.0), u32::MAX);
        assert!(ulps(f32::MAX, f32::MIN) > 1 << 31);
    }

    #[test]
    fn decibels() {
        assert!((sqnr(&[10.0, 0.0], &[9.0, 0.0]) - 20.0).abs() < 1e-9);
        assert_eq!(sqnr(&[1.0], &[1.0]), f64::INFINITY);
    }

    #[test]
    fn a_difference_is_told() {
        let a = Array::from_i8(&[3], &[1, 2, 3]);
        assert_eq!(difference(&a, &a), None);
        let b = Array::from_i8(&[3], &[1, 2, 5]);
        assert!(difference(&a, &b).is_some_and(|d| d.starts_with("1 of 3 elements differ, by 2")));
        assert!(close(&Array::from_f32(&[1], &[1.0]), &Array::from_f32(&[1], &[1.1]), 4, 0.0).is_err());
        assert!(close(&Array::from_f32(&[1], &[1.0]), &Array::from_f32(&[1], &[1.000_000_1]), 4, 0.0).is_ok());
        assert!(close(&a, &b, 4, 10.0).is_err());
    }
}
