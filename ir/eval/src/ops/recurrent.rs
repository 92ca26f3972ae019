//! Recurrent layers.

use octet_ir::ops::{
    Activation, BidirectionalSequenceLstm, BidirectionalSequenceRnn, Lstm, LstmKernel, Rnn, Svdf, UnidirectionalSequenceLstm,
    UnidirectionalSequenceRnn,
};
use octet_ir::{Diagnostic, ElementType as E};

use super::dense::{integer_weights, weight_scales};
use crate::buffer::Buffer;
use crate::float::activation::logistic;
use crate::float::gemm::multiply_vector;
use crate::float::recurrent::{self as kernels, Gate, Matrix, Rows, Sequence};
use crate::kernel::{Io, PrepareCx, PrepareError, Prepared, fallible_kernel};

/// The matrix that operand `index` holds, which must have these sizes. With `diagonal`, one row of weights is a diagonal.
fn matrix(cx: &PrepareCx<'_>, index: usize, [rows, columns]: [usize; 2], asymmetric: bool) -> Result<Matrix, PrepareError> {
    let ty = cx.ty(index)?;
    let diagonal = match ty.shape.dims() {
        [n] if *n == rows && rows == columns => true,
        [r, c] if [*r, *c] == [rows, columns] => false,
        _ => return Err(cx.invalid(format!("operand {index} is {ty}, expected {rows}x{columns}"))),
    };
    match (ty.elem, diagonal) {
        (E::F32, true) => Ok(Matrix::Diagonal(cx.value(index)?.into_owned())),
        (E::F32, false) => Ok(Matrix::Float(cx.value(index)?.into_owned())),
        (E::I8, false) => {
            let &[scale] = weight_scales(cx, ty)?.as_slice() else { return Err(cx.unsupported()) };
            Ok(Matrix::Integer { numbers: integer_weights(&cx.value::<u8>(index)?, ty), scale, asymmetric })
        }
        _ => Err(cx.unsupported()),
    }
}

/// The vector of `len` numbers that operand `index` holds: floats, or integers with a scale.
fn vector(cx: &PrepareCx<'_>, index: usize, len: usize) -> Result<Vec<f32>, PrepareError> {
    let ty = cx.ty(index)?;
    if ty.shape.elements() != len {
        return Err(cx.invalid(format!("operand {index} is {ty}, expected {len} elements")));
    }
    match ty.elem {
        E::F32 => Ok(cx.value(index)?.into_owned()),
        E::I8 => {
            let &[scale] = weight_scales(cx, ty)?.as_slice() else { return Err(cx.unsupported()) };
            Ok(integer_weights(&cx.value::<u8>(index)?, ty).into_iter().map(|w| w * scale).collect())
        }
        _ => Err(cx.unsupported()),
    }
}

/// The same, if the operand is there.
fn optional_vector(cx: &PrepareCx<'_>, index: usize, len: usize) -> Result<Option<Vec<f32>>, PrepareError> {
    cx.optional(index).is_some().then(|| vector(cx, index, len)).transpose()
}

/// Variables of a running layer as floats of at least these lengths.
fn states<const N: usize>(states: &mut [Buffer], lens: [usize; N]) -> Result<[&mut [f32]; N], Diagnostic> {
    let missing = || Diagnostic::error("EVL012", "a state of the layer is no variable of the right size");
    let states: &mut [Buffer; N] = states.get_mut(..N).and_then(|s| s.try_into().ok()).ok_or_else(missing)?;
    let slices = states.each_mut().map(super::super::buffer::Buffer::as_mut_slice::<f32>);
    if slices.iter().zip(lens).any(|(slice, len)| slice.len() < len) { Err(missing()) } else { Ok(slices) }
}

/// Sizes of an input `[T, B, I]`, `[B, T, I]` or `[B, I]` as sequence and width.
fn sequence(cx: &PrepareCx<'_>, index: usize, time_major: bool) -> Result<(Sequence, usize), PrepareError> {
    let (time, batch, inputs) = match (cx.shape(index)?, time_major) {
        (&[batch, inputs], _) => (1, batch, inputs),
        (&[time, batch, inputs], true) | (&[batch, time, inputs], false) => (time, batch, inputs),
        _ => return Err(cx.unsupported()),
    };
    Ok((Sequence { time, batch, time_major, reverse: false }, inputs))
}

pub(super) fn svdf(op: &Svdf, cx: &PrepareCx<'_>) -> Prepared {
    let [batch, inputs] = cx.dims(0)?;
    let [filters, _] = cx.dims(1)?;
    let [time_filters, memory] = cx.dims(2)?;
    let float = cx.elem(0)? == E::F32 && cx.elem(4)? == E::F32 && cx.result(0)?.elem == E::F32;
    if !float || time_filters != filters || memory == 0 || inputs == 0 || op.rank == 0 || filters < op.rank {
        return Err(cx.unsupported());
    }
    let svdf = kernels::Svdf {
        feature: matrix(cx, 1, [filters, inputs], op.asymmetric_quantize_inputs)?,
        time: vector(cx, 2, filters * memory)?,
        bias: optional_vector(cx, 3, filters / op.rank)?,
        rank: op.rank,
        filters,
        memory,
        inputs,
        activation: op.activation,
    };
    fallible_kernel(0, move |io| {
        let input = io.input(0);
        let [state] = states(io.states, [batch * filters * memory])?;
        svdf.run(input, state, io.outputs[0].data.as_mut_slice());
        Ok(())
    })
}

/// Where the operands of one direction of an LSTM stand: weights of input, forget, cell and output gate in a row.
struct Operands {
    input: usize,
    aux: Option<usize>,
    recurrent: usize,
    peephole: usize,
    bias: usize,
    projection: usize,
    norm: Option<usize>,
}

/// Attributes that all LSTMs share.
struct LstmOptions {
    activation: Activation,
    cell_clip: f32,
    proj_clip: f32,
    asymmetric: bool,
}

fn lstm_layer(
    cx: &PrepareCx<'_>,
    at: &Operands,
    options: &LstmOptions,
    (inputs, aux_inputs): (usize, usize),
) -> Result<kernels::Lstm, PrepareError> {
    // Gates are numbered input, forget, cell, output; the input gate and its operands may be left out.
    let [cells, _] = cx.dims(at.input + 3)?;
    let outputs = *cx.shape(at.recurrent + 3)?.last().ok_or_else(|| cx.invalid("the recurrent weights are a scalar"))?;
    let asymmetric = options.asymmetric;
    let gate = |gate: usize| -> Result<Gate, PrepareError> {
        // There are peepholes of the input, forget and output gate only.
        let peephole = match gate {
            0 => Some(at.peephole),
            1 => Some(at.peephole + 1),
            3 => Some(at.peephole + 2),
            _ => None,
        };
        let aux = at.aux.filter(|aux| cx.optional(aux + gate).is_some());
        Ok(Gate {
            input: matrix(cx, at.input + gate, [cells, inputs], asymmetric)?,
            aux: aux.map(|aux| matrix(cx, aux + gate, [cells, aux_inputs], asymmetric)).transpose()?,
            recurrent: matrix(cx, at.recurrent + gate, [cells, outputs], asymmetric)?,
            peephole: peephole.map_or(Ok(None), |index| optional_vector(cx, index, cells))?,
            norm: at.norm.map_or(Ok(None), |norm| optional_vector(cx, norm + gate, cells))?,
            bias: vector(cx, at.bias + gate, cells)?,
        })
    };
    let projection = match cx.optional(at.projection) {
        Some(_) => Some((matrix(cx, at.projection, [outputs, cells], asymmetric)?, optional_vector(cx, at.projection + 1, outputs)?)),
        None if outputs != cells => return Err(cx.invalid("cells and outputs differ in number without a projection")),
        None => None,
    };
    Ok(kernels::Lstm {
        input_gate: cx.optional(at.input).is_some().then(|| gate(0)).transpose()?,
        forget_gate: gate(1)?,
        cell_gate: gate(2)?,
        output_gate: gate(3)?,
        projection,
        activation: options.activation,
        cell_clip: options.cell_clip,
        proj_clip: options.proj_clip,
        cells,
        outputs,
        inputs,
        aux_inputs,
    })
}

/// The one order of operands that LSTM and UNIDIRECTIONAL_SEQUENCE_LSTM share.
fn full_lstm(cx: &PrepareCx<'_>, options: &LstmOptions, time_major: bool) -> Prepared {
    if cx.elem(0)? != E::F32 || cx.result(0)?.elem != E::F32 {
        return Err(cx.unsupported());
    }
    let norm = cx.optional(21).is_some().then_some(20);
    let at = Operands { input: 1, aux: None, recurrent: 5, peephole: 9, bias: 12, projection: 16, norm };
    let (sequence, inputs) = sequence(cx, 0, time_major)?;
    let layer = lstm_layer(cx, &at, options, (inputs, 0))?;
    let rows = Rows { stride: layer.outputs, offset: 0 };
    if cx.result(0)?.shape.elements() != sequence.time * sequence.batch * layer.outputs {
        return Err(cx.invalid("the result does not hold the outputs"));
    }
    let lens = [sequence.batch * layer.outputs, sequence.batch * layer.cells];
    fallible_kernel(0, move |io| {
        let input = io.input(0);
        let [hidden, cell] = states(io.states, lens)?;
        layer.run(sequence, (input, None), hidden, cell, (io.outputs[0].data.as_mut_slice(), rows));
        Ok(())
    })
}

pub(super) fn unidirectional_sequence_lstm(op: &UnidirectionalSequenceLstm, cx: &PrepareCx<'_>) -> Prepared {
    let options = LstmOptions {
        activation: op.activation,
        cell_clip: op.cell_clip,
        proj_clip: op.proj_clip,
        asymmetric: op.asymmetric_quantize_inputs,
    };
    full_lstm(cx, &options, op.time_major)
}

pub(super) fn lstm(op: &Lstm, cx: &PrepareCx<'_>) -> Prepared {
    match op.kernel_type {
        LstmKernel::Full => {
            let options = LstmOptions {
                activation: op.activation,
                cell_clip: op.cell_clip,
                proj_clip: op.proj_clip,
                asymmetric: op.asymmetric_quantize_inputs,
            };
            full_lstm(cx, &options, false)
        }
        LstmKernel::Basic => basic_lstm(cx),
    }
}

/// Five operands: input, previous output, weights of `[input, output]` for all gates, bias, previous cell state. Four
/// results: output, cell state, the concatenated operand and the gates before their activation.
fn basic_lstm(cx: &PrepareCx<'_>) -> Prepared {
    let [batch, inputs] = cx.dims(0)?;
    let [_, outputs] = cx.dims(1)?;
    let [rows, columns] = cx.dims(2)?;
    let float = (0..5).all(|index| cx.is(index, E::F32)) && cx.results.len() == 4;
    let fits = columns == inputs + outputs && rows == 4 * outputs && cx.ty(3)?.shape.elements() == rows;
    let lens = [batch * outputs, batch * outputs, batch * columns, batch * rows];
    let sized = cx.results.iter().zip(lens).all(|(ty, len)| ty.shape.elements() == len);
    if !float || !fits || !sized || cx.ty(4)?.shape.elements() != batch * outputs {
        return Err(cx.unsupported());
    }
    fallible_kernel(0, move |io| {
        let (x, weights, bias) = (io.input::<f32>(0), io.input(2), io.input(3));
        let (given_h, given_cell) = (io.input::<f32>(1), io.input::<f32>(4));
        // Either may be a variable, which then holds what came out.
        let mut variables = io.states.iter().map(Buffer::as_slice::<f32>);
        let mut previous = |given| if <[f32]>::is_empty(given) { variables.next().unwrap_or_default() } else { given };
        let (h, cell) = (previous(given_h), previous(given_cell));
        if h.len() < batch * outputs || cell.len() < batch * outputs {
            return Err(Diagnostic::error("EVL012", "a state of the layer is no variable of the right size"));
        }
        let [out, state, joined, gates] = &mut *io.outputs else { return Ok(()) };
        let (out, state) = (out.data.as_mut_slice::<f32>(), state.data.as_mut_slice::<f32>());
        let (joined, gates) = (joined.data.as_mut_slice::<f32>(), gates.data.as_mut_slice::<f32>());
        let mut sigmoid = vec![0.0; rows];
        for b in 0..batch {
            let joined = &mut joined[b * columns..][..columns];
            joined[..inputs].copy_from_slice(&x[b * inputs..][..inputs]);
            joined[inputs..].copy_from_slice(&h[b * outputs..][..outputs]);
            let gates = &mut gates[b * rows..][..rows];
            multiply_vector(joined, weights, Some(bias), (f32::NEG_INFINITY, f32::INFINITY), gates);
            logistic(gates, &mut sigmoid);
            for i in 0..outputs {
                let (input, forget, output) = (sigmoid[i], sigmoid[2 * outputs + i], sigmoid[3 * outputs + i]);
                let new = input * gates[outputs + i].tanh() + forget * cell[b * outputs + i];
                state[b * outputs + i] = new;
                out[b * outputs + i] = output * new.tanh();
            }
        }
        let kept: [(&[f32], &[f32]); 2] = [(given_h, out), (given_cell, state)];
        let fresh = kept.into_iter().filter(|(given, _)| given.is_empty()).map(|(_, made)| made);
        for (variable, made) in io.states.iter_mut().zip(fresh) {
            variable.as_mut_slice::<f32>()[..made.len()].copy_from_slice(made);
        }
        Ok(())
    })
}

/// Inputs of both directions of a bidirectional layer.
struct Directions {
    /// Operand that the backward direction reads as its input.
    backward: usize,
    /// Operand that both read as auxiliary input.
    aux: Option<usize>,
}

/// With an auxiliary input but no weights for it, it is the backward direction's input (stacked layers).
fn directions(cx: &PrepareCx<'_>, aux: usize, aux_weights: usize) -> Directions {
    match (cx.optional(aux).is_some(), cx.optional(aux_weights).is_some()) {
        (true, true) => Directions { backward: 0, aux: Some(aux) },
        (true, false) => Directions { backward: aux, aux: None },
        (false, _) => Directions { backward: 0, aux: None },
    }
}

/// Rows of both directions: side by side in one result, or each in its own.
fn merged(merge: bool, forward: usize, backward: usize) -> [Rows; 2] {
    if merge {
        let stride = forward + backward;
        [Rows { stride, offset: 0 }, Rows { stride, offset: forward }]
    } else {
        [Rows { stride: forward, offset: 0 }, Rows { stride: backward, offset: 0 }]
    }
}

/// Whether the results hold `rows` rows of both directions.
fn results_fit(cx: &PrepareCx<'_>, merge: bool, rows: usize, widths: [usize; 2]) -> bool {
    let sizes: Vec<usize> = cx.results.iter().map(|ty| ty.shape.elements()).collect();
    let [forward, backward] = widths;
    let float = cx.results.iter().all(|ty| ty.elem == E::F32);
    float && if merge { sizes == [rows * (forward + backward)] } else { sizes == [rows * forward, rows * backward] }
}

/// The result that direction `direction` writes.
fn direction_output<'a>(io: &'a mut Io<'_>, merge: bool, direction: usize) -> &'a mut [f32] {
    let index = if merge { 0 } else { direction };
    io.outputs[index].data.as_mut_slice()
}

pub(super) fn bidirectional_sequence_lstm(op: &BidirectionalSequenceLstm, cx: &PrepareCx<'_>) -> Prepared {
    const AUX: usize = 39;
    if cx.elem(0)? != E::F32 {
        return Err(cx.unsupported());
    }
    let options = LstmOptions {
        activation: op.activation,
        cell_clip: op.cell_clip,
        proj_clip: op.proj_clip,
        asymmetric: op.asymmetric_quantize_inputs,
    };
    let ways = directions(cx, AUX, 41);
    let (forward, inputs) = sequence(cx, 0, op.time_major)?;
    let (backward, backward_inputs) = sequence(cx, ways.backward, op.time_major)?;
    let aux_inputs = ways.aux.map_or(Ok(0), |aux| sequence(cx, aux, op.time_major).map(|(_, inputs)| inputs))?;
    if (forward.time, forward.batch) != (backward.time, backward.batch) {
        return Err(cx.invalid("both directions need sequences of one length"));
    }
    let backward = Sequence { reverse: true, ..backward };
    let at = |first: usize, aux: usize| Operands {
        input: first,
        aux: ways.aux.map(|_| aux),
        recurrent: first + 4,
        peephole: first + 8,
        bias: first + 11,
        projection: first + 15,
        norm: None,
    };
    let layers = [
        lstm_layer(cx, &at(1, 40), &options, (inputs, aux_inputs))?,
        lstm_layer(cx, &at(18, 44), &options, (backward_inputs, aux_inputs))?,
    ];
    let merge = op.merge_outputs;
    let rows = merged(merge, layers[0].outputs, layers[1].outputs);
    if !results_fit(cx, merge, forward.time * forward.batch, [layers[0].outputs, layers[1].outputs]) {
        return Err(cx.invalid("the results do not hold the outputs of both directions"));
    }
    let len = |layer: &kernels::Lstm| [forward.batch * layer.outputs, forward.batch * layer.cells];
    let ([a, b], [c, d]) = (len(&layers[0]), len(&layers[1]));
    fallible_kernel(0, move |io| {
        let aux = ways.aux.map(|aux| io.input::<f32>(aux));
        let (first, second) = (io.input::<f32>(0), io.input::<f32>(ways.backward));
        let states_of = std::mem::take(&mut io.states);
        let [hidden, cell, back_hidden, back_cell] = states(states_of, [a, b, c, d])?;
        layers[0].run(forward, (first, aux), hidden, cell, (direction_output(io, merge, 0), rows[0]));
        layers[1].run(backward, (second, aux), back_hidden, back_cell, (direction_output(io, merge, 1), rows[1]));
        Ok(())
    })
}

/// A plain recurrent layer whose weights, recurrent weights and bias stand from `first` on.
fn rnn_layer(
    cx: &PrepareCx<'_>,
    first: usize,
    (inputs, aux): (usize, Option<(usize, usize)>),
    activation: Activation,
    asymmetric: bool,
) -> Result<kernels::Rnn, PrepareError> {
    let [units, _] = cx.dims(first)?;
    Ok(kernels::Rnn {
        input: matrix(cx, first, [units, inputs], asymmetric)?,
        aux: aux.map(|(index, width)| matrix(cx, index, [units, width], asymmetric)).transpose()?,
        recurrent: matrix(cx, first + 1, [units, units], asymmetric)?,
        bias: vector(cx, first + 2, units)?,
        activation,
        inputs,
        aux_inputs: aux.map_or(0, |(_, width)| width),
    })
}

fn single_rnn(cx: &PrepareCx<'_>, time_major: bool, activation: Activation, asymmetric: bool) -> Prepared {
    if cx.elem(0)? != E::F32 {
        return Err(cx.unsupported());
    }
    let (sequence, inputs) = sequence(cx, 0, time_major)?;
    let layer = rnn_layer(cx, 1, (inputs, None), activation, asymmetric)?;
    let units = layer.bias.len();
    if cx.result(0)?.shape.elements() != sequence.time * sequence.batch * units {
        return Err(cx.invalid("the result does not hold the outputs"));
    }
    fallible_kernel(0, move |io| {
        let input = io.input(0);
        let [hidden] = states(io.states, [sequence.batch * units])?;
        layer.run(sequence, (input, None), hidden, (io.outputs[0].data.as_mut_slice(), Rows { stride: units, offset: 0 }));
        Ok(())
    })
}

pub(super) fn rnn(op: &Rnn, cx: &PrepareCx<'_>) -> Prepared {
    single_rnn(cx, false, op.activation, op.asymmetric_quantize_inputs)
}

pub(super) fn unidirectional_sequence_rnn(op: &UnidirectionalSequenceRnn, cx: &PrepareCx<'_>) -> Prepared {
    single_rnn(cx, op.time_major, op.activation, op.asymmetric_quantize_inputs)
}

pub(super) fn bidirectional_sequence_rnn(op: &BidirectionalSequenceRnn, cx: &PrepareCx<'_>) -> Prepared {
    const AUX: usize = 9;
    if cx.elem(0)? != E::F32 {
        return Err(cx.unsupported());
    }
    let ways = directions(cx, AUX, 10);
    let (forward, inputs) = sequence(cx, 0, op.time_major)?;
    let (backward, backward_inputs) = sequence(cx, ways.backward, op.time_major)?;
    if (forward.time, forward.batch) != (backward.time, backward.batch) {
        return Err(cx.invalid("both directions need sequences of one length"));
    }
    let aux_inputs = ways.aux.map_or(Ok(0), |aux| sequence(cx, aux, op.time_major).map(|(_, inputs)| inputs))?;
    let aux = |weights: usize| ways.aux.map(|_| (weights, aux_inputs));
    let backward = Sequence { reverse: true, ..backward };
    let layers = [
        rnn_layer(cx, 1, (inputs, aux(10)), op.activation, op.asymmetric_quantize_inputs)?,
        rnn_layer(cx, 5, (backward_inputs, aux(11)), op.activation, op.asymmetric_quantize_inputs)?,
    ];
    let (merge, units) = (op.merge_outputs, [layers[0].bias.len(), layers[1].bias.len()]);
    if !results_fit(cx, merge, forward.time * forward.batch, units) {
        return Err(cx.invalid("the results do not hold the outputs of both directions"));
    }
    let rows = merged(merge, units[0], units[1]);
    fallible_kernel(0, move |io| {
        let aux = ways.aux.map(|aux| io.input::<f32>(aux));
        let (first, second) = (io.input::<f32>(0), io.input::<f32>(ways.backward));
        let states_of = std::mem::take(&mut io.states);
        let [hidden, back_hidden] = states(states_of, units.map(|units| units * forward.batch))?;
        layers[0].run(forward, (first, aux), hidden, (direction_output(io, merge, 0), rows[0]));
        layers[1].run(backward, (second, aux), back_hidden, (direction_output(io, merge, 1), rows[1]));
        Ok(())
    })
}
