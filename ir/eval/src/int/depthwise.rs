//! DEPTHWISE_CONV_2D: `[N, H, W, C] * [1, KH, KW, C * M] -> [N, OH, OW, C * M]`.
//!
//! Arithmetic: `integer_ops/depthwise_conv.h`; legacy `u8`: `depthwiseconv_uint8.h`.

use super::conv2d::{Bias, LayerScales, check_zero_point};
use super::gemm::{Requantize, Sums, channel_multipliers, fixed};
use super::simd::{LANES, dispatch};
use super::window::{Window, four};
use super::{Quantized, Result, Slots, Storage, ensure};

/// 16x8 products that a 32-bit sum holds for certain.
const SAFE_TAPS: usize = 496;

/// A prepared depthwise convolution.
#[derive(Clone, Debug)]
pub struct DepthwiseConv2d {
    window: Window,
    input: [usize; 4],
    kernel: [usize; 2],
    output: [usize; 4],
    multiplier: usize,
    /// Channels rounded up to whole blocks.
    padded: usize,
    /// `[KH * KW, padded]`, centred.
    weights: Vec<i16>,
    requantize: Requantize,
    input_zero_point: i32,
}

impl DepthwiseConv2d {
    /// Prepares weights `[1, KH, KW, C * M]`, centred; `storage` is that of input and output.
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
        let [one, kh, kw, channels] = four(weights_shape, "the filter")?;
        let output = four(output, "the output")?;
        ensure(one == 1 && kh > 0 && kw > 0, || format!("the filter has shape {weights_shape:?}"))?;
        ensure(output[3] == channels && output[0] == input[0] && channels % input[3].max(1) == 0, || {
            format!("an output of shape {output:?} does not fit input {input:?} and filter {weights_shape:?}")
        })?;
        ensure(weights.len() == kh * kw * channels, || format!("the filter has {} values for shape {weights_shape:?}", weights.len()))?;
        let real = channel_multipliers(scales.input.scale, scales.weights, scales.output.scale, channels, storage.is_legacy())?;
        let range = scales.activation.quantized(storage, scales.output);
        let padded = channels.div_ceil(LANES) * LANES;
        let mut packed = vec![0i16; kh * kw * padded];
        for (to, from) in packed.chunks_mut(padded.max(1)).zip(weights.chunks(channels.max(1))) {
            to[..from.len()].copy_from_slice(from);
        }
        Ok(Self {
            window,
            input,
            kernel: [kh, kw],
            output,
            multiplier: channels / input[3].max(1),
            padded,
            weights: packed,
            requantize: Requantize::new(bias, fixed(&real), scales.output, range)?,
            input_zero_point: scales.input.zero_point,
        })
    }

    /// Computes `output` from `input`, both dense in the prepared shapes.
    pub fn run<T: Quantized>(&self, input: &[T], output: &mut [T]) -> Result<()> {
        let [batches, height, width, channels] = self.input;
        let [_, out_height, out_width, out_channels] = self.output;
        let image = height * width * channels;
        ensure(input.len() == batches * image, || format!("the input has {} values", input.len()))?;
        ensure(output.len() == batches * out_height * out_width * out_channels, || format!("the output has {} values", output.len()))?;
        if output.is_empty() {
            return Ok(());
        }
        // The image with every channel repeated `multiplier` times and padded to whole blocks.
        let mut centred = vec![0i16; height * width * self.padded];
        let mut output = T::slots(output);
        for b in 0..batches {
            let input = &input[b * image..(b + 1) * image];
            for (to, from) in centred.chunks_mut(self.padded).zip(input.chunks(channels.max(1))) {
                for (to, &x) in to.chunks_mut(self.multiplier.max(1)).zip(from) {
                    to.fill(x.centred(self.input_zero_point));
                }
            }
            dispatch(
                #[inline(always)]
                || self.image(&centred, &mut output, b * out_height * out_width * out_channels),
            );
        }
        Ok(())
    }

    #[inline(always)]
    fn image(&self, image: &[i16], output: &mut Slots<'_>, out_at: usize) {
        let [_, height, width, _] = self.input;
        let [_, out_height, out_width, out_channels] = self.output;
        let [kh, kw] = self.kernel;
        let narrow = kh * kw <= SAFE_TAPS;
        for position in 0..out_height * out_width {
            let (y0, y1, y_origin) = self.window.taps(0, position / out_width, kh, height);
            let (x0, x1, x_origin) = self.window.taps(1, position % out_width, kw, width);
            for (block, channel) in (0..out_channels).step_by(LANES).enumerate() {
                let mut sums = [0i32; LANES];
                let mut wide = [0i64; LANES];
                for ky in y0..y1 {
                    let y = (y_origin + (ky * self.window.dilation[0]) as isize) as usize;
                    for kx in x0..x1 {
                        let x = (x_origin + (kx * self.window.dilation[1]) as isize) as usize;
                        let from = (y * width + x) * self.padded + block * LANES;
                        let at = (ky * kw + kx) * self.padded + block * LANES;
                        let pixels = &image[from..from + LANES];
                        let weights = &self.weights[at..at + LANES];
                        if narrow {
                            for i in 0..LANES {
                                sums[i] = sums[i].wrapping_add(i32::from(pixels[i]) * i32::from(weights[i]));
                            }
                        } else {
                            for i in 0..LANES {
                                wide[i] += i64::from(i32::from(pixels[i]) * i32::from(weights[i]));
                            }
                        }
                    }
                }
                let sums = if narrow { Sums::Narrow(sums) } else { Sums::Wide(wide) };
                let values = self.requantize.values(block, &sums);
                output.put(out_at + position * out_channels + channel, &values[..(out_channels - channel).min(LANES)]);
            }
        }
    }
}
