//! From ranges to scales and zero points. Pure arithmetic: no graphs, no policy.
//!
//! The rules are those of the TFLite quantization specification: 0 is always exactly representable, int8 activations are asymmetric over
//! [-128, 127], int16 activations and weights are symmetric.

use octet_ir::{ElementType, Quantization};

/// Scales below this are raised to it: a tensor of (nearly) nothing but zeros must not make multipliers `s_in * s_w / s_out` explode.
const SMALLEST_SCALE: f32 = 1e-12;

/// A closed interval of finite reals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Smallest value.
    pub lo: f32,
    /// Largest value, not below `lo`.
    pub hi: f32,
}

impl Bounds {
    /// The interval between two numbers; `None` unless both are finite and in order.
    pub fn new(lo: f32, hi: f32) -> Option<Self> {
        (lo.is_finite() && hi.is_finite() && lo <= hi).then_some(Self { lo, hi })
    }

    /// The interval that a constant's elements span; `None` when there are none or one is not finite.
    pub fn of(values: &[f32]) -> Option<Self> {
        let first = *values.first()?;
        let (lo, hi, finite) =
            values.iter().fold((first, first, true), |(lo, hi, finite), &v| (lo.min(v), hi.max(v), finite && v.is_finite()));
        if finite { Self::new(lo, hi) } else { None }
    }

    /// The smallest interval that holds both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self { lo: self.lo.min(other.lo), hi: self.hi.max(other.hi) }
    }

    /// The interval widened to hold 0.
    #[must_use]
    pub fn with_zero(self) -> Self {
        Self { lo: self.lo.min(0.0), hi: self.hi.max(0.0) }
    }

    /// Largest magnitude.
    pub fn magnitude(self) -> f32 {
        self.lo.abs().max(self.hi.abs())
    }
}

/// Width of quantized activations. Weights have 8 bits under either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Width {
    /// int8, asymmetric.
    I8,
    /// int16, symmetric: the "16x8" scheme.
    I16,
}

impl Width {
    /// The element type of activations.
    pub fn elem(self) -> ElementType {
        match self {
            Self::I8 => ElementType::I8,
            Self::I16 => ElementType::I16,
        }
    }

    /// Smallest and largest integer of an activation.
    pub fn limits(self) -> (i64, i64) {
        match self {
            Self::I8 => (-128, 127),
            Self::I16 => (-32768, 32767),
        }
    }
}

/// Scale and zero point of a whole tensor.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Params {
    /// Real size of one step.
    pub scale: f32,
    /// The integer that stands for 0.
    pub zero_point: i64,
}

impl Params {
    /// The parameters as a quantization of the type system.
    pub fn to_quantization(self) -> Quantization {
        Quantization::new(self.scale, self.zero_point)
    }

    /// Activation parameters for a range: asymmetric for int8, symmetric for int16.
    pub fn for_activation(bounds: Bounds, width: Width) -> Self {
        match width {
            Width::I8 => Self::asymmetric(bounds),
            Width::I16 => Self::symmetric(bounds, 32767.0),
        }
    }

    /// int8 over [-128, 127] with the range widened to hold 0. A range of nothing but 0 gets the scale 1.
    pub fn asymmetric(bounds: Bounds) -> Self {
        let Bounds { lo, hi } = bounds.with_zero();
        if lo == hi {
            return Self { scale: 1.0, zero_point: 0 };
        }
        let exact = ((f64::from(hi) - f64::from(lo)) / 255.0).max(SMALLEST_SCALE.into());
        let scale = narrow(exact);
        let zero_point = (-128.0 - f64::from(lo) / exact).round().clamp(-128.0, 127.0);
        #[expect(clippy::cast_possible_truncation, reason = "clamped to the range of int8")]
        Self { scale, zero_point: zero_point as i64 }
    }

    /// Zero point 0 and the largest magnitude at `limit`.
    pub fn symmetric(bounds: Bounds, limit: f64) -> Self {
        Self { scale: symmetric_scale(bounds.magnitude(), limit), zero_point: 0 }
    }

    /// The reals that an activation with these parameters can hold.
    pub fn bounds(self, width: Width) -> Bounds {
        let (low, high) = width.limits();
        let real = |q: i64| narrow_signed((q - self.zero_point) as f64 * f64::from(self.scale));
        Bounds { lo: real(low), hi: real(high) }
    }

    /// Whether a range is representable to within one step at either end.
    pub fn covers(self, bounds: Bounds, width: Width) -> bool {
        let own = self.bounds(width);
        let slack = self.scale * 1.0001;
        bounds.lo >= own.lo - slack && bounds.hi <= own.hi + slack
    }
}

/// The scale that puts `magnitude` at the integer `limit`; 1 for a tensor of zeros.
pub(super) fn symmetric_scale(magnitude: f32, limit: f64) -> f32 {
    if magnitude == 0.0 { 1.0 } else { narrow(f64::from(magnitude) / limit) }
}

#[expect(clippy::cast_possible_truncation, reason = "rounded to single precision, which is how scales are stored")]
fn narrow(scale: f64) -> f32 {
    (scale as f32).clamp(SMALLEST_SCALE, f32::MAX)
}

#[expect(clippy::cast_possible_truncation, reason = "rounded to single precision")]
fn narrow_signed(value: f64) -> f32 {
    value as f32
}

/// Quantizes reals to integers between `low` and `high`: division in single precision, half away from zero, as the QUANTIZE kernel does.
pub(super) fn quantize_elements(values: &[f32], quant: &Quantization, shape: &[usize], low: i64, high: i64) -> Vec<i64> {
    let mut result = Vec::with_capacity(values.len());
    for (run, (scale, zero_point)) in values.chunks(quant.run(shape)).zip(quant.parameters().cycle()) {
        result.extend(run.iter().map(|value| {
            #[expect(clippy::cast_possible_truncation, reason = "saturates, then clamped")]
            let steps = (value / scale).round() as i64;
            steps.saturating_add(zero_point).clamp(low, high)
        }));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fixed sequence of ranges of many magnitudes and positions.
    fn ranges() -> impl Iterator<Item = Bounds> {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 24) as f32
        };
        (0..5000).filter_map(move |_| {
            let magnitude = 10f32.powf(next() * 12.0 - 6.0);
            let (a, b) = ((next() * 2.0 - 1.0) * magnitude, (next() * 2.0 - 1.0) * magnitude);
            Bounds::new(a.min(b), a.max(b))
        })
    }

    #[test]
    fn zero_is_exact_and_every_value_is_within_one_step() {
        for width in [Width::I8, Width::I16] {
            let (low, high) = width.limits();
            for bounds in ranges() {
                let params = Params::for_activation(bounds, width);
                assert!(params.scale > 0.0 && params.scale.is_finite());
                assert!((low..=high).contains(&params.zero_point), "{bounds:?}");
                let quant = params.to_quantization();
                let values = [0.0, bounds.lo, bounds.hi, bounds.lo / 2.0 + bounds.hi / 2.0];
                let q = quantize_elements(&values, &quant, &[4], low, high);
                assert_eq!(q[0], params.zero_point, "0 stands at the zero point");
                for (value, q) in values.iter().zip(q) {
                    let real = (q - params.zero_point) as f64 * f64::from(params.scale);
                    assert!((real - f64::from(*value)).abs() <= f64::from(params.scale) * 1.001, "{value} became {real} in {bounds:?}");
                }
            }
        }
    }

    #[test]
    fn the_range_is_used_to_the_last_step() {
        for bounds in ranges() {
            let Bounds { lo, hi } = bounds.with_zero();
            let params = Params::asymmetric(bounds);
            assert!(f64::from(params.scale) * 255.0 <= (f64::from(hi) - f64::from(lo)) * 1.000_001, "{bounds:?}");
            assert_eq!(Params::for_activation(bounds, Width::I16).zero_point, 0);
        }
    }

    #[test]
    fn degenerate_ranges_have_sound_parameters() {
        for (lo, hi) in [(0.0, 0.0), (1e-38, 1e-38), (-3e38, 3e38), (5.0, 5.0), (-5.0, -5.0)] {
            let bounds = Bounds::new(lo, hi).unwrap();
            for width in [Width::I8, Width::I16] {
                let params = Params::for_activation(bounds, width);
                assert!(params.scale.is_finite() && params.scale > 0.0, "{bounds:?}");
                assert!(params.covers(bounds, width), "{bounds:?}: {params:?}");
            }
        }
    }

    #[test]
    fn known_parameters() {
        // The sine model's input, 0..2 pi, and a range on both sides of 0.
        assert_eq!(Params::asymmetric(Bounds { lo: 0.0, hi: 6.277_064_3 }), Params { scale: 0.024_615_938, zero_point: -128 });
        assert_eq!(Params::asymmetric(Bounds { lo: -1.0, hi: 1.0 }), Params { scale: 2.0 / 255.0, zero_point: -1 });
        assert_eq!(Params::symmetric(Bounds { lo: -2.0, hi: 1.0 }, 127.0).scale, 2.0 / 127.0);
    }

    #[test]
    fn not_finite_is_no_range() {
        assert_eq!(Bounds::of(&[1.0, f32::NAN, 2.0]), None);
        assert_eq!(Bounds::of(&[1.0, f32::INFINITY]), None);
        assert_eq!(Bounds::of(&[]), None);
        assert_eq!(Bounds::new(1.0, 0.0), None);
    }
}
