//! Plain loops compiled for the best vector unit of the machine.
//!
//! A loop over slices that the compiler can vectorise need not name a vector: run inside
//! [`vectorized`], it is compiled once per instruction set and the right one is chosen when
//! the program runs. Rust never contracts `a * b + c`, so results do not depend on the choice.

use rten_simd::{Isa, SimdOp, SimdUnaryOp};

struct Run<F>(F);

impl<R, F: FnOnce() -> R> SimdOp for Run<F> {
    type Output = R;

    #[inline(always)]
    fn eval<I: Isa>(self, _: I) -> R {
        (self.0)()
    }
}

/// Runs `f`, compiled for the widest vectors there are. `f` should be small enough to inline.
#[inline]
pub fn vectorized<R>(f: impl FnOnce() -> R) -> R {
    Run(f).dispatch()
}

/// Applies a vectorised function to every element.
pub fn map_simd(op: &impl SimdUnaryOp<f32>, input: &[f32], output: &mut [f32]) {
    output.copy_from_slice(input);
    op.map_mut(output);
}

/// Applies a scalar function to every element.
#[inline]
pub fn map<T: Copy, U>(input: &[T], output: &mut [U], f: impl Fn(T) -> U) {
    for (y, &x) in output.iter_mut().zip(input) {
        *y = f(x);
    }
}

/// The same, compiled for every vector unit: for the few functions that models spend time in.
#[inline]
pub fn map_vectorized<T: Copy, U>(input: &[T], output: &mut [U], f: impl Fn(T) -> U) {
    vectorized(
        #[inline(always)]
        || map(input, output, f),
    );
}

/// Smallest and largest element; `None` when there is none. NaNs are passed over, so an
/// all-NaN tensor gives `(inf, -inf)`.
#[must_use]
pub fn min_max(x: &[f32]) -> Option<(f32, f32)> {
    if x.is_empty() {
        return None;
    }
    Some(vectorized(
        #[inline(always)]
        || {
            const LANES: usize = 64;
            let (mut low, mut high) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
            let (chunks, rest) = x.as_chunks::<LANES>();
            for chunk in chunks {
                for lane in 0..LANES {
                    low[lane] = if chunk[lane] < low[lane] { chunk[lane] } else { low[lane] };
                    high[lane] = if chunk[lane] > high[lane] { chunk[lane] } else { high[lane] };
                }
            }
            let rest = rest.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), &x| (a.min(x), b.max(x)));
            low.iter().zip(&high).fold(rest, |(a, b), (&l, &h)| (a.min(l), b.max(h)))
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::min_max;

    #[test]
    fn min_max_passes_over_nan() {
        let mut x = crate::float::testing::random(1000, 7);
        x[3] = f32::NAN;
        x[500] = -9.0;
        x[999] = 4.0;
        assert_eq!(min_max(&x), Some((-9.0, 4.0)));
        assert_eq!(min_max(&[]), None);
    }
}
