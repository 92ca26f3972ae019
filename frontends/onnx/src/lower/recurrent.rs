//! Recurrent layers, step by step: the input's part of every gate is one product for all steps, then each step is a product with the state and
//! a few elementwise operations.
//!
//! TFLite's own sequence operations keep their state from one run to the next, which ONNX's do not: they would be right only once. They
//! are made where the user asks for them.

use octet_ir::ops::{self, BinaryKind, CompareKind, UnaryKind};
use octet_ir::{ElementType, ValueId};

use super::activation::softplus;
use super::{Inputs, Lowering, Outputs, Table, input, optional, sequence_lstm};
use crate::attributes::{Node, Refusal};
use crate::build::small;
use crate::scope::Scope;

pub(super) const TABLE: Table = &[
    ("GRU", |l, n, i| recurrent(l, n, i, Cell::Gru)),
    ("LSTM", |l, n, i| recurrent(l, n, i, Cell::Lstm)),
    ("RNN", |l, n, i| recurrent(l, n, i, Cell::Rnn)),
];

/// Steps that are written out at most.
const MOST: usize = 2048;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cell {
    Rnn,
    Gru,
    Lstm,
}

impl Cell {
    fn gates(self) -> usize {
        match self {
            Self::Rnn => 1,
            Self::Gru => 3,
            Self::Lstm => 4,
        }
    }

    fn activations(self) -> &'static [&'static str] {
        match self {
            Self::Rnn => &["Tanh"],
            Self::Gru => &["Sigmoid", "Tanh"],
            Self::Lstm => &["Sigmoid", "Tanh", "Tanh"],
        }
    }
}

/// An activation by name, with its parameters.
#[derive(Clone)]
struct Activation {
    name: String,
    alpha: Option<f32>,
    beta: Option<f32>,
}

impl Activation {
    fn apply(&self, s: &mut Scope<'_>, x: ValueId) -> Result<ValueId, Refusal> {
        let parameter = |given: Option<f32>, default: f32| given.unwrap_or(default);
        match self.name.to_ascii_lowercase().as_str() {
            "sigmoid" => s.unary(UnaryKind::Logistic, x),
            "tanh" => s.unary(UnaryKind::Tanh, x),
            "relu" => s.unary(UnaryKind::Relu, x),
            "softplus" => softplus(s, x),
            "softsign" => {
                let magnitude = s.unary(UnaryKind::Abs, x)?;
                let shifted = s.plus(magnitude, 1.0)?;
                s.binary(BinaryKind::Div, x, shifted)
            }
            "leakyrelu" => s.op1(ops::LeakyRelu { alpha: parameter(self.alpha, 0.01) }, &[x]),
            "hardsigmoid" => {
                let scaled = s.times(x, parameter(self.alpha, 0.2))?;
                let shifted = s.plus(scaled, parameter(self.beta, 0.5))?;
                s.unary(UnaryKind::Relu0To1, shifted)
            }
            "affine" => {
                let scaled = s.times(x, parameter(self.alpha, 1.0))?;
                s.plus(scaled, parameter(self.beta, 0.0))
            }
            "scaledtanh" => {
                let inner = s.times(x, parameter(self.beta, 1.0))?;
                let squashed = s.unary(UnaryKind::Tanh, inner)?;
                s.times(squashed, parameter(self.alpha, 1.0))
            }
            other => Err(format!("activation '{other}' is not supported")),
        }
    }
}

/// One direction of a layer.
struct Direction {
    cell: Cell,
    hidden: usize,
    /// `[gates * hidden, hidden]`.
    recurrent: ValueId,
    /// Bias of the recurrent product, `[gates * hidden]`.
    bias: ValueId,
    /// Peepholes `[3 * hidden]`.
    peepholes: Option<ValueId>,
    activations: Vec<Activation>,
    clip: Option<f32>,
    linear_before_reset: bool,
    couples_input_and_forget: bool,
}

fn product(scope: &mut Scope<'_>, x: ValueId, weights: ValueId, bias: Option<ValueId>) -> Result<ValueId, Refusal> {
    scope.op(ops::FullyConnected::default(), &[Some(x), Some(weights), bias]).map(|results| results[0])
}

impl Direction {
    fn activate(&self, scope: &mut Scope<'_>, which: usize, x: ValueId) -> Result<ValueId, Refusal> {
        let mut x = x;
        if let Some(clip) = self.clip {
            let (low, high) = (scope.f32(-clip), scope.f32(clip));
            x = scope.binary(BinaryKind::Maximum, x, low)?;
            x = scope.binary(BinaryKind::Minimum, x, high)?;
        }
        self.activations.get(which).ok_or("an activation is missing")?.apply(scope, x)
    }

    fn gate(&self, scope: &mut Scope<'_>, all: ValueId, index: usize) -> Result<ValueId, Refusal> {
        scope.slice(all, 1, index * self.hidden, self.hidden)
    }

    /// One step from the input's part of the gates `[B, gates * hidden]`: hidden state and cell state.
    fn step(&self, scope: &mut Scope<'_>, x: ValueId, h: ValueId, c: Option<ValueId>) -> Result<(ValueId, Option<ValueId>), Refusal> {
        match self.cell {
            Cell::Rnn => {
                let part = product(scope, h, self.recurrent, Some(self.bias))?;
                let sum = scope.binary(BinaryKind::Add, x, part)?;
                Ok((self.activate(scope, 0, sum)?, None))
            }
            Cell::Gru => self.gru(scope, x, h).map(|h| (h, None)),
            Cell::Lstm => self.lstm(scope, x, h, c.ok_or("an LSTM has a cell state")?).map(|(h, c)| (h, Some(c))),
        }
    }

    fn gru(&self, scope: &mut Scope<'_>, x: ValueId, h: ValueId) -> Result<ValueId, Refusal> {
        let n = self.hidden;
        let (gates, candidate) = if self.linear_before_reset {
            let all = product(scope, h, self.recurrent, Some(self.bias))?;
            (scope.slice(all, 1, 0, 2 * n)?, Some(self.gate(scope, all, 2)?))
        } else {
            let (weights, bias) = (scope.slice(self.recurrent, 0, 0, 2 * n)?, scope.slice(self.bias, 0, 0, 2 * n)?);
            (product(scope, h, weights, Some(bias))?, None)
        };
        let own = scope.slice(x, 1, 0, 2 * n)?;
        let gates = scope.binary(BinaryKind::Add, own, gates)?;
        let gates = self.activate(scope, 0, gates)?;
        let (z, r) = (self.gate(scope, gates, 0)?, self.gate(scope, gates, 1)?);
        let part = match candidate {
            Some(linear) => scope.binary(BinaryKind::Mul, r, linear)?,
            None => {
                let reset = scope.binary(BinaryKind::Mul, r, h)?;
                let (weights, bias) = (scope.slice(self.recurrent, 0, 2 * n, n)?, scope.slice(self.bias, 0, 2 * n, n)?);
                product(scope, reset, weights, Some(bias))?
            }
        };
        let own = self.gate(scope, x, 2)?;
        let sum = scope.binary(BinaryKind::Add, own, part)?;
        let candidate = self.activate(scope, 1, sum)?;
        // (1 - z) * candidate + z * h.
        let one = scope.f32(1.0);
        let rest = scope.binary(BinaryKind::Sub, one, z)?;
        let fresh = scope.binary(BinaryKind::Mul, rest, candidate)?;
        let kept = scope.binary(BinaryKind::Mul, z, h)?;
        scope.binary(BinaryKind::Add, fresh, kept)
    }

    fn lstm(&self, scope: &mut Scope<'_>, x: ValueId, h: ValueId, c: ValueId) -> Result<(ValueId, ValueId), Refusal> {
        let part = product(scope, h, self.recurrent, Some(self.bias))?;
        let gates = scope.binary(BinaryKind::Add, x, part)?;
        let peep = |scope: &mut Scope<'_>, gate: ValueId, index: usize, c: ValueId| match self.peepholes {
            Some(all) => {
                let weights = scope.slice(all, 0, index * self.hidden, self.hidden)?;
                let seen = scope.binary(BinaryKind::Mul, weights, c)?;
                scope.binary(BinaryKind::Add, gate, seen)
            }
            None => Ok(gate),
        };
        // Gates in the order i, o, f, c; peepholes i, o, f.
        let i = self.gate(scope, gates, 0)?;
        let i = peep(scope, i, 0, c)?;
        let i = self.activate(scope, 0, i)?;
        let f = if self.couples_input_and_forget {
            let one = scope.f32(1.0);
            scope.binary(BinaryKind::Sub, one, i)?
        } else {
            let f = self.gate(scope, gates, 2)?;
            let f = peep(scope, f, 2, c)?;
            self.activate(scope, 0, f)?
        };
        let g = self.gate(scope, gates, 3)?;
        let g = self.activate(scope, 1, g)?;
        let kept = scope.binary(BinaryKind::Mul, f, c)?;
        let fresh = scope.binary(BinaryKind::Mul, i, g)?;
        let c = scope.binary(BinaryKind::Add, kept, fresh)?;
        let o = self.gate(scope, gates, 1)?;
        let o = peep(scope, o, 1, c)?;
        let o = self.activate(scope, 0, o)?;
        let squashed = self.activate(scope, 2, c)?;
        Ok((scope.binary(BinaryKind::Mul, o, squashed)?, c))
    }
}

/// The part of a parameter that belongs to a direction, without that axis.
pub(super) fn part(scope: &mut Scope<'_>, value: ValueId, direction: usize) -> Result<ValueId, Refusal> {
    let dims = scope.dims(value).get(1..).ok_or("a parameter has no axis of directions")?.to_vec();
    let one = scope.slice(value, 0, direction, 1)?;
    scope.reshape(one, &dims)
}

fn recurrent(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>, cell: Cell) -> Outputs {
    let keeps_state = l.importer.keeps_state();
    let scope = &mut *l.scope;
    let batch_first = node.flag("layout");
    let mut x = input(inputs, 0)?;
    if batch_first {
        x = scope.transpose(x, &[1, 0, 2])?;
    }
    let (weights, recurrent) = (input(inputs, 1)?, input(inputs, 2)?);
    let (&[steps, batch, size], &[directions, _, hidden]) = (scope.dims(x), scope.dims(recurrent)) else {
        return Err("its inputs have other ranks than 3".into());
    };
    if keeps_state
        && cell == Cell::Lstm
        && steps > 0
        && let Some(all) = sequence_lstm::lower(scope, node, inputs, x)?
    {
        let last = scope.slice(all, 0, steps - 1, 1)?;
        let (all, last) = if batch_first {
            let all = scope.reshape(all, &[steps, 1, batch, hidden])?;
            (scope.transpose(all, &[2, 0, 1, 3])?, scope.transpose(last, &[1, 0, 2])?)
        } else {
            (scope.reshape(all, &[steps, 1, batch, hidden])?, last)
        };
        return Ok(vec![all, last]);
    }
    if steps > MOST || steps == 0 {
        return Err(format!("a sequence of {steps} steps is not written out"));
    }
    let lengths = lengths(scope, inputs, steps, batch)?;
    let backward_first = node.text_or("direction", "forward") == "reverse";
    if lengths.is_some() && (backward_first || directions > 1) {
        return Err("sequences of different lengths are not supported backward".into());
    }
    let flat = scope.reshape(x, &[steps * batch, size])?;
    let (mut all, mut last, mut cells) = (Vec::new(), Vec::new(), Vec::new());
    for d in 0..directions {
        let gates = cell.gates() * hidden;
        let own = part(scope, weights, d)?;
        let (bias, own_bias) = match optional(inputs, 3) {
            Some(bias) => {
                let bias = part(scope, bias, d)?;
                (scope.slice(bias, 0, gates, gates)?, Some(scope.slice(bias, 0, 0, gates)?))
            }
            None => (scope.f32s(&vec![0.0; gates]), None),
        };
        let direction = Direction {
            cell,
            hidden,
            recurrent: part(scope, recurrent, d)?,
            bias,
            peepholes: optional(inputs, 7).filter(|_| cell == Cell::Lstm).map(|p| part(scope, p, d)).transpose()?,
            activations: activations(node, cell, d),
            clip: node.float("clip"),
            linear_before_reset: node.flag("linear_before_reset"),
            couples_input_and_forget: node.flag("input_forget"),
        };
        let initial = |scope: &mut Scope<'_>, index: usize| -> Result<ValueId, Refusal> {
            match optional(inputs, index) {
                Some(state) => {
                    let state = if batch_first { scope.transpose(state, &[1, 0, 2])? } else { state };
                    part(scope, state, d)
                }
                None => Ok(scope.f32_tensor(&vec![0.0; batch * hidden], &[batch, hidden])),
            }
        };
        let mut h = initial(scope, 5)?;
        let mut c = if cell == Cell::Lstm { Some(initial(scope, 6)?) } else { None };
        let gates = product(scope, flat, own, own_bias)?;
        let mut outputs = vec![h; steps];
        let backward = d == 1 || backward_first;
        for step in 0..steps {
            let at = if backward { steps - 1 - step } else { step };
            let own = scope.slice(gates, 0, at * batch, batch)?;
            let (next, next_c) = direction.step(scope, own, h, c)?;
            outputs[at] = next;
            match lengths {
                None => (h, c) = (next, next_c),
                Some(lengths) => {
                    // A sequence that has ended keeps its state and gives zeros.
                    let now = scope.i32(small(at)?);
                    let runs = scope.compare(CompareKind::Less, now, lengths)?;
                    let zero = scope.f32(0.0);
                    outputs[at] = scope.select(runs, next, zero)?;
                    h = scope.select(runs, next, h)?;
                    c = match (next_c, c) {
                        (Some(next), Some(old)) => Some(scope.select(runs, next, old)?),
                        _ => None,
                    };
                }
            }
        }
        let mut stacked = Vec::with_capacity(steps);
        if node.wants(0) {
            for output in outputs {
                stacked.push(scope.reshape(output, &[1, 1, batch, hidden])?);
            }
            all.push(scope.concat(&stacked, 0)?);
        }
        last.push(scope.reshape(h, &[1, batch, hidden])?);
        if let Some(c) = c {
            cells.push(scope.reshape(c, &[1, batch, hidden])?);
        }
    }
    let mut results = Vec::new();
    let (h, c) = (scope.concat(&last, 0)?, if cells.is_empty() { None } else { Some(scope.concat(&cells, 0)?) });
    results.push(match all.as_slice() {
        [] => h,
        all => {
            let y = scope.concat(all, 1)?;
            if batch_first { scope.transpose(y, &[2, 0, 1, 3])? } else { y }
        }
    });
    for state in [Some(h), c].into_iter().flatten() {
        results.push(if batch_first { scope.transpose(state, &[1, 0, 2])? } else { state });
    }
    Ok(results)
}

/// Lengths `[B, 1]` where sequences are shorter than the input.
fn lengths(scope: &mut Scope<'_>, inputs: Inputs<'_>, steps: usize, batch: usize) -> Result<Option<ValueId>, Refusal> {
    let Some(lengths) = optional(inputs, 4) else { return Ok(None) };
    let whole = i64::try_from(steps).unwrap_or(i64::MAX);
    if scope.ints(lengths).is_some_and(|v| v.iter().all(|&n| n >= whole)) {
        return Ok(None);
    }
    let lengths = scope.cast(lengths, ElementType::I32)?;
    scope.reshape(lengths, &[batch, 1]).map(Some)
}

/// The activations of a direction; alphas and betas are listed for those that have them, in order.
fn activations(node: &Node<'_>, cell: Cell, direction: usize) -> Vec<Activation> {
    let count = cell.activations().len();
    let names = node.strings("activations");
    let mut alphas = node.floats("activation_alpha").unwrap_or(&[]).iter().copied();
    let mut betas = node.floats("activation_beta").unwrap_or(&[]).iter().copied();
    let all: Vec<Activation> = (0..count * (direction + 1))
        .map(|k| {
            let name = names.get(k).cloned().unwrap_or_else(|| cell.activations()[k % count].to_owned());
            let lower = name.to_ascii_lowercase();
            let has = |list: &[&str]| list.contains(&lower.as_str());
            let alpha =
                has(&["affine", "leakyrelu", "thresholdedrelu", "scaledtanh", "hardsigmoid", "elu"]).then(|| alphas.next()).flatten();
            let beta = has(&["affine", "scaledtanh", "hardsigmoid"]).then(|| betas.next()).flatten();
            Activation { name, alpha, beta }
        })
        .collect();
    all[count * direction..].to_vec()
}
