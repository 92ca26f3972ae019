//! UNIDIRECTIONAL_SEQUENCE_LSTM with 8-bit (or 16-bit) activations, 8-bit weights and a 16-bit cell state.
//!
//! Arithmetic: `micro/kernels/lstm_eval{,_common}.cc`: each gate is two fully connected layers into Q3.12, a saturating sum and
//! a table function into Q0.15; products between gates are MULs. There is no peephole, projection or layer normalization,
//! as in TFLite Micro.

use octet_ir::arith::checked_log2;

use super::conv2d::{Bias, LayerScales};
use super::fully_connected::FullyConnected;
use super::unary::TableScaling;
use super::{Affine, Bounds, Multiplier, Quantized, Result, Storage, ensure};

/// One gate's constants: weights `[state, input]` and `[state, state]` with one scale each, and the bias.
#[derive(Clone, Debug)]
pub struct GateWeights<'a> {
    /// Input weights.
    pub input: &'a [i8],
    /// Their scale.
    pub input_scale: f32,
    /// Recurrent weights.
    pub recurrent: &'a [i8],
    /// Their scale.
    pub recurrent_scale: f32,
    /// 32 bits with 8-bit activations, 64 bits with 16-bit ones.
    pub bias: Bias,
}

/// Everything else about an LSTM.
#[derive(Clone, Copy, Debug)]
pub struct LstmShape {
    /// Sequences.
    pub batch: usize,
    /// Steps.
    pub time: usize,
    /// Features per step.
    pub input: usize,
    /// Units.
    pub state: usize,
    /// `[T, B, F]` instead of `[B, T, F]`.
    pub time_major: bool,
    /// Real bound of the cell state, 0 for none.
    pub cell_clip: f32,
    /// Whether the cell gate is a logistic function instead of tanh.
    pub sigmoid_cell: bool,
}

#[derive(Clone, Debug)]
struct Gate {
    input: FullyConnected,
    recurrent: FullyConnected,
}

/// A prepared LSTM.
#[derive(Clone, Debug)]
pub struct Lstm {
    shape: LstmShape,
    /// Input, forget, cell, output.
    gates: [Gate; 4],
    forget_cell: Multiplier,
    input_cell: Multiplier,
    output_mul: Multiplier,
    hidden_zero: i32,
    clip: i16,
    cell_tanh: TableScaling,
}

/// 2^-12: gates before their nonlinearity.
const GATE_SCALE: f32 = 1.0 / 4096.0;
/// 2^-15: gates after it.
const UNIT_SCALE: f32 = 1.0 / 32768.0;

impl Lstm {
    /// `gates` in TFLite's order: input, forget, cell, output. `A` is the type of activations.
    pub fn prepare<A: Quantized>(
        shape: LstmShape,
        gates: [GateWeights<'_>; 4],
        input: Affine,
        hidden: Affine,
        cell_scale: f32,
    ) -> Result<Self> {
        let wide = A::MAX > 255;
        let gate = |g: GateWeights<'_>| -> Result<Gate> {
            let layer = |k: usize, weights: &[i8], bias: Bias, from: Affine, scale: f32| {
                let weights: Vec<i16> = weights.iter().copied().map(i16::from).collect();
                FullyConnected::prepare_gate(
                    Storage::of::<A>(),
                    Storage::of::<i16>(),
                    [shape.state, k],
                    &weights,
                    bias,
                    LayerScales { input: from, weights: &[scale], output: Affine::symmetric(GATE_SCALE), activation: Bounds::NONE },
                )
            };
            Ok(Gate {
                input: layer(shape.input, g.input, g.bias, input, g.input_scale)?,
                recurrent: layer(shape.state, g.recurrent, Bias::zeros(shape.state, wide), hidden, g.recurrent_scale)?,
            })
        };
        let [i, f, c, o] = gates;
        let product = |a: f32, b: f32, out: f32| Multiplier::from_real(f64::from(a) * f64::from(b) / f64::from(out));
        let (power, is_pot) = checked_log2(cell_scale);
        ensure(is_pot && (-46..=15).contains(&power), || format!("the cell state's scale {cell_scale} is not a power of two"))?;
        let left = 15 + power - 3;
        let clip = (f64::from(shape.cell_clip) / f64::from(cell_scale)).clamp(-32768.0, 32767.0) as i16;
        Ok(Self {
            shape,
            gates: [gate(i)?, gate(f)?, gate(c)?, gate(o)?],
            forget_cell: product(UNIT_SCALE, cell_scale, cell_scale),
            input_cell: product(UNIT_SCALE, UNIT_SCALE, cell_scale),
            output_mul: product(UNIT_SCALE, UNIT_SCALE, hidden.scale),
            hidden_zero: hidden.zero_point,
            clip,
            cell_tanh: if left < 0 { TableScaling::divided((-left) as u32) } else { TableScaling::power_of_two(left as u32) },
        })
    }

    /// Runs the whole sequence, reading and updating `hidden` (`[B, S]`) and `cell` (`[B, S]`).
    pub fn run<A: Quantized>(&self, input: &[A], hidden: &mut [A], cell: &mut [i16], output: &mut [A]) -> Result<()> {
        let LstmShape { batch, time, input: features, state, time_major, .. } = self.shape;
        ensure(
            input.len() == batch * time * features
                && hidden.len() == batch * state
                && cell.len() == batch * state
                && output.len() == batch * time * state,
            || "the operands do not fit the prepared shapes".into(),
        )?;
        for t in 0..time {
            for b in 0..batch {
                let at = if time_major { t * batch + b } else { b * time + t };
                let units = b * state..(b + 1) * state;
                self.step(&input[at * features..(at + 1) * features], &mut hidden[units.clone()], &mut cell[units.clone()])?;
                output[at * state..(at + 1) * state].copy_from_slice(&hidden[units]);
            }
        }
        Ok(())
    }

    /// One step of one sequence; sequences do not depend on each other.
    fn step<A: Quantized>(&self, input: &[A], hidden: &mut [A], cell: &mut [i16]) -> Result<()> {
        let gate = |gate: &Gate, sigmoid: bool| -> Result<Vec<i16>> {
            let mut sums = vec![0i16; self.shape.state];
            let mut recurrent = vec![0i16; self.shape.state];
            gate.input.run(input, &mut sums)?;
            gate.recurrent.run(hidden, &mut recurrent)?;
            let scaling = TableScaling::power_of_two(0);
            for (sum, r) in sums.iter_mut().zip(recurrent) {
                let x = i32::from(sum.saturating_add(r));
                *sum = if sigmoid { scaling.sigmoid(x) } else { scaling.tanh(x) } as i16;
            }
            Ok(sums)
        };
        let [i, f, c, o] = &self.gates;
        let forget = gate(f, true)?;
        let input_gate = gate(i, true)?;
        let cell_gate = gate(c, self.shape.sigmoid_cell)?;
        for (((cell, &f), &i), &g) in cell.iter_mut().zip(&forget).zip(&input_gate).zip(&cell_gate) {
            let kept = i16::saturate(self.forget_cell.apply(i32::from(f) * i32::from(*cell)));
            let added = i16::saturate(self.input_cell.apply(i32::from(i) * i32::from(g)));
            *cell = kept.saturating_add(added);
            if self.shape.cell_clip > 0.0 {
                *cell = (*cell).min(self.clip).max(self.clip.wrapping_neg());
            }
        }
        let output_gate = gate(o, true)?;
        for ((hidden, &cell), &o) in hidden.iter_mut().zip(cell.iter()).zip(&output_gate) {
            let squashed = self.cell_tanh.tanh(cell.into());
            let product = self.output_mul.apply(squashed.wrapping_mul(i32::from(o)));
            *hidden = A::saturate(product.wrapping_add(self.hidden_zero));
        }
        Ok(())
    }
}
