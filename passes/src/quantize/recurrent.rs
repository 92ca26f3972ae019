//! The two recurrent operations with integer kernels, whose operands do not fit the rule table's columns: SVDF and the sequence LSTM.
//!
//! Both are quantized to int8 activations only. SVDF keeps its state in int16 and its time weights in 10 bits of an int16; the LSTM keeps its
//! cell state in int16 with a power-of-two scale, and its output state has the scale of its output. States are variables: a range that
//! is noted on them (or, without one, a bound on what they can reach) decides their scale.

use octet_ir::ops::{Activation, UnidirectionalSequenceLstm};
use octet_ir::{Constant, Diagnostic, ElementType, Graph, Loc, Module, Op, OpId, Operation, Quantization, Type, ValueDef, ValueId};

use super::choose::Goal;
use super::materialise::Rewrite;
use super::options::Runtime;
use super::params::{Bounds, Params, Width, quantize_elements, symmetric_scale};
use super::solve::constant_bounds;
use super::weights;

/// Operand numbers of SVDF.
mod svdf {
    pub(super) const FEATURE: usize = 1;
    pub(super) const TIME: usize = 2;
    pub(super) const BIAS: usize = 3;
    pub(super) const STATE: usize = 4;
}

/// Operand numbers of the sequence LSTM.
mod lstm {
    pub(super) const INPUT_WEIGHTS: std::ops::RangeInclusive<usize> = 1..=4;
    pub(super) const RECURRENT_WEIGHTS: std::ops::RangeInclusive<usize> = 5..=8;
    pub(super) const BIASES: std::ops::RangeInclusive<usize> = 12..=15;
    pub(super) const OUTPUT_STATE: usize = 18;
    pub(super) const CELL_STATE: usize = 19;
    /// Peepholes, projection and layer normalization: the integer kernels of TFLite Micro take none of them.
    pub(super) const EXTRAS: [usize; 9] = [9, 10, 11, 16, 17, 20, 21, 22, 23];
}

/// Largest integer of SVDF's time weights: 10 bits, because 6 are kept for the sum.
const TIME_LIMIT: f64 = 511.0;

/// Why this operation cannot be quantized, if it cannot.
pub(super) fn refuse(module: &Module, graph: &Graph, op: &Operation, goal: Goal) -> Option<String> {
    if goal.width == Width::I16 {
        return Some(format!("{} has no int16 kernel", op.op().mnemonic().to_uppercase()));
    }
    let constant = |index: usize| {
        let value = op.operand(index)?;
        (constant_bounds(module, graph, value).is_none()).then(|| format!("operand '{}' is not a finite constant", graph.value_name(value)))
    };
    let variable = |index: usize| match op.operand(index) {
        Some(value) if graph.value(value).def() == ValueDef::Variable && graph.value(value).uses().len() == 1 => None,
        Some(value) => Some(format!("state '{}' is not a variable of this operation alone", graph.value_name(value))),
        None => Some("a state is left out".to_owned()),
    };
    match op.op() {
        Op::Svdf(o) => {
            if !matches!(o.activation, Activation::None | Activation::Relu) {
                return Some("the int8 kernel fuses RELU only".into());
            }
            if o.activation == Activation::None && goal.runtime != Runtime::Tflm {
                return Some("LiteRT's int8 kernel refuses an SVDF without a fused RELU".into());
            }
            [svdf::FEATURE, svdf::TIME, svdf::BIAS].into_iter().find_map(constant).or_else(|| variable(svdf::STATE))
        }
        Op::UnidirectionalSequenceLstm(o) => {
            if o.activation != Activation::Tanh {
                return Some("the int8 kernel's activation is TANH".into());
            }
            if lstm::EXTRAS.into_iter().any(|index| op.operand(index).is_some()) {
                return Some("the int8 kernel takes no peephole, projection or layer normalization".into());
            }
            let required = lstm::INPUT_WEIGHTS.chain(lstm::RECURRENT_WEIGHTS).chain(lstm::BIASES);
            if required.clone().any(|index| op.operand(index).is_none()) {
                return Some("the int8 kernel needs all four gates".into());
            }
            required.into_iter().find_map(constant).or_else(|| variable(lstm::OUTPUT_STATE)).or_else(|| variable(lstm::CELL_STATE))
        }
        _ => None,
    }
}

/// Quantizes the operation.
pub(super) fn materialise(rewrite: &mut Rewrite<'_>, op_id: OpId, op: &Operation) {
    let Some(input) = op.operand(0) else { return };
    rewrite.set_activation(op_id, 0, input);
    let Some(input_params) = rewrite.solution.wanted_operand(rewrite.id, op_id, 0, input) else { return };
    let Some(&output) = op.results().first() else { return };
    let Some(output_params) = rewrite.solution.params(rewrite.id, output) else { return };
    match op.op() {
        Op::Svdf(o) => {
            if o.activation == Activation::Relu && output_params.zero_point != -128 {
                let message = "the int8 kernel's RELU is the lower end of the output's range, which other tensors widen below 0";
                let place = rewrite.at(output);
                rewrite.report.notes.push(Diagnostic::warning("QNT021", message).at(place));
            }
            quantize_svdf(rewrite, op_id, op, input_params);
        }
        Op::UnidirectionalSequenceLstm(o) => quantize_lstm(rewrite, op_id, op, o, input_params, output_params),
        _ => {}
    }
}

fn range_of(graph: &Graph, value: ValueId) -> Option<Bounds> {
    let (lo, hi) = graph.value(value).range()?.bounds()?;
    Bounds::new(lo, hi)
}

fn quantize_svdf(rewrite: &mut Rewrite<'_>, op_id: OpId, op: &Operation, input: Params) {
    let (Some(feature), Some(time), Some(state)) = (op.operand(svdf::FEATURE), op.operand(svdf::TIME), op.operand(svdf::STATE)) else {
        return;
    };
    set_weights(rewrite, op_id, op, svdf::FEATURE, feature, (&[], input.scale));
    let state_scale = symmetric_scale(state_magnitude(rewrite, feature, state, input), 32767.0);
    let state_type = Type::quantized(ElementType::I16, rewrite.graph.ty(state).shape.clone(), Quantization::new(state_scale, 0));
    rewrite.patch.set_type(state, state_type);
    rewrite.patch.set_range(state, None);

    let values = rewrite.dense_constant(time).unwrap_or_default();
    let mut time_scale = [symmetric_scale(values.iter().fold(0.0, |m: f32, v| m.max(v.abs())), TIME_LIMIT)];
    let bias = op.operand(svdf::BIAS).and_then(|bias| rewrite.dense_constant(bias));
    rewrite.make_room_for_bias(op, &mut time_scale, bias.as_deref().unwrap_or_default(), state_scale);
    let quant = Quantization::new(time_scale[0], 0);
    let shape = rewrite.graph.ty(time).shape.clone();
    let q = quantize_elements(&values, &quant, shape.dims(), -511, 511);
    let ty = Type::quantized(ElementType::I16, shape, quant.clone());
    let made = rewrite.constant(time, weights::pack(&q, ElementType::I16), ty);
    rewrite.patch.set_operand(op_id, svdf::TIME, Some(made));

    let (source, values) = match op.operand(svdf::BIAS).zip(bias) {
        Some(known) => known,
        // TFLite Micro reads a bias in any case.
        None => (time, vec![0.0; op.results().first().and_then(|&r| rewrite.graph.ty(r).shape.dims().last().copied()).unwrap_or(1)]),
    };
    let (constant, ty) = weights::bias(&values, state_scale, &quant, Width::I8);
    let made = rewrite.constant(source, constant, ty);
    rewrite.patch.set_operand(op_id, svdf::BIAS, Some(made));
}

/// The largest magnitude that SVDF's state takes: as observed, else the largest sum that the feature weights can make of the input's range.
fn state_magnitude(rewrite: &Rewrite<'_>, feature: ValueId, state: ValueId, input: Params) -> f32 {
    if let Some(bounds) = range_of(rewrite.graph, state).filter(|b| b.magnitude() > 0.0) {
        return bounds.magnitude();
    }
    let values = rewrite.dense_constant(feature).unwrap_or_default();
    let inputs = rewrite.graph.ty(feature).shape.dims().last().copied().unwrap_or(1).max(1);
    let largest = values.chunks(inputs).map(|row| row.iter().map(|v| v.abs()).sum::<f32>()).fold(0.0, f32::max);
    largest * input.bounds(Width::I8).magnitude()
}

fn quantize_lstm(
    rewrite: &mut Rewrite<'_>,
    op_id: OpId,
    op: &Operation,
    lstm_op: &UnidirectionalSequenceLstm,
    input: Params,
    output: Params,
) {
    let mut input_scales = Vec::new();
    for index in lstm::INPUT_WEIGHTS.chain(lstm::RECURRENT_WEIGHTS) {
        if let Some(value) = op.operand(index) {
            let bias = lstm::INPUT_WEIGHTS.clone().zip(lstm::BIASES).find(|(weights, _)| *weights == index);
            let bias = bias.and_then(|(_, bias)| rewrite.dense_constant(op.operand(bias)?)).unwrap_or_default();
            let quant = set_weights(rewrite, op_id, op, index, value, (&bias, input.scale));
            if lstm::INPUT_WEIGHTS.contains(&index) {
                input_scales.push(quant);
            }
        }
    }
    for (index, quant) in lstm::BIASES.zip(&input_scales) {
        if let Some(value) = op.operand(index) {
            let values = rewrite.dense_constant(value).unwrap_or_default();
            let (constant, ty) = weights::bias(&values, input.scale, quant, Width::I8);
            let made = rewrite.constant(value, constant, ty);
            rewrite.patch.set_operand(op_id, index, Some(made));
        }
    }
    if let (Some(state), Some(cell)) = (op.operand(lstm::OUTPUT_STATE), op.operand(lstm::CELL_STATE)) {
        let ty = rewrite.activation_type(state, output);
        rewrite.patch.set_type(state, ty);
        rewrite.patch.set_range(state, None);
        let quant = Quantization::new(cell_scale(rewrite.graph, op, lstm_op, cell), 0);
        let ty = Type::quantized(ElementType::I16, rewrite.graph.ty(cell).shape.clone(), quant);
        rewrite.patch.set_type(cell, ty);
        rewrite.patch.set_range(cell, None);
    }
    // LiteRT wants five descriptions of inner tensors: the gates before their activations, and the hidden state.
    let gate = Type::quantized(ElementType::I16, [0], Quantization::new(1.0 / 4096.0, 0));
    let hidden = Type::quantized(ElementType::I8, [0], output.to_quantization());
    let types = [gate.clone(), gate.clone(), gate.clone(), gate, hidden];
    let values = match op.intermediates() {
        known if known.len() == types.len() => known.to_vec(),
        _ => types.iter().map(|ty| rewrite.patch.unbound(ty.clone(), Loc::unknown())).collect(),
    };
    if values == op.intermediates() {
        for (&value, ty) in values.iter().zip(types) {
            rewrite.patch.set_type(value, ty.with_shape(rewrite.graph.ty(value).shape.clone()));
        }
    }
    rewrite.patch.set_intermediates(op_id, values);
}

/// The power of two at or above the cell state's range, divided by 32768. Without an observed range the state is bounded by the clip, or by one
/// unit per time step, which is what the gates can add.
fn cell_scale(graph: &Graph, op: &Operation, lstm_op: &UnidirectionalSequenceLstm, cell: ValueId) -> f32 {
    let steps = || {
        let axis = usize::from(!lstm_op.time_major);
        op.operand(0).and_then(|x| graph.ty(x).shape.dims().get(axis).copied()).unwrap_or(1)
    };
    let clip = (lstm_op.cell_clip > 0.0).then_some(lstm_op.cell_clip);
    #[expect(clippy::cast_precision_loss, reason = "a bound on a count of time steps")]
    let magnitude = match range_of(graph, cell).filter(|b| b.magnitude() > 0.0) {
        Some(bounds) => bounds.magnitude(),
        None => clip.unwrap_or(f32::INFINITY).min(steps() as f32),
    };
    // The kernels take 2^-15 (a range of 1) to 2^-9.
    let power = magnitude.max(f32::MIN_POSITIVE).log2().ceil().clamp(0.0, 6.0);
    (power - 15.0).exp2()
}

/// One scale for the whole tensor; answers its quantization.
fn set_weights(
    rewrite: &mut Rewrite<'_>,
    op_id: OpId,
    op: &Operation,
    index: usize,
    value: ValueId,
    (bias, input_scale): (&[f32], f32),
) -> Quantization {
    let values = rewrite.dense_constant(value).unwrap_or_default();
    let ty = rewrite.graph.ty(value).clone();
    let mut scales = weights::filter_scales(&values, ty.shape.dims(), None);
    rewrite.make_room_for_bias(op, &mut scales, bias, input_scale);
    let quant = Quantization::new(scales[0], 0);
    let (constant, ty): (Constant, Type) = weights::filter(&values, &ty, quant.clone());
    let made = rewrite.constant(value, constant, ty);
    rewrite.patch.set_operand(op_id, index, Some(made));
    quant
}
