//! Normalizations along the innermost axis.

use rten_simd::SimdUnaryOp;
use rten_vecmath::Exp;

use super::vector::{min_max, vectorized};

/// The sum of a row through 16 partial sums.
fn sum(x: &[f32]) -> f32 {
    vectorized(
        #[inline(always)]
        || {
            let mut parts = [0.0f32; 16];
            let (chunks, rest) = x.as_chunks::<16>();
            for chunk in chunks {
                for (part, x) in parts.iter_mut().zip(chunk) {
                    *part += x;
                }
            }
            parts.iter().sum::<f32>() + rest.iter().sum::<f32>()
        },
    )
}

/// `e^(beta (x - max)) / sum` of each row of `depth`.
pub fn softmax(input: &[f32], output: &mut [f32], depth: usize, beta: f32) {
    for (x, y) in input.chunks_exact(depth.max(1)).zip(output.chunks_exact_mut(depth.max(1))) {
        let max = min_max(x).map_or(0.0, |(_, high)| high);
        for (y, x) in y.iter_mut().zip(x) {
            *y = (x - max) * beta;
        }
        Exp {}.map_mut(y);
        let total = sum(y);
        for y in y {
            *y /= total;
        }
    }
}

/// `x - max - ln(sum of e^(x - max))` of each row of `depth`.
pub fn log_softmax(input: &[f32], output: &mut [f32], depth: usize) {
    for (x, y) in input.chunks_exact(depth.max(1)).zip(output.chunks_exact_mut(depth.max(1))) {
        let max = min_max(x).map_or(0.0, |(_, high)| high);
        for (y, x) in y.iter_mut().zip(x) {
            *y = x - max;
        }
        Exp {}.map_mut(y);
        let log = sum(y).ln();
        for (y, x) in y.iter_mut().zip(x) {
            *y = x - max - log;
        }
    }
}

/// Each row of `depth` divided by its length, which counts as 1e-6 at least.
pub fn l2_normalize(input: &[f32], output: &mut [f32], depth: usize) {
    for (x, y) in input.chunks_exact(depth.max(1)).zip(output.chunks_exact_mut(depth.max(1))) {
        let squares: f32 = x.iter().map(|x| x * x).sum();
        let norm = squares.sqrt().max(1e-6);
        for (y, x) in y.iter_mut().zip(x) {
            *y = x / norm;
        }
    }
}

/// Parameters of local response normalization.
#[derive(Clone, Copy, Debug)]
pub struct LocalResponse {
    /// Neighbours on each side.
    pub radius: usize,
    /// Offset.
    pub bias: f32,
    /// Factor.
    pub alpha: f32,
    /// Exponent.
    pub beta: f32,
}

impl LocalResponse {
    /// Each element divided by `(bias + alpha * sum of squares of its neighbours)^beta`.
    pub fn run(&self, input: &[f32], output: &mut [f32], depth: usize) {
        for (x, y) in input.chunks_exact(depth.max(1)).zip(output.chunks_exact_mut(depth.max(1))) {
            for (c, y) in y.iter_mut().enumerate() {
                let first = c.saturating_sub(self.radius);
                let end = c.saturating_add(self.radius).saturating_add(1).min(depth);
                let squares: f32 = x[first..end].iter().map(|x| x * x).sum();
                *y = x[c] * (self.bias + self.alpha * squares).powf(-self.beta);
            }
        }
    }
}
