//! Pooling over windows of `[N, H, W, C]` data.

use super::conv::Axis;
use super::vector::vectorized;

/// Shapes of a pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolShape {
    /// Samples.
    pub batch: usize,
    /// Height and width.
    pub axes: [Axis; 2],
    /// Channels.
    pub channels: usize,
}

impl PoolShape {
    /// For every window: `out` starts at `start`, each cell of the window that lies in the input
    /// goes through `step(sum, x)`, and `end(sum, cells)` gives the result.
    #[inline(always)]
    fn windows<T: Copy>(&self, input: &[T], output: &mut [T], start: T, step: impl Fn(T, T) -> T, end: impl Fn(T, usize) -> T) {
        let c = self.channels;
        let [h, w] = self.axes;
        let (in_len, out_len) = (h.input * w.input * c, h.output * w.output * c);
        if in_len == 0 || out_len == 0 {
            return;
        }
        for (input, output) in input.chunks_exact(in_len).zip(output.chunks_exact_mut(out_len)) {
            for y in 0..h.output {
                for x in 0..w.output {
                    let out = &mut output[(y * w.output + x) * c..][..c];
                    out.fill(start);
                    let (rows, columns) = (h.taps(y), w.taps(x));
                    for ky in rows.clone() {
                        for kx in columns.clone() {
                            let cell = &input[(h.index(y, ky) * w.input + w.index(x, kx)) * c..][..c];
                            for (out, &cell) in out.iter_mut().zip(cell) {
                                *out = step(*out, cell);
                            }
                        }
                    }
                    let cells = rows.len() * columns.len();
                    for out in out {
                        *out = end(*out, cells);
                    }
                }
            }
        }
    }

    /// The mean over the cells that lie in the input.
    pub fn average(&self, input: &[f32], output: &mut [f32], clamp: (f32, f32)) {
        vectorized(
            #[inline(always)]
            || self.windows(input, output, 0.0, |a, b| a + b, |sum, n| (sum / n as f32).max(clamp.0).min(clamp.1)),
        );
    }

    /// The largest cell.
    pub fn max(&self, input: &[f32], output: &mut [f32], clamp: (f32, f32)) {
        let larger = |a: f32, b: f32| if b > a { b } else { a };
        vectorized(
            #[inline(always)]
            || self.windows(input, output, f32::MIN, larger, |y, _| y.max(clamp.0).min(clamp.1)),
        );
    }

    /// The square root of the mean of squares.
    pub fn l2(&self, input: &[f32], output: &mut [f32], clamp: (f32, f32)) {
        let end = |sum: f32, n: usize| (sum / n as f32).sqrt().max(clamp.0).min(clamp.1);
        vectorized(
            #[inline(always)]
            || self.windows(input, output, 0.0, |a, b| a + b * b, end),
        );
    }
}
