//! The integer arithmetic of quantized kernels, down to the last bit.
//!
//! Everything that turns a real scale into integers, or integers into other integers, lives here and nowhere else:
//! fixed-point multipliers, rounding shifts, Q-format `exp`, `log`, `tanh` and friends, lookup tables, activation ranges,
//! and affine quantization itself. The interpreter, the constant folder, the quantizer and the code generators
//! share these functions, which is why they agree.
//!
//! The bits are those of TFLite Micro's reference kernels (`tensorflow/lite/kernels/internal/{common,quantization_util}`
//! and gemmlowp's `fixedpoint.h`), built as usual: double rounding in multiplications, C `round` (half away from zero).
//!
//! Nothing here allocates more than a table, reads a file, or panics: arithmetic that C++ leaves undefined wraps or saturates.

mod activation;
mod fixed;
mod lut;
mod multiplier;
mod quantize;

pub use activation::activation_range;
pub use fixed::{
    exp_on_negative_values, inverse_sqrt_multiplier, log_at_least_one, logistic, one_over_one_plus_x, reciprocal, rescale, tanh,
};
pub use lut::{Interpolated, SIGMOID_TABLE, byte_table, byte_table_in, interpolated_table};
pub use multiplier::{
    Multiplier, downscale_to_i16, frexp, input_radius, ldexp, round_half_away, rounding_divide_by_pot, saturating_doubling_high_mul_i16,
    saturating_left_shift_i16, saturating_rounding_doubling_high_mul, saturating_rounding_doubling_high_mul_i16, softmax_scaling,
};
pub use quantize::{Affine, checked_log2, quantize, quantize_saturating};

/// Whose rounding an integer kernel follows where the runtimes differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RoundingProfile {
    /// TensorFlow Lite Micro: fixed-point multipliers everywhere.
    #[default]
    Tflm,
    /// LiteRT's reference kernels: FULLY_CONNECTED requantizes in double precision, LOGISTIC and TANH on 8 bits are
    /// tables of the real function, RELU6 rescales.
    LitertReference,
}

impl RoundingProfile {
    /// `a / b` for the scales of a requantization: LiteRT's kernels of RELU, LEAKY_RELU, PRELU and ABS divide in single precision.
    #[must_use]
    pub fn ratio(self, a: f32, b: f32) -> f64 {
        match self {
            Self::Tflm => f64::from(a) / f64::from(b),
            Self::LitertReference => f64::from(a / b),
        }
    }

    /// Whose rounding holds for a type: TFLite Micro has no kernels for `u8`, so there it is LiteRT's.
    #[must_use]
    pub fn of_type(self, is_unsigned: bool) -> Self {
        if is_unsigned { Self::LitertReference } else { self }
    }

    /// `a / (b * c)`: the ratio of DIV.
    #[must_use]
    pub fn ratio_to_product(self, a: f32, b: f32, c: f32) -> f64 {
        match self {
            Self::Tflm => f64::from(a) / (f64::from(b) * f64::from(c)),
            Self::LitertReference => f64::from(a / (b * c)),
        }
    }

    /// `a * factor / b`, where a requantization also multiplies: by the slope of LEAKY_RELU, the other scale of MUL.
    #[must_use]
    pub fn ratio_times(self, a: f32, factor: f32, b: f32) -> f64 {
        match self {
            Self::Tflm => f64::from(a) * f64::from(factor) / f64::from(b),
            Self::LitertReference => f64::from(a * factor / b),
        }
    }
}
