//! Resizing images `[N, H, W, C]`. Coordinates are computed in f32, as TFLite does.

/// How output pixels map to input coordinates along one axis.
#[derive(Clone, Copy, Debug)]
pub struct Scaling {
    /// Input size.
    pub input: usize,
    /// Output size.
    pub output: usize,
    /// Corner pixels coincide.
    pub align_corners: bool,
    /// Pixel centres lie at half-integers.
    pub half_pixel_centers: bool,
}

impl Scaling {
    /// Input pixels per output pixel.
    #[must_use]
    pub fn factor(&self) -> f32 {
        if self.align_corners && self.output > 1 {
            (self.input - 1) as f32 / (self.output - 1) as f32
        } else {
            self.input as f32 / self.output as f32
        }
    }

    /// For each output index the two input indices around it and the weight of the second.
    #[must_use]
    pub fn bilinear(&self) -> Vec<(usize, usize, f32)> {
        let factor = self.factor();
        (0..self.output)
            .map(|i| {
                let at = if self.half_pixel_centers { (i as f32 + 0.5) * factor - 0.5 } else { i as f32 * factor };
                let low = (at.floor().max(0.0) as usize).min(self.input - 1);
                let high = (at.ceil().max(0.0) as usize).min(self.input - 1);
                (low, high, at - low as f32)
            })
            .collect()
    }

    /// For each output index the nearest input index.
    #[must_use]
    pub fn nearest(&self) -> Vec<usize> {
        let factor = self.factor();
        let offset = if self.half_pixel_centers { 0.5 } else { 0.0 };
        (0..self.output)
            .map(|i| {
                let at = (i as f32 + offset) * factor;
                let at = if self.align_corners { at.round() } else { at.floor() };
                (at.max(0.0) as usize).min(self.input - 1)
            })
            .collect()
    }
}

/// Bilinear interpolation of one image `[H, W, C]`.
pub fn bilinear(
    input: &[f32],
    output: &mut [f32],
    rows: &[(usize, usize, f32)],
    columns: &[(usize, usize, f32)],
    width: usize,
    channels: usize,
) {
    let pixel = |y: usize, x: usize| &input[(y * width + x) * channels..][..channels];
    let mut out = output.chunks_exact_mut(channels.max(1));
    for &(y0, y1, dy) in rows {
        for &(x0, x1, dx) in columns {
            let Some(out) = out.next() else { return };
            let (a, b, c, d) = (pixel(y0, x0), pixel(y0, x1), pixel(y1, x0), pixel(y1, x1));
            for (i, out) in out.iter_mut().enumerate() {
                *out = a[i] * (1.0 - dy) * (1.0 - dx) + c[i] * dy * (1.0 - dx) + b[i] * (1.0 - dy) * dx + d[i] * dy * dx;
            }
        }
    }
}
