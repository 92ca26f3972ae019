//! Layout: axis changes move along wires until they cancel.
//!
//! A frontend whose source has another layout puts a TRANSPOSE before and after every operation that is bound to TFLite's. Most
//! others do not care: an activation, an addition or a padding can work in either layout if its attributes and constants follow. For one
//! permutation at a time, this pass asks every operation whether it can ([`adapt`]), and finds the assignment of layouts that moves the
//! fewest bytes: a minimum cut ([`cut`]), because each operation has two choices and each wire costs something only where its ends
//! differ. The whole assignment is one patch ([`apply`]), made only when it is strictly cheaper. There is no list of patterns.
//!
//! Graph inputs and outputs keep the layout that they were declared with.

mod adapt;
mod apply;
mod cut;
mod permutation;

use octet_ir::{Diagnostic, Diagnostics, Graph, GraphId, Module, Op, ValueId};
use octet_plugin::{Options, Pass, PassContext, register_pass};
use serde::Deserialize;

pub(crate) use permutation::Permutation;

/// Rounds over all permutations before the pass gives up; every round must lower the cost, so this is never met in practice.
const MAX_ROUNDS: usize = 64;

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct LayoutOptions {}

struct Layout;

impl Pass for Layout {
    fn run(&self, module: &mut Module, context: &mut PassContext<'_>) -> Result<bool, Diagnostics> {
        let mut changed = false;
        for graph in module.graph_ids() {
            for round in 0.. {
                if !improve(module, graph, context)? {
                    break;
                }
                changed = true;
                if round == MAX_ROUNDS {
                    context.observer.report(Diagnostic::warning(
                        "PAS030",
                        format!("the layout of graph '{}' still changed after {MAX_ROUNDS} rounds", module.graph(graph).name()),
                    ));
                    break;
                }
            }
        }
        Ok(changed)
    }
}

/// One round: the first permutation of the graph for which a cheaper assignment exists.
fn improve(module: &mut Module, id: GraphId, context: &mut PassContext<'_>) -> Result<bool, Diagnostics> {
    for permutation in permutations(module, module.graph(id)) {
        let Some(assignment) = cut::solve(module, module.graph(id), &permutation) else { continue };
        if !context.observer.may_patch("layout", &permutation.to_string()) {
            return Ok(false);
        }
        let patch = apply::patch(module, module.graph(id), &permutation, &assignment);
        patch.apply(module, id).map_err(|e| {
            Diagnostic::error("PAS031", format!("moving the axis change {permutation} was refused: {e}"))
                .with_note("this is a bug of the layout pass")
        })?;
        return Ok(true);
    }
    Ok(false)
}

/// The distinct permutations of the graph's transposes, in order of appearance. A permutation and its inverse are one problem seen from
/// two sides, but which side gets called natural matters for what may move, so both are tried.
fn permutations(module: &Module, graph: &Graph) -> Vec<Permutation> {
    let mut found: Vec<Permutation> = Vec::new();
    for (_, operation) in graph.ops() {
        let Some(permutation) = transpose_of(module, graph, operation) else { continue };
        for candidate in [permutation.inverse(), permutation] {
            if !candidate.is_identity() && !found.contains(&candidate) {
                found.push(candidate);
            }
        }
    }
    found
}

/// The permutation of a TRANSPOSE whose permutation is constant.
fn transpose_of(module: &Module, graph: &Graph, operation: &octet_ir::Operation) -> Option<Permutation> {
    match operation.op() {
        Op::Transpose(_) => {
            let axes = integers(module, graph, operation.operand(1)?)?;
            Permutation::new(axes.into_iter().map(|a| usize::try_from(a).ok()).collect::<Option<_>>()?)
        }
        _ => None,
    }
}

/// The integers that a constant value holds.
fn integers(module: &Module, graph: &Graph, value: ValueId) -> Option<Vec<i64>> {
    match octet_ir::verify::types::numbers(graph.ty(value).elem, module.constant_of(graph, value)?)? {
        octet_ir::ops::Numbers::Ints(values) => Some(values),
        octet_ir::ops::Numbers::Floats(_) => None,
    }
}

fn create(options: Options) -> Result<Box<dyn Pass>, Diagnostic> {
    let LayoutOptions {} = crate::pipeline::options("layout", options)?;
    Ok(Box::new(Layout))
}

register_pass!("layout", "Moves transposes along wires until they cancel.", create);
