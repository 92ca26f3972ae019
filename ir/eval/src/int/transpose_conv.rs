//! TRANSPOSE_CONV: every input pixel stamps a filter `[O, KH, KW, C]`, scaled, onto the output.
//!
//! Arithmetic: `integer_ops/transpose_conv.h`. 16x8 sums are 64 bits wide and requantized as such.

use super::conv2d::{Bias, LayerScales, check_zero_point};
use super::gemm::{Packed, Requantize, channel_multipliers, fixed};
use super::simd::{LANES, ROWS, Tile, tile};
use super::window::{Window, four};
use super::{Quantized, Result, Storage, centre, ensure};

/// A prepared transposed convolution.
#[derive(Clone, Debug)]
pub struct TransposeConv {
    window: Window,
    input: [usize; 4],
    kernel: [usize; 2],
    output: [usize; 4],
    /// One matrix `[O, C]` per tap.
    weights: Vec<Packed>,
    requantize: Requantize,
    input_zero_point: i32,
}

impl TransposeConv {
    /// Packs weights `[O, KH, KW, C]`, centred. The window's padding is that of the convolution which this one transposes.
    pub fn prepare(
        storage: Storage,
        window: Window,
        input: &[usize],
        weights_shape: &[usize],
        output: &[usize],
        weights: &[i16],
        bias: Bias,
        scales: LayerScales<'_>,
    ) -> Result<Self> {
        window.check()?;
        check_zero_point(storage, scales.input)?;
        let input = four(input, "the input")?;
        let [out_channels, kh, kw, depth] = four(weights_shape, "the filter")?;
        let output = four(output, "the output")?;
        ensure(output[3] == out_channels && output[0] == input[0] && depth == input[3], || {
            format!("an output of shape {output:?} does not fit input {input:?} and filter {weights_shape:?}")
        })?;
        ensure(weights.len() == out_channels * kh * kw * depth, || {
            format!("the filter has {} values for shape {weights_shape:?}", weights.len())
        })?;
        let real = channel_multipliers(scales.input.scale, scales.weights, scales.output.scale, out_channels, storage.is_legacy())?;
        let range = scales.activation.quantized(storage, scales.output);
        let packed = (0..kh * kw).map(|tap| Packed::new(out_channels, depth, |c, i| weights[(c * kh * kw + tap) * depth + i])).collect();
        Ok(Self {
            window,
            input,
            kernel: [kh, kw],
            output,
            weights: packed,
            requantize: Requantize::new(bias, fixed(&real), scales.output, range)?,
            input_zero_point: scales.input.zero_point,
        })
    }

    /// Computes `output` from `input`, both dense in the prepared shapes.
    pub fn run<T: Quantized>(&self, input: &[T], output: &mut [T]) -> Result<()> {
        let [batches, height, width, channels] = self.input;
        let [_, out_height, out_width, out_channels] = self.output;
        ensure(input.len() == batches * height * width * channels, || format!("the input has {} values", input.len()))?;
        ensure(output.len() == batches * out_height * out_width * out_channels, || format!("the output has {} values", output.len()))?;
        if output.is_empty() {
            return Ok(());
        }
        let padded = out_channels.div_ceil(LANES) * LANES;
        let mut sums = vec![0i64; out_height * out_width * padded];
        let stride = channels.div_ceil(2) * 2;
        let mut row = vec![0i16; stride];
        let mut centred = vec![0i16; height * width * channels];
        let mut output = T::slots(output);
        for (b, image) in input.chunks(centred.len().max(1)).enumerate().take(batches) {
            centre(&mut centred, image, self.input_zero_point);
            self.image(&centred, &mut sums, &mut row);
            for (position, sums) in sums.chunks(padded).enumerate() {
                let at = (b * out_height * out_width + position) * out_channels;
                self.requantize.wide_row(&sums[..out_channels], |channel, values| output.put(at + channel, values));
            }
        }
        Ok(())
    }

    /// Sums of one image, channels padded to whole blocks.
    fn image(&self, image: &[i16], sums: &mut [i64], row: &mut [i16]) {
        let [_, height, width, channels] = self.input;
        let [_, out_height, out_width, out_channels] = self.output;
        let padded = out_channels.div_ceil(LANES) * LANES;
        let mut products: Tile = [[0; LANES]; ROWS];
        sums.fill(0);
        for y in 0..height {
            for x in 0..width {
                row[..channels].copy_from_slice(&image[(y * width + x) * channels..][..channels]);
                for (tap, weights) in self.weights.iter().enumerate() {
                    let at = |axis: usize, from: usize, tap: usize, size: usize| {
                        (from * self.window.stride[axis] + tap).checked_sub(self.window.padding[axis]).filter(|&at| at < size)
                    };
                    let Some(out_y) = at(0, y, tap / self.kernel[1], out_height) else { continue };
                    let Some(out_x) = at(1, x, tap % self.kernel[1], out_width) else { continue };
                    let target = &mut sums[(out_y * out_width + out_x) * padded..][..padded];
                    for (block, target) in target.chunks_mut(LANES).enumerate() {
                        weights.accumulate(row, block, &mut products, target);
                    }
                }
            }
        }
    }
}

impl Packed {
    /// Adds the products of one row and one block of channels to `sums`.
    fn accumulate(&self, row: &[i16], block: usize, products: &mut Tile, sums: &mut [i64]) {
        for (from, pairs) in self.safe_chunks() {
            tile(&row[2 * from..], row.len(), 1, pairs, self.block_from(block, from), products);
            for (sum, &p) in sums.iter_mut().zip(&products[0]) {
                *sum += i64::from(p);
            }
        }
    }
}
