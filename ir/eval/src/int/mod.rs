//! Integer kernels on slices, bit-exact with TFLite Micro's reference kernels.
//!
//! A kernel is two steps, as in the runtimes. *Prepare* turns scales into fixed-point multipliers and tables, subtracts zero points
//! from weights and packs them; it checks every length and shape, so that *run* only computes. Nothing here
//! knows the IR: parameters are shapes, strides and [`Affine`] scales, and the ops that call these kernels translate.
//!
//! Legacy `u8` kernels follow LiteRT's reference kernels, which are the only ones that run them.

pub mod arg;
pub mod batch_matmul;
pub mod binary;
pub mod broadcast;
pub mod concat;
pub mod conv2d;
pub mod depthwise;
pub mod fully_connected;
mod gemm;
pub mod lstm;
pub mod norm;
pub mod pool;
pub mod quantize;
pub mod reduce;
pub mod resize;
#[expect(unsafe_code, reason = "the one place with vector intrinsics; every block says why it is sound")]
mod simd;
pub mod softmax;
pub mod svdf;
pub mod transpose_conv;
pub mod unary;
pub mod window;

pub use octet_ir::arith::{Affine, Multiplier, RoundingProfile};

/// Why a kernel cannot be prepared: a sentence about shapes, lengths or scales that do not fit together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelError(pub String);

impl std::fmt::Display for KernelError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for KernelError {}

/// What preparing a kernel gives.
pub type Result<T> = std::result::Result<T, KernelError>;

pub(crate) fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(KernelError(what())) }
}

/// An integer that stores quantized values.
pub trait Quantized: Copy + Default + Ord + Send + Sync + 'static {
    /// Smallest stored value.
    const MIN: i32;
    /// Largest stored value.
    const MAX: i32;
    /// The stored value.
    fn get(self) -> i32;
    /// The nearest storable value.
    fn saturate(value: i32) -> Self;
    /// A slice of them with its type erased.
    fn slots(values: &mut [Self]) -> Slots<'_>;
    /// The stored value as 16 bits, after subtracting `zero_point`; both must fit (8-bit storage, or 16-bit and 0).
    #[inline]
    fn centred(self, zero_point: i32) -> i16 {
        self.get().wrapping_sub(zero_point) as i16
    }
}

/// Stored values to write, of whichever type: the loops that compute them are compiled once for all.
#[derive(Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Slots<'a> {
    I8(&'a mut [i8]),
    U8(&'a mut [u8]),
    I16(&'a mut [i16]),
    I32(&'a mut [i32]),
}

impl Slots<'_> {
    /// Stores `values`, which are in range, from index `at` on.
    #[inline]
    pub(crate) fn put(&mut self, at: usize, values: &[i32]) {
        fn all<T: Quantized>(slots: &mut [T], values: &[i32]) {
            for (slot, &value) in slots.iter_mut().zip(values) {
                *slot = T::saturate(value);
            }
        }
        match self {
            Self::I8(slots) => all(&mut slots[at..at + values.len()], values),
            Self::U8(slots) => all(&mut slots[at..at + values.len()], values),
            Self::I16(slots) => all(&mut slots[at..at + values.len()], values),
            Self::I32(slots) => all(&mut slots[at..at + values.len()], values),
        }
    }
}

/// The range of a storage type, for code that is compiled once for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Smallest stored value.
    pub min: i32,
    /// Largest stored value.
    pub max: i32,
}

impl Storage {
    /// The range of `T`.
    pub fn of<T: Quantized>() -> Self {
        Self { min: T::MIN, max: T::MAX }
    }

    /// Legacy `u8`.
    pub(crate) fn is_legacy(self) -> bool {
        self.min == 0
    }

    /// 16 bits.
    pub(crate) fn is_wide(self) -> bool {
        self.max > 255
    }
}

/// Centres stored values to 16 bits.
pub(crate) fn centre<T: Quantized>(to: &mut [i16], from: &[T], zero_point: i32) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = from.centred(zero_point);
    }
}

macro_rules! quantized {
    ($($t:ty, $slots:ident);*) => {$(
        impl Quantized for $t {
            const MIN: i32 = <$t>::MIN as i32;
            const MAX: i32 = <$t>::MAX as i32;
            #[inline]
            fn get(self) -> i32 {
                i32::from(self)
            }
            fn slots(values: &mut [Self]) -> Slots<'_> {
                Slots::$slots(values)
            }
            #[inline]
            fn saturate(value: i32) -> Self {
                value.clamp(<Self as Quantized>::MIN, <Self as Quantized>::MAX) as $t
            }
        }
    )*};
}
quantized!(i8, I8; u8, U8; i16, I16; i32, I32);

/// [`RoundingProfile::of_type`] of a storage type.
pub(crate) fn of_type<T: Quantized>(profile: RoundingProfile) -> RoundingProfile {
    profile.of_type(T::MIN == 0)
}

/// Real bounds of a fused activation; `None` is unbounded.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bounds {
    /// Lower bound.
    pub low: Option<f32>,
    /// Upper bound.
    pub high: Option<f32>,
}

impl Bounds {
    /// No clamping.
    pub const NONE: Self = Self { low: None, high: None };

    /// The same bounds in units of `output`, within its storage.
    pub fn quantized(self, storage: Storage, output: Affine) -> (i32, i32) {
        octet_ir::arith::activation_range(self.low, self.high, output, storage.min, storage.max)
    }
}

/// Number of elements of a shape, or an error when it overflows.
pub(crate) fn elements(shape: &[usize]) -> Result<usize> {
    if shape.contains(&0) {
        return Ok(0);
    }
    shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).ok_or_else(|| KernelError(format!("the shape {shape:?} has too many elements")))
}

/// Sign-extends packed 4-bit integers, low nibble first.
pub fn unpack_i4(packed: &[u8], count: usize) -> Vec<i8> {
    packed.iter().flat_map(|&b| [(b << 4) as i8 >> 4, b as i8 >> 4]).take(count).collect()
}

/// Sign-extends packed 2-bit integers, lowest bits first.
pub fn unpack_i2(packed: &[u8], count: usize) -> Vec<i8> {
    packed.iter().flat_map(|&b| [(b << 6) as i8 >> 6, (b << 4) as i8 >> 6, (b << 2) as i8 >> 6, b as i8 >> 6]).take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_integers_are_sign_extended() {
        assert_eq!(unpack_i4(&[0x8F, 0x07], 3), [-1, -8, 7]);
        assert_eq!(unpack_i2(&[0b11_10_01_00], 4), [0, 1, -2, -1]);
    }
}
