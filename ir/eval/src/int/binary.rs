//! Element-wise operations on two quantized tensors with broadcasting: ADD, SUB, MUL, DIV, SQUARED_DIFFERENCE, PRELU, MAXIMUM, MINIMUM
//! and the comparisons.
//!
//! Arithmetic: `integer_ops/{add,mul}.h`, `reference/{add,sub,div,prelu,comparisons}.h` and their prepares in
//! `micro/kernels/*_common.cc`.

use octet_ir::arith::{reciprocal, rounding_divide_by_pot, saturating_rounding_doubling_high_mul};

use super::broadcast::{Offset, walk, zip_broadcast};
use super::simd::dispatch;
use super::{Affine, Bounds, Multiplier, Quantized, Result, RoundingProfile, Storage, ensure, of_type};

/// A prepared operation. `T` of `run` must be the type that it was prepared for.
#[derive(Clone, Debug)]
pub struct Binary {
    kind: Kind,
    a_zero: i32,
    b_zero: i32,
    zero_point: i32,
    min: i32,
    max: i32,
}

#[derive(Clone, Debug)]
enum Kind {
    /// ADD, SUB: both operands brought to a common finer scale.
    Sum {
        left_shift: u32,
        a: Multiplier,
        b: Multiplier,
        out: Multiplier,
        negate: bool,
    },
    Mul(Multiplier),
    Div(Multiplier),
    SquaredDifference {
        left_shift: u32,
        a: Multiplier,
        b: Multiplier,
        out: Multiplier,
    },
    Prelu {
        identity: Multiplier,
        alpha: Multiplier,
    },
}

impl Binary {
    fn new<T: Quantized>(kind: Kind, a: Affine, b: Affine, output: Affine, activation: Bounds) -> Self {
        let (min, max) = activation.quantized(Storage::of::<T>(), output);
        Self { kind, a_zero: a.zero_point, b_zero: b.zero_point, zero_point: output.zero_point, min, max }
    }

    /// ADD.
    pub fn add<T: Quantized>(a: Affine, b: Affine, output: Affine, activation: Bounds) -> Result<Self> {
        Self::sum::<T>(a, b, output, activation, false)
    }

    /// SUB.
    pub fn sub<T: Quantized>(a: Affine, b: Affine, output: Affine, activation: Bounds) -> Result<Self> {
        Self::sum::<T>(a, b, output, activation, true)
    }

    fn sum<T: Quantized>(a: Affine, b: Affine, output: Affine, activation: Bounds, negate: bool) -> Result<Self> {
        let left_shift = if T::MAX > 255 { 15 } else { 20 };
        let twice_max = 2.0 * f64::from(a.scale.max(b.scale));
        let kind = Kind::Sum {
            left_shift,
            a: below_one(f64::from(a.scale) / twice_max)?,
            b: below_one(f64::from(b.scale) / twice_max)?,
            out: below_one(twice_max / (f64::from(1u32 << left_shift) * f64::from(output.scale)))?,
            negate,
        };
        Ok(Self::new::<T>(kind, a, b, output, activation))
    }

    /// MUL.
    pub fn mul<T: Quantized>(a: Affine, b: Affine, output: Affine, activation: Bounds, profile: RoundingProfile) -> Result<Self> {
        let real = of_type::<T>(profile).ratio_times(a.scale, b.scale, output.scale);
        Ok(Self::new::<T>(Kind::Mul(Multiplier::from_real(real)), a, b, output, activation))
    }

    /// DIV by Newton-Raphson reciprocals. A divisor of 0 gives what the arithmetic gives. LiteRT takes the ratio of scales in single
    /// precision.
    pub fn div<T: Quantized>(a: Affine, b: Affine, output: Affine, activation: Bounds, profile: RoundingProfile) -> Result<Self> {
        let real = of_type::<T>(profile).ratio_to_product(a.scale, b.scale, output.scale);
        Ok(Self::new::<T>(Kind::Div(Multiplier::from_real(real)), a, b, output, activation))
    }

    /// SQUARED_DIFFERENCE, which has no activation.
    pub fn squared_difference<T: Quantized>(a: Affine, b: Affine, output: Affine) -> Result<Self> {
        let left_shift = if T::MAX > 255 { 0 } else { 7 };
        let twice_max = 2.0 * f64::from(a.scale.max(b.scale));
        let out = twice_max * twice_max / f64::from((1u32 << (2 * left_shift)) as f32 * output.scale);
        let kind = Kind::SquaredDifference {
            left_shift,
            a: below_one(f64::from(a.scale) / twice_max)?,
            b: below_one(f64::from(b.scale) / twice_max)?,
            out: Multiplier::from_real(out),
        };
        Ok(Self::new::<T>(kind, a, b, output, Bounds::NONE))
    }

    /// PRELU: `a` where it is not negative, else `a * alpha`.
    pub fn prelu<T: Quantized>(input: Affine, alpha: Affine, output: Affine, profile: RoundingProfile) -> Result<Self> {
        let profile = of_type::<T>(profile);
        let (identity, scaled) = (profile.ratio(input.scale, output.scale), profile.ratio_times(input.scale, alpha.scale, output.scale));
        let kind = Kind::Prelu { identity: Multiplier::from_real(identity), alpha: Multiplier::from_real(scaled) };
        Ok(Self::new::<T>(kind, input, alpha, output, Bounds::NONE))
    }

    /// Computes the broadcast result. `B` differs from `T` only for PRELU on 16 bits, whose alpha has 8.
    pub fn run<T: Quantized, B: Quantized>(&self, a_shape: &[usize], a: &[T], b_shape: &[usize], b: &[B], output: &mut [T]) -> Result<()> {
        const CHUNK: usize = 256;
        let (mut x, mut y, mut z) = ([0i32; CHUNK], [0i32; CHUNK], [0i32; CHUNK]);
        let lengths = [a.len(), b.len(), output.len()];
        let mut output = T::slots(output);
        walk(a_shape, b_shape, lengths, &mut |run| {
            for from in (0..run.len).step_by(CHUNK) {
                let len = (run.len - from).min(CHUNK);
                load(&mut x[..len], a, run.a, from, self.a_zero);
                load(&mut y[..len], b, run.b, from, self.b_zero);
                dispatch(
                    #[inline(always)]
                    || self.compute(&x[..len], &y[..len], &mut z[..len]),
                );
                output.put(run.out + from, &z[..len]);
            }
        })
    }

    /// Stored results from centred operands.
    #[inline(always)]
    fn compute(&self, a: &[i32], b: &[i32], out: &mut [i32]) {
        let each = |out: &mut [i32], f: &dyn Fn(i32, i32) -> i32| {
            for ((o, &a), &b) in out.iter_mut().zip(a).zip(b) {
                *o = f(a, b);
            }
        };
        match self.kind {
            Kind::Sum { left_shift, a: ma, b: mb, out: m, negate } => {
                for ((o, &a), &b) in out.iter_mut().zip(a).zip(b) {
                    let (a, b) = (ma.apply(a.wrapping_shl(left_shift)), mb.apply(b.wrapping_shl(left_shift)));
                    *o = m.apply(if negate { a.wrapping_sub(b) } else { a.wrapping_add(b) });
                }
            }
            Kind::Mul(m) => {
                for ((o, &a), &b) in out.iter_mut().zip(a).zip(b) {
                    *o = m.apply(a.wrapping_mul(b));
                }
            }
            Kind::Div(m) => each(out, &|a, b| divide(a, b, m)),
            Kind::SquaredDifference { left_shift, a: ma, b: mb, out: m } => each(out, &|a, b| {
                let difference = ma.apply(a.wrapping_shl(left_shift)).wrapping_sub(mb.apply(b.wrapping_shl(left_shift)));
                m.apply(difference.wrapping_mul(difference))
            }),
            Kind::Prelu { identity, alpha } => each(out, &|a, b| if a >= 0 { identity.apply(a) } else { alpha.apply(a.wrapping_mul(b)) }),
        }
        for o in out {
            *o = o.wrapping_add(self.zero_point).clamp(self.min, self.max);
        }
    }
}

/// Centred values of one operand along a run.
fn load<T: Quantized>(to: &mut [i32], from: &[T], at: Offset, skip: usize, zero: i32) {
    match at {
        Offset::Dense(at) => {
            for (to, from) in to.iter_mut().zip(&from[at + skip..]) {
                *to = from.get().wrapping_sub(zero);
            }
        }
        Offset::Constant(at) => to.fill(from[at].get().wrapping_sub(zero)),
    }
}

/// `a / b * m` (`DivElementwise`): the reciprocal of `b` in Q0, the product with the most headroom, one shift.
fn divide(a: i32, b: i32, m: Multiplier) -> i32 {
    let (a, b) = if b < 0 { (a.wrapping_neg(), b.wrapping_neg()) } else { (a, b) };
    let (inverse, over) = reciprocal(b, 31);
    let headroom = (if a < 0 { !a } else { a }).leading_zeros() as i32 - 1;
    let quotient = Multiplier { mantissa: inverse, shift: headroom }.apply(a);
    let shift = m.shift - over - headroom;
    let scaled = saturating_rounding_doubling_high_mul(quotient, m.mantissa);
    rounding_divide_by_any_pot(scaled, shift.min(0).unsigned_abs())
}

/// `x / 2^exponent` as the division kernel shifts. Beyond 31 the C++ is undefined; in the runtimes (on x86) the mask then has all bits
/// and the shift counts modulo 32, so that 0 becomes 1.
fn rounding_divide_by_any_pot(x: i32, exponent: u32) -> i32 {
    if exponent <= 31 {
        return rounding_divide_by_pot(x, exponent);
    }
    x.wrapping_shr(exponent) + i32::from(x >= 0)
}

/// A multiplier that must be in `(0, 1)`, as the runtimes check.
fn below_one(real: f64) -> Result<Multiplier> {
    ensure(real > 0.0 && real < 1.0, || format!("the ratio of scales {real} must lie between 0 and 1"))?;
    Ok(Multiplier::from_real(real))
}

/// MAXIMUM: operands and result share one scale.
pub fn maximum<T: Quantized>(a_shape: &[usize], a: &[T], b_shape: &[usize], b: &[T], output: &mut [T]) -> Result<()> {
    zip_broadcast(a_shape, a, b_shape, b, output, |x, y| if x > y { x } else { y })
}

/// MINIMUM: operands and result share one scale.
pub fn minimum<T: Quantized>(a_shape: &[usize], a: &[T], b_shape: &[usize], b: &[T], output: &mut [T]) -> Result<()> {
    zip_broadcast(a_shape, a, b_shape, b, output, |x, y| if x < y { x } else { y })
}

/// EQUAL, NOT_EQUAL, GREATER, GREATER_EQUAL, LESS and LESS_EQUAL on two 8-bit tensors with scales of their own.
#[derive(Clone, Debug)]
pub struct Comparison {
    a: Multiplier,
    b: Multiplier,
    a_zero: i32,
    b_zero: i32,
}

impl Comparison {
    /// Both scales must be below 1.
    pub fn prepare(a: Affine, b: Affine) -> Result<Self> {
        Ok(Self { a: below_one(f64::from(a.scale))?, b: below_one(f64::from(b.scale))?, a_zero: a.zero_point, b_zero: b.zero_point })
    }

    /// Compares real values at a resolution of 1/256, the kernels' fixed choice.
    pub fn run<T: Quantized, O>(
        &self,
        a_shape: &[usize],
        a: &[T],
        b_shape: &[usize],
        b: &[T],
        output: &mut [O],
        compare: impl Fn(i32, i32) -> O,
    ) -> Result<()> {
        let scaled = |x: T, zero: i32, m: Multiplier| m.apply(x.get().wrapping_sub(zero).wrapping_shl(8));
        zip_broadcast(a_shape, a, b_shape, b, output, |x, y| compare(scaled(x, self.a_zero, self.a), scaled(y, self.b_zero, self.b)))
    }
}
