//! Functions of one quantized tensor, element by element.
//!
//! On 8 bits every function is a table of 256 values, whatever the runtime computes it with: the table is built by the
//! runtime's own arithmetic, so the bits are the same. On 16 bits it is interpolation or arithmetic.
//!
//! Sources: `micro/kernels/{activations,leaky_relu,hard_swish,logistic,tanh,elementwise,elu}*`, and for what TFLite Micro does not
//! have on integers (EXP, LOG, SQRT, GELU, NEG, `u8` activations), LiteRT's `kernels/{exp,elementwise,activations,neg}.cc`.

use octet_ir::arith::{
    Interpolated, SIGMOID_TABLE, byte_table, byte_table_in, checked_log2, downscale_to_i16, frexp, input_radius, interpolated_table,
    inverse_sqrt_multiplier, logistic, quantize, rounding_divide_by_pot, saturating_doubling_high_mul_i16, saturating_left_shift_i16,
    saturating_rounding_doubling_high_mul_i16, tanh,
};

use super::{Affine, Bounds, KernelError, Multiplier, Quantized, Result, RoundingProfile, Storage, ensure, of_type};

/// A function of one real number that has an integer kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    /// RELU and RELU_N1_TO_1, RELU_0_TO_1, and LiteRT's RELU6: rescale, then clamp.
    Relu(Bounds),
    /// RELU6 as TFLite Micro computes it: clamps between the input's 0 and 6 and never rescales.
    Relu6,
    /// LEAKY_RELU with its slope below 0.
    LeakyRelu(f32),
    /// HARD_SWISH; 8 bits only.
    HardSwish,
    /// LOGISTIC.
    Logistic,
    /// TANH.
    Tanh,
    /// ELU.
    Elu,
    /// GELU by the error function, or its tanh approximation.
    Gelu {
        /// Whether to approximate.
        approximate: bool,
    },
    /// EXP.
    Exp,
    /// LOG; what is not positive gives the smallest output.
    Log,
    /// SQRT, truncated instead of rounded; negative inputs give the zero point (the runtime refuses them).
    Sqrt,
    /// RSQRT; 0 and negative inputs give the largest output (the runtime refuses negative ones).
    Rsqrt,
    /// ABS.
    Abs,
    /// NEG on raw integers; scales are equal.
    Neg,
    /// Requantization alone.
    Identity,
}

/// A prepared function.
#[derive(Clone, Debug)]
pub struct Unary {
    kind: Kind,
    input: Affine,
    output: Affine,
}

#[derive(Clone, Debug)]
enum Kind {
    Bytes(Box<[u8; 256]>),
    Interpolated(Interpolated),
    Relu { multiplier: Multiplier, min: i32, max: i32 },
    Clamp { min: i32, max: i32 },
    Leaky { identity: Multiplier, alpha: Multiplier },
    Sigmoid(TableScaling),
    Tanh(TableScaling),
    Sqrt,
    Abs(Option<Multiplier>),
    Neg,
}

impl Unary {
    /// `T` is the type of input and output.
    pub fn prepare<T: Quantized>(function: Function, input: Affine, output: Affine, profile: RoundingProfile) -> Result<Self> {
        let kind = if T::MAX <= 255 {
            Kind::Bytes(Box::new(bytes::<T>(function, input, output, profile)?))
        } else {
            sixteen(function, input, output, profile)?
        };
        Ok(Self { kind, input, output })
    }

    /// The byte table of an 8-bit function, indexed by the input's byte.
    pub fn table(&self) -> Option<&[u8; 256]> {
        match &self.kind {
            Kind::Bytes(table) => Some(table),
            Kind::Interpolated(_)
            | Kind::Relu { .. }
            | Kind::Clamp { .. }
            | Kind::Leaky { .. }
            | Kind::Sigmoid(_)
            | Kind::Tanh(_)
            | Kind::Sqrt
            | Kind::Abs(_)
            | Kind::Neg => None,
        }
    }

    /// Applies the function.
    pub fn run<T: Quantized>(&self, input: &[T], output: &mut [T]) -> Result<()> {
        ensure(input.len() == output.len(), || format!("{} inputs and {} outputs", input.len(), output.len()))?;
        let centre = |x: T| x.get().wrapping_sub(self.input.zero_point);
        let store = |x: i32| T::saturate(x.wrapping_add(self.output.zero_point));
        let each = |output: &mut [T], f: &dyn Fn(T) -> T| {
            for (o, &x) in output.iter_mut().zip(input) {
                *o = f(x);
            }
        };
        match &self.kind {
            Kind::Bytes(table) => {
                for (o, &x) in output.iter_mut().zip(input) {
                    let byte = table[(x.get() & 255) as usize];
                    *o = T::saturate(if T::MIN < 0 { i32::from(byte as i8) } else { i32::from(byte) });
                }
            }
            Kind::Interpolated(table) => each(output, &|x| T::saturate(table.at(x.get() as i16).into())),
            Kind::Relu { multiplier, min, max } => {
                each(output, &|x| T::saturate(multiplier.apply(centre(x)).wrapping_add(self.output.zero_point).clamp(*min, *max)));
            }
            Kind::Clamp { min, max } => each(output, &|x| T::saturate(x.get().clamp(*min, *max))),
            Kind::Leaky { identity, alpha } => each(output, &|x| store(leaky(centre(x), *identity, *alpha))),
            Kind::Sigmoid(scaling) => each(output, &|x| T::saturate(scaling.sigmoid(x.get()))),
            Kind::Tanh(scaling) => each(output, &|x| T::saturate(scaling.tanh(x.get()))),
            Kind::Sqrt => each(output, &|x| T::saturate(square_root(centre(x), self.input, self.output))),
            Kind::Abs(multiplier) => each(output, &|x| {
                let value = centre(x).wrapping_abs();
                store(multiplier.map_or(value, |m| m.apply(value)))
            }),
            // C++ negates and cuts to 16 bits: -(-32768) stays.
            Kind::Neg => each(output, &|x| T::saturate((x.get() as i16).wrapping_neg().into())),
        }
        Ok(())
    }
}

fn leaky(x: i32, identity: Multiplier, alpha: Multiplier) -> i32 {
    if x >= 0 {
        return identity.apply(x);
    }
    // A negative slope keeps its multiplier positive and flips the product.
    let scaled = Multiplier { mantissa: alpha.mantissa.wrapping_abs(), shift: alpha.shift }.apply(x);
    if alpha.mantissa < 0 { scaled.wrapping_neg() } else { scaled }
}

/// SQRT in single precision, cut toward zero.
fn square_root(x: i32, input: Affine, output: Affine) -> i32 {
    let real = (input.scale * x as f32).max(0.0).sqrt();
    ((real / output.scale) as i32).saturating_add(output.zero_point)
}

fn leaky_multipliers(slope: f32, input: Affine, output: Affine, profile: RoundingProfile) -> (Multiplier, Multiplier) {
    let identity = profile.ratio(input.scale, output.scale);
    (Multiplier::from_real(identity), Multiplier::from_real(profile.ratio_times(input.scale, slope, output.scale)))
}

fn gelu(approximate: bool) -> impl Fn(f32) -> f32 {
    move |x: f32| {
        if approximate {
            let k = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
            let inner = k * (x + 0.044_715 * x * x * x);
            0.5 * x * (1.0 + f64::from(inner).tanh() as f32)
        } else {
            0.5 * x * erfc(f64::from(x * -std::f32::consts::FRAC_1_SQRT_2)) as f32
        }
    }
}

/// The complementary error function to full single precision: the series near 0, a continued fraction farther out.
fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    if x < 2.5 {
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while term.abs() > 1e-18 * sum.abs() && n < 200.0 {
            n += 1.0;
            term *= -x * x / n;
            sum += term / (2.0 * n + 1.0);
        }
        return 1.0 - sum * std::f64::consts::FRAC_2_SQRT_PI;
    }
    let mut fraction = 0.0;
    for n in (1..=60).rev() {
        fraction = f64::from(n) / 2.0 / (x + fraction);
    }
    (-x * x).exp() / (x + fraction) / std::f64::consts::PI.sqrt()
}

fn bytes<T: Quantized>(function: Function, input: Affine, output: Affine, profile: RoundingProfile) -> Result<[u8; 256]> {
    let signed = T::MIN < 0;
    let profile = of_type::<T>(profile);
    let ratio = Multiplier::from_real(profile.ratio(input.scale, output.scale));
    let table = |f: &dyn Fn(i32) -> i32| byte_table_in(signed, |q| f(q.wrapping_sub(input.zero_point)).wrapping_add(output.zero_point));
    let real = |f: &dyn Fn(f32) -> f32| byte_table(input, output, signed, f);
    let exp = |x: f32| f64::from(x).exp() as f32;
    // TFLite Micro has no `u8` LOGISTIC and TANH; LiteRT's are tables.
    let fixed_point = profile == RoundingProfile::Tflm && signed;
    Ok(match function {
        Function::Relu(bounds) => relu_table::<T>(bounds, ratio, input, output),
        Function::Relu6 if profile == RoundingProfile::LitertReference || !signed => {
            relu_table::<T>(Bounds { low: Some(0.0), high: Some(6.0) }, ratio, input, output)
        }
        Function::Relu6 => {
            let (low, high) = relu6_range::<T>(input);
            byte_table_in(signed, |q| if q > high { high } else { q.max(low) })
        }
        Function::LeakyRelu(slope) => {
            let (identity, alpha) = leaky_multipliers(slope, input, output, profile);
            table(&|x| leaky(x, identity, alpha))
        }
        Function::HardSwish => hard_swish_table::<T>(input, output, profile)?,
        Function::Logistic if fixed_point => {
            let f = FixedFunction::new(input);
            byte_table_in(signed, |q| {
                f.at(q.wrapping_sub(input.zero_point), T::MIN, T::MAX, |x| rounding_divide_by_pot(logistic(x, 4), 23) - 128)
            })
        }
        Function::Logistic => real(&|x| 1.0 / (1.0 + exp(-x))),
        Function::Tanh if fixed_point => {
            let f = FixedFunction::new(input);
            byte_table_in(signed, |q| f.at(q.wrapping_sub(input.zero_point), T::MIN, T::MAX, |x| rounding_divide_by_pot(tanh(x, 4), 24)))
        }
        Function::Tanh => real(&|x| f64::from(x).tanh() as f32),
        Function::Elu => real(&|x| if x < 0.0 { exp(x) - 1.0 } else { x }),
        Function::Gelu { approximate } => real(&gelu(approximate)),
        Function::Exp => real(&exp),
        Function::Log => real(&log_from(lowest::<T>(output))),
        Function::Sqrt => byte_table_in(signed, |q| square_root(q.wrapping_sub(input.zero_point), input, output)),
        Function::Rsqrt => rsqrt_table::<T>(input, output),
        Function::Abs if input.scale == output.scale => table(&|x| x.wrapping_abs()),
        Function::Abs => table(&|x| ratio.apply(x.wrapping_abs())),
        // C++ negates and cuts to 8 bits: -(-128) stays -128.
        Function::Neg => byte_table_in(signed, |q| i32::from(q.wrapping_neg() as i8)),
        Function::Identity => {
            let m = Multiplier::from_real(f64::from(input.scale) / f64::from(output.scale));
            table(&|x| m.apply(x))
        }
    })
}

fn relu_table<T: Quantized>(bounds: Bounds, ratio: Multiplier, input: Affine, output: Affine) -> [u8; 256] {
    let (min, max) = bounds.quantized(Storage::of::<T>(), output);
    byte_table_in(T::MIN < 0, |q| ratio.apply(q.wrapping_sub(input.zero_point)).wrapping_add(output.zero_point).clamp(min, max.max(min)))
}

fn relu6_range<T: Quantized>(input: Affine) -> (i32, i32) {
    (input.zero_point, quantize(6.0, input).clamp(T::MIN, T::MAX))
}

/// The smallest real output.
fn lowest<T: Quantized>(output: Affine) -> f32 {
    (T::MIN.wrapping_sub(output.zero_point)) as f32 * output.scale
}

fn log_from(lowest: f32) -> impl Fn(f32) -> f32 {
    move |x| if x <= 0.0 { lowest } else { f64::from(x).ln() as f32 }
}

/// LOGISTIC and TANH on 8 bits: the input in Q4, and beyond which it saturates.
struct FixedFunction {
    multiplier: Multiplier,
    radius: i32,
}

impl FixedFunction {
    fn new(input: Affine) -> Self {
        // No fix-up when the mantissa rounds up to 2^31: the cast to 32 bits saturates it instead.
        let (fraction, shift) = frexp(f64::from(input.scale) * f64::from(1 << 27));
        let mantissa = (fraction * 2_147_483_648.0).round() as i64;
        let mantissa = i32::try_from(mantissa).unwrap_or(i32::MIN);
        Self { multiplier: Multiplier { mantissa, shift }, radius: input_radius(4, shift) }
    }

    fn at(&self, x: i32, min: i32, max: i32, f: impl Fn(i32) -> i32) -> i32 {
        if x <= -self.radius {
            min
        } else if x >= self.radius {
            max
        } else {
            f(self.multiplier.apply(x))
        }
    }
}

fn hard_swish_table<T: Quantized>(input: Affine, output: Affine, profile: RoundingProfile) -> Result<[u8; 256]> {
    let hires = (1.0f32 / 128.0) * input.scale;
    let reluish_scale = 3.0f32 / 32768.0;
    // LiteRT divides in single precision.
    let ratio = |a: f32, b: f32| Multiplier::from_real(of_type::<T>(profile).ratio(a, b));
    let (out, reluish) = (ratio(hires, output.scale), ratio(hires, reluish_scale));
    ensure(out.shift <= 0, || format!("HARD_SWISH needs an output scale above {hires}, not {}", output.scale))?;
    let (out_mantissa, reluish_mantissa) = (downscale_to_i16(out.mantissa), downscale_to_i16(reluish.mantissa));
    Ok(byte_table_in(T::MIN < 0, |q| {
        let x = (q.wrapping_sub(input.zero_point) as i16).wrapping_mul(1 << 7);
        let preshift = saturating_rounding_doubling_high_mul_i16(x, out_mantissa);
        let mut gate = x;
        if reluish.shift > 0 {
            gate = saturating_left_shift_i16(gate, (reluish.shift - 1) as u32);
        }
        gate = saturating_rounding_doubling_high_mul_i16(gate, reluish_mantissa);
        if reluish.shift > 0 {
            gate = saturating_left_shift_i16(gate, 1);
        }
        if reluish.shift < 0 {
            gate = rounding_divide_by_pot(gate.into(), (-reluish.shift) as u32) as i16;
        }
        let gate = ((i32::from(gate) + (1 << 15)) >> 1) as i16;
        let product = saturating_doubling_high_mul_i16(gate, preshift);
        let shifted = rounding_divide_by_pot(product.into(), (-out.shift) as u32);
        i32::from((shifted as i16).wrapping_add(output.zero_point as i16))
    }))
}

fn rsqrt_table<T: Quantized>(input: Affine, output: Affine) -> [u8; 256] {
    const SHIFT: i32 = 20;
    let scale = 1.0 / f64::from(input.scale.sqrt() * output.scale);
    let m = Multiplier::from_real(scale);
    byte_table_in(T::MIN < 0, |q| {
        let x = q.wrapping_sub(input.zero_point);
        if x <= 0 {
            return T::MAX;
        }
        let (mantissa, shift) = inverse_sqrt_multiplier(x);
        let inverse = Multiplier { mantissa, shift: shift + SHIFT }.apply(1);
        Multiplier { mantissa: m.mantissa, shift: m.shift - SHIFT }.apply(inverse).wrapping_add(output.zero_point)
    })
}

fn sixteen(function: Function, input: Affine, output: Affine, profile: RoundingProfile) -> Result<Kind> {
    let interpolated = |f: &dyn Fn(f32) -> f32| Kind::Interpolated(interpolated_table(input, output, f));
    let exp = |x: f32| f64::from(x).exp() as f32;
    let ratio = Multiplier::from_real(profile.ratio(input.scale, output.scale));
    let symmetric = || ensure(input.zero_point == 0 && output.zero_point == 0, || "16-bit activations need zero point 0".into());
    Ok(match function {
        Function::Relu(bounds) => {
            let (min, max) = bounds.quantized(Storage::of::<i16>(), output);
            Kind::Relu { multiplier: ratio, min, max: max.max(min) }
        }
        Function::Relu6 if profile == RoundingProfile::LitertReference => {
            let (min, max) = Bounds { low: Some(0.0), high: Some(6.0) }.quantized(Storage::of::<i16>(), output);
            Kind::Relu { multiplier: ratio, min, max: max.max(min) }
        }
        Function::Relu6 => {
            let (min, max) = relu6_range::<i16>(input);
            Kind::Clamp { min, max: max.max(min) }
        }
        Function::LeakyRelu(slope) => {
            let (identity, alpha) = leaky_multipliers(slope, input, output, profile);
            Kind::Leaky { identity, alpha }
        }
        Function::Logistic => {
            symmetric()?;
            Kind::Sigmoid(TableScaling::new(input.scale, 0))
        }
        Function::Tanh => {
            symmetric()?;
            Kind::Tanh(TableScaling::new(input.scale, 1))
        }
        Function::Gelu { approximate } => interpolated(&gelu(approximate)),
        Function::Exp => interpolated(&exp),
        Function::Log => interpolated(&log_from(lowest::<i16>(output))),
        Function::Rsqrt => {
            let largest = 32767.0 * output.scale;
            interpolated(&move |x| if x <= 0.0 { largest } else { 1.0 / x.sqrt() })
        }
        Function::Sqrt => Kind::Sqrt,
        Function::Abs => Kind::Abs((input.scale != output.scale).then_some(ratio)),
        Function::Neg => Kind::Neg,
        Function::Identity => {
            let multiplier = Multiplier::from_real(f64::from(input.scale) / f64::from(output.scale));
            Kind::Relu { multiplier, min: i16::MIN.into(), max: i16::MAX.into() }
        }
        Function::HardSwish | Function::Elu => {
            return Err(KernelError(format!("{function:?} has no 16-bit kernel")));
        }
    })
}

/// How a 16-bit input becomes an index into the sigmoid table, whose steps are 1/24.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableScaling {
    multiplier: i32,
    shift: u32,
}

impl TableScaling {
    /// For an input scale. When it is the power of two 2^-12 (or, up to `max_shift`, a multiple of that), three halves of the input
    /// are used as they are; else a 15-bit multiplier, truncated.
    pub fn new(scale: f32, max_shift: i32) -> Self {
        let (log2, is_pot) = checked_log2(scale);
        let left = 12 + log2;
        if is_pot && (0..=max_shift).contains(&left) {
            return Self::power_of_two(left as u32);
        }
        let mut real = f64::from(scale) * 4096.0 * 3.0;
        let mut shift = 0;
        while real <= 32767.0 / 2.0 && shift <= 30 {
            shift += 1;
            real *= 2.0;
        }
        Self { multiplier: real as i32, shift }
    }

    /// The input is in units of 2^(left - 12).
    pub fn power_of_two(left: u32) -> Self {
        Self { multiplier: 3i32.wrapping_shl(left), shift: 0 }
    }

    /// The input is in units of 2^(-12 - right).
    pub fn divided(right: u32) -> Self {
        Self { multiplier: 3, shift: right }
    }

    #[inline]
    fn scale(self, x: i32) -> i32 {
        let round = if self.shift > 0 { 1i32.wrapping_shl(self.shift - 1) } else { 0 };
        x.wrapping_mul(self.multiplier).wrapping_add(round) >> self.shift.min(31)
    }

    /// The logistic function in units of 1/32768.
    #[inline]
    pub fn sigmoid(self, x: i32) -> i32 {
        let x = self.scale(x);
        let magnitude = x.unsigned_abs();
        let index = (magnitude >> 9) as usize;
        let result = if index >= 255 {
            0x7FFF << 10
        } else {
            let (a, b) = (u32::from(SIGMOID_TABLE[index]), u32::from(SIGMOID_TABLE[index + 1]));
            (a << 9) + (magnitude & 0x1FF) * (b - a)
        };
        let result = if x >= 0 { result + (1 << 9) } else { (1 << 25) - result + (1 << 9) - 1 };
        i32::from((result >> 10) as i16)
    }

    /// The hyperbolic tangent in units of 1/32768: twice the logistic function of twice the input, less 1.
    #[inline]
    pub fn tanh(self, x: i32) -> i32 {
        let x = self.scale(x);
        let magnitude = x.unsigned_abs();
        let index = (magnitude >> 8) as usize;
        let result = if index >= 255 {
            0xFFFF << 8
        } else {
            let (a, b) = (i32::from(SIGMOID_TABLE[index]), i32::from(SIGMOID_TABLE[index + 1]));
            (a << 8) + (magnitude & 0xFF) as i32 * (b - a)
        };
        let result = if x >= 0 { result - (1 << 23) + (1 << 7) } else { -result + (1 << 23) + (1 << 7) - 1 };
        i32::from((result >> 8) as i16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erfc_is_accurate() {
        for (x, want) in [
            (0.0, 1.0),
            (0.5, 0.479_500_122_186_953_5),
            (1.0, 0.157_299_207_050_285_13),
            (2.4, 6.885_138_966_625e-4),
            (3.0, 2.209_049_699_858_544e-5),
            (-1.0, 1.842_700_792_949_715),
        ] {
            assert!((erfc(x) - want).abs() < 1e-12, "{x}: {}", erfc(x));
        }
    }

    #[test]
    fn tables_follow_the_real_functions() {
        let input = Affine { scale: 0.05, zero_point: 3 };
        type Case = (Function, Affine, fn(f32) -> f32);
        let cases: [Case; 6] = [
            (Function::Logistic, Affine { scale: 1.0 / 256.0, zero_point: -128 }, |x| 1.0 / (1.0 + (-x).exp())),
            (Function::Tanh, Affine { scale: 1.0 / 128.0, zero_point: 0 }, f32::tanh),
            (Function::HardSwish, Affine { scale: 0.03, zero_point: -110 }, |x| x * (x + 3.0).clamp(0.0, 6.0) / 6.0),
            (Function::LeakyRelu(0.1), Affine { scale: 0.05, zero_point: -100 }, |x| if x < 0.0 { 0.1 * x } else { x }),
            (Function::Elu, Affine { scale: 0.04, zero_point: -90 }, |x| if x < 0.0 { x.exp() - 1.0 } else { x }),
            (Function::Gelu { approximate: false }, Affine { scale: 0.04, zero_point: -90 }, |x| {
                0.5 * x * erfc(f64::from(-x) / std::f64::consts::SQRT_2) as f32
            }),
        ];
        for (function, output, f) in cases {
            for profile in [RoundingProfile::Tflm, RoundingProfile::LitertReference] {
                let unary = Unary::prepare::<i8>(function, input, output, profile).unwrap();
                let x: Vec<i8> = (-128..=127).collect();
                let mut y = vec![0i8; 256];
                unary.run(&x, &mut y).unwrap();
                for (&x, &y) in x.iter().zip(&y) {
                    let want = (f(input.dequantize(x.into())) / output.scale + output.zero_point as f32).clamp(-128.0, 127.0);
                    assert!((f32::from(y) - want).abs() <= 1.6, "{function:?} {x}: {y} for {want}");
                }
            }
        }
    }
}
