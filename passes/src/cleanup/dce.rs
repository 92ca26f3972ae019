//! Removes dead code: operations whose results nothing reads and that do nothing else, and graphs that nothing calls.
//!
//! An operation that assigns variables, calls a graph, or is not modelled (CUSTOM) is never dead. A graph is alive when it is the main one, has a
//! signature, or is called from a live one.

use octet_ir::{Diagnostics, EntityId, GraphId, Module, Op, OpId, Patch};
use octet_plugin::{Options, Pass, PassContext, register_pass};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dce {}

impl Pass for Dce {
    fn run(&self, module: &mut Module, context: &mut PassContext<'_>) -> Result<bool, Diagnostics> {
        let mut changed = false;
        for id in module.graph_ids() {
            // Readers before what they read: one walk finds everything.
            let ops: Vec<OpId> = module.graph(id).op_ids();
            for op in ops.into_iter().rev() {
                let graph = module.graph(id);
                let Some(operation) = graph.get_op(op) else { continue };
                let unread = operation.results().iter().all(|r| graph.value(*r).uses().is_empty());
                if !unread || operation.op().has_side_effects() {
                    continue;
                }
                let what = format!("{} is dead", operation.op().mnemonic());
                if !context.observer.may_patch("dce", &what) {
                    return Ok(changed);
                }
                let mut patch = Patch::at_end(graph);
                patch.erase(op);
                patch.apply(module, id).map_err(|e| octet_ir::Diagnostic::error("PAS006", format!("pass 'dce': {e}")))?;
                changed = true;
            }
        }
        let keep = live_graphs(module);
        if keep.contains(&false) && context.observer.may_patch("dce", "graphs that nothing calls") {
            module.retain_graphs(&keep);
            changed = true;
        }
        Ok(changed)
    }
}

/// For every graph whether it can be reached.
fn live_graphs(module: &Module) -> Vec<bool> {
    let mut live = vec![false; module.graph_ids().len()];
    let mut next: Vec<GraphId> = module.signatures.iter().map(|s| s.graph).chain([module.main_id()]).collect();
    while let Some(id) = next.pop() {
        match live.get_mut(id.index()) {
            Some(seen) if !*seen => *seen = true,
            _ => continue,
        }
        next.extend(module.graph(id).ops().flat_map(|(_, o)| o.op().graphs()).map(GraphId::from_index));
    }
    // The options of these hold graph numbers in a form that only the file's writer knows.
    let opaque = |op: &Op| matches!(op, Op::Opaque(o) if !o.graphs.is_empty());
    if module.graphs().any(|(id, g)| live.get(id.index()) == Some(&true) && g.ops().any(|(_, o)| opaque(o.op()))) {
        live.fill(true);
    }
    live
}

fn create(options: Options) -> Result<Box<dyn Pass>, octet_ir::Diagnostic> {
    let pass: Dce = crate::pipeline::options("dce", options)?;
    Ok(Box::new(pass))
}

register_pass!("dce", "Removes operations whose results nothing reads, and graphs that nothing calls.", create);
