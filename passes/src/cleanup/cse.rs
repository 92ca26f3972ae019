//! Computes equal things once: an operation with the same attributes, operands and result types as an earlier one gives way to it.
//!
//! Only operations without side effects and without state count. Constants of equal type and bytes count as equal operands, but are not
//! themselves united: equal biases of two layers are to be quantized differently. Two graph outputs stay two tensors.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::hash::{DefaultHasher, Hasher};

use octet_ir::{
    ConstId, Constant, Diagnostic, Diagnostics, Graph, GraphId, Module, Op, OpId, Operation, Patch, Type, ValueDef, ValueId, text,
};
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
            let mut seen: HashMap<Key, Vec<Class>> = HashMap::new();
            for (position, op) in module.graph(id).op_ids().into_iter().enumerate() {
                let Some(key) = key(module, id, op, &mut classes) else { continue };
                let classes = seen.entry(key).or_default();
                let graph = module.graph(id);
                let Some(class) = classes.iter_mut().find(|c| equal(graph, c.example, op)) else {
                    classes.push(Class { example: op, members: BTreeMap::from([(outputs(graph, op), BTreeMap::from([(position, op)]))]) });
                    continue;
                };
                let outputs = outputs(graph, op);
                let Some((theirs, first)) = class.first(&outputs) else {
                    class.members.entry(outputs).or_default().insert(position, op);
                    continue;
                };
                let what = format!("{} is computed twice", graph.op(op).op().mnemonic());
                if !context.observer.may_patch("cse", &what) {
                    return Ok(changed);
                }
                let (at, keep) = first;
                let patch = unite(graph, keep, op);
                patch.apply(module, id).map_err(|e| Diagnostic::error("PAS006", format!("pass 'cse': {e}")))?;
                changed = true;
                // What was united is an output where either was.
                class.members.entry(theirs.clone()).or_default().remove(&at);
                let both = theirs.iter().zip(&outputs).map(|(a, b)| *a || *b).collect();
                class.members.entry(both).or_default().insert(at, keep);
            }
        }
        Ok(changed)
    }
}

/// What equal operations have in common, cheap to compare: mnemonic, a hash of the attributes, and operands, constants by class.
type Key = (&'static str, u64, Vec<Option<Operand>>);

/// Operations with the same attributes, operands and result types that were not united: among those that are no outputs at most one, and others
/// only while their outputs are to stay apart.
struct Class {
    example: OpId,
    /// By which results are graph outputs, then by position in the graph: nothing has to be searched for one that may be united.
    members: BTreeMap<Vec<bool>, BTreeMap<usize, OpId>>,
}

impl Class {
    /// The first member with no output where these are: which results of it are outputs, its position, and it.
    fn first(&self, outputs: &[bool]) -> Option<(Vec<bool>, (usize, OpId))> {
        let apart = self.members.iter().filter(|(theirs, _)| !theirs.iter().zip(outputs).any(|(a, b)| *a && *b));
        let first = apart.filter_map(|(theirs, members)| Some((theirs, members.first_key_value()?)));
        first.min_by_key(|(_, (at, _))| **at).map(|(theirs, (at, op))| (theirs.clone(), (*at, *op)))
    }
}

/// Which results are outputs of the graph.
fn outputs(graph: &Graph, op: OpId) -> Vec<bool> {
    graph.op(op).results().iter().map(|v| graph.value(*v).is_output()).collect()
}

/// Attributes as far as they tell equal operations from others; the hash is the same in every run.
fn attributes(op: &Op) -> u64 {
    struct Text(DefaultHasher);
    impl Write for Text {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.write(text.as_bytes());
            Ok(())
        }
    }
    let mut text = Text(DefaultHasher::new());
    // A hasher takes everything. What is not told apart here is compared in full.
    let _ = write!(text, "{op:?}");
    text.0.finish()
}

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
    Some((operation.op().mnemonic(), attributes(operation.op()), operands?))
}

fn equal(graph: &Graph, first: OpId, second: OpId) -> bool {
    let (a, b) = (graph.op(first), graph.op(second));
    let types = |o: &Operation| o.results().iter().map(|v| graph.ty(*v).clone()).collect::<Vec<_>>();
    a.op() == b.op() && types(a) == types(b)
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
