//! AVERAGE_POOL_2D and MAX_POOL_2D on `[N, H, W, C]`. Input and output share one scale.
//!
//! Arithmetic: `integer_ops/pooling.h`; only cells inside the image count. `u8`: `reference/pooling.h`, whose rounding is the same.

use super::window::{Window, four};
use super::{Affine, Bounds, Quantized, Result, Storage, ensure};

/// What a pool does with its cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// Mean, rounded half away from zero.
    Average,
    /// Largest.
    Max,
}

/// A prepared pool.
#[derive(Clone, Debug)]
pub struct Pool2d {
    pooling: Pooling,
    window: Window,
    filter: [usize; 2],
    input: [usize; 4],
    output: [usize; 4],
    min: i32,
    max: i32,
}

impl Pool2d {
    /// `filter` is rows by columns; dilations must be 1.
    pub fn prepare<T: Quantized>(
        pooling: Pooling,
        window: Window,
        filter: [usize; 2],
        input: &[usize],
        output: &[usize],
        scale: Affine,
        activation: Bounds,
    ) -> Result<Self> {
        window.check()?;
        let input = four(input, "the input")?;
        let output = four(output, "the output")?;
        ensure(input[0] == output[0] && input[3] == output[3] && filter.iter().all(|&f| f > 0), || {
            format!("an output of shape {output:?} does not fit input {input:?} and filter {filter:?}")
        })?;
        let (min, max) = activation.quantized(Storage::of::<T>(), scale);
        Ok(Self { pooling, window, filter, input, output, min, max })
    }

    /// Computes `output` from `input`, both dense in the prepared shapes.
    pub fn run<T: Quantized>(&self, input: &[T], output: &mut [T]) -> Result<()> {
        let [batches, height, width, channels] = self.input;
        let [_, out_height, out_width, _] = self.output;
        ensure(input.len() == batches * height * width * channels, || format!("the input has {} values", input.len()))?;
        ensure(output.len() == batches * out_height * out_width * channels, || format!("the output has {} values", output.len()))?;
        if output.is_empty() {
            return Ok(());
        }
        let mut sums = vec![0i32; channels];
        let image = height * width * channels;
        for (position, out) in output.chunks_mut(channels).enumerate() {
            let (b, position) = (position / (out_height * out_width), position % (out_height * out_width));
            self.cell(&input[b * image..(b + 1) * image], position / out_width, position % out_width, &mut sums, out);
        }
        Ok(())
    }

    fn cell<T: Quantized>(&self, image: &[T], y: usize, x: usize, sums: &mut [i32], out: &mut [T]) {
        let [_, height, width, channels] = self.input;
        let (y0, y1, y_origin) = self.window.taps(0, y, self.filter[0], height);
        let (x0, x1, x_origin) = self.window.taps(1, x, self.filter[1], width);
        sums.fill(if self.pooling == Pooling::Average { 0 } else { T::MIN });
        for ky in y0..y1 {
            let iy = (y_origin + ky as isize) as usize;
            for kx in x0..x1 {
                let ix = (x_origin + kx as isize) as usize;
                let pixels = &image[(iy * width + ix) * channels..][..channels];
                match self.pooling {
                    Pooling::Average => {
                        for (sum, &p) in sums.iter_mut().zip(pixels) {
                            *sum = sum.wrapping_add(p.get());
                        }
                    }
                    Pooling::Max => {
                        for (sum, &p) in sums.iter_mut().zip(pixels) {
                            *sum = (*sum).max(p.get());
                        }
                    }
                }
            }
        }
        let count = ((y1 - y0) * (x1 - x0)) as i32;
        for (o, &sum) in out.iter_mut().zip(sums.iter()) {
            let value = match self.pooling {
                Pooling::Max => sum,
                // A window with no cell inside the image cannot come out of shape inference.
                Pooling::Average if count == 0 => 0,
                Pooling::Average if sum > 0 => (sum + count / 2) / count,
                Pooling::Average => (sum - count / 2) / count,
            };
            *o = T::saturate(value.clamp(self.min, self.max));
        }
    }
}
