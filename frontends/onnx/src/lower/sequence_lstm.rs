//! An LSTM layer as one UNIDIRECTIONAL_SEQUENCE_LSTM, where the user takes that its state lives on from run to run.
//!
//! It is for layers that run forward over whole sequences, from zeros, with the usual activations and without peepholes: what TFLite's integer
//! kernels compute. Others are written out step by step.

use octet_ir::ops::BinaryKind;
use octet_ir::ops::{Activation, UnidirectionalSequenceLstm};
use octet_ir::{ElementType, Loc, Type, ValueId};

use super::recurrent::part;
use super::{Inputs, optional};
use crate::attributes::{Node, Refusal};
use crate::scope::Scope;

/// Input numbers of ONNX's LSTM.
const LENGTHS: usize = 4;
const INITIAL_HIDDEN: usize = 5;
const INITIAL_CELL: usize = 6;
const PEEPHOLES: usize = 7;

/// Whether a layer is one that the operation computes.
fn fits(scope: &Scope<'_>, node: &Node<'_>, inputs: Inputs<'_>) -> bool {
    let usual = node.strings("activations").iter().zip(["sigmoid", "tanh", "tanh"]).all(|(given, usual)| given.eq_ignore_ascii_case(usual));
    let is_zero = |index: usize| optional(inputs, index).is_none_or(|v| scope.floats(v).is_some_and(|v| v.iter().all(|&x| x == 0.0)));
    let is_constant = |index: usize| inputs.get(index).copied().flatten().is_some_and(|v| scope.floats(v).is_some());
    node.text_or("direction", "forward") == "forward"
        && usual
        && node.float("clip").is_none()
        && !node.flag("input_forget")
        && !node.wants(2)
        && optional(inputs, LENGTHS).is_none()
        && optional(inputs, PEEPHOLES).is_none()
        && is_zero(INITIAL_HIDDEN)
        && is_zero(INITIAL_CELL)
        && is_constant(1)
        && is_constant(2)
        && (optional(inputs, 3).is_none() || is_constant(3))
        && inputs.first().copied().flatten().is_some_and(|x| scope.elem(x) == ElementType::F32)
}

/// The outputs of all steps `[T, B, H]` for an input `[T, B, I]`, or nothing for layers that the operation does not compute.
pub(super) fn lower(scope: &mut Scope<'_>, node: &Node<'_>, inputs: Inputs<'_>, x: ValueId) -> Result<Option<ValueId>, Refusal> {
    if !fits(scope, node, inputs) {
        return Ok(None);
    }
    let (Some(weights), Some(recurrent)) = (optional(inputs, 1), optional(inputs, 2)) else { return Ok(None) };
    let (&[_, batch, _], &[1, _, hidden]) = (scope.dims(x), scope.dims(recurrent)) else { return Ok(None) };
    let (weights, recurrent) = (part(scope, weights, 0)?, part(scope, recurrent, 0)?);
    let bias = match optional(inputs, 3) {
        Some(bias) => {
            let bias = part(scope, bias, 0)?;
            let (own, other) = (scope.slice(bias, 0, 0, 4 * hidden)?, scope.slice(bias, 0, 4 * hidden, 4 * hidden)?);
            scope.binary(BinaryKind::Add, own, other)?
        }
        None => scope.f32s(&vec![0.0; 4 * hidden]),
    };
    // ONNX has the gates in the order i, o, f, c, TFLite i, f, c, o.
    let mut operands = vec![Some(x)];
    for all in [weights, recurrent] {
        for gate in [0, 2, 3, 1] {
            operands.push(Some(scope.slice(all, 0, gate * hidden, hidden)?));
        }
    }
    operands.extend([None; 3]);
    for gate in [0, 2, 3, 1] {
        operands.push(Some(scope.slice(bias, 0, gate * hidden, hidden)?));
    }
    operands.extend([None; 2]);
    for state in ["output_state", "cell_state"] {
        let name = format!("{}/{state}", scope.origin);
        operands.push(Some(scope.builder.variable(Type::f32([batch, hidden]), Loc::named(&name))));
    }
    operands.extend([None; 4]);
    let op = UnidirectionalSequenceLstm { activation: Activation::Tanh, time_major: true, ..UnidirectionalSequenceLstm::default() };
    Ok(scope.op(op, &operands)?.first().copied())
}
