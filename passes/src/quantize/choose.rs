//! What each operation's rule allows, before scales are known: which operations could be computed in integers, and why others cannot.

use std::collections::BTreeSet;

use octet_ir::{ElementType, EntityId, Graph, Module, Op, Operation, ValueDef, ValueId};

use super::options::Runtime;
use super::params::Width;
use super::rules::{Role, Rule, Special, rule, why_not};
use super::solve::{constant_bounds, own_params, real_operands};

/// What happens to one operation.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Choice {
    /// It has no real tensors, or takes them in any type.
    Neutral,
    /// It is computed in integers.
    Quantized,
    /// It passes tensors to other graphs or variables; each of them is decided by itself.
    Control,
    /// It stays in float, for this reason.
    Float(String),
    /// It could be quantized, but only moves numbers between float operations.
    Idle,
}

/// What to solve for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal {
    pub(super) width: Width,
    pub(super) runtime: Runtime,
    /// The entry graphs' real inputs and outputs become integers.
    pub(super) integer_io: bool,
    /// Nothing may stay in float: not even movers between float operations, or tensors that are only passed around.
    pub(super) strict: bool,
}

/// Graphs whose interface an operation owns that knows nothing of quantization.
fn opaque_graphs(module: &Module) -> BTreeSet<usize> {
    let opaque = |op: &Op| matches!(op, Op::Opaque(_) | Op::Custom(_));
    module.graphs().flat_map(|(_, g)| g.ops().filter(|(_, o)| opaque(o.op())).flat_map(|(_, o)| o.op().graphs())).collect()
}

/// The choice for every operation of each graph, by its id.
pub(super) fn choose(module: &Module, goal: Goal) -> Vec<Vec<Choice>> {
    let foreign = opaque_graphs(module);
    module.graphs().map(|(id, graph)| choose_in(module, graph, foreign.contains(&id.index()), goal)).collect()
}

fn choose_in(module: &Module, graph: &Graph, foreign: bool, goal: Goal) -> Vec<Choice> {
    let mut choices = vec![Choice::Neutral; graph.op_capacity()];
    for (id, op) in graph.ops() {
        choices[id.index()] = match choose_operation(module, graph, op, goal) {
            Choice::Quantized if foreign => Choice::Float("its graph belongs to an operation that the compiler does not model".into()),
            choice => choice,
        };
    }
    choices
}

fn choose_operation(module: &Module, graph: &Graph, op: &Operation, goal: Goal) -> Choice {
    let real = |v: ValueId| graph.ty(v).elem == ElementType::F32;
    let other_float = |v: &&ValueId| graph.ty(**v).elem.is_float() && !real(**v);
    if !matches!(op.op(), Op::Dequantize(_))
        && let Some(&value) = op.operands().iter().flatten().chain(op.results()).find(other_float)
    {
        return Choice::Float(format!("tensor '{}' is {}: only float32 is quantized", graph.value_name(value), graph.ty(value).elem));
    }
    if !op.operands().iter().flatten().chain(op.results()).any(|&v| real(v)) {
        return Choice::Neutral;
    }
    let rule = rule(op.op(), goal.width);
    match rule.special {
        Special::Control => return Choice::Control,
        Special::Svdf | Special::Lstm => {
            if let Some(why) = super::recurrent::refuse(module, graph, op, goal) {
                return Choice::Float(why);
            }
        }
        Special::Convert if own_params(graph, op, goal.width).is_none() && matches!(op.op(), Op::Dequantize(_)) => {
            let elem = op.operand(0).map_or(ElementType::F16, |v| graph.ty(v).elem);
            return Choice::Float(format!("it turns {elem} into float: fold constants first"));
        }
        Special::None | Special::Decompose | Special::Convert => {}
    }
    if !goal.runtime.has(rule.kernels) {
        return Choice::Float(why_not(op.op(), goal.width));
    }
    let role_is_plain = |(index, value): (usize, &Option<ValueId>)| value.is_none_or(|v| !real(v)) || rule.role(index) == Role::Plain;
    let indifferent = op.operands().iter().enumerate().all(role_is_plain) && op.results().iter().all(|&r| !real(r));
    if indifferent {
        return Choice::Neutral;
    }
    for (index, value) in real_operands(graph, op) {
        if let Err(why) = check_operand(module, graph, op, &rule, index, value, goal.width) {
            return Choice::Float(why);
        }
    }
    Choice::Quantized
}

fn check_operand(
    module: &Module,
    graph: &Graph,
    op: &Operation,
    rule: &Rule,
    index: usize,
    value: ValueId,
    width: Width,
) -> Result<(), String> {
    let name = graph.value_name(value);
    let is_constant = matches!(graph.value(value).def(), ValueDef::Constant(_));
    match rule.role(index) {
        Role::Plain | Role::Carried => return Ok(()),
        Role::Weight { .. } if !is_constant => {
            let dynamic = matches!(op.op(), Op::FullyConnected(_)) && width == Width::I8;
            return if dynamic { Ok(()) } else { Err(format!("the filter '{name}' is computed at run time")) };
        }
        Role::Bias { .. } if !is_constant => return Err(format!("the bias '{name}' is computed at run time")),
        Role::Weight { .. } | Role::Bias { .. } | Role::Activation | Role::Shared => {}
    }
    if !is_constant {
        return Ok(());
    }
    if graph.value(value).sparsity().is_some() {
        return Err(format!("constant '{name}' is stored sparse"));
    }
    match constant_bounds(module, graph, value) {
        Some(_) => Ok(()),
        None => Err(format!("constant '{name}' holds NaN or infinity, or nothing")),
    }
}
