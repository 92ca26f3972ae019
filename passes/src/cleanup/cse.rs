//! Computes equal things once: an operation with the same attributes, operands and result types as an earlier one gives way to it.
//!
//! Only operations without side effects and without state count. Constants of equal type and bytes count as equal operands, but are not
//! themselves united: equal biases of two layers are to be quantized differently. Two graph outputs stay two tensors.

use std::collections::HashMap;

use octet_ir::{ConstId, Constant, Diagnostic, Diagnostics, Graph, GraphId, Module, OpId, Operation, Patch, Type, ValueDef, ValueId, text};
use octet_plugin::{Options, Pass, PassContext, register_pass};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cse {}

impl Pass for Cse {
    fn run(&self, module: &mut Module, context: &mut PassContext<'_>) -> Result<bool, Diagnostics> {
        let mut changed = false;
        for id in module.graph_ids() {
            let mut classes = Classes::default();
            let mut seen: HashMap<Key, Vec<OpId>> = HashMap::new();
            for op in module.graph(id).op_ids() {
                let Some(key) = key(module, id, op, &mut classes) else { continue };
                let earlier = seen.entry(key).or_default();
                match earlier.iter().copied().find(|&e| equal(module.graph(id), e, op)) {
                    Some(first) => {
                        let what = format!("{} is computed twice", module.graph(id).op(op).op().mnemonic());
                        if !context.observer.may_patch("cse", &what) {
                            return Ok(changed);
                        }
                        let patch = unite(module.graph(id), first, op);
                        patch.apply(module, id).map_err(|e| Diagnostic::error("PAS006", format!("pass 'cse': {e}")))?;
                        changed = true;
                    }
                    None => earlier.push(op),
                }
            }
        }
        Ok(changed)
    }
}

/// What equal operations have in common, cheap to compare: mnemonic and operands, constants by class.
type Key = (&'static str, Vec<Option<Operand>>);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Operand {
    Value(ValueId),
    Constant(usize),
}

fn key(module: &Module, graph: GraphId, op: OpId, classes: &mut Classes) -> Option<Key> {
    let graph = module.graph(graph);
    let operation = graph.get_op(op)?;
    if !operation.op().is_pure() || !operation.intermediates().is_empty() || operation.results().is_empty() {
        return None;
    }
    let operand = |v: ValueId, classes: &mut Classes| match graph.value(v).def() {
        ValueDef::Constant(id) if graph.value(v).sparsity().is_none() => Some(Operand::Constant(classes.of(module, graph.ty(v), id))),
        // An operation that reads state may see another value each time.
        ValueDef::Variable => None,
        ValueDef::Constant(_) | ValueDef::Input(_) | ValueDef::Result { .. } | ValueDef::Unbound => Some(Operand::Value(v)),
    };
    let operands: Option<Vec<Option<Operand>>> =
        operation.operands().iter().map(|v| v.map_or(Some(None), |v| operand(v, classes).map(Some))).collect();
    Some((operation.op().mnemonic(), operands?))
}

fn equal(graph: &Graph, first: OpId, second: OpId) -> bool {
    let (a, b) = (graph.op(first), graph.op(second));
    let types = |o: &Operation| o.results().iter().map(|v| graph.ty(*v).clone()).collect::<Vec<_>>();
    let both_outputs = a.results().iter().zip(b.results()).any(|(a, b)| graph.value(*a).is_output() && graph.value(*b).is_output());
    a.op() == b.op() && types(a) == types(b) && !both_outputs
}

/// Lets everything read the first one's results. A graph output keeps its name.
fn unite(graph: &Graph, first: OpId, second: OpId) -> Patch {
    let mut patch = Patch::before(graph, second);
    for (&keep, &drop) in graph.op(first).results().iter().zip(graph.op(second).results()) {
        let (kept, dropped) = (graph.value(keep), graph.value(drop));
        let loc = if dropped.is_output() { kept.loc().union(dropped.loc()) } else { dropped.loc().union(kept.loc()) };
        patch.set_loc(keep, loc);
        if let (None, Some(range)) = (kept.range(), dropped.range()) {
            patch.set_range(keep, Some(range.clone()));
        }
        patch.replace(drop, keep);
    }
    patch
}

/// Constants of equal type and bytes under one number.
#[derive(Default)]
struct Classes {
    by_id: HashMap<ConstId, Vec<(Type, usize)>>,
    by_hash: HashMap<(u64, usize), Vec<(usize, Type, Constant)>>,
    count: usize,
}

impl Classes {
    fn of(&mut self, module: &Module, ty: &Type, id: ConstId) -> usize {
        let known = self.by_id.entry(id).or_default();
        if let Some((_, class)) = known.iter().find(|(t, _)| t == ty) {
            return *class;
        }
        let constant = module.constant(id);
        let bytes = constant.bytes();
        let alike = self.by_hash.entry((text::blob_hash(bytes), bytes.len())).or_default();
        let class = match alike.iter().find(|(_, t, c)| t == ty && c == constant) {
            Some((class, ..)) => *class,
            None => {
                self.count += 1;
                alike.push((self.count, ty.clone(), constant.clone()));
                self.count
            }
        };
        known.push((ty.clone(), class));
        class
    }
}

fn create(options: Options) -> Result<Box<dyn Pass>, Diagnostic> {
    let pass: Cse = crate::pipeline::options("cse", options)?;
    Ok(Box::new(pass))
}

register_pass!("cse", "Computes equal operations once.", create);
