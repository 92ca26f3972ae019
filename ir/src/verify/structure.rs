//! Layer 1: ids, uses, order, arity. Codes `IRV0xx`.

use std::collections::BTreeSet;

use super::MAX_FINDINGS;
use crate::diagnostic::{Diagnostic, Diagnostics, SourceLocation};
use crate::entity::{EntityId, GraphId, OpId, ValueId};
use crate::graph::{Graph, Operation, Use, ValueDef};
use crate::module::Module;
use crate::ops::Arity;

/// Checks the structure of a module.
pub fn verify(module: &Module) -> Result<(), Diagnostics> {
    let mut found = Vec::new();
    if module.graphs.is_empty() {
        return Err(Diagnostic::error("IRV001", "the module has no graph").into());
    }
    for (id, graph) in module.graphs() {
        Checker { module, graph, found: &mut found }.run(id);
    }
    check_signatures(module, &mut found);
    check_calls(module, &mut found);
    found.truncate(MAX_FINDINGS);
    if found.is_empty() { Ok(()) } else { Err(Diagnostics(found)) }
}

fn check_signatures(module: &Module, found: &mut Vec<Diagnostic>) {
    for signature in &module.signatures {
        let Some(graph) = module.get_graph(signature.graph) else {
            found.push(Diagnostic::error("IRV003", format!("signature '{}' names a graph that does not exist", signature.key)));
            continue;
        };
        for (what, names, count) in
            [("input", &signature.inputs, graph.inputs().len()), ("output", &signature.outputs, graph.outputs().len())]
        {
            let distinct: BTreeSet<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
            if names.iter().any(|(_, index)| *index >= count) || distinct.len() != names.len() {
                found.push(Diagnostic::error(
                    "IRV003",
                    format!("signature '{}' repeats an {what} name or names an {what} that graph '{}' lacks", signature.key, graph.name()),
                ));
            }
        }
    }
}

/// Whatever runs a module runs called graphs inside their callers, on a stack of its own machine.
pub const MAX_CALL_DEPTH: usize = 64;

/// What is wrong with the calls of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadCall {
    /// It calls itself, directly or through others.
    Circular(GraphId),
    /// Its calls nest more than [`MAX_CALL_DEPTH`] deep.
    TooDeep(GraphId),
}

/// The first graph that calls itself, or whose calls nest too deeply. Iterative, because a hostile module may nest as it likes.
#[must_use]
pub fn bad_call(module: &Module) -> Option<BadCall> {
    let callees: Vec<Vec<usize>> = module.graphs().map(|(_, g)| g.ops().flat_map(|(_, o)| o.op().graphs()).collect()).collect();
    // How deep the calls of a graph nest; `None` before it is known, and on the path that leads to the graph in hand.
    let mut depth: Vec<Option<usize>> = vec![None; callees.len()];
    let mut on_path = vec![false; callees.len()];
    for root in 0..callees.len() {
        let mut path = vec![(root, 0usize)];
        while let Some((graph, next)) = path.pop() {
            if next == 0 {
                match (depth.get(graph), on_path.get(graph)) {
                    (Some(None), Some(false)) => on_path[graph] = true,
                    (Some(None), Some(true)) => return Some(BadCall::Circular(GraphId::from_index(graph))),
                    // Known already, or not in the module, which is reported with the operation that names it.
                    _ => continue,
                }
            }
            match callees[graph].get(next) {
                Some(&callee) => {
                    path.push((graph, next + 1));
                    path.push((callee, 0));
                }
                None => {
                    let below = callees[graph].iter().filter_map(|&callee| depth.get(callee).copied().flatten()).max();
                    let levels = below.map_or(0, |levels| levels + 1);
                    if levels > MAX_CALL_DEPTH {
                        return Some(BadCall::TooDeep(GraphId::from_index(graph)));
                    }
                    depth[graph] = Some(levels);
                    on_path[graph] = false;
                }
            }
        }
    }
    None
}

fn check_calls(module: &Module, found: &mut Vec<Diagnostic>) {
    let name = |graph: GraphId| module.graph(graph).name();
    found.extend(bad_call(module).map(|bad| match bad {
        BadCall::Circular(graph) => Diagnostic::error("IRV002", format!("graph '{}' calls itself", name(graph))),
        BadCall::TooDeep(graph) => {
            Diagnostic::error("IRV013", format!("the calls of graph '{}' nest more than {MAX_CALL_DEPTH} deep", name(graph)))
        }
    }));
}

struct Checker<'m, 'f> {
    module: &'m Module,
    graph: &'m Graph,
    found: &'f mut Vec<Diagnostic>,
}

impl Checker<'_, '_> {
    fn report(&mut self, code: &'static str, op: Option<(usize, &Operation)>, value: Option<ValueId>, message: String) {
        if self.found.len() < MAX_FINDINGS {
            let location = SourceLocation {
                graph: Some(self.graph.name().to_owned()),
                op: op.map(|(index, o)| (index, o.op().mnemonic().to_owned())),
                tensor: value.map(|v| self.graph.value_name(v)),
                ..SourceLocation::default()
            };
            self.found.push(Diagnostic::error(code, message).at(location));
        }
    }

    fn run(&mut self, _id: GraphId) {
        let graph = self.graph;
        let mut position = vec![usize::MAX; graph.op_capacity()];
        let mut count = 0;
        for (index, (id, _)) in graph.ops().enumerate() {
            position[id.index()] = index;
            count += 1;
        }
        if count != graph.op_count() {
            self.report("IRV004", None, None, "an operation is not in the execution order".into());
        }
        for (index, (id, operation)) in graph.ops().enumerate() {
            self.operation(index, id, operation, &position);
        }
        let mut readers = vec![0usize; graph.value_capacity()];
        let mut described = BTreeSet::new();
        for (index, (_, operation)) in graph.ops().enumerate() {
            for value in operation.operands().iter().flatten() {
                readers.get_mut(value.index()).into_iter().for_each(|n| *n += 1);
            }
            for &value in operation.intermediates() {
                if graph.get_value(value).is_none_or(|v| v.def() != ValueDef::Unbound) || !described.insert(value) {
                    let message = "an intermediate is not a value that nothing defines, of this operation alone".into();
                    self.report("IRV012", Some((index, operation)), Some(value), message);
                }
            }
        }
        for output in graph.outputs() {
            readers.get_mut(output.index()).into_iter().for_each(|n| *n += 1);
        }
        for (id, value) in graph.values() {
            self.definition(id, value.def());
            for &user in value.uses() {
                let named = match user {
                    Use::Operand { op, operand } => graph.get_op(op).and_then(|o| o.operand(operand)),
                    Use::Output(index) => graph.outputs().get(index).copied(),
                };
                if named != Some(id) {
                    self.report("IRV005", None, Some(id), "a use does not name the value back".into());
                }
            }
            // Uses that are distinct, name the value back and are as many as its readers are its readers. (Looking every reader
            // up in the list takes time that grows with the square of it.)
            let distinct: BTreeSet<Use> = value.uses().iter().copied().collect();
            if distinct.len() != value.uses().len() || readers.get(id.index()) != Some(&distinct.len()) {
                self.report("IRV005", None, Some(id), "the value does not know its readers".into());
            }
        }
        for (index, &output) in graph.outputs().iter().enumerate() {
            let bound = graph.get_value(output).is_some_and(|v| v.def() != ValueDef::Unbound);
            if !bound {
                self.report("IRV006", None, Some(output), format!("output {index} is not a value that the graph defines"));
            }
        }
    }

    fn definition(&mut self, id: ValueId, def: ValueDef) {
        let sound = match def {
            ValueDef::Input(index) => self.graph.inputs().get(index) == Some(&id),
            ValueDef::Constant(constant) => self.module.get_constant(constant).is_some(),
            ValueDef::Result { op, index } => self.graph.get_op(op).and_then(|o| o.results().get(index)) == Some(&id),
            ValueDef::Variable | ValueDef::Unbound => true,
        };
        if !sound {
            self.report("IRV007", None, Some(id), "the value's definition does not name it back".into());
        }
    }

    fn operation(&mut self, index: usize, id: OpId, operation: &Operation, position: &[usize]) {
        let at = Some((index, operation));
        for (operand, value) in operation.operands().iter().enumerate() {
            let Some(value) = *value else { continue };
            let Some(known) = self.graph.get_value(value) else {
                self.report("IRV008", at, Some(value), format!("operand {operand} is not a value of the graph"));
                continue;
            };
            match known.def() {
                ValueDef::Result { op, .. } if position.get(op.index()).is_none_or(|&p| p >= index) => {
                    self.report("IRV009", at, Some(value), format!("operand {operand} is read before it is computed"));
                }
                ValueDef::Unbound => self.report("IRV010", at, Some(value), format!("nothing defines operand {operand}")),
                _ => {}
            }
        }
        for (result, &value) in operation.results().iter().enumerate() {
            if self.graph.get_value(value).is_none_or(|v| v.def() != ValueDef::Result { op: id, index: result }) {
                self.report("IRV007", at, Some(value), format!("result {result} does not name its operation"));
            }
        }
        self.arity(index, operation);
        for callee in operation.op().graphs() {
            if self.module.get_graph(GraphId::from_index(callee)).is_none() {
                self.report("IRV002", at, None, format!("graph {callee} does not exist"));
            }
        }
    }

    fn arity(&mut self, index: usize, operation: &Operation) {
        let at = Some((index, operation));
        let spec = operation.op().operand_spec();
        let variadic = spec.last().is_some_and(|o| o.arity == Arity::Variadic);
        let operands = operation.operands();
        if !variadic && operands.len() > spec.len() {
            let message = format!("{} operands, at most {} are declared", operands.len(), spec.len());
            self.report("IRV011", at, None, message);
        }
        for (i, declared) in spec.iter().enumerate() {
            if declared.arity == Arity::Required && operands.get(i).copied().flatten().is_none() {
                self.report("IRV011", at, None, format!("operand {i} ({}) is missing", declared.name));
            }
        }
    }
}
