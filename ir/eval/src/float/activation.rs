//! Functions of one f32 number, as TFLite's float kernels compute them.

use octet_ir::ops::Activation;
use rten_vecmath::{Exp, Sigmoid, Tanh};

use super::vector::{map, map_simd, map_vectorized};

/// `e^x` of every element.
pub fn exp(input: &[f32], output: &mut [f32]) {
    map_simd(&Exp {}, input, output);
}

/// `1 / (1 + e^-x)` of every element.
pub fn logistic(input: &[f32], output: &mut [f32]) {
    map_simd(&Sigmoid {}, input, output);
    keep_nan(input, output);
}

/// The hyperbolic tangent of every element.
pub fn tanh(input: &[f32], output: &mut [f32]) {
    map_simd(&Tanh {}, input, output);
    keep_nan(input, output);
}

/// The vectorized functions clamp their argument, which makes a number of a NaN.
fn keep_nan(input: &[f32], output: &mut [f32]) {
    super::vector::vectorized(|| {
        for (&x, y) in input.iter().zip(output) {
            *y = if x.is_nan() { x } else { *y };
        }
    });
}

/// `x * min(max(x + 3, 0), 6) / 6`.
pub fn hard_swish(input: &[f32], output: &mut [f32]) {
    map_vectorized(input, output, |x| x * (x + 3.0).clamp(0.0, 6.0) * (1.0 / 6.0));
}

/// `x` where positive, else `e^x - 1`.
pub fn elu(input: &[f32], output: &mut [f32]) {
    map(input, output, |x| if x < 0.0 { x.exp_m1() } else { x });
}

/// Gaussian error linear unit, exact or by its tanh approximation.
pub fn gelu(input: &[f32], output: &mut [f32], approximate: bool) {
    if approximate {
        let factor = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
        map(input, output, |x| 0.5 * x * (1.0 + (factor * (x + 0.044715 * (x * x * x))).tanh()));
    } else {
        map(input, output, |x| 0.5 * x * libm::erfcf(-x * std::f32::consts::FRAC_1_SQRT_2));
    }
}

/// Applies a fused activation to numbers in place.
pub fn activate(activation: Activation, x: &mut [f32]) {
    match activation {
        Activation::None => {}
        Activation::Relu | Activation::ReluN1To1 | Activation::Relu6 => {
            let (low, high) = activation.bounds().unwrap_or((f32::NEG_INFINITY, f32::INFINITY));
            super::vector::vectorized(|| {
                for x in x {
                    *x = x.clamp(low, high);
                }
            });
        }
        Activation::Tanh => {
            let mut given = [0.0; 64];
            for part in x.chunks_mut(given.len()) {
                let given = &mut given[..part.len()];
                given.copy_from_slice(part);
                tanh(given, part);
            }
        }
        Activation::SignBit => x.iter_mut().for_each(|x| *x = f32::from(u8::from(x.is_sign_negative()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance in units of the last place of `b`.
    fn ulps(a: f32, b: f64) -> f64 {
        let unit = f64::from((b as f32).abs().max(f32::MIN_POSITIVE)) * f64::from(f32::EPSILON);
        (f64::from(a) - b).abs() / unit
    }

    #[test]
    fn functions_stay_within_a_few_ulps() {
        let x: Vec<f32> = (-2000..2000).map(|i| i as f32 / 200.0).collect();
        let mut y = vec![0.0; x.len()];
        let mut check = |name: &str, bound: f64, f: &dyn Fn(&[f32], &mut [f32]), exact: &dyn Fn(f64) -> f64| {
            f(&x, &mut y);
            for (&x, &y) in x.iter().zip(&y) {
                let error = ulps(y, exact(x.into()));
                assert!(error <= bound, "{name}({x}) = {y}: {error} ulps");
            }
        };
        check("exp", 2.0, &exp, &f64::exp);
        check("logistic", 4.0, &logistic, &|x| 1.0 / (1.0 + (-x).exp()));
        check("tanh", 4.0, &tanh, &f64::tanh);
        check("elu", 2.0, &elu, &|x| if x < 0.0 { x.exp_m1() } else { x });
        check("hard_swish", 4.0, &hard_swish, &|x| x * (x + 3.0).clamp(0.0, 6.0) / 6.0);
        check("gelu", 200.0, &|x, y| gelu(x, y, false), &|x| 0.5 * x * libm::erfc(-x / 2f64.sqrt()));
    }
}
