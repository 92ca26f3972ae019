//! Arithmetic on every plain number type, as TFLite's kernels define it.

use bytemuck::Pod;

/// A number that arithmetic ops take. Integers wrap on overflow.
pub trait Number: Pod + PartialOrd + Default + Send + Sync {
    /// Whether division by zero is an error.
    const INTEGER: bool;
    /// One.
    const ONE: Self;
    /// `self + other`.
    fn add(self, other: Self) -> Self;
    /// `self - other`.
    fn sub(self, other: Self) -> Self;
    /// `self * other`.
    fn mul(self, other: Self) -> Self;
    /// `self / other`, toward zero for integers; `other` is not an integer zero.
    fn div(self, other: Self) -> Self;
    /// The quotient rounded down.
    fn floor_div(self, other: Self) -> Self;
    /// The remainder with the divisor's sign.
    fn floor_mod(self, other: Self) -> Self;
    /// `self` to the power `other`.
    fn pow(self, other: Self) -> Self;
    /// `-self`.
    fn neg(self) -> Self;
    /// `|self|`.
    fn abs(self) -> Self;
    /// -1, 0 or 1.
    fn sign(self) -> Self;
    /// The smallest number of the type.
    fn lowest() -> Self;
    /// The largest number of the type.
    fn highest() -> Self;
    /// The nearest number to `x`, saturating.
    fn from_f32(x: f32) -> Self;

    /// The larger one; the second if they cannot be compared.
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        if self > other { self } else { other }
    }

    /// The smaller one; the second if they cannot be compared.
    #[inline(always)]
    fn smaller(self, other: Self) -> Self {
        if self < other { self } else { other }
    }
}

macro_rules! float {
    ($($t:ident)*) => {$(
        impl Number for $t {
            const INTEGER: bool = false;
            const ONE: Self = 1.0;
            #[inline(always)]
            fn add(self, other: Self) -> Self { self + other }
            #[inline(always)]
            fn sub(self, other: Self) -> Self { self - other }
            #[inline(always)]
            fn mul(self, other: Self) -> Self { self * other }
            #[inline(always)]
            fn div(self, other: Self) -> Self { self / other }
            #[inline(always)]
            fn floor_div(self, other: Self) -> Self { (self / other).floor() }
            #[inline(always)]
            fn floor_mod(self, other: Self) -> Self {
                let rest = self % other;
                if rest != 0.0 && (rest < 0.0) != (other < 0.0) { rest + other } else { rest }
            }
            #[inline(always)]
            fn pow(self, other: Self) -> Self { self.powf(other) }
            #[inline(always)]
            fn neg(self) -> Self { -self }
            #[inline(always)]
            fn abs(self) -> Self { $t::abs(self) }
            #[inline(always)]
            fn sign(self) -> Self {
                if self > 0.0 { 1.0 } else if self < 0.0 { -1.0 } else { self }
            }
            fn lowest() -> Self { $t::NEG_INFINITY }
            fn highest() -> Self { $t::INFINITY }
            fn from_f32(x: f32) -> Self { x as $t }
        }
    )*};
}

macro_rules! integer {
    ($($t:ident: $signed:literal)*) => {$(
        #[allow(unused_comparisons, reason = "one text for signed and unsigned types")]
        impl Number for $t {
            const INTEGER: bool = true;
            const ONE: Self = 1;
            #[inline(always)]
            fn add(self, other: Self) -> Self { self.wrapping_add(other) }
            #[inline(always)]
            fn sub(self, other: Self) -> Self { self.wrapping_sub(other) }
            #[inline(always)]
            fn mul(self, other: Self) -> Self { self.wrapping_mul(other) }
            #[inline(always)]
            fn div(self, other: Self) -> Self { self.wrapping_div(other) }
            #[inline(always)]
            fn floor_div(self, other: Self) -> Self {
                let (q, r) = (self.wrapping_div(other), self.wrapping_rem(other));
                if r != 0 && (r < 0) != (other < 0) { q - 1 } else { q }
            }
            #[inline(always)]
            fn floor_mod(self, other: Self) -> Self {
                let r = self.wrapping_rem(other);
                if r != 0 && (r < 0) != (other < 0) { r + other } else { r }
            }
            fn pow(self, other: Self) -> Self {
                // A negative exponent leaves the integers: 1/x truncates to zero but for x = 1 and -1.
                if other < 0 {
                    return match self { 1 => 1, x if x.wrapping_add(1) == 0 && $signed => if other % 2 == 0 { 1 } else { x }, _ => 0 };
                }
                let (mut base, mut left, mut result) = (self, other, 1 as $t);
                while left > 0 {
                    if left % 2 == 1 {
                        result = result.wrapping_mul(base);
                    }
                    base = base.wrapping_mul(base);
                    left /= 2;
                }
                result
            }
            #[inline(always)]
            fn neg(self) -> Self { self.wrapping_neg() }
            #[inline(always)]
            fn abs(self) -> Self { if self < 0 { self.wrapping_neg() } else { self } }
            #[inline(always)]
            fn sign(self) -> Self {
                if self > 0 { 1 } else if self < 0 { (0 as $t).wrapping_sub(1) } else { 0 }
            }
            fn lowest() -> Self { $t::MIN }
            fn highest() -> Self { $t::MAX }
            fn from_f32(x: f32) -> Self { x as $t }
        }
    )*};
}

float!(f32 f64);
integer!(i8: true i16: true i32: true i64: true u8: false u16: false u32: false u64: false);

#[cfg(test)]
mod tests {
    use super::Number;

    #[test]
    fn division_rounds_down_and_remainders_follow_the_divisor() {
        assert_eq!((Number::floor_div(-7, 2), Number::floor_mod(-7, 2)), (-4, 1));
        assert_eq!((Number::floor_div(7, -2), Number::floor_mod(7, -2)), (-4, -1));
        assert_eq!((Number::floor_div(-7.0, 2.0), Number::floor_mod(-7.0, 2.0)), (-4.0, 1.0));
        assert_eq!(Number::floor_div(i32::MIN, -1), i32::MIN);
        assert_eq!((Number::pow(3, 4), Number::pow(-1, -3), Number::pow(2, -1)), (81, -1, 0));
    }
}
