//! Runs rewrites to a fixpoint.
//!
//! A worklist holds operations whose neighbourhood is new; a final sweep over all operations proves that nothing is left and collects the
//! reasons of refusals. The number of patches is capped, and reaching the cap is a diagnostic.

use std::collections::VecDeque;

use octet_ir::{Diagnostic, Diagnostics, EntityId, Graph, GraphId, Module, OpId, Patch, SourceLocation, Use};
use octet_plugin::Observer;

use super::{Refusal, Rewrite};

/// Code of the notes that say why a rewrite did not apply.
pub const EXPLANATION: &str = "PAS010";

/// Patches that a graph of `ops` operations may take: rewrites that settle need a few for each.
fn patch_cap(ops: usize) -> usize {
    ops.saturating_mul(16).saturating_add(256)
}

/// Runs `rewrites` over every graph until none applies, on behalf of `pass`. Answers whether anything changed.
///
/// Every refusal that has a reason is reported as a note with code [`EXPLANATION`], for the module as it is in the end.
///
/// # Errors
/// `PAS006` when a patch does not fit the graph that it was made for: a bug of the rewrite.
pub fn rewrite_module(
    pass: &str,
    module: &mut Module,
    rewrites: &[&dyn Rewrite],
    observer: &mut dyn Observer,
) -> Result<bool, Diagnostics> {
    let mut changed = false;
    for graph in module.graph_ids() {
        let mut run = Run { pass, rewrites, graph, observer, patches: 0, cap: patch_cap(module.graph(graph).op_count()), stopped: false };
        run.run_to_fixpoint(module)?;
        changed |= run.patches > 0;
    }
    Ok(changed)
}

struct Run<'r> {
    pass: &'r str,
    rewrites: &'r [&'r dyn Rewrite],
    graph: GraphId,
    observer: &'r mut dyn Observer,
    patches: usize,
    cap: usize,
    stopped: bool,
}

impl Run<'_> {
    fn run_to_fixpoint(&mut self, module: &mut Module) -> Result<(), Diagnostics> {
        let mut work = Worklist::default();
        work.extend(module.graph(self.graph).op_ids());
        loop {
            while let Some(op) = work.pop() {
                self.visit(module, op, &mut work)?;
                if self.stopped {
                    return Ok(());
                }
            }
            let explanations = self.sweep(module, &mut work);
            if work.is_empty() {
                explanations.into_iter().for_each(|d| self.observer.report(d));
                return Ok(());
            }
        }
    }

    /// Applies the first rewrite that fits an operation.
    fn visit(&mut self, module: &mut Module, op: OpId, work: &mut Worklist) -> Result<(), Diagnostics> {
        if module.graph(self.graph).get_op(op).is_none() {
            return Ok(());
        }
        for rewrite in self.rewrites {
            let graph = module.graph(self.graph);
            if let Ok(patch) = rewrite.rewrite(module, graph, op)
                && !patch.is_empty()
            {
                return self.apply(module, op, *rewrite, patch, work);
            }
        }
        Ok(())
    }

    fn apply(
        &mut self,
        module: &mut Module,
        op: OpId,
        rewrite: &dyn Rewrite,
        patch: Patch,
        work: &mut Worklist,
    ) -> Result<(), Diagnostics> {
        let graph = module.graph(self.graph);
        let place = format!("{} at {} '{}'", rewrite.name(), mnemonic(graph, op), name(graph, op));
        if self.patches >= self.cap {
            let message =
                format!("pass '{}' stops after {} patches without settling; the next one would be {place}", self.pass, self.patches);
            self.observer.report(
                Diagnostic::warning("PAS007", message)
                    .with_help("the model is sound but not fully rewritten; two rewrites may undo each other"),
            );
            self.stopped = true;
            return Ok(());
        }
        if !self.observer.may_patch(self.pass, &place) {
            self.stopped = true;
            return Ok(());
        }
        let neighbours = neighbours(graph, op);
        let applied = patch.apply(module, self.graph).map_err(|error| {
            Diagnostic::error("PAS006", format!("pass '{}': the patch of {place} does not fit: {error}", self.pass))
                .with_help("this is a bug of the rewrite, not of the model")
        })?;
        self.patches += 1;
        let graph = module.graph(self.graph);
        for added in applied.added {
            work.push(added);
            work.extend(readers(graph, added));
        }
        work.extend(neighbours.into_iter().filter(|op| graph.get_op(*op).is_some()));
        Ok(())
    }

    /// Looks at every operation once more; puts those that can still be rewritten on the worklist, and tells why others cannot.
    fn sweep(&self, module: &Module, work: &mut Worklist) -> Vec<Diagnostic> {
        let graph = module.graph(self.graph);
        let mut explanations = Vec::new();
        for (index, (op, operation)) in graph.ops().enumerate() {
            for rewrite in self.rewrites {
                match rewrite.rewrite(module, graph, op) {
                    Ok(patch) if patch.is_empty() => {}
                    Ok(_) => work.push(op),
                    Err(Refusal::NoMatch | Refusal::NoEffect) => {}
                    Err(Refusal::Check(why)) => {
                        let location = SourceLocation {
                            graph: Some(graph.name().to_owned()),
                            op: Some((index, operation.op().mnemonic().to_owned())),
                            tensor: Some(name(graph, op)),
                            ..SourceLocation::default()
                        };
                        explanations.push(Diagnostic::note(EXPLANATION, format!("{} does not apply: {why}", rewrite.name())).at(location));
                    }
                }
            }
        }
        explanations
    }
}

/// Operations to look at in order, each at most once at a time.
#[derive(Default)]
struct Worklist {
    queue: VecDeque<OpId>,
    queued: Vec<bool>,
}

impl Worklist {
    fn push(&mut self, op: OpId) {
        if self.queued.len() <= op.index() {
            self.queued.resize(op.index() + 1, false);
        }
        if let Some(queued) = self.queued.get_mut(op.index())
            && !std::mem::replace(queued, true)
        {
            self.queue.push_back(op);
        }
    }

    fn extend(&mut self, ops: impl IntoIterator<Item = OpId>) {
        ops.into_iter().for_each(|op| self.push(op));
    }

    fn pop(&mut self) -> Option<OpId> {
        let op = self.queue.pop_front()?;
        if let Some(queued) = self.queued.get_mut(op.index()) {
            *queued = false;
        }
        Some(op)
    }

    fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

/// Neighbours beyond this many readers of one value are left to the final sweep: looking at all of them after every patch would be quadratic.
const MOST_READERS: usize = 64;

/// The operation, the readers of its results, the producers of its operands, and what else reads those operands.
fn neighbours(graph: &Graph, op: OpId) -> Vec<OpId> {
    let Some(operation) = graph.get_op(op) else { return Vec::new() };
    let mut found = vec![op];
    found.extend(readers(graph, op));
    for &operand in operation.operands().iter().flatten() {
        if let Some((producer, producing)) = graph.producer(operand) {
            found.push(producer);
            for &above in producing.operands().iter().flatten() {
                found.extend(value_readers(graph, above));
            }
        }
        found.extend(value_readers(graph, operand));
    }
    found
}

fn readers(graph: &Graph, op: OpId) -> Vec<OpId> {
    let Some(operation) = graph.get_op(op) else { return Vec::new() };
    operation.results().iter().flat_map(|&result| value_readers(graph, result)).collect()
}

fn value_readers(graph: &Graph, value: octet_ir::ValueId) -> impl Iterator<Item = OpId> {
    let uses = graph.get_value(value).map_or(&[][..], |v| v.uses());
    uses.iter().take(MOST_READERS).filter_map(|user| match user {
        Use::Operand { op, .. } => Some(*op),
        Use::Output(_) => None,
    })
}

fn mnemonic(graph: &Graph, op: OpId) -> &'static str {
    graph.get_op(op).map_or("?", |o| o.op().mnemonic())
}

fn name(graph: &Graph, op: OpId) -> String {
    let result = graph.get_op(op).and_then(|o| o.results().first().copied());
    result.map_or_else(|| op.to_string(), |v| graph.value_name(v))
}
