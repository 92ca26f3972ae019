//! The clamping range of a fused activation in quantized units.

use super::quantize::{Affine, quantize};

/// The integers between which an output lies whose real value is clamped to `[low, high]`, within the storage range
/// `[qmin, qmax]` (`CalculateActivationRangeQuantized`). `None` is unbounded.
pub fn activation_range(low: Option<f32>, high: Option<f32>, output: Affine, qmin: i32, qmax: i32) -> (i32, i32) {
    let min = low.map_or(qmin, |x| qmin.max(quantize(x, output)));
    let max = high.map_or(qmax, |x| qmax.min(quantize(x, output)));
    (min, max)
}
