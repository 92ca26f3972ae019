//! L2_NORMALIZATION over the last axis, in units of 1/128.
//!
//! Arithmetic: `integer_ops/l2normalization.h`; `u8`: `reference/l2normalization.h`, which multiplies by 128 before it rounds.

use octet_ir::arith::inverse_sqrt_multiplier;

use super::{Multiplier, Quantized, Result, ensure};

/// Rows of `depth` values, each divided by its Euclidean norm.
pub fn l2_normalize<T: Quantized>(input_zero_point: i32, depth: usize, input: &[T], output: &mut [T]) -> Result<()> {
    ensure(depth > 0 && input.len() == output.len() && input.len().is_multiple_of(depth), || {
        format!("{} values are not rows of {depth}", input.len())
    })?;
    let signed = T::MIN < 0;
    for (input, output) in input.chunks(depth).zip(output.chunks_mut(depth)) {
        let square = input.iter().fold(0i32, |sum, x| {
            let x = x.get().wrapping_sub(input_zero_point);
            sum.wrapping_add(x.wrapping_mul(x))
        });
        let (mantissa, shift) = inverse_sqrt_multiplier(square);
        let m = Multiplier { mantissa, shift: if signed { shift + 7 } else { shift } };
        for (o, &x) in output.iter_mut().zip(input) {
            let x = x.get().wrapping_sub(input_zero_point);
            *o = T::saturate(if signed { m.apply(x) } else { m.apply(128 * x) + 128 });
        }
    }
    Ok(())
}
