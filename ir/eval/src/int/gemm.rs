//! Packed weights and the way from sums to stored integers, shared by convolutions and fully connected layers.
//!
//! Inputs and weights enter as 16-bit integers with their zero points subtracted, which holds every 8-bit case exactly and needs
//! no corrections: padding is simply 0.

use super::simd::{LANES, ROWS, Tile, dispatch, tile};
use super::{Affine, Multiplier, Result, Slots, ensure};

/// Weights of `n` output channels with `k` inputs each, in blocks of [`LANES`] channels.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    pub n: usize,
    /// Pairs of inputs, the last one padded with 0.
    pub pairs: usize,
    data: Vec<i16>,
}

impl Packed {
    /// Packs `weight(channel, input)`.
    pub(super) fn new(n: usize, k: usize, weight: impl Fn(usize, usize) -> i16) -> Self {
        let pairs = k.div_ceil(2);
        let blocks = n.div_ceil(LANES);
        let mut data = vec![0i16; blocks * pairs * 2 * LANES];
        for channel in 0..n {
            let block = &mut data[channel / LANES * pairs * 2 * LANES..];
            for i in 0..k {
                block[i / 2 * 2 * LANES + channel % LANES * 2 + i % 2] = weight(channel, i);
            }
        }
        Self { n, pairs, data }
    }

    /// Ranges of pairs `(first, count)` whose 16x8 sums fit 32 bits.
    pub(super) fn safe_chunks(&self) -> impl Iterator<Item = (usize, usize)> {
        let pairs = self.pairs;
        (0..pairs).step_by(SAFE_PAIRS).map(move |from| (from, (pairs - from).min(SAFE_PAIRS)))
    }

    /// The weights of one block from pair `from` on.
    pub(super) fn block_from(&self, block: usize, from: usize) -> &[i16] {
        &self.block(block)[from * 2 * LANES..]
    }

    fn block(&self, block: usize) -> &[i16] {
        let len = self.pairs * 2 * LANES;
        &self.data[block * len..(block + 1) * len]
    }
}

/// Sums of 16x8 products that fit 32 bits for certain: 2^22 each, two per pair.
const SAFE_PAIRS: usize = 248;

/// Bias, multiplier, zero point and clamp per output channel.
#[derive(Clone, Debug)]
pub(super) struct Requantize {
    bias: Bias,
    mantissa: Vec<i32>,
    left: Vec<u32>,
    right: Vec<u32>,
    multipliers: Vec<Multiplier>,
    zero_point: i32,
    min: i32,
    max: i32,
    real: Option<Vec<f64>>,
}

/// Bias values and, with them, the width of the accumulator.
#[derive(Clone, Debug)]
pub enum Bias {
    /// 32-bit accumulator.
    Narrow(Vec<i32>),
    /// 64-bit accumulator (16x8 kernels without a 32-bit bias).
    Wide(Vec<i64>),
}

impl Bias {
    /// No bias: zeros.
    pub fn zeros(n: usize, wide: bool) -> Self {
        if wide { Self::Wide(vec![0; n]) } else { Self::Narrow(vec![0; n]) }
    }

    /// A given or absent bias for a kernel whose inputs are 8 bits, or 16 bits with a 32-bit bias.
    pub fn narrow(bias: Option<&[i32]>, n: usize) -> Self {
        bias.map_or_else(|| Self::zeros(n, false), |b| Self::Narrow(b.to_vec()))
    }

    /// A given or absent bias for a kernel that accumulates 64 bits.
    pub fn wide(bias: Option<&[i64]>, n: usize) -> Self {
        bias.map_or_else(|| Self::zeros(n, true), |b| Self::Wide(b.to_vec()))
    }

    fn len(&self) -> usize {
        match self {
            Self::Narrow(b) => b.len(),
            Self::Wide(b) => b.len(),
        }
    }
}

impl Requantize {
    /// For `n` channels; pads to whole blocks.
    pub(super) fn new(bias: Bias, multipliers: Vec<Multiplier>, output: Affine, (min, max): (i32, i32)) -> Result<Self> {
        let n = multipliers.len();
        ensure(bias.len() == n, || format!("the bias has {} values for {n} output channels", bias.len()))?;
        let padded = n.div_ceil(LANES) * LANES;
        let pad = |mut v: Vec<i32>| {
            v.resize(padded, 0);
            v
        };
        let bias = match bias {
            Bias::Narrow(b) => Bias::Narrow(pad(b)),
            Bias::Wide(mut b) => {
                b.resize(padded, 0);
                Bias::Wide(b)
            }
        };
        let shifts = |f: fn(i32) -> i32| -> Vec<u32> {
            let mut v: Vec<u32> = multipliers.iter().map(|m| f(m.shift).clamp(0, 31) as u32).collect();
            v.resize(padded, 0);
            v
        };
        let (left, right) = (shifts(|s| s), shifts(|s| -s));
        let mantissa = pad(multipliers.iter().map(|m| m.mantissa).collect());
        let mut multipliers = multipliers;
        multipliers.resize(padded, Multiplier::default());
        Ok(Self { bias, mantissa, left, right, multipliers, zero_point: output.zero_point, min, max, real: None })
    }

    /// Requantizes in double precision instead, `round(sum * real)` (LiteRT's reference FULLY_CONNECTED).
    pub(super) fn in_double(mut self, mut real: Vec<f64>) -> Self {
        real.resize(self.mantissa.len(), 0.0);
        self.real = Some(real);
        self
    }

    fn is_wide(&self) -> bool {
        matches!(self.bias, Bias::Wide(_))
    }

    /// The stored values of a block of 32-bit sums.
    #[inline(always)]
    fn narrow(&self, block: usize, bias: &[i32], sums: &[i32; LANES]) -> [i32; LANES] {
        let first = block * LANES;
        let range = first..first + LANES;
        let bias = &bias[range.clone()];
        let mut values = [0i32; LANES];
        if let Some(real) = &self.real {
            let real = &real[range];
            for i in 0..LANES {
                let scaled = (f64::from(sums[i].wrapping_add(bias[i])) * real[i]).round() as i32;
                values[i] = scaled.saturating_add(self.zero_point).clamp(self.min, self.max);
            }
            return values;
        }
        let mantissa = &self.mantissa[range.clone()];
        let left = &self.left[range.clone()];
        let right = &self.right[range];
        for i in 0..LANES {
            // Same as `Multiplier::apply`: the mantissa is never i32::MIN, so the product cannot saturate.
            let x = sums[i].wrapping_add(bias[i]) << left[i];
            let high = ((i64::from(x) * i64::from(mantissa[i]) + (1 << 30)) >> 31) as i32;
            let mask = ((1u32 << right[i]) - 1) as i32;
            let threshold = (mask >> 1) + i32::from(high < 0);
            let rounded = (high >> right[i]) + i32::from((high & mask) > threshold);
            values[i] = rounded.wrapping_add(self.zero_point).clamp(self.min, self.max);
        }
        values
    }

    #[inline(always)]
    fn wide(&self, block: usize, bias: &[i64], sums: &[i64; LANES]) -> [i32; LANES] {
        let first = block * LANES;
        let mut values = [0i32; LANES];
        if let Some(real) = &self.real {
            for (((o, &sum), &bias), &real) in values.iter_mut().zip(sums).zip(&bias[first..]).zip(&real[first..]) {
                let scaled = (sum.wrapping_add(bias) as f64 * real).round() as i32;
                *o = scaled.saturating_add(self.zero_point).clamp(self.min, self.max);
            }
            return values;
        }
        for (((o, &sum), &bias), m) in values.iter_mut().zip(sums).zip(&bias[first..]).zip(&self.multipliers[first..]) {
            let scaled = m.apply_i64(sum.wrapping_add(bias)).wrapping_add(self.zero_point);
            *o = scaled.clamp(self.min, self.max);
        }
        values
    }

    /// The stored values of a whole row of 64-bit sums.
    pub(super) fn wide_row(&self, sums: &[i64], mut put: impl FnMut(usize, &[i32])) {
        for (block, sums) in sums.chunks(LANES).enumerate() {
            let mut lanes = [0i64; LANES];
            lanes[..sums.len()].copy_from_slice(sums);
            put(block * LANES, &self.values(block, &Sums::Wide(lanes))[..sums.len()]);
        }
    }

    /// The stored values of channels `[block * LANES ..]` at one position.
    #[inline(always)]
    pub(super) fn values(&self, block: usize, sums: &Sums) -> [i32; LANES] {
        match (&self.bias, sums) {
            (Bias::Narrow(bias), Sums::Narrow(s)) => self.narrow(block, bias, s),
            (Bias::Wide(bias), Sums::Wide(s)) => self.wide(block, bias, s),
            (Bias::Wide(bias), Sums::Narrow(s)) => self.wide(block, bias, &s.map(i64::from)),
            (Bias::Narrow(bias), Sums::Wide(s)) => self.narrow(block, bias, &s.map(|x| x as i32)),
        }
    }
}

/// Sums of one block at one position.
pub(super) enum Sums {
    Narrow([i32; LANES]),
    Wide([i64; LANES]),
}

/// Multiplies `rows` rows of `a` (each `2 * pairs` long, `stride` apart) with all packed channels and stores the results, channel
/// `c` of row `r` at `out_at + r * out_stride + c`.
pub(super) fn multiply(
    a: &[i16],
    stride: usize,
    rows: usize,
    weights: &Packed,
    requantize: &Requantize,
    out: &mut Slots<'_>,
    out_at: usize,
    out_stride: usize,
) {
    let mut sums: Tile = [[0; LANES]; ROWS];
    let mut values: Tile = [[0; LANES]; ROWS];
    for first_row in (0..rows).step_by(ROWS) {
        let count = (rows - first_row).min(ROWS);
        let a = &a[first_row * stride..];
        for (block, channel) in (0..weights.n).step_by(LANES).enumerate() {
            let width = (weights.n - channel).min(LANES);
            if requantize.is_wide() && weights.pairs > SAFE_PAIRS {
                let mut wide = [[0i64; LANES]; ROWS];
                for (from, pairs) in weights.safe_chunks() {
                    tile(&a[2 * from..], stride, count, pairs, weights.block_from(block, from), &mut sums);
                    for (wide, &sum) in wide.iter_mut().flatten().zip(sums.iter().flatten()) {
                        *wide += i64::from(sum);
                    }
                }
                for (values, wide) in values.iter_mut().zip(wide).take(count) {
                    *values = requantize.values(block, &Sums::Wide(wide));
                }
            } else {
                tile(a, stride, count, weights.pairs, weights.block_from(block, 0), &mut sums);
                dispatch(
                    #[inline(always)]
                    || {
                        for (values, &sums) in values.iter_mut().zip(&sums).take(count) {
                            *values = requantize.values(block, &Sums::Narrow(sums));
                        }
                    },
                );
            }
            for (r, values) in values.iter().enumerate().take(count) {
                out.put(out_at + (first_row + r) * out_stride + channel, &values[..width]);
            }
        }
    }
}

/// Multipliers per output channel: one weight scale for all or one each.
///
/// `single_precision` multiplies the two scales in `f32` first, as the per-tensor paths do (legacy `u8`, FULLY_CONNECTED).
pub(super) fn channel_multipliers(input: f32, weights: &[f32], output: f32, n: usize, single_precision: bool) -> Result<Vec<f64>> {
    ensure(weights.len() == 1 || weights.len() == n, || format!("the weights have {} scales for {n} output channels", weights.len()))?;
    Ok((0..n)
        .map(|c| {
            let scale = if weights.len() == 1 { weights[0] } else { weights[c] };
            let product = if single_precision { f64::from(input * scale) } else { f64::from(input) * f64::from(scale) };
            product / f64::from(output)
        })
        .collect())
}

/// [`channel_multipliers`] in fixed point.
pub(super) fn fixed(real: &[f64]) -> Vec<Multiplier> {
    real.iter().map(|&m| Multiplier::from_real(m)).collect()
}
