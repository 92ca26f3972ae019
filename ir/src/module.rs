//! A module: everything that one model file holds.

use bytes::Bytes;

use crate::constant::Constant;
use crate::entity::{Arena, ConstId, EntityId, GraphId, OpId, ValueId};
use crate::graph::{Graph, Operation, Use, Value, ValueDef};
use crate::ops::Op;

/// A named way to call a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Its key, such as `serving_default`.
    pub key: String,
    /// The graph that it calls.
    pub graph: GraphId,
    /// Names for graph inputs, by input number.
    pub inputs: Vec<(String, usize)>,
    /// Names for graph outputs, by output number.
    pub outputs: Vec<(String, usize)>,
}

/// A named blob that travels with the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Its name, such as `min_runtime_version`.
    pub name: String,
    /// Its bytes.
    pub bytes: Bytes,
}

/// Graphs, the constants that they share, signatures and metadata. Graph 0 is the main one.
#[derive(Clone, Debug, Default)]
pub struct Module {
    /// What the source says of the model in a sentence.
    pub description: String,
    /// Named ways to call graphs.
    pub signatures: Vec<Signature>,
    /// Named blobs.
    pub metadata: Vec<Metadata>,
    pub(crate) graphs: Vec<Graph>,
    pub(crate) constants: Arena<ConstId, Constant>,
}

impl PartialEq for Module {
    /// Equal graphs whose constants hold equal bytes; constant ids, and constants that no value names, do not count.
    fn eq(&self, other: &Self) -> bool {
        let same_bytes = |a: &Graph, b: &Graph| {
            a.values().zip(b.values()).all(|((_, x), (_, y))| match (x.def, y.def) {
                (ValueDef::Constant(x), ValueDef::Constant(y)) => self.get_constant(x) == other.get_constant(y),
                _ => true,
            })
        };
        self.description == other.description
            && self.signatures == other.signatures
            && self.metadata == other.metadata
            && self.graphs == other.graphs
            && self.graphs.iter().zip(&other.graphs).all(|(a, b)| same_bytes(a, b))
    }
}

impl Module {
    /// An empty module.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a graph; the first one added is the main graph.
    pub fn add_graph(&mut self, graph: Graph) -> GraphId {
        self.graphs.push(graph);
        GraphId::from_index(self.graphs.len() - 1)
    }

    /// Whether a run leaves something behind that the next one sees: variables, or the states of recurrent operations.
    pub fn has_state(&self) -> bool {
        self.graphs.iter().any(|graph| {
            let variable = graph.values().any(|(_, v)| v.def() == ValueDef::Variable);
            variable || graph.ops().any(|(_, o)| matches!(o.op(), Op::VarHandle(_) | Op::ReadVariable(_) | Op::AssignVariable(_)))
        })
    }

    /// Removes the graphs for which `keep` says false (the main graph never) and renumbers the others in signatures and operations. Nothing that
    /// is kept may name a removed graph.
    pub fn retain_graphs(&mut self, keep: &[bool]) {
        let kept = |index: usize| index == 0 || keep.get(index).copied().unwrap_or(true);
        let mut count = 0;
        let numbers: Vec<usize> = (0..self.graphs.len())
            .map(|index| {
                count += usize::from(kept(index));
                count.saturating_sub(1)
            })
            .collect();
        let number = |old: usize| numbers.get(old).copied().unwrap_or(old);
        let mut index = 0;
        self.graphs.retain(|_| {
            index += 1;
            kept(index - 1)
        });
        for graph in &mut self.graphs {
            for id in graph.op_ids() {
                graph.ops[id].op.renumber_graphs(number);
            }
        }
        for signature in &mut self.signatures {
            signature.graph = GraphId::from_index(number(signature.graph.index()));
        }
    }

    /// Adds a constant.
    pub fn add_constant(&mut self, constant: Constant) -> ConstId {
        self.constants.push(constant)
    }

    /// Adds a constant under a chosen id. Answers false when the id is taken.
    pub fn add_constant_at(&mut self, id: ConstId, constant: Constant) -> bool {
        self.constants.insert(id, constant).is_ok()
    }

    /// The main graph's id.
    pub const fn main_id(&self) -> GraphId {
        GraphId::MAIN
    }

    /// The main graph.
    ///
    /// # Panics
    /// When the module has no graph yet; a verified module has one.
    pub fn main(&self) -> &Graph {
        &self.graphs[0]
    }

    /// The graph with this id.
    ///
    /// # Panics
    /// When there is none.
    pub fn graph(&self, id: GraphId) -> &Graph {
        &self.graphs[id.index()]
    }

    /// The graph with this id, if there.
    pub fn get_graph(&self, id: GraphId) -> Option<&Graph> {
        self.graphs.get(id.index())
    }

    /// All graphs in order.
    pub fn graphs(&self) -> impl DoubleEndedIterator<Item = (GraphId, &Graph)> {
        self.graphs.iter().enumerate().map(|(i, g)| (GraphId::from_index(i), g))
    }

    /// All graph ids in order, as a list that stays valid while graphs change.
    pub fn graph_ids(&self) -> Vec<GraphId> {
        self.graphs().map(|(id, _)| id).collect()
    }

    /// The bytes of a constant.
    ///
    /// # Panics
    /// When there is no such constant.
    pub fn constant(&self, id: ConstId) -> &Constant {
        &self.constants[id]
    }

    /// The bytes of a constant, if there.
    pub fn get_constant(&self, id: ConstId) -> Option<&Constant> {
        self.constants.get(id)
    }

    /// All constants in id order.
    pub fn constants(&self) -> impl DoubleEndedIterator<Item = (ConstId, &Constant)> {
        self.constants.iter()
    }

    /// The bytes of a value, when it is a constant that is stored densely.
    pub fn constant_of(&self, graph: &Graph, value: ValueId) -> Option<&Constant> {
        let value = graph.get_value(value)?;
        match value.def {
            ValueDef::Constant(id) if value.sparsity.is_none() => self.constants.get(id),
            _ => None,
        }
    }

    /// Renumbers everything densely: values in the order inputs, then per operation its constants and results, then what is left and
    /// used; operations in execution order. Constants that no value names, and unbound values that no operation names, go away.
    pub fn compact(&mut self) {
        let mut constants = Arena::default();
        let mut new_const: Vec<Option<ConstId>> = vec![None; self.constants.capacity()];
        for graph in &mut self.graphs {
            compact_graph(graph, &self.constants, &mut constants, &mut new_const);
        }
        self.constants = constants;
    }
}

fn compact_graph(
    graph: &mut Graph,
    old_constants: &Arena<ConstId, Constant>,
    constants: &mut Arena<ConstId, Constant>,
    new_const: &mut [Option<ConstId>],
) {
    let mut order: Vec<ValueId> = Vec::with_capacity(graph.values.len());
    let mut seen = vec![false; graph.values.capacity()];
    let mut visit = |id: ValueId| {
        if let Some(seen) = seen.get_mut(id.index())
            && !std::mem::replace(seen, true)
        {
            order.push(id);
        }
    };
    graph.inputs.iter().copied().for_each(&mut visit);
    for (_, op) in graph.ops() {
        op.operands.iter().flatten().copied().for_each(&mut visit);
        op.intermediates.iter().copied().for_each(&mut visit);
        op.results.iter().copied().for_each(&mut visit);
    }
    graph.outputs.iter().copied().for_each(&mut visit);

    let mut new_value: Vec<Option<ValueId>> = vec![None; graph.values.capacity()];
    for (index, id) in order.iter().enumerate() {
        new_value[id.index()] = Some(ValueId::from_index(index));
    }
    let mut new_op: Vec<Option<OpId>> = vec![None; graph.ops.capacity()];
    let old_order = graph.op_ids();
    for (index, id) in old_order.iter().enumerate() {
        new_op[id.index()] = Some(OpId::from_index(index));
    }
    let map_value = |id: ValueId| new_value[id.index()].unwrap_or(id);
    let map_op = |id: OpId| new_op[id.index()].unwrap_or(id);

    let mut result = Graph::new(std::mem::take(&mut graph.name));
    for &id in &order {
        let Some(mut value) = graph.values.remove(id) else { continue };
        value.def = match value.def {
            ValueDef::Result { op, index } => ValueDef::Result { op: map_op(op), index },
            ValueDef::Constant(old) => {
                ValueDef::Constant(*new_const[old.index()].get_or_insert_with(|| constants.push(old_constants[old].clone())))
            }
            other @ (ValueDef::Input(_) | ValueDef::Variable | ValueDef::Unbound) => other,
        };
        for user in &mut value.uses {
            if let Use::Operand { op, .. } = user {
                *op = map_op(*op);
            }
        }
        result.values.push(Value { ..value });
    }
    for id in old_order {
        let Some(op) = graph.ops.get(id) else { continue };
        let operation = Operation {
            op: op.op.clone(),
            operands: op.operands.iter().map(|v| v.map(map_value)).collect(),
            results: op.results.iter().copied().map(map_value).collect(),
            intermediates: op.intermediates.iter().copied().map(map_value).collect(),
            prev: None,
            next: None,
            seq: 0,
        };
        let id = result.ops.push(operation);
        result.link(id, None);
    }
    result.inputs = graph.inputs.iter().copied().map(map_value).collect();
    result.outputs = graph.outputs.iter().copied().map(map_value).collect();
    *graph = result;
}
