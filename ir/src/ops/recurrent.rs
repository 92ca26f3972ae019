//! Recurrent layers and the streaming filter SVDF. Their states are variables, updated in place.

use serde::{Deserialize, Serialize};

use super::common::Activation;
use super::infer::{InferCx, InferError, Inferred, invalid, one};

op! {
    /// Singular-value-decomposed filter over time: `input [B, I]`, `feature_weights [F, I]`, `time_weights [F, T]`, `bias [F/rank]`.
    Svdf = "svdf" [input, feature_weights, time_weights, bias?, state!] svdf;
    {
        /// Rank of the decomposition.
        rank: usize = 1,
        /// Fused activation.
        activation: Activation = Activation::None,
        /// With float input and integer weights: quantize the input asymmetrically when the model runs.
        asymmetric_quantize_inputs: bool = false,
    }
}

fn svdf(op: &Svdf, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let [batch, inputs] = cx.dims(0)?;
    let [filters, weight_inputs] = cx.dims(1)?;
    if weight_inputs != inputs || op.rank == 0 || filters % op.rank != 0 {
        return Err(invalid(format!("{filters} filters of {weight_inputs} inputs and rank {} do not fit {inputs} inputs", op.rank)));
    }
    one(cx.elem(0)?, [batch, filters / op.rank])
}

op! {
    /// LSTM over a sequence `[T, B, I]` or `[B, T, I]`; operands in TFLite's order of 20 or 24.
    UnidirectionalSequenceLstm = "unidirectional_sequence_lstm" [
        input, input_to_input_weights?, input_to_forget_weights, input_to_cell_weights, input_to_output_weights,
        recurrent_to_input_weights?, recurrent_to_forget_weights, recurrent_to_cell_weights, recurrent_to_output_weights,
        cell_to_input_weights?, cell_to_forget_weights?, cell_to_output_weights?,
        input_gate_bias?, forget_gate_bias, cell_gate_bias, output_gate_bias, projection_weights?, projection_bias?,
        output_state!, cell_state!,
        input_layer_norm?, forget_layer_norm?, cell_layer_norm?, output_layer_norm?
    ] |_, cx| sequence_lstm(cx);
    {
        /// Activation of the cell.
        activation: Activation = Activation::None,
        /// Clip of the cell state; 0 is none.
        cell_clip: f32 = 0.0,
        /// Clip of the projection; 0 is none.
        proj_clip: f32 = 0.0,
        /// Time is the outermost axis.
        time_major: bool = false,
        /// With float input and integer weights: quantize the input asymmetrically when the model runs.
        asymmetric_quantize_inputs: bool = false,
        /// Recurrent weights are diagonal matrices.
        diagonal_recurrent_tensors: bool = false,
    }
}

fn sequence_lstm(cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let [a, b, _] = cx.dims(0)?;
    let [_, outputs] = cx.dims(8)?;
    one(cx.elem(0)?, [a, b, outputs])
}

op! {
    /// Two LSTMs over a sequence, forward and backward; operands in TFLite's order of 48.
    BidirectionalSequenceLstm = "bidirectional_sequence_lstm" [operands..] |_, cx| cx.declared_results();
    {
        /// Activation of the cell.
        activation: Activation = Activation::None,
        /// Clip of the cell state; 0 is none.
        cell_clip: f32 = 0.0,
        /// Clip of the projection; 0 is none.
        proj_clip: f32 = 0.0,
        /// Concatenate both outputs into one result.
        merge_outputs: bool = false,
        /// Time is the outermost axis.
        time_major: bool = true,
        /// With float input and integer weights: quantize the input asymmetrically when the model runs.
        asymmetric_quantize_inputs: bool = false,
    }
}

/// Which LSTM cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LstmKernel {
    /// All gates apart, operands as in the sequence LSTM.
    #[default]
    Full,
    /// Five operands, gates concatenated.
    Basic,
}

op! {
    /// One step of an LSTM cell.
    Lstm = "lstm" [operands..] |_, cx| cx.declared_results();
    {
        /// Activation of the cell.
        activation: Activation = Activation::None,
        /// Clip of the cell state; 0 is none.
        cell_clip: f32 = 0.0,
        /// Clip of the projection; 0 is none.
        proj_clip: f32 = 0.0,
        /// Which cell.
        kernel_type: LstmKernel = LstmKernel::Full,
        /// With float input and integer weights: quantize the input asymmetrically when the model runs.
        asymmetric_quantize_inputs: bool = false,
    }
}

op! {
    /// One step of a plain recurrent layer: `activation(W x + R h + b)`.
    Rnn = "rnn" [input, weights, recurrent_weights, bias, hidden_state!] rnn;
    {
        /// Activation.
        activation: Activation = Activation::None,
        /// With float input and integer weights: quantize the input asymmetrically when the model runs.
        asymmetric_quantize_inputs: bool = false,
    }
}

fn rnn(_: &Rnn, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let [batch, _] = cx.dims(0)?;
    let [units, _] = cx.dims(1)?;
    one(cx.elem(0)?, [batch, units])
}

op! {
    /// A plain recurrent layer over a sequence.
    UnidirectionalSequenceRnn = "unidirectional_sequence_rnn" [input, weights, recurrent_weights, bias, hidden_state!] sequence_rnn;
    {
        /// Time is the outermost axis.
        time_major: bool = false,
        /// Activation.
        activation: Activation = Activation::None,
        /// With float input and integer weights: quantize the input asymmetrically when the model runs.
        asymmetric_quantize_inputs: bool = false,
    }
}

fn sequence_rnn(_: &UnidirectionalSequenceRnn, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let [a, b, _] = cx.dims(0)?;
    let [units, _] = cx.dims(1)?;
    one(cx.elem(0)?, [a, b, units])
}

op! {
    /// Two plain recurrent layers over a sequence, forward and backward; operands in TFLite's order of 12.
    BidirectionalSequenceRnn = "bidirectional_sequence_rnn" [operands..] |_, cx| cx.declared_results();
    {
        /// Time is the outermost axis.
        time_major: bool = false,
        /// Activation.
        activation: Activation = Activation::None,
        /// Concatenate both outputs into one result.
        merge_outputs: bool = false,
        /// With float input and integer weights: quantize the input asymmetrically when the model runs.
        asymmetric_quantize_inputs: bool = false,
    }
}
