//! FULLY_CONNECTED: `[B, K] * [N, K] -> [B, N]`.
//!
//! Arithmetic: `integer_ops/fully_connected.h` and `micro/kernels/fully_connected_common.cc`. With one weight scale the scales are
//! multiplied in single precision, and the weights may have a zero point; per channel, in double.

use super::conv2d::{Bias, LayerScales, check_zero_point};
use super::gemm::{Packed, Requantize, channel_multipliers, fixed, multiply};
use super::{Quantized, Result, RoundingProfile, Storage, centre, ensure};

/// A prepared layer.
#[derive(Clone, Debug)]
pub struct FullyConnected {
    n: usize,
    k: usize,
    weights: Packed,
    requantize: Requantize,
    input_zero_point: i32,
}

impl FullyConnected {
    /// Packs weights `[N, K]`, centred; input and output have storages of their own (they differ inside an LSTM).
    pub fn prepare(
        input: Storage,
        output: Storage,
        [n, k]: [usize; 2],
        weights: &[i16],
        bias: Bias,
        scales: LayerScales<'_>,
        profile: RoundingProfile,
    ) -> Result<Self> {
        let single = scales.weights.len() == 1 && profile == RoundingProfile::Tflm;
        Self::prepare_with(input, output, [n, k], weights, bias, scales, profile, single)
    }

    /// As [`prepare`](Self::prepare), for a layer whose scales are multiplied in double precision even where there is one for all
    /// weights: the gates of an LSTM.
    pub fn prepare_gate(
        input: Storage,
        output: Storage,
        sizes: [usize; 2],
        weights: &[i16],
        bias: Bias,
        scales: LayerScales<'_>,
    ) -> Result<Self> {
        Self::prepare_with(input, output, sizes, weights, bias, scales, RoundingProfile::Tflm, false)
    }

    fn prepare_with(
        input: Storage,
        output: Storage,
        [n, k]: [usize; 2],
        weights: &[i16],
        bias: Bias,
        scales: LayerScales<'_>,
        profile: RoundingProfile,
        single_product: bool,
    ) -> Result<Self> {
        check_zero_point(input, scales.input)?;
        ensure(n.checked_mul(k) == Some(weights.len()), || format!("the weights have {} values for shape [{n}, {k}]", weights.len()))?;
        let real = channel_multipliers(scales.input.scale, scales.weights, scales.output.scale, n, single_product)?;
        let range = scales.activation.quantized(output, scales.output);
        let mut requantize = Requantize::new(bias, fixed(&real), scales.output, range)?;
        if profile == RoundingProfile::LitertReference {
            requantize = requantize.in_double(real);
        }
        Ok(Self { n, k, weights: Packed::new(n, k, |c, i| weights[c * k + i]), requantize, input_zero_point: scales.input.zero_point })
    }

    /// Computes `[B, N]` from `[B, K]`; the batch follows from the output's length.
    pub fn run<I: Quantized, O: Quantized>(&self, input: &[I], output: &mut [O]) -> Result<()> {
        if output.is_empty() {
            return Ok(());
        }
        let batch = output.len() / self.n.max(1);
        ensure(batch * self.n == output.len() && batch * self.k == input.len(), || {
            format!("{} inputs and {} outputs do not fit a [{}, {}] layer", input.len(), output.len(), self.n, self.k)
        })?;
        let stride = self.weights.pairs * 2;
        let mut centred = vec![0i16; batch * stride];
        if self.k > 0 {
            for (to, from) in centred.chunks_mut(stride).zip(input.chunks(self.k)) {
                centre(to, from, self.input_zero_point);
            }
        }
        multiply(&centred, stride, batch, &self.weights, &self.requantize, &mut O::slots(output), 0, self.n);
        Ok(())
    }
}
