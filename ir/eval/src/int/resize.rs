//! RESIZE_BILINEAR on `[N, H, W, C]`.
//!
//! `i8` and `i16`: weights of 10 bits (`ResizeBilinearInteger`). Legacy `u8`: single precision, rounded by adding one half.

use super::window::four;
use super::{Quantized, Result, ensure};

/// Where output pixels lie on the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// Corner pixels coincide.
    pub align_corners: bool,
    /// Pixels are squares sampled at their centres.
    pub half_pixel_centers: bool,
}

/// One output coordinate in 10-bit fixed point: neighbours and weight of the upper one.
#[derive(Clone, Copy, Debug)]
struct Tap {
    low: usize,
    high: usize,
    weight: i32,
}

/// A prepared bilinear resize.
#[derive(Clone, Debug)]
pub struct ResizeBilinear {
    input: [usize; 4],
    output: [usize; 4],
    sampling: Sampling,
}

impl ResizeBilinear {
    /// Batch and depth of both shapes must agree.
    pub fn prepare(input: &[usize], output: &[usize], sampling: Sampling) -> Result<Self> {
        let (input, output) = (four(input, "the input")?, four(output, "the output")?);
        ensure(input[0] == output[0] && input[3] == output[3] && input.iter().chain(&output).all(|&d| d < 1 << 20), || {
            format!("shapes {input:?} and {output:?} do not fit")
        })?;
        let any = output.iter().all(|&d| d > 0);
        ensure(!any || (input[1] > 0 && input[2] > 0), || "the image is empty".into())?;
        Ok(Self { input, output, sampling })
    }

    /// Rows and columns between which each output row and column lies, and the weight of the second one in 1/1024: what a kernel of
    /// generated code reads.
    pub fn positions(&self) -> [Vec<[i32; 3]>; 2] {
        [1, 2].map(|axis| {
            let taps = self.taps(self.input[axis], self.output[axis]);
            taps.iter().map(|t| [t.low as i32, t.high as i32, t.weight]).collect()
        })
    }

    /// The same for legacy `u8`: rows and columns, and the weight of the second one as a real number.
    pub fn real_positions(&self) -> [Vec<(usize, usize, f32)>; 2] {
        [1, 2].map(|axis| self.real_taps(self.input[axis], self.output[axis]))
    }

    /// Computes `output`, dense.
    pub fn run<T: Quantized>(&self, input: &[T], output: &mut [T]) -> Result<()> {
        let [batches, height, width, depth] = self.input;
        let [_, out_height, out_width, _] = self.output;
        ensure(input.len() == batches * height * width * depth && output.len() == batches * out_height * out_width * depth, || {
            format!("{} inputs and {} outputs", input.len(), output.len())
        })?;
        if output.is_empty() {
            return Ok(());
        }
        if T::MIN == 0 {
            self.real(input, output);
        } else {
            self.fixed(input, output);
        }
        Ok(())
    }

    fn fixed<T: Quantized>(&self, input: &[T], output: &mut [T]) {
        let [_, height, width, depth] = self.input;
        let [_, out_height, out_width, _] = self.output;
        let rows = self.taps(height, out_height);
        let columns = self.taps(width, out_width);
        for (line, out) in output.chunks_mut(out_width * depth).enumerate() {
            let y = rows[line % out_height];
            let image = &input[line / out_height * height * width * depth..][..height * width * depth];
            for (x, out) in columns.iter().zip(out.chunks_mut(depth)) {
                let at = |y: usize, x: usize| &image[(y * width + x) * depth..][..depth];
                let (ll, lu) = (at(y.low, x.low), at(y.high, x.low));
                let (rl, ru) = (at(y.low, x.high), at(y.high, x.high));
                let (wy, wx) = (i64::from(y.weight), i64::from(x.weight));
                for (c, o) in out.iter_mut().enumerate() {
                    let value = |p: &[T]| i64::from(p[c].get());
                    let sum = value(ll) * (1024 - wy) * (1024 - wx)
                        + value(lu) * wy * (1024 - wx)
                        + value(rl) * (1024 - wy) * wx
                        + value(ru) * wy * wx;
                    let round = if sum > 0 { 1 << 19 } else { -(1 << 19) };
                    *o = T::saturate(((sum + round) / (1 << 20)) as i32);
                }
            }
        }
    }

    fn taps(&self, input: usize, output: usize) -> Vec<Tap> {
        let (input, output) = (input as i64, output as i64);
        let scale = if self.sampling.align_corners && output > 1 {
            (1024 * (input - 1) + (output - 1) / 2) / (output - 1)
        } else {
            (1024 * input + output / 2) / output
        };
        (0..output)
            .map(|i| {
                let at = i * scale + if self.sampling.half_pixel_centers { scale / 2 - 512 } else { 0 };
                let low = (at / 1024).max(0);
                let high = ((at + 1023) / 1024).min(input - 1);
                Tap { low: low.min(input - 1) as usize, high: high.max(0) as usize, weight: (at - 1024 * low) as i32 }
            })
            .collect()
    }

    /// Legacy `u8`, in single precision.
    fn real<T: Quantized>(&self, input: &[T], output: &mut [T]) {
        let [_, height, width, depth] = self.input;
        let [_, out_height, out_width, _] = self.output;
        let rows = self.real_taps(height, out_height);
        let columns = self.real_taps(width, out_width);
        for (line, out) in output.chunks_mut(out_width * depth).enumerate() {
            let (y0, y1, dy) = rows[line % out_height];
            let image = &input[line / out_height * height * width * depth..][..height * width * depth];
            for (&(x0, x1, dx), out) in columns.iter().zip(out.chunks_mut(depth)) {
                let at = |y: usize, x: usize| &image[(y * width + x) * depth..][..depth];
                let (ll, lu, rl, ru) = (at(y0, x0), at(y1, x0), at(y0, x1), at(y1, x1));
                for (c, o) in out.iter_mut().enumerate() {
                    let value = |p: &[T]| p[c].get() as f32;
                    let sum = value(ll) * (1.0 - dy) * (1.0 - dx)
                        + value(lu) * dy * (1.0 - dx)
                        + value(rl) * (1.0 - dy) * dx
                        + value(ru) * dy * dx
                        + 0.5;
                    *o = T::saturate(sum as i32);
                }
            }
        }
    }

    fn real_taps(&self, input: usize, output: usize) -> Vec<(usize, usize, f32)> {
        let scale =
            if self.sampling.align_corners && output > 1 { (input - 1) as f32 / (output - 1) as f32 } else { input as f32 / output as f32 };
        (0..output)
            .map(|i| {
                let at = if self.sampling.half_pixel_centers { (i as f32 + 0.5) * scale - 0.5 } else { i as f32 * scale };
                let low = (at.floor() as i32).max(0);
                let high = (at.ceil() as i32).min(input as i32 - 1);
                (low.min(input as i32 - 1) as usize, high.max(0) as usize, at - low as f32)
            })
            .collect()
    }
}
