//! Transposed convolutions: one matrix product per image, whose results are added up where the
//! windows of the forward convolution overlap.

use super::conv::Axis;
use super::gemm::{Gather, PackedWeights, multiply};

/// The shapes of a transposed convolution. Its axes are those of the convolution whose gradient
/// it is: `input` of an [`Axis`] is the size of *our result*, `output` that of our input.
#[derive(Clone, Copy, Debug)]
pub struct TransposedShape {
    /// Samples.
    pub batch: usize,
    /// Depth, height, width.
    pub axes: [Axis; 3],
    /// Channels that it takes.
    pub input_channels: usize,
    /// Channels that it gives.
    pub output_channels: usize,
}

impl TransposedShape {
    fn taps(&self) -> usize {
        self.axes.iter().map(|axis| axis.filter).product()
    }

    /// Elements of scratch that a convolution of this shape needs: one product per input pixel, tap and output channel.
    #[must_use]
    pub fn scratch(&self) -> usize {
        self.input_pixels().saturating_mul(self.taps().saturating_mul(self.output_channels))
    }

    fn input_pixels(&self) -> usize {
        self.axes.iter().map(|axis| axis.output).product()
    }

    fn output_pixels(&self) -> usize {
        self.axes.iter().map(|axis| axis.input).product()
    }
}

/// A transposed convolution with packed weights.
#[derive(Clone, Debug)]
pub struct Transposed {
    shape: TransposedShape,
    gather: Gather,
    weights: PackedWeights,
    bias: Option<Vec<f32>>,
    clamp: (f32, f32),
}

impl Transposed {
    /// `filter` gives the weight of `(tap, output channel, input channel)`; taps are numbered
    /// `[D, H, W]`.
    #[must_use]
    pub fn new(shape: TransposedShape, filter: impl Fn(usize, usize, usize) -> f32, bias: Option<&[f32]>, clamp: (f32, f32)) -> Self {
        let co = shape.output_channels;
        let weights = PackedWeights::pack(shape.input_channels, shape.taps() * co, |ci, n| filter(n / co, n % co, ci));
        let gather = Gather::dense(shape.input_pixels(), shape.input_channels);
        Self { shape, gather, weights, bias: bias.map(<[f32]>::to_vec), clamp }
    }

    /// Elements of scratch that [`run`](Self::run) needs.
    #[must_use]
    pub fn scratch(&self) -> usize {
        self.shape.scratch()
    }

    /// Convolves `input` `[N, D, H, W, Ci]` into `output`.
    pub fn run(&self, input: &[f32], output: &mut [f32], scratch: &mut [f32]) {
        let shape = &self.shape;
        let [d, h, w] = shape.axes;
        let co = shape.output_channels;
        let in_len = shape.input_pixels() * shape.input_channels;
        let out_len = shape.output_pixels() * co;
        if out_len == 0 {
            return;
        }
        let products = &mut scratch[..self.scratch()];
        for sample in 0..shape.batch {
            let output = &mut output[sample * out_len..][..out_len];
            for pixel in output.chunks_exact_mut(co) {
                match &self.bias {
                    Some(bias) => pixel.copy_from_slice(bias),
                    None => pixel.fill(0.0),
                }
            }
            let input = &input[sample * in_len..][..in_len];
            multiply(input, &self.gather, &self.weights, (f32::NEG_INFINITY, f32::INFINITY), products, self.weights.n(), 0);
            for z in 0..d.output {
                for y in 0..h.output {
                    for x in 0..w.output {
                        let from = ((z * h.output + y) * w.output + x) * self.weights.n();
                        for kz in d.taps(z) {
                            for ky in h.taps(y) {
                                for kx in w.taps(x) {
                                    let tap = (kz * h.filter + ky) * w.filter + kx;
                                    let at = (d.index(z, kz) * h.input + h.index(y, ky)) * w.input + w.index(x, kx);
                                    let product = &products[from + tap * co..][..co];
                                    for (out, p) in output[at * co..][..co].iter_mut().zip(product) {
                                        *out += p;
                                    }
                                }
                            }
                        }
                    }
                }
            }
            for y in output {
                *y = y.clamp(self.clamp.0, self.clamp.1);
            }
        }
    }
}
