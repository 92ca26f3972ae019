//! Convolutions of any rank as one gathered matrix product (see [`super::gemm`]).
//!
//! The input is copied once into a zero-padded image when the window can leave it, so the
//! inner loop knows no borders. 1x1 filters with stride 1 read the input in place. Where wide
//! dilations would make that image far larger than the input, the taps of each window are
//! gathered one by one instead.

use super::gemm::{Gather, PackedWeights, multiply};

/// One spatial axis of a convolution or pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Input size.
    pub input: usize,
    /// Output size.
    pub output: usize,
    /// Filter size.
    pub filter: usize,
    /// Step between windows.
    pub stride: usize,
    /// Step between taps of one window.
    pub dilation: usize,
    /// Zeros before the first element.
    pub pad: usize,
}

impl Axis {
    /// An axis of size one that a window of one covers.
    pub const UNIT: Self = Self { input: 1, output: 1, filter: 1, stride: 1, dilation: 1, pad: 0 };

    /// Taps of the window at `output` that lie in the input, as a range of filter indices.
    #[must_use]
    pub fn taps(&self, output: usize) -> std::ops::Range<usize> {
        let start = output * self.stride;
        let first = self.pad.saturating_sub(start).div_ceil(self.dilation);
        let end = (self.input + self.pad).saturating_sub(start).div_ceil(self.dilation);
        let end = end.min(self.filter);
        first.min(end)..end
    }

    /// Input index of tap `tap` of the window at `output`, which must lie in the input.
    #[must_use]
    pub fn index(&self, output: usize, tap: usize) -> usize {
        output * self.stride + tap * self.dilation - self.pad
    }

    /// Elements that the windows reach, padding included.
    fn padded(&self) -> usize {
        let windows = self.output.saturating_sub(1).saturating_mul(self.stride);
        windows.saturating_add((self.filter.max(1) - 1).saturating_mul(self.dilation)).saturating_add(1)
    }
}

/// The shapes of a convolution: three spatial axes (depth first; [`Axis::UNIT`] where there are fewer).
#[derive(Clone, Copy, Debug)]
pub struct ConvShape {
    /// Samples.
    pub batch: usize,
    /// Depth, height, width.
    pub axes: [Axis; 3],
    /// Input channels.
    pub input_channels: usize,
    /// Output channels.
    pub output_channels: usize,
    /// Groups that share no channels; divides both channel counts.
    pub groups: usize,
}

impl ConvShape {
    fn input_pixels(&self) -> usize {
        self.axes.iter().map(|axis| axis.input).product()
    }

    fn output_pixels(&self) -> usize {
        self.axes.iter().map(|axis| axis.output).product()
    }

    /// Where the windows read.
    fn source(&self) -> Source {
        if !self.axes.iter().any(|axis| axis.pad > 0 || axis.padded() > axis.input) {
            return Source::Input;
        }
        let sizes = self.axes.map(|axis| axis.padded());
        let elements = sizes.iter().try_fold(self.input_channels, |n, &size| n.checked_mul(size));
        let most = (self.input_pixels() * self.input_channels).saturating_mul(LARGEST_PADDING).max(SMALL_IMAGE);
        if elements.is_some_and(|elements| elements <= most) { Source::Padded(sizes) } else { Source::Window }
    }

    /// Elements of scratch that a convolution of this shape needs.
    #[must_use]
    pub fn scratch(&self) -> usize {
        match self.source() {
            Source::Input => 0,
            Source::Padded(sizes) => sizes.iter().product::<usize>() * self.input_channels,
            Source::Window => self.taps() * self.input_channels,
        }
    }

    fn taps(&self) -> usize {
        self.axes.iter().map(|axis| axis.filter).product()
    }

    /// Filter elements per output channel.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.taps() * (self.input_channels / self.groups.max(1))
    }
}

/// A padded image may have so many times the elements of the image itself ...
const LARGEST_PADDING: usize = 16;
/// ... or so many elements.
const SMALL_IMAGE: usize = 1 << 20;

/// What the windows of a convolution read.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// The input in place.
    Input,
    /// A copy of these sizes with zeros around it.
    Padded([usize; 3]),
    /// The taps of one window after the other, `[D, H, W, C]` of the filter, zeros where they leave the input.
    Window,
}

/// A convolution with packed weights, ready to run.
#[derive(Clone, Debug)]
pub struct Conv {
    shape: ConvShape,
    gather: Gather,
    weights: Vec<PackedWeights>,
    clamp: (f32, f32),
    source: Source,
}

impl Conv {
    /// Packs a filter `[O, D, H, W, I / groups]` (row-major) and its bias `[O]`.
    #[must_use]
    pub fn new(shape: ConvShape, filter: &[f32], bias: Option<&[f32]>, clamp: (f32, f32)) -> Self {
        let depth = shape.depth();
        Self::with_filter(shape, |out, k| filter[out * depth + k], bias, clamp)
    }

    /// Like [`new`](Self::new) with the filter given by output channel and flat `[D, H, W, I]` index.
    #[must_use]
    pub fn with_filter(shape: ConvShape, filter: impl Fn(usize, usize) -> f32, bias: Option<&[f32]>, clamp: (f32, f32)) -> Self {
        let [d, h, w] = shape.axes;
        let c = shape.input_channels;
        let group = c / shape.groups;
        let source = shape.source();
        let gather = match source {
            Source::Window => Gather::new(vec![0], (0..shape.taps()).map(|tap| tap * c).collect(), group),
            Source::Input | Source::Padded(_) => {
                let [_, ph, pw] = if let Source::Padded(sizes) = source { sizes } else { shape.axes.map(|axis| axis.input) };
                let mut rows = Vec::with_capacity(shape.output_pixels());
                for z in 0..d.output {
                    for y in 0..h.output {
                        for x in 0..w.output {
                            rows.push(((z * d.stride * ph + y * h.stride) * pw + x * w.stride) * c);
                        }
                    }
                }
                // Taps of one filter row are contiguous unless they are dilated or the channels grouped.
                let joined = shape.groups == 1 && (w.dilation == 1 || w.filter == 1);
                let (taps, run_len) = if joined { (1, w.filter * c) } else { (w.filter, group) };
                let mut runs = Vec::new();
                for z in 0..d.filter {
                    for y in 0..h.filter {
                        for x in 0..taps {
                            runs.push(((z * d.dilation * ph + y * h.dilation) * pw + x * w.dilation) * c);
                        }
                    }
                }
                Gather::new(rows, runs, run_len)
            }
        };
        let outputs = shape.output_channels / shape.groups;
        let weights = (0..shape.groups)
            .map(|g| {
                let mut packed = PackedWeights::pack(shape.depth(), outputs, |k, o| filter(g * outputs + o, k));
                if let Some(bias) = bias {
                    packed.set_bias(&bias[g * outputs..][..outputs]);
                }
                packed
            })
            .collect();
        Self { shape, gather, weights, clamp, source }
    }

    /// Elements of scratch that [`run`](Self::run) needs.
    #[must_use]
    pub fn scratch(&self) -> usize {
        self.shape.scratch()
    }

    /// Convolves `input` `[N, D, H, W, C]` into `output`.
    pub fn run(&self, input: &[f32], output: &mut [f32], scratch: &mut [f32]) {
        let shape = &self.shape;
        let in_len = shape.input_pixels() * shape.input_channels;
        let out_len = shape.output_pixels() * shape.output_channels;
        if in_len == 0 || out_len == 0 {
            return;
        }
        for (input, output) in input.chunks_exact(in_len).zip(output.chunks_exact_mut(out_len)) {
            match self.source {
                Source::Input => self.multiply(input, output),
                Source::Padded(sizes) => {
                    let image = &mut scratch[..self.scratch()];
                    pad_image(input, &shape.axes, sizes, shape.input_channels, image);
                    self.multiply(image, output);
                }
                Source::Window => {
                    let window = &mut scratch[..self.scratch()];
                    let [_, height, width] = shape.axes.map(|axis| axis.output);
                    for (at, pixel) in output.chunks_exact_mut(shape.output_channels).enumerate() {
                        gather_window(
                            input,
                            &shape.axes,
                            [at / width / height, at / width % height, at % width],
                            shape.input_channels,
                            window,
                        );
                        self.multiply(window, pixel);
                    }
                }
            }
        }
    }

    /// All groups of the rows that the gathering finds in `image`.
    fn multiply(&self, image: &[f32], output: &mut [f32]) {
        let shape = &self.shape;
        let group = shape.input_channels / shape.groups;
        for (g, weights) in self.weights.iter().enumerate() {
            multiply(&image[g * group..], &self.gather, weights, self.clamp, output, shape.output_channels, g * weights.n());
        }
    }
}

/// Copies the pixels under the taps of the window at `at`, with zeros for taps that leave the image.
fn gather_window(input: &[f32], axes: &[Axis; 3], at: [usize; 3], c: usize, window: &mut [f32]) {
    let [d, h, w] = axes;
    let [z, y, x] = at;
    window.fill(0.0);
    for kz in d.taps(z) {
        for ky in h.taps(y) {
            for kx in w.taps(x) {
                let from = ((d.index(z, kz) * h.input + h.index(y, ky)) * w.input + w.index(x, kx)) * c;
                let to = ((kz * h.filter + ky) * w.filter + kx) * c;
                window[to..][..c].copy_from_slice(&input[from..][..c]);
            }
        }
    }
}

/// Copies an image `[D, H, W, C]` into one of `sizes`, with zeros around it. Elements that no
/// window reaches are left out.
fn pad_image(input: &[f32], axes: &[Axis; 3], sizes: [usize; 3], c: usize, out: &mut [f32]) {
    let [d, h, w] = axes;
    let [_, ph, pw] = sizes;
    let columns = w.input.min(pw - w.pad.min(pw)) * c;
    for (z, slice) in out.chunks_exact_mut(ph * pw * c).enumerate() {
        for (y, row) in slice.chunks_exact_mut(pw * c).enumerate() {
            let (z, y) = (z.wrapping_sub(d.pad), y.wrapping_sub(h.pad));
            if z >= d.input || y >= h.input {
                row.fill(0.0);
                continue;
            }
            let (before, rest) = row.split_at_mut((w.pad * c).min(pw * c));
            let (middle, after) = rest.split_at_mut(columns);
            before.fill(0.0);
            middle.copy_from_slice(&input[(z * h.input + y) * w.input * c..][..columns]);
            after.fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::float::testing::random;

    /// The definition: every output sums the taps that lie in the input.
    fn naive(shape: &ConvShape, input: &[f32], filter: &[f32], bias: &[f32]) -> Vec<f32> {
        let [d, h, w] = shape.axes;
        let (ci, co) = (shape.input_channels, shape.output_channels);
        let (gi, go) = (ci / shape.groups, co / shape.groups);
        let mut out = Vec::new();
        for n in 0..shape.batch {
            for z in 0..d.output {
                for y in 0..h.output {
                    for x in 0..w.output {
                        for o in 0..co {
                            let mut sum = f64::from(bias[o]);
                            for kz in d.taps(z) {
                                for ky in h.taps(y) {
                                    for kx in w.taps(x) {
                                        let at = ((n * d.input + d.index(z, kz)) * h.input + h.index(y, ky)) * w.input + w.index(x, kx);
                                        let tap = ((o * d.filter + kz) * h.filter + ky) * w.filter + kx;
                                        for i in 0..gi {
                                            sum += f64::from(input[at * ci + o / go * gi + i]) * f64::from(filter[tap * gi + i]);
                                        }
                                    }
                                }
                            }
                            out.push(sum as f32);
                        }
                    }
                }
            }
        }
        out
    }

    #[test]
    fn convolutions_match_their_definition() {
        let same = Axis { input: 7, output: 7, filter: 3, stride: 1, dilation: 1, pad: 1 };
        let strided = Axis { input: 8, output: 4, filter: 3, stride: 2, dilation: 1, pad: 0 };
        let dilated = Axis { input: 9, output: 9, filter: 3, stride: 1, dilation: 2, pad: 2 };
        let cropped = Axis { input: 10, output: 2, filter: 2, stride: 4, dilation: 1, pad: 0 };
        // Padding far larger than the image: only the middle tap lies in it, or only the first.
        let far = Axis { input: 5, output: 5, filter: 3, stride: 1, dilation: 40_000, pad: 40_000 };
        let farthest = Axis { input: 2, output: 2, filter: 3, stride: 1, dilation: i32::MAX as usize, pad: i32::MAX as usize };
        let one = Axis { input: 6, output: 6, filter: 1, stride: 1, dilation: 1, pad: 0 };
        for (axes, ci, co, groups) in [
            ([Axis::UNIT, same, same], 3, 8, 1),
            ([Axis::UNIT, strided, same], 16, 33, 1),
            ([Axis::UNIT, dilated, dilated], 4, 6, 2),
            ([Axis::UNIT, cropped, strided], 5, 4, 1),
            ([Axis::UNIT, one, one], 12, 20, 1),
            ([same, strided, one], 2, 3, 1),
            ([Axis::UNIT, far, far], 4, 6, 2),
            ([Axis::UNIT, far, farthest], 3, 5, 1),
            ([farthest, same, one], 3, 5, 1),
        ] {
            let shape = ConvShape { batch: 2, axes, input_channels: ci, output_channels: co, groups };
            let input = random(2 * shape.input_pixels() * ci, 1);
            let filter = random(co * shape.depth(), 2);
            let bias = random(co, 3);
            let conv = Conv::new(shape, &filter, Some(&bias), (f32::MIN, f32::MAX));
            let mut out = vec![0.0; 2 * shape.output_pixels() * co];
            conv.run(&input, &mut out, &mut vec![f32::NAN; conv.scratch()]);
            for (y, exact) in out.iter().zip(naive(&shape, &input, &filter, &bias)) {
                assert!((y - exact).abs() < 1e-4, "{shape:?}: {y} {exact}");
            }
        }
    }
}
