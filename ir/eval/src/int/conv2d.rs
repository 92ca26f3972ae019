//! CONV_2D: `[N, H, W, C] * [O, KH, KW, C / groups] -> [N, OH, OW, O]`.
//!
//! Arithmetic: `integer_ops/conv.h`; legacy `u8`: `reference/conv.h`. Weights of 8-bit signed kernels have zero point 0 by
//! specification; a `u8` filter has one, subtracted beforehand.

use super::gemm::{Packed, Requantize, channel_multipliers, fixed, multiply};
use super::simd::ROWS;
use super::window::{Window, four};
use super::{Affine, Bounds, KernelError, Quantized, Result, Slots, Storage, centre, ensure};

pub use super::gemm::Bias;

/// Scales and zero points of a layer with weights.
#[derive(Clone, Copy, Debug)]
pub struct LayerScales<'a> {
    /// Input activations.
    pub input: Affine,
    /// One scale, or one per output channel.
    pub weights: &'a [f32],
    /// Output activations.
    pub output: Affine,
    /// Fused activation.
    pub activation: Bounds,
}

/// A prepared convolution.
#[derive(Clone, Debug)]
pub struct Conv2d {
    window: Window,
    input: [usize; 4],
    kernel: [usize; 2],
    output: [usize; 4],
    groups: usize,
    weights: Vec<Packed>,
    requantize: Vec<Requantize>,
    input_zero_point: i32,
}

impl Conv2d {
    /// Packs weights `[O, KH, KW, C / groups]`, centred; `storage` is that of input and output.
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
        let input = four(input, "the input")?;
        let [out_channels, kh, kw, depth] = four(weights_shape, "the filter")?;
        let output = four(output, "the output")?;
        ensure(kh > 0 && kw > 0, || format!("the filter is {kh} x {kw}"))?;
        ensure(output[3] == out_channels && output[0] == input[0], || {
            format!("an output of shape {output:?} does not fit input {input:?} and filter {weights_shape:?}")
        })?;
        ensure(depth > 0 && input[3] % depth == 0 && out_channels % (input[3] / depth).max(1) == 0, || {
            format!("{} input and {out_channels} output channels cannot be split into groups of {depth}", input[3])
        })?;
        check_zero_point(storage, scales.input)?;
        let k = kh * kw * depth;
        ensure(weights.len() == out_channels * k, || format!("the filter has {} values for shape {weights_shape:?}", weights.len()))?;
        let groups = (input[3] / depth).max(1);
        let per_group = out_channels / groups;
        let real = channel_multipliers(scales.input.scale, scales.weights, scales.output.scale, out_channels, storage.is_legacy())?;
        let range = scales.activation.quantized(storage, scales.output);
        let multipliers = fixed(&real);
        let packed = (0..groups).map(|g| Packed::new(per_group, k, |c, i| weights[(g * per_group + c) * k + i])).collect();
        let requantize = split_bias(bias, groups, per_group)?
            .into_iter()
            .zip(multipliers.chunks(per_group.max(1)))
            .map(|(bias, m)| Requantize::new(bias, m.to_vec(), scales.output, range))
            .collect::<Result<_>>()?;
        Ok(Self { window, input, kernel: [kh, kw], output, groups, weights: packed, requantize, input_zero_point: scales.input.zero_point })
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
        let mut centred = vec![0i16; image];
        let mut rows = vec![0i16; ROWS * self.weights[0].pairs * 2];
        let out_image = out_height * out_width * out_channels;
        let mut output = T::slots(output);
        for b in 0..batches {
            centre(&mut centred, &input[b * image..(b + 1) * image], self.input_zero_point);
            self.image(&centred, &mut rows, &mut output, b * out_image);
        }
        Ok(())
    }

    /// One image, whose results go to `out_at` and on.
    fn image(&self, image: &[i16], rows: &mut [i16], output: &mut Slots<'_>, out_at: usize) {
        let [_, _, _, channels] = self.input;
        let [_, out_height, out_width, out_channels] = self.output;
        let positions = out_height * out_width;
        if self.is_pointwise() && channels % 2 == 0 {
            let (weights, requantize) = (&self.weights[0], &self.requantize[0]);
            multiply(image, channels, positions, weights, requantize, output, out_at, out_channels);
            return;
        }
        for (group, (weights, requantize)) in self.weights.iter().zip(&self.requantize).enumerate() {
            let stride = weights.pairs * 2;
            for first in (0..positions).step_by(ROWS) {
                let count = (positions - first).min(ROWS);
                for (row, position) in rows.chunks_mut(stride.max(1)).zip(first..first + count) {
                    self.gather(image, position / out_width, position % out_width, group, row);
                }
                let at = out_at + first * out_channels + group * weights.n;
                multiply(rows, stride, count, weights, requantize, output, at, out_channels);
            }
        }
    }

    fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1]
            && self.window.stride == [1, 1]
            && self.window.padding == [0, 0]
            && self.groups == 1
            && self.input[1..3] == self.output[1..3]
    }

    /// Copies the inputs under the window at `(y, x)` into `row`, 0 outside the image.
    fn gather(&self, image: &[i16], y: usize, x: usize, group: usize, row: &mut [i16]) {
        let [_, height, width, channels] = self.input;
        let [kh, kw] = self.kernel;
        let depth = channels / self.groups;
        let (y0, y1, y_origin) = self.window.taps(0, y, kh, height);
        let (x0, x1, x_origin) = self.window.taps(1, x, kw, width);
        if y1 - y0 < kh || x1 - x0 < kw {
            row.fill(0);
        }
        for ky in y0..y1 {
            let iy = (y_origin + (ky * self.window.dilation[0]) as isize) as usize;
            let line = &image[iy * width * channels..(iy + 1) * width * channels];
            let at = |kx: usize| (x_origin + (kx * self.window.dilation[1]) as isize) as usize;
            if self.window.dilation[1] == 1 && self.groups == 1 && x1 > x0 {
                let from = at(x0) * channels;
                let len = (x1 - x0) * channels;
                let to = (ky * kw + x0) * depth;
                row[to..to + len].copy_from_slice(&line[from..from + len]);
            } else {
                for kx in x0..x1 {
                    let from = at(kx) * channels + group * depth;
                    let to = (ky * kw + kx) * depth;
                    row[to..to + depth].copy_from_slice(&line[from..from + depth]);
                }
            }
        }
    }
}

/// 16-bit activations are symmetric: the kernels have no room for a zero point.
pub(super) fn check_zero_point(storage: Storage, input: Affine) -> Result<()> {
    ensure(!storage.is_wide() || input.zero_point == 0, || format!("16-bit activations need zero point 0, not {}", input.zero_point))?;
    ensure(storage.is_wide() || (storage.min..=storage.max).contains(&input.zero_point), || {
        format!("the zero point {} is outside the input's type", input.zero_point)
    })
}

/// Cuts a bias into one per group.
fn split_bias(bias: Bias, groups: usize, per_group: usize) -> Result<Vec<Bias>> {
    if groups == 1 {
        return Ok(vec![bias]);
    }
    let parts: Vec<Bias> = match bias {
        Bias::Narrow(b) => b.chunks(per_group.max(1)).map(|c| Bias::Narrow(c.to_vec())).collect(),
        Bias::Wide(b) => b.chunks(per_group.max(1)).map(|c| Bias::Wide(c.to_vec())).collect(),
    };
    if parts.len() == groups { Ok(parts) } else { Err(KernelError("the bias does not fit the groups".into())) }
}
