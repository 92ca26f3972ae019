//! How a filter window moves over an image, shared by convolutions and pools.

use super::{KernelError, Result, ensure};

/// Strides, dilations and the padding in front; what lies past the image on any side is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Rows, columns of the input between two outputs.
    pub stride: [usize; 2],
    /// Rows, columns between two taps.
    pub dilation: [usize; 2],
    /// Rows above, columns left of the image.
    pub padding: [usize; 2],
}

impl Window {
    /// Input rows or columns that the taps of output index `out` touch: the first tap inside the image, one past the last, and the
    /// input coordinate of tap 0 (which may be negative).
    #[inline]
    pub fn taps(&self, axis: usize, out: usize, taps: usize, size: usize) -> (usize, usize, isize) {
        let dilation = self.dilation[axis];
        let origin = (out * self.stride[axis]) as isize - self.padding[axis] as isize;
        let first = if origin < 0 { origin.unsigned_abs().div_ceil(dilation) } else { 0 };
        let room = size as isize - origin;
        let end = if room <= 0 { 0 } else { (room as usize).div_ceil(dilation).min(taps) };
        (first.min(end), end, origin)
    }

    /// Refuses zero strides and dilations.
    pub fn check(&self) -> Result<()> {
        ensure(self.stride.iter().chain(&self.dilation).all(|&x| x > 0 && x < 1 << 24), || {
            format!("strides {:?} and dilations {:?} must be positive", self.stride, self.dilation)
        })?;
        ensure(self.padding.iter().all(|&x| x < 1 << 30), || format!("padding {:?} is too large", self.padding))
    }
}

/// A shape of exactly four axes.
pub(crate) fn four(shape: &[usize], what: &str) -> Result<[usize; 4]> {
    let four: [usize; 4] = shape.try_into().map_err(|_| KernelError(format!("{what} has shape {shape:?}, but needs 4 axes")))?;
    ensure(four.iter().all(|&d| d < 1 << 31), || format!("{what} has shape {shape:?}, which is too large"))?;
    super::elements(shape)?;
    Ok(four)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_stay_inside_the_image() {
        let w = Window { stride: [2, 1], dilation: [1, 3], padding: [1, 2] };
        assert_eq!(w.taps(0, 0, 3, 5), (1, 3, -1));
        assert_eq!(w.taps(0, 2, 3, 5), (0, 2, 3));
        assert_eq!(w.taps(1, 0, 3, 4), (1, 2, -2));
        assert_eq!(w.taps(1, 9, 3, 4), (0, 0, 7));
    }
}
