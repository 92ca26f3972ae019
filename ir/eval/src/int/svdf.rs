//! SVDF: a rank-decomposed filter over time with a state of activations.
//!
//! Arithmetic: `micro/kernels/svdf_common.cc`. Feature weights are `i8`, time weights and state `i16` or `i8`; scales are multiplied in double
//! precision (in single before October 2026).

use super::{Affine, Multiplier, Quantized, Result, ensure};

/// A prepared SVDF.
#[derive(Clone, Debug)]
pub struct Svdf {
    batch: usize,
    input: usize,
    filters: usize,
    memory: usize,
    rank: usize,
    feature: Vec<i8>,
    bias: Vec<i32>,
    scale_1: Multiplier,
    scale_2: Multiplier,
    input_zero: i32,
    state_zero: i32,
    output_zero: i32,
}

/// Shapes of an SVDF.
#[derive(Clone, Copy, Debug)]
pub struct SvdfShape {
    /// Rows of the input.
    pub batch: usize,
    /// Features of the input.
    pub input: usize,
    /// Filters: rank times units.
    pub filters: usize,
    /// Time steps in the state.
    pub memory: usize,
    /// Rank of the decomposition.
    pub rank: usize,
}

impl Svdf {
    /// `feature` is `[filters, input]`, `bias` has one value per unit.
    pub fn prepare(
        shape: SvdfShape,
        feature: &[i8],
        bias: Option<&[i32]>,
        input: Affine,
        feature_scale: f32,
        time_scale: f32,
        state: Affine,
        output: Affine,
    ) -> Result<Self> {
        let SvdfShape { batch, input: features, filters, memory, rank } = shape;
        ensure(rank > 0 && filters % rank == 0 && memory > 0, || format!("{filters} filters of rank {rank} with a memory of {memory}"))?;
        ensure(filters.checked_mul(features) == Some(feature.len()), || {
            format!("the feature weights have {} values for shape [{filters}, {features}]", feature.len())
        })?;
        let units = filters / rank;
        ensure(bias.is_none_or(|b| b.len() == units), || format!("the bias does not have {units} values"))?;
        let real_1 = f64::from(input.scale) * f64::from(feature_scale) / f64::from(state.scale);
        let real_2 = f64::from(state.scale) * f64::from(time_scale) / f64::from(output.scale);
        Ok(Self {
            batch,
            input: features,
            filters,
            memory,
            rank,
            feature: feature.to_vec(),
            bias: bias.map_or_else(|| vec![0; units], <[i32]>::to_vec),
            scale_1: Multiplier::from_real(real_1),
            scale_2: Multiplier::from_real(real_2),
            input_zero: input.zero_point,
            state_zero: state.zero_point,
            output_zero: output.zero_point,
        })
    }

    /// One step: shifts `state` (`[batch, filters * memory]`), writes the new activations into it, and computes `[batch, units]`.
    pub fn run<S: Quantized>(&self, input: &[i8], time: &[S], state: &mut [S], output: &mut [i8]) -> Result<()> {
        let units = self.filters / self.rank;
        ensure(
            input.len() == self.batch * self.input
                && time.len() == self.filters * self.memory
                && state.len() == self.batch * self.filters * self.memory
                && output.len() == self.batch * units,
            || "the operands do not fit the prepared shapes".into(),
        )?;
        if state.is_empty() || output.is_empty() {
            return Ok(());
        }
        state.copy_within(1.., 0);
        let row = self.filters * self.memory;
        for b in 0..self.batch {
            let x = &input[b * self.input..(b + 1) * self.input];
            let state = &mut state[b * row..(b + 1) * row];
            for f in 0..self.filters {
                let weights = &self.feature[f * self.input..(f + 1) * self.input];
                let dot = weights
                    .iter()
                    .zip(x)
                    .fold(0i32, |sum, (&w, &x)| sum.wrapping_add(i32::from(w) * i32::from(x).wrapping_sub(self.input_zero)));
                let scaled = self.scale_1.apply(dot).clamp(S::MIN, S::MAX);
                // The sum is stored cut to the state's width.
                state[(f + 1) * self.memory - 1] = wrap(scaled.wrapping_add(self.state_zero));
            }
            for (unit, out) in output[b * units..(b + 1) * units].iter_mut().enumerate() {
                let mut sum = self.bias[unit];
                for f in unit * self.rank..(unit + 1) * self.rank {
                    let range = f * self.memory..(f + 1) * self.memory;
                    for (t, s) in time[range.clone()].iter().zip(&state[range]) {
                        sum = sum.wrapping_add(t.get().wrapping_mul(s.get().wrapping_sub(self.state_zero)));
                    }
                }
                *out = i8::saturate(self.scale_2.apply(sum).wrapping_add(self.output_zero));
            }
        }
        Ok(())
    }
}

fn wrap<S: Quantized>(x: i32) -> S {
    let bits = if S::MAX > 255 { 16 } else { 24 };
    S::saturate(x << bits >> bits)
}
