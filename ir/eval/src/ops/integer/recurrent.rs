//! SVDF and LSTM on integers.

use octet_ir::ElementType as E;
use octet_ir::ops::{Activation, LstmKernel, Svdf, UnidirectionalSequenceLstm};

use super::conv::{bias, weight_scales};
use super::{affine, kernel, operand, prepared, result};
use crate::int::lstm::{GateWeights, Lstm, LstmShape};
use crate::int::{KernelError, Quantized, svdf as kernels};
use crate::kernel::{Io, PrepareCx, PrepareError, Prepared};

/// Weights of 8 bits.
fn signed(cx: &PrepareCx<'_>, index: usize) -> Result<Vec<i8>, PrepareError> {
    if cx.elem(index)? == E::I8 { Ok(cx.value::<i8>(index)?.into_owned()) } else { Err(cx.unsupported()) }
}

/// The one scale of symmetric weights.
fn one_scale(cx: &PrepareCx<'_>, index: usize) -> Result<f32, PrepareError> {
    match weight_scales(cx, index, 0)? {
        &[scale] if cx.ty(index)?.quant.as_ref().is_some_and(|q| q.is_symmetric()) => Ok(scale),
        _ => Err(cx.unsupported()),
    }
}

pub(super) fn svdf(op: &Svdf, cx: &PrepareCx<'_>) -> Prepared {
    let [batch, input] = cx.dims(0)?;
    let [filters, _] = cx.dims(1)?;
    let [time_filters, memory] = cx.dims(2)?;
    let state = cx.ty(4)?;
    let same_storage = cx.elem(2)? == state.elem && matches!(state.elem, E::I8 | E::I16);
    if cx.elem(0)? != E::I8 || cx.result(0)?.elem != E::I8 || !same_storage || time_filters != filters {
        return Err(cx.unsupported());
    }
    // The integer kernel ignores the activation; only what it computes is accepted.
    if !matches!(op.activation, Activation::None | Activation::Relu) {
        return Err(cx.unsupported());
    }
    let shape = kernels::SvdfShape { batch, input, filters, memory, rank: op.rank };
    let bias = cx.optional(3).is_some().then(|| cx.value::<i32>(3)).transpose()?;
    let scales = (operand(cx, 0)?, one_scale(cx, 1)?, one_scale(cx, 2)?, affine(cx, state)?, result(cx)?);
    let svdf = kernels::Svdf::prepare(shape, &signed(cx, 1)?, bias.as_deref(), scales.0, scales.1, scales.2, scales.3, scales.4);
    let svdf = prepared(cx, svdf)?;
    if state.elem == E::I16 {
        let time = cx.value::<i16>(2)?.into_owned();
        kernel(move |io| {
            let input = io.input(0);
            let [state, ..] = &mut *io.states else { return Err(missing()) };
            svdf.run::<i16>(input, &time, state.as_mut_slice(), io.outputs[0].data.as_mut_slice())
        })
    } else {
        let time = signed(cx, 2)?;
        kernel(move |io| {
            let input = io.input(0);
            let [state, ..] = &mut *io.states else { return Err(missing()) };
            svdf.run::<i8>(input, &time, state.as_mut_slice(), io.outputs[0].data.as_mut_slice())
        })
    }
}

fn missing() -> KernelError {
    KernelError("a state is missing".into())
}

/// What the two layers that share one order of operands say of themselves.
struct Layer {
    activation: Activation,
    cell_clip: f32,
    time_major: bool,
}

pub(super) fn unidirectional_sequence_lstm(op: &UnidirectionalSequenceLstm, cx: &PrepareCx<'_>) -> Prepared {
    lstm_layer(&Layer { activation: op.activation, cell_clip: op.cell_clip, time_major: op.time_major }, cx)
}

/// One step of the same arithmetic; the basic cell on uint8 is another one.
pub(super) fn lstm(op: &octet_ir::ops::Lstm, cx: &PrepareCx<'_>) -> Prepared {
    match op.kernel_type {
        LstmKernel::Full => lstm_layer(&Layer { activation: op.activation, cell_clip: op.cell_clip, time_major: true }, cx),
        LstmKernel::Basic => Err(cx.unsupported()),
    }
}

/// Operands in TFLite's order: weights 1 to 4 and 5 to 8, biases 12 to 15, each for input, forget, cell and output gate; the output state
/// is operand 18, the cell state 19.
fn lstm_layer(op: &Layer, cx: &PrepareCx<'_>) -> Prepared {
    const LEFT_OUT: [usize; 9] = [9, 10, 11, 16, 17, 20, 21, 22, 23];
    let elem = cx.elem(0)?;
    let (hidden_ty, cell_ty) = (cx.ty(18)?, cx.ty(19)?);
    let fits = matches!(elem, E::I8 | E::I16) && cx.result(0)?.elem == elem && hidden_ty.elem == elem && cell_ty.elem == E::I16;
    if !fits || LEFT_OUT.iter().any(|&i| cx.optional(i).is_some()) {
        return Err(cx.unsupported());
    }
    let sigmoid_cell = match op.activation {
        Activation::Tanh => false,
        Activation::None | Activation::Relu | Activation::ReluN1To1 | Activation::Relu6 | Activation::SignBit => {
            return Err(cx.unsupported());
        }
    };
    let [first, second, input] = match *cx.shape(0)? {
        [batch, input] => [if op.time_major { 1 } else { batch }, if op.time_major { batch } else { 1 }, input],
        [first, second, input] => [first, second, input],
        _ => return Err(cx.unsupported()),
    };
    let (time, batch) = if op.time_major { (first, second) } else { (second, first) };
    let [state, _] = cx.dims(5)?;
    let shape = LstmShape { batch, time, input, state, time_major: op.time_major, cell_clip: op.cell_clip, sigmoid_cell };
    let wide = elem == E::I16;
    let constants = |gate: usize| -> Result<_, PrepareError> {
        Ok((
            signed(cx, 1 + gate)?,
            one_scale(cx, 1 + gate)?,
            signed(cx, 5 + gate)?,
            one_scale(cx, 5 + gate)?,
            bias(cx, 12 + gate, state, wide)?,
        ))
    };
    let [i, f, c, o] = [constants(0)?, constants(1)?, constants(2)?, constants(3)?];
    let gates = [&i, &f, &c, &o].map(|(input, input_scale, recurrent, recurrent_scale, bias)| GateWeights {
        input,
        input_scale: *input_scale,
        recurrent,
        recurrent_scale: *recurrent_scale,
        bias: bias.clone(),
    });
    let cell = affine(cx, cell_ty)?;
    let hidden = affine(cx, hidden_ty)?;
    if cell.zero_point != 0 {
        return Err(cx.invalid("the cell state must be symmetric"));
    }
    let input_scale = operand(cx, 0)?;
    if wide {
        let lstm = prepared(cx, Lstm::prepare::<i16>(shape, gates, input_scale, hidden, cell.scale))?;
        kernel(move |io| run_lstm::<i16>(&lstm, io))
    } else {
        let lstm = prepared(cx, Lstm::prepare::<i8>(shape, gates, input_scale, hidden, cell.scale))?;
        kernel(move |io| run_lstm::<i8>(&lstm, io))
    }
}

fn run_lstm<A: Quantized + bytemuck::Pod>(lstm: &Lstm, io: &mut Io<'_>) -> crate::int::Result<()> {
    let input = io.input(0);
    let [hidden, cell, ..] = &mut *io.states else { return Err(missing()) };
    lstm.run::<A>(input, hidden.as_mut_slice(), cell.as_mut_slice(), io.outputs[0].data.as_mut_slice())
}
