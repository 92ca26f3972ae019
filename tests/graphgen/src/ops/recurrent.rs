//! Recurrent layers and SVDF: their states are variables.

use octet_ir::ops::{
    Activation, BidirectionalSequenceLstm, BidirectionalSequenceRnn, Lstm, LstmKernel, Rnn, Svdf, UnidirectionalSequenceLstm,
    UnidirectionalSequenceRnn,
};
use octet_ir::{ElementType, Quantization, Type, ValueId};

use super::{Family, Needs};
use crate::build::{Cx, Out};
use crate::kind::Kind;
use crate::profile::Runtime;

pub(super) const FAMILIES: &[Family] = &[
    Family::new(&["svdf"], svdf).needing(Needs::State),
    Family::new(&["unidirectional_sequence_lstm"], sequence_lstm).needing(Needs::State),
    Family::new(&["bidirectional_sequence_lstm"], bidirectional_lstm).needing(Needs::State),
    Family::new(&["lstm"], lstm).needing(Needs::State),
    Family::new(&["rnn", "unidirectional_sequence_rnn"], rnn).needing(Needs::State),
    Family::new(&["bidirectional_sequence_rnn"], bidirectional_rnn).needing(Needs::State),
];

/// A variable.
fn state(cx: &mut Cx<'_, '_>, ty: Type) -> ValueId {
    let name = cx.name("state");
    cx.builder.variable(ty, name)
}

/// Constant float numbers of these sizes.
fn numbers(cx: &mut Cx<'_, '_>, dims: &[usize]) -> ValueId {
    cx.filled(Type::f32(dims), -0.7, 0.7)
}

fn svdf(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.ranked(kind, 2);
    let [batch, inputs] = cx.dims(x).try_into().ok()?;
    let (rank, units, memory) = (cx.random().between(1, 2), cx.random().between(1, 4), cx.random().between(1, 5));
    let filters = units * rank;
    if kind == Kind::F32 {
        let operands = [x, numbers(cx, &[filters, inputs]), numbers(cx, &[filters, memory]), numbers(cx, &[units])].map(Some);
        let state = state(cx, Type::f32([batch, memory * filters]));
        let activation = *cx.random().pick(&[Activation::None, Activation::Relu]);
        let op = Svdf { rank, activation, asymmetric_quantize_inputs: false };
        let operands = [&operands[..3], &[operands[3].filter(|_| cx.chance(70)), Some(state)]].concat();
        return cx.emit(op, &operands, &[Out::plain(ElementType::F32, -100.0, 100.0)]).map(drop);
    }
    // Time weights keep to ten bits; the bias has the scale of time weights and state.
    let feature = cx.filled(Type::quantized(ElementType::I8, [filters, inputs], Quantization::new(0.01, 0)), 0.0, 0.0);
    let (time_scale, state_scale) = (1.0 / 1024.0, 1.0 / 2048.0);
    let time: Vec<i16> = (0..filters * memory).map(|_| i16::try_from(cx.random().integer(-512, 511)).unwrap_or(0)).collect();
    let time_type = Type::quantized(ElementType::I16, [filters, memory], Quantization::new(time_scale, 0));
    let time = cx.constant(octet_ir::Constant::from_i16(&time), time_type);
    let bias = Type::quantized(ElementType::I32, [units], Quantization::new(time_scale * state_scale, 0));
    let bias = cx.filled(bias, 0.0, 0.0);
    let state = state(cx, Type::quantized(ElementType::I16, [batch, memory * filters], Quantization::new(state_scale, 0)));
    let op = Svdf { rank, activation: Activation::Relu, asymmetric_quantize_inputs: false };
    let out = cx.out(kind, -2.0, 4.0);
    let operands = [x, feature, time, bias, state].map(Some);
    cx.emit(op, &operands, &[out]).map(drop)
}

/// Sizes of an LSTM cell.
#[derive(Clone, Copy)]
struct Cell {
    batch: usize,
    inputs: usize,
    cells: usize,
    outputs: usize,
}

/// Operands 1 to 17 of an LSTM: weights, peepholes, biases, projection. What is left out is `None`.
fn gates(cx: &mut Cx<'_, '_>, cell: Cell, projection: bool) -> Vec<Option<ValueId>> {
    let rich = cx.runtime() != Runtime::Tflm;
    let (no_input_gate, peephole) = (rich && cx.chance(25), rich && cx.chance(25));
    let mut operands = Vec::new();
    let gate = |index: usize| index == 0 && no_input_gate;
    for index in 0..4 {
        operands.push((!gate(index)).then(|| numbers(cx, &[cell.cells, cell.inputs])));
    }
    for index in 0..4 {
        operands.push((!gate(index)).then(|| numbers(cx, &[cell.cells, cell.outputs])));
    }
    for index in 0..3 {
        operands.push((peephole && !gate(index)).then(|| numbers(cx, &[cell.cells])));
    }
    for index in 0..4 {
        operands.push((!gate(index)).then(|| numbers(cx, &[cell.cells])));
    }
    operands.push(projection.then(|| numbers(cx, &[cell.outputs, cell.cells])));
    operands.push((projection && cx.chance(50)).then(|| numbers(cx, &[cell.outputs])));
    operands
}

/// The width of a projection. LiteRT computes it in a buffer of one gate: a wider one overwrites what lies behind.
fn projected(cx: &mut Cx<'_, '_>, cells: usize) -> usize {
    let most = if cx.runtime() == Runtime::LiteRt { cells.min(4) } else { 4 };
    cx.random().between(1, most)
}

/// All operands of a float LSTM after the input, states included; as many as TFLite lists.
fn float_operands(cx: &mut Cx<'_, '_>, cell: Cell, projection: bool) -> Vec<Option<ValueId>> {
    let mut operands = gates(cx, cell, projection);
    let layer_norm = cx.runtime() != Runtime::Tflm && cx.chance(25);
    let no_input_gate = operands[0].is_none();
    operands.push(Some(state(cx, Type::f32([cell.batch, cell.outputs]))));
    operands.push(Some(state(cx, Type::f32([cell.batch, cell.cells]))));
    for index in 0..4 {
        let present = layer_norm && !(index == 0 && no_input_gate);
        operands.push(present.then(|| numbers(cx, &[cell.cells])));
    }
    if !layer_norm && cx.runtime() != Runtime::Tflm && cx.chance(50) {
        // Files from before layer normalization list twenty.
        operands.truncate(19);
    }
    operands
}

/// All operands of an 8-bit LSTM after the input (without peepholes, projection and layer normalization), its output type, and its
/// intermediates: the biases have the scale of input and weights, the cell state a power of two, the output state that of the output.
fn integer_operands(cx: &mut Cx<'_, '_>, cell: Cell, input_scale: f32, out: &Type) -> (Vec<Option<ValueId>>, Vec<Type>) {
    let mut operands = Vec::new();
    let mut scales = Vec::new();
    for width in [cell.inputs, cell.outputs] {
        for _ in 0..4 {
            let scale = cx.random().float(0.002, 0.01);
            scales.push(scale);
            let ty = Type::quantized(ElementType::I8, [cell.cells, width], Quantization::new(scale, 0));
            operands.push(Some(cx.filled(ty, 0.0, 0.0)));
        }
    }
    operands.extend([None; 3]);
    for scale in &scales[..4] {
        let ty = Type::quantized(ElementType::I32, [cell.cells], Quantization::new(input_scale * scale, 0));
        operands.push(Some(cx.filled(ty, 0.0, 0.0)));
    }
    operands.extend([None; 2]);
    operands.push(Some(state(cx, out.clone().with_shape([cell.batch, cell.outputs]))));
    let cell_state = Type::quantized(ElementType::I16, [cell.batch, cell.cells], Quantization::new(1.0 / 2048.0, 0));
    operands.push(Some(state(cx, cell_state)));
    operands.extend([None; 4]);
    // Nothing to store: runtimes refuse intermediates with elements.
    let unused = Type::quantized(ElementType::I16, [0], Quantization::new(1.0 / 4096.0, 0));
    let hidden = out.clone().with_shape([0]);
    (operands, vec![unused.clone(), unused.clone(), unused.clone(), unused, hidden])
}

/// Sizes of a sequence and whether time comes first.
fn sequence(cx: &mut Cx<'_, '_>, kind: Kind) -> Option<(ValueId, usize, usize, usize, bool)> {
    let x = cx.ranked(kind, 3);
    let [a, b, inputs] = cx.dims(x).try_into().ok()?;
    let time_major = cx.chance(50);
    let (time, batch) = if time_major { (a, b) } else { (b, a) };
    Some((x, time, batch, inputs, time_major))
}

fn sequence_lstm(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let (x, time, batch, inputs, time_major) = sequence(cx, kind)?;
    let cells = cx.random().between(1, 5);
    let projection = kind == Kind::F32 && cx.runtime() != Runtime::Tflm && cx.chance(30);
    let outputs = if projection { projected(cx, cells) } else { cells };
    let cell = Cell { batch, inputs, cells, outputs };
    let cell_clip = *cx.random().pick(&[0.0, 10.0]);
    let op = UnidirectionalSequenceLstm { activation: Activation::Tanh, time_major, cell_clip, ..Default::default() };
    let dims = if time_major { [time, batch, outputs] } else { [batch, time, outputs] };
    if dims.iter().product::<usize>() > cx.profile().max_elements {
        return None;
    }
    let quant = kind.quantization(-1.0, 127.0 / 128.0).map(Into::into);
    let out = Type::new(kind.elem(), dims).with_quant(quant);
    let (operands, inner) = match cx.ty(x).scale_zero_point() {
        Some((scale, _)) => integer_operands(cx, cell, scale, &out),
        None => (float_operands(cx, cell, projection), Vec::new()),
    };
    let operands: Vec<_> = std::iter::once(Some(x)).chain(operands).collect();
    cx.emit_with(op, &operands, out, inner);
    Some(())
}

fn bidirectional_lstm(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let (x, time, batch, inputs, time_major) = sequence(cx, kind)?;
    // LiteRT finds the state of a later sample by the width of the output, which of merged outputs is twice the state's.
    let within = time_major || batch == 1 || cx.runtime() != Runtime::LiteRt;
    let merge_outputs = within && cx.chance(50);
    let mut operands = vec![Some(x)];
    let mut states = Vec::new();
    let mut widths = Vec::new();
    // LiteRT checks both directions against the forward one's number of cells.
    let same = (cx.runtime() == Runtime::LiteRt).then(|| cx.random().between(1, 4));
    for _ in 0..2 {
        let cells = same.unwrap_or_else(|| cx.random().between(1, 4));
        let cell = Cell { batch, inputs, cells, outputs: cells };
        operands.extend(gates(cx, cell, false));
        states.push(Some(state(cx, Type::f32([batch, cells]))));
        states.push(Some(state(cx, Type::f32([batch, cells]))));
        widths.push(cells);
    }
    operands.extend(states);
    operands.extend([None; 9]);
    let op = BidirectionalSequenceLstm { activation: Activation::Tanh, merge_outputs, time_major, ..Default::default() };
    let widths = if merge_outputs { vec![widths.iter().sum()] } else { widths };
    let dims = |width: usize| if time_major { [time, batch, width] } else { [batch, time, width] };
    cx.emit_declared(op, &operands, widths.into_iter().map(|w| Type::f32(dims(w))).collect());
    Some(())
}

fn lstm(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.ranked(kind, 2);
    let [batch, inputs] = cx.dims(x).try_into().ok()?;
    let cells = cx.random().between(1, 5);
    if kind == Kind::F32 && cx.chance(40) {
        let previous = state(cx, Type::f32([batch, cells]));
        let weights = numbers(cx, &[4 * cells, inputs + cells]);
        let bias = numbers(cx, &[4 * cells]);
        let cell = state(cx, Type::f32([batch, cells]));
        let op = Lstm { activation: Activation::Tanh, kernel_type: LstmKernel::Basic, ..Default::default() };
        let types = [cells, cells, inputs + cells, 4 * cells].map(|width| Type::f32([batch, width]));
        cx.emit_declared(op, &[x, previous, weights, bias, cell].map(Some), types.to_vec());
        return Some(());
    }
    let projection = kind == Kind::F32 && cx.chance(30);
    let outputs = if projection { projected(cx, cells) } else { cells };
    let cell = Cell { batch, inputs, cells, outputs };
    let op = Lstm { activation: Activation::Tanh, ..Default::default() };
    let quant = kind.quantization(-1.0, 127.0 / 128.0).map(Into::into);
    let out = Type::new(kind.elem(), [batch, outputs]).with_quant(quant);
    let (operands, inner) = match cx.ty(x).scale_zero_point() {
        Some((scale, _)) => integer_operands(cx, cell, scale, &out),
        None => (float_operands(cx, cell, projection), Vec::new()),
    };
    let operands: Vec<_> = std::iter::once(Some(x)).chain(operands).collect();
    cx.emit_with(op, &operands, out, inner);
    Some(())
}

fn rnn_activation(cx: &mut Cx<'_, '_>) -> Activation {
    *cx.random().pick(&[Activation::Tanh, Activation::Relu, Activation::Relu6])
}

fn rnn(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let units = cx.random().between(1, 5);
    let activation = rnn_activation(cx);
    let out = Out::plain(ElementType::F32, -100.0, 1000.0);
    if mnemonic == "rnn" {
        let x = cx.ranked(kind, 2);
        let [batch, inputs] = cx.dims(x).try_into().ok()?;
        let weights = [numbers(cx, &[units, inputs]), numbers(cx, &[units, units]), numbers(cx, &[units])];
        let hidden = state(cx, Type::f32([batch, units]));
        let op = Rnn { activation, asymmetric_quantize_inputs: false };
        return cx.emit1(op, &[x, weights[0], weights[1], weights[2], hidden], out).map(drop);
    }
    let (x, _, batch, inputs, time_major) = sequence(cx, kind)?;
    let weights = [numbers(cx, &[units, inputs]), numbers(cx, &[units, units]), numbers(cx, &[units])];
    let hidden = state(cx, Type::f32([batch, units]));
    let op = UnidirectionalSequenceRnn { time_major, activation, asymmetric_quantize_inputs: false };
    cx.emit1(op, &[x, weights[0], weights[1], weights[2], hidden], out).map(drop)
}

fn bidirectional_rnn(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let (x, time, batch, inputs, time_major) = sequence(cx, kind)?;
    // LiteRT finds the state of a later sample by the width of the output, which of merged outputs is twice the state's.
    let within = time_major || batch == 1 || cx.runtime() != Runtime::LiteRt;
    let merge_outputs = within && cx.chance(50);
    let mut operands = vec![Some(x)];
    let mut widths = Vec::new();
    for _ in 0..2 {
        let units = cx.random().between(1, 4);
        operands.extend([numbers(cx, &[units, inputs]), numbers(cx, &[units, units]), numbers(cx, &[units])].map(Some));
        operands.push(Some(state(cx, Type::f32([batch, units]))));
        widths.push(units);
    }
    operands.extend([None; 3]);
    let activation = rnn_activation(cx);
    let op = BidirectionalSequenceRnn { time_major, activation, merge_outputs, asymmetric_quantize_inputs: false };
    let widths = if merge_outputs { vec![widths.iter().sum()] } else { widths };
    let dims = |width: usize| if time_major { [time, batch, width] } else { [batch, time, width] };
    cx.emit_declared(op, &operands, widths.into_iter().map(|w| Type::f32(dims(w))).collect());
    Some(())
}
