//! The value that PAD writes around a quantized tensor.
//!
//! Moving the data is not arithmetic and lives with the other data movement.

use super::{Affine, Quantized};

/// What PAD without an explicit value fills with: the integer that stands for 0 (`micro/kernels/pad.cc`). 16-bit tensors are symmetric.
pub fn fill_value<T: Quantized>(output: Affine) -> T {
    if T::MAX > 255 { T::default() } else { T::saturate(output.zero_point) }
}
