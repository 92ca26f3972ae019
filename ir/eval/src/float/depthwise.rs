//! Depthwise convolution: one filter per channel, channels innermost.
//!
//! Vectors run along channels; where there are fewer channels than lanes and the windows
//! advance by one pixel, a vector spans several pixels instead. Border pixels visit only the
//! taps that lie in the input, so nothing is padded. This is one of the crate's named SIMD
//! modules; bounds are checked once per call.

#![allow(unsafe_code)]

use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdOp};

use super::conv::Axis;
use crate::buffer::Buffer;

/// The shapes of a depthwise convolution.
#[derive(Clone, Copy, Debug)]
pub struct DepthwiseShape {
    /// Samples.
    pub batch: usize,
    /// Height and width.
    pub axes: [Axis; 2],
    /// Channels of the input.
    pub input_channels: usize,
    /// Output channels per input channel.
    pub multiplier: usize,
}

impl DepthwiseShape {
    /// Channels of the output.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.input_channels * self.multiplier
    }

    /// Elements of scratch that a convolution of this shape needs: the input with each channel repeated, when the multiplier is not one.
    #[must_use]
    pub fn scratch(&self) -> usize {
        let [h, w] = self.axes;
        let channels = self.input_channels.saturating_mul(self.multiplier);
        if self.multiplier == 1 { 0 } else { (h.input * w.input).saturating_mul(channels) }
    }
}

/// A depthwise convolution with its weights, ready to run.
#[derive(Clone, Debug)]
pub struct Depthwise {
    shape: DepthwiseShape,
    /// `[H, W, C]` weights, then `[C]` bias.
    weights: Buffer,
    clamp: (f32, f32),
}

impl Depthwise {
    /// Takes weights `[1, H, W, C]` and bias `[C]`.
    #[must_use]
    pub fn new(shape: DepthwiseShape, weights: &[f32], bias: Option<&[f32]>, clamp: (f32, f32)) -> Self {
        let c = shape.channels();
        let taps = shape.axes[0].filter * shape.axes[1].filter;
        let mut packed = Buffer::zeroed((taps + 1) * c * size_of::<f32>());
        let out = packed.as_mut_slice::<f32>();
        out[..taps * c].copy_from_slice(&weights[..taps * c]);
        if let Some(bias) = bias {
            out[taps * c..].copy_from_slice(&bias[..c]);
        }
        Self { shape, weights: packed, clamp }
    }

    /// Elements of scratch that [`run`](Self::run) needs.
    #[must_use]
    pub fn scratch(&self) -> usize {
        self.shape.scratch()
    }

    /// Convolves `input` `[N, H, W, C]` into `output` `[N, H, W, C * multiplier]`.
    pub fn run(&self, input: &[f32], output: &mut [f32], scratch: &mut [f32]) {
        let [h, w] = self.shape.axes;
        let c = self.shape.channels();
        let in_len = h.input * w.input * self.shape.input_channels;
        let out_len = h.output * w.output * c;
        if in_len == 0 || out_len == 0 {
            return;
        }
        let weights = self.weights.as_slice::<f32>();
        let (weights, bias) = weights.split_at(weights.len() - c);
        for (input, output) in input.chunks_exact(in_len).zip(output.chunks_exact_mut(out_len)) {
            let input = if self.shape.multiplier == 1 {
                input
            } else {
                let repeated = &mut scratch[..self.scratch()];
                for (out, &x) in repeated.chunks_exact_mut(self.shape.multiplier).zip(input) {
                    out.fill(x);
                }
                repeated
            };
            Image { input, output, weights, bias, h, w, c, clamp: self.clamp }.dispatch();
        }
    }
}

struct Image<'a> {
    input: &'a [f32],
    output: &'a mut [f32],
    weights: &'a [f32],
    bias: &'a [f32],
    h: Axis,
    w: Axis,
    c: usize,
    clamp: (f32, f32),
}

impl SimdOp for Image<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let (h, w, c) = (self.h, self.w, self.c);
        assert!(self.input.len() >= h.input * w.input * c, "the input holds the image");
        assert!(self.output.len() >= h.output * w.output * c, "the output holds the image");
        assert!(self.weights.len() >= h.filter * w.filter * c, "one weight per tap and channel");
        assert!(self.bias.len() >= c, "one bias per channel");
        let lanes = isa.f32().len();
        // Output columns whose windows lie wholly in the input.
        let first = w.pad.div_ceil(w.stride).min(w.output);
        let reach = (w.filter.max(1) - 1).saturating_mul(w.dilation).saturating_add(1);
        let last = if w.input + w.pad >= reach { (w.input + w.pad - reach) / w.stride + 1 } else { 0 };
        let last = last.clamp(first, w.output);
        for y in 0..h.output {
            let rows = h.taps(y);
            let mut x = 0;
            while x < w.output {
                let inner = x >= first && x < last;
                let columns = w.taps(x);
                let pixels = if inner { last - x } else { 1 };
                let base = if columns.is_empty() || rows.is_empty() {
                    0
                } else {
                    (h.index(y, rows.start) * w.input + w.index(x, columns.start)) * c
                };
                let span = Span {
                    input: self.input[base..].as_ptr(),
                    taps: [rows.len(), columns.len()],
                    // Of a single tap the step leads nowhere.
                    tap_step: [h.dilation.saturating_mul(w.input * c), w.dilation.saturating_mul(c)],
                    pixel_step: w.stride * c,
                    weights: self.weights[(rows.start * w.filter + columns.start) * c..].as_ptr(),
                    weight_step: [w.filter * c, c],
                    bias: self.bias.as_ptr(),
                    output: self.output[(y * w.output + x) * c..].as_mut_ptr(),
                    c,
                    clamp: self.clamp,
                };
                // SAFETY: the taps of `pixels` windows from `x` lie in the input: `taps` gives
                // those of a border window, and inner windows lie in it as a whole. Outputs
                // `x..x + pixels` lie in row `y`; the asserts above cover the buffers' lengths.
                unsafe {
                    let mut done = 0;
                    if c >= 2 * lanes {
                        while done < pixels {
                            let n = if pixels - done >= 4 { 4 } else { 1 };
                            match n {
                                4 => span.channels::<I, 4, 2>(isa, done),
                                _ => span.channels::<I, 1, 2>(isa, done),
                            }
                            done += n;
                        }
                    } else {
                        while done < pixels {
                            let n = if pixels - done >= 8 {
                                8
                            } else if pixels - done >= 4 {
                                4
                            } else {
                                1
                            };
                            match n {
                                8 => span.channels::<I, 8, 1>(isa, done),
                                4 => span.channels::<I, 4, 1>(isa, done),
                                _ => span.channels::<I, 1, 1>(isa, done),
                            }
                            done += n;
                        }
                    }
                }
                x += pixels;
            }
        }
    }
}

/// Consecutive output pixels of one row that see the same taps.
struct Span {
    input: *const f32,
    taps: [usize; 2],
    tap_step: [usize; 2],
    pixel_step: usize,
    weights: *const f32,
    weight_step: [usize; 2],
    bias: *const f32,
    output: *mut f32,
    c: usize,
    clamp: (f32, f32),
}

impl Span {
    /// All channels of pixels `first..first + P`, `V` vectors at a time.
    ///
    /// # Safety
    ///
    /// The taps of those pixels lie in the input and the pixels in the output.
    #[inline(always)]
    unsafe fn channels<I: Isa, const P: usize, const V: usize>(&self, isa: I, first: usize) {
        let lanes = isa.f32().len();
        let mut channel = 0;
        // SAFETY: `channel + V * lanes <= c` in the first loop; the last one is masked.
        unsafe {
            while channel + V * lanes <= self.c {
                self.block::<I, P, V, false>(isa, first, channel);
                channel += V * lanes;
            }
            while channel + lanes <= self.c {
                self.block::<I, P, 1, false>(isa, first, channel);
                channel += lanes;
            }
            if channel < self.c {
                self.block::<I, P, 1, true>(isa, first, channel);
            }
        }
    }

    /// # Safety
    ///
    /// As [`channels`](Self::channels); `channel` and `V` vectors from it (as many as exist
    /// when `MASKED`, where `V` is one) lie below `c`.
    #[inline(always)]
    unsafe fn block<I: Isa, const P: usize, const V: usize, const MASKED: bool>(&self, isa: I, first: usize, channel: usize) {
        let ops = isa.f32();
        let lanes = ops.len();
        let mask = ops.first_n_mask((self.c - channel).min(lanes));
        // SAFETY: the caller's promise, for each load and store below.
        unsafe {
            let load = |at: *const f32| {
                if MASKED { ops.load_ptr_mask(at, mask) } else { ops.load_ptr(at) }
            };
            let bias: [I::F32; V] = std::array::from_fn(|v| load(self.bias.add(channel + v * lanes)));
            let mut sums = [bias; P];
            let start = self.input.add(first * self.pixel_step + channel);
            for ky in 0..self.taps[0] {
                let mut x = start.add(ky * self.tap_step[0]);
                let mut w = self.weights.add(ky * self.weight_step[0] + channel);
                for _ in 0..self.taps[1] {
                    let weights: [I::F32; V] = std::array::from_fn(|v| load(w.add(v * lanes)));
                    for p in 0..P {
                        for v in 0..V {
                            let value = load(x.add(p * self.pixel_step + v * lanes));
                            sums[p][v] = ops.mul_add(value, weights[v], sums[p][v]);
                        }
                    }
                    x = x.wrapping_add(self.tap_step[1]);
                    w = w.wrapping_add(self.weight_step[1]);
                }
            }
            let (low, high) = (ops.splat(self.clamp.0), ops.splat(self.clamp.1));
            for p in 0..P {
                let out = self.output.add((first + p) * self.c + channel);
                for v in 0..V {
                    let y = ops.min(ops.max(sums[p][v], low), high);
                    if MASKED {
                        ops.store_ptr_mask(y, out.add(v * lanes), mask);
                    } else {
                        ops.store_ptr(y, out.add(v * lanes));
                    }
                }
            }
        }
    }
}
