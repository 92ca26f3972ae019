//! Layers with a state: SVDF and UNIDIRECTIONAL_SEQUENCE_LSTM. A state is stored with the bits of its zero point flipped, so that
//! memory of zeros is one at its zero point.

use octet_ir::Operation;
use octet_ir::arith::{Multiplier, SIGMOID_TABLE, checked_log2};
use octet_ir::ops::{Activation, Svdf, UnidirectionalSequenceLstm};

use super::layers::macs;
use super::{Cx, Result, affine, dims, int, operand, result, unsupported};
use crate::lang::Elem;
use crate::program::{Data, Role};

/// Operands of an LSTM that its kernels do not take: peepholes, projections, coefficients of layer normalization.
const LEFT_OUT: [usize; 9] = [9, 10, 11, 16, 17, 20, 21, 22, 23];

impl Cx<'_> {
    /// The one scale of symmetric weights, and their values.
    fn symmetric(&self, operation: &Operation, index: usize) -> Result<(f32, Vec<i8>)> {
        let ty = self.ty(operation, index)?;
        let scale = affine(ty)?;
        match self.data(operand(operation, index)?)? {
            Data::I8(values) if scale.zero_point == 0 => Ok((scale.scale, values)),
            _ => unsupported("weights need 8 signed bits and zero point 0"),
        }
    }

    pub(super) fn svdf(&mut self, op: &Svdf, operation: &Operation) -> Result<()> {
        let [batch, features]: [usize; 2] = dims(self.ty(operation, 0)?)?;
        let [filters, memory]: [usize; 2] = dims(self.ty(operation, 2)?)?;
        if op.rank == 0 || !filters.is_multiple_of(op.rank) || memory == 0 {
            return unsupported("the filters do not fit the rank");
        }
        self.step.macs = macs(&[batch, filters], features + memory);
        let units = filters / op.rank;
        let sizes = vec![batch, features, filters, memory, op.rank];
        let (elem, state_elem) = (self.elem(operand(operation, 0)?)?, self.elem(operand(operation, 4)?)?);
        let bias = operation.operand(3);
        if elem == Elem::F32 {
            if state_elem != Elem::F32 || self.elem(operand(operation, 1)?)? != Elem::F32 {
                return unsupported("no kernel mixes these types");
            }
            let Some((low, high)) = op.activation.bounds() else { return unsupported("the fused activation is no clamp") };
            let f = self.table("clamp", Role::Parameters, Data::F32(vec![low, high]));
            let bias = match bias {
                Some(id) => self.read(id)?,
                None => self.table("bias", Role::Weights, Data::F32(vec![0.0; units])),
            };
            let [x, feature, time, state] = [0, 1, 2, 4].map(|i| operand(operation, i).and_then(|id| self.read(id)));
            let y = self.allocate(result(operation)?)?;
            return self.call("svdf_f32", &[], vec![x?, feature?, time?, bias, state?, y, f], Some(sizes));
        }
        let same = self.elem(operand(operation, 2)?)? == state_elem && matches!(state_elem, Elem::I8 | Elem::I16);
        if elem != Elem::I8
            || self.elem(result(operation)?)? != Elem::I8
            || !same
            || !matches!(op.activation, Activation::None | Activation::Relu)
        {
            return unsupported("SVDF needs int8 activations, and int8 or int16 for time weights and state alike");
        }
        let (input, output) = (affine(self.ty(operation, 0)?)?, affine(self.result_ty(operation)?)?);
        let (feature, time, state) = (affine(self.ty(operation, 1)?)?, affine(self.ty(operation, 2)?)?, affine(self.ty(operation, 4)?)?);
        if feature.zero_point != 0 || time.zero_point != 0 {
            return unsupported("weights need zero point 0");
        }
        let first = Multiplier::from_real(f64::from(input.scale) * f64::from(feature.scale) / f64::from(state.scale));
        let second = Multiplier::from_real(f64::from(state.scale) * f64::from(time.scale) / f64::from(output.scale));
        let (low, high) = super::range(state_elem);
        let q = vec![first.mantissa, first.shift, second.mantissa, second.shift];
        let q = [q, vec![input.zero_point, state.zero_point, output.zero_point, low, high]].concat();
        let q = self.table("scales", Role::Scales, Data::I32(q));
        let bias = match bias {
            Some(id) => self.read(id)?,
            None => self.table("bias", Role::Weights, Data::I32(vec![0; units])),
        };
        let [x, feature, time, memory] = [0, 1, 2, 4].map(|i| operand(operation, i).and_then(|id| self.read(id)));
        let y = self.allocate(result(operation)?)?;
        self.call("svdf", &[state_elem], vec![x?, feature?, time?, bias, memory?, y, q], Some(sizes))
    }

    pub(super) fn lstm(&mut self, op: &UnidirectionalSequenceLstm, operation: &Operation) -> Result<()> {
        let elem = self.elem(operand(operation, 0)?)?;
        let extra = LEFT_OUT.iter().any(|&i| operation.operand(i).is_some());
        if extra || op.activation != Activation::Tanh || operation.operand(1).is_none() {
            return unsupported("no kernel has peepholes, projections, layer normalization, coupled gates or other activations than tanh");
        }
        let [first, second, features]: [usize; 3] = dims(self.ty(operation, 0)?)?;
        let [units, _]: [usize; 2] = dims(self.ty(operation, 5)?)?;
        let (steps, batches) = if op.time_major { (first, second) } else { (second, first) };
        self.step.macs = macs(&[batches, steps, 4, units], features + units);
        let sizes = vec![batches, steps, features, units, usize::from(op.time_major)];
        let (hidden_ty, cell_ty) = (self.ty(operation, 18)?, self.ty(operation, 19)?);
        let types = (elem, self.elem(operand(operation, 18)?)?, self.elem(operand(operation, 19)?)?, self.elem(result(operation)?)?);
        match types {
            (Elem::F32, Elem::F32, Elem::F32, Elem::F32) => {
                let joined = |from: usize| -> Result<Vec<f32>> {
                    let mut all = Vec::new();
                    for gate in 0..4 {
                        match self.data(operand(operation, from + gate)?)? {
                            Data::F32(values) => all.extend(values),
                            _ => return unsupported("no kernel multiplies floats by integer weights"),
                        }
                    }
                    Ok(all)
                };
                let (wi, wr, bias) = (joined(1)?, joined(5)?, joined(12)?);
                let [wi, wr, bias] = [wi, wr, bias].map(|v| self.table("gates", Role::Weights, Data::F32(v)));
                let f = self.table("clip", Role::Parameters, Data::F32(vec![op.cell_clip]));
                let [x, hidden, cell] = [0, 18, 19].map(|i| operand(operation, i).and_then(|id| self.read(id)));
                let y = self.allocate(result(operation)?)?;
                let gates = self.scratch(Elem::F32, 4 * units);
                self.call("lstm_f32", &[], vec![x?, wi, wr, bias, hidden?, cell?, y, gates, f], Some(sizes))
            }
            (Elem::I8, Elem::I8, Elem::I16, Elem::I8) => {
                let (input, hidden, cell) = (affine(self.ty(operation, 0)?)?, affine(hidden_ty)?, affine(cell_ty)?);
                let (power, is_power) = checked_log2(cell.scale);
                if cell.zero_point != 0 || !is_power || !(-46..=15).contains(&power) {
                    return unsupported("the cell state needs a power of two for its scale, and zero point 0");
                }
                let (mut wi, mut wr, mut q) = (Vec::new(), Vec::new(), Vec::new());
                let (mut biases, mut recurrent_biases) = (Vec::new(), Vec::new());
                for gate in 0..4 {
                    let (scale, weights) = self.symmetric(operation, 1 + gate)?;
                    let (recurrent_scale, recurrent) = self.symmetric(operation, 5 + gate)?;
                    let real =
                        |from: f32, scale: f32| Multiplier::from_real(f64::from(from) * f64::from(scale) / f64::from(1.0f32 / 4096.0));
                    let (a, b) = (real(input.scale, scale), real(hidden.scale, recurrent_scale));
                    q.extend([a.mantissa, a.shift, b.mantissa, b.shift]);
                    let given = match operation.operand(12 + gate).map(|id| self.data(id)).transpose()? {
                        Some(Data::I32(values)) => values,
                        None => vec![0; units],
                        Some(_) => return unsupported("the bias needs 32 bits"),
                    };
                    let sum = |row: &[i8]| row.iter().map(|&w| i32::from(w)).fold(0, i32::wrapping_add);
                    let folded = |bias: i32, zero: i32, row: &[i8]| bias.wrapping_sub(zero.wrapping_mul(sum(row)));
                    biases.extend(given.iter().zip(weights.chunks(features.max(1))).map(|(&b, row)| folded(b, input.zero_point, row)));
                    recurrent_biases.extend(recurrent.chunks(units.max(1)).map(|row| folded(0, hidden.zero_point, row)));
                    wi.extend(weights);
                    wr.extend(recurrent);
                }
                let unit = 1.0f32 / 32768.0;
                let product = |a: f32, b: f32, out: f32| Multiplier::from_real(f64::from(a) * f64::from(b) / f64::from(out));
                for m in [product(unit, cell.scale, cell.scale), product(unit, unit, cell.scale), product(unit, unit, hidden.scale)] {
                    q.extend([m.mantissa, m.shift]);
                }
                let clip = (f64::from(op.cell_clip) / f64::from(cell.scale)).clamp(-32768.0, 32767.0) as i32;
                let left = 15 + power - 3;
                q.extend([hidden.zero_point, if op.cell_clip > 0.0 { clip } else { -1 }]);
                q.extend(if left < 0 { [3, -left] } else { [3i32.wrapping_shl(left.unsigned_abs()), 0] });
                biases.extend(recurrent_biases);
                let wi = self.table("input_gates", Role::Weights, Data::I8(wi));
                let wr = self.table("recurrent_gates", Role::Weights, Data::I8(wr));
                let bias = self.table("bias", Role::Weights, Data::I32(biases));
                let table = self.table("sigmoid", Role::Table, Data::U16(SIGMOID_TABLE.to_vec()));
                let q = self.table("scales", Role::Scales, Data::I32(q));
                let [x, h, c] = [0, 18, 19].map(|i| operand(operation, i).and_then(|id| self.read(id)));
                let y = self.allocate(result(operation)?)?;
                let gates = self.scratch(Elem::I16, 4 * units);
                int(4 * units)?;
                self.call("lstm", &[], vec![x?, wi, wr, bias, table, h?, c?, y, gates, q], Some(sizes))
            }
            _ => unsupported("an LSTM needs floats, or int8 activations with an int16 cell state"),
        }
    }
}
