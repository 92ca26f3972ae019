//! Losses, which exporters of whole training graphs leave in: sums over the probability of the right class.

use octet_ir::ops::{self, BinaryKind, CompareKind, ReduceKind, UnaryKind};
use octet_ir::{ElementType, ValueId};

use super::{Inputs, Lowering, Outputs, Table, input, optional};
use crate::attributes::{Node, Refusal};
use crate::build::small;
use crate::scope::Scope;

pub(super) const TABLE: Table =
    &[("NegativeLogLikelihoodLoss", negative_log_likelihood), ("SoftmaxCrossEntropyLoss", softmax_cross_entropy)];

/// `[N, C, ...]` as `[N, C, M]`.
fn flat(scope: &mut Scope<'_>, x: ValueId) -> Result<ValueId, Refusal> {
    let &[n, classes, ref rest @ ..] = scope.dims(x) else { return Err("its input has no axis of classes".into()) };
    let shape = [n, classes, rest.iter().product()];
    scope.reshape(x, &shape)
}

fn negative_log_likelihood(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (x, elem) = scope.as_f32(input(inputs, 0)?)?;
    let x = flat(scope, x)?;
    let loss = loss(scope, node, x, input(inputs, 1)?, optional(inputs, 2))?;
    Ok(vec![scope.cast(loss, elem)?])
}

/// The loss, and the logarithms of the probabilities.
fn softmax_cross_entropy(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (x, elem) = scope.as_f32(input(inputs, 0)?)?;
    let dims = scope.dims(x).to_vec();
    let x = flat(scope, x)?;
    let (rows, order) = scope.innermost(x, 1)?;
    let logarithms = scope.op1(ops::LogSoftmax {}, &[rows])?;
    let logarithms = scope.transpose(logarithms, &order)?;
    let loss = loss(scope, node, logarithms, input(inputs, 1)?, optional(inputs, 2))?;
    let logarithms = scope.reshape(logarithms, &dims)?;
    Ok(vec![scope.cast(loss, elem)?, scope.cast(logarithms, elem)?])
}

/// The weighted loss of `[N, C, M]` for the classes `[N, ...]`.
fn loss(scope: &mut Scope<'_>, node: &Node<'_>, x: ValueId, target: ValueId, weight: Option<ValueId>) -> Result<ValueId, Refusal> {
    let &[n, classes, places] = scope.dims(x) else { return Err("its input has no axis of classes".into()) };
    let shape = scope.dims(target).to_vec();
    let target = scope.cast(target, ElementType::I32)?;
    let mut target = scope.reshape(target, &[n, 1, places])?;
    if let Some(ignored) = node.int("ignore_index") {
        // No class has the number -1: nothing is picked, with no weight.
        let ignored = scope.i32(i32::try_from(ignored).map_err(|_| "ignore_index is too large")?);
        let is_ignored = scope.compare(CompareKind::Equal, target, ignored)?;
        let none = scope.i32(-1);
        target = scope.select(is_ignored, none, target)?;
    }
    let numbers: Vec<i32> = (0..classes).map(small).collect::<Result<_, _>>()?;
    let numbers = scope.i32_tensor(&numbers, &[1, classes, 1]);
    let is_right = scope.compare(CompareKind::Equal, numbers, target)?;
    let zero = scope.f32(0.0);
    let picked = scope.select(is_right, x, zero)?;
    let picked = scope.reduce(ReduceKind::Sum, picked, &[1], false)?;
    let weight = match weight {
        Some(weight) => {
            let weight = scope.as_f32(weight)?.0;
            scope.reshape(weight, &[1, classes, 1])?
        }
        None => scope.f32(1.0),
    };
    let weights = scope.select(is_right, weight, zero)?;
    let weights = scope.reduce(ReduceKind::Sum, weights, &[1], false)?;
    let weighted = scope.binary(BinaryKind::Mul, picked, weights)?;
    let loss = scope.unary(UnaryKind::Neg, weighted)?;
    match node.text_or("reduction", "mean") {
        "none" => scope.reshape(loss, &shape),
        "sum" => scope.reduce(ReduceKind::Sum, loss, &[0, 1], false),
        "mean" => {
            let sum = scope.reduce(ReduceKind::Sum, loss, &[0, 1], false)?;
            let total = scope.reduce(ReduceKind::Sum, weights, &[0, 1], false)?;
            scope.binary(BinaryKind::Div, sum, total)
        }
        other => Err(format!("reduction '{other}' is not known")),
    }
}
