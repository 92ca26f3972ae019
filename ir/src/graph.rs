//! Graphs: an arena of values, an arena of operations, and the order in which operations run.
//!
//! Fields are private. A graph is made by [`GraphBuilder`] and changed by [`crate::Patch`]; both keep uses and
//! operands reciprocal and operations after what they read.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::constant::Constant;
use crate::entity::{Arena, ConstId, EntityId, GraphId, OpId, ValueId};
use crate::location::Loc;
use crate::module::Module;
use crate::ops::Op;
use crate::sparsity::Sparsity;
use crate::types::Type;

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueDef {
    /// The graph's input number *i*.
    Input(usize),
    /// A constant of the module.
    Constant(ConstId),
    /// Result `index` of an operation.
    Result {
        /// The operation.
        op: OpId,
        /// Which of its results.
        index: usize,
    },
    /// State that lives from one run to the next, starts at the zero point, and is updated in place by the operations that
    /// take it as a state operand (SVDF, LSTM, ...): TFLite's variable tensors.
    Variable,
    /// A typed name without storage: LSTM intermediates, and tensors of a file that nothing reads or writes.
    Unbound,
}

/// Who reads a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Use {
    /// Operand `operand` of an operation.
    Operand {
        /// The reader.
        op: OpId,
        /// Which of its operands.
        operand: usize,
    },
    /// Output number *i* of the graph.
    Output(usize),
}

/// The range of real values that a tensor takes: from an observer, a `FAKE_QUANT` or the source file.
/// One entry for the tensor, or one per index of the quantized axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// Smallest values.
    pub min: Vec<f32>,
    /// Largest values.
    pub max: Vec<f32>,
}

impl Range {
    /// The range of a whole tensor.
    pub fn new(min: f32, max: f32) -> Self {
        Self { min: vec![min], max: vec![max] }
    }

    /// Minimum and maximum over all entries.
    pub fn bounds(&self) -> Option<(f32, f32)> {
        let min = self.min.iter().copied().reduce(f32::min)?;
        let max = self.max.iter().copied().reduce(f32::max)?;
        Some((min, max))
    }
}

/// A tensor in a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    pub(crate) ty: Type,
    pub(crate) def: ValueDef,
    pub(crate) uses: Vec<Use>,
    pub(crate) loc: Loc,
    pub(crate) range: Option<Range>,
    pub(crate) sparsity: Option<Arc<Sparsity>>,
}

impl Value {
    /// Its type.
    pub fn ty(&self) -> &Type {
        &self.ty
    }
    /// Where it comes from.
    pub fn def(&self) -> ValueDef {
        self.def
    }
    /// Its readers, in the order in which they were attached.
    pub fn uses(&self) -> &[Use] {
        &self.uses
    }
    /// Its names in the source.
    pub fn loc(&self) -> &Loc {
        &self.loc
    }
    /// The range that was observed or declared for it.
    pub fn range(&self) -> Option<&Range> {
        self.range.as_ref()
    }
    /// How it is stored, if sparse.
    pub fn sparsity(&self) -> Option<&Arc<Sparsity>> {
        self.sparsity.as_ref()
    }
    /// Whether it is an output of the graph.
    pub fn is_output(&self) -> bool {
        self.uses.iter().any(|u| matches!(u, Use::Output(_)))
    }
}

/// An operation in a graph.
#[derive(Clone, Debug)]
pub struct Operation {
    pub(crate) op: Op,
    pub(crate) operands: Vec<Option<ValueId>>,
    pub(crate) results: Vec<ValueId>,
    /// LSTM intermediates and the like: names and types, no data.
    pub(crate) intermediates: Vec<ValueId>,
    pub(crate) prev: Option<OpId>,
    pub(crate) next: Option<OpId>,
    /// Grows along the execution order; gaps leave room for insertion.
    pub(crate) seq: u64,
}

impl Operation {
    /// What it computes, with attributes.
    pub fn op(&self) -> &Op {
        &self.op
    }
    /// What it reads; `None` where an optional operand is left out.
    pub fn operands(&self) -> &[Option<ValueId>] {
        &self.operands
    }
    /// Operand `index`, if there.
    pub fn operand(&self, index: usize) -> Option<ValueId> {
        self.operands.get(index).copied().flatten()
    }
    /// What it defines.
    pub fn results(&self) -> &[ValueId] {
        &self.results
    }
    /// Values that only describe its inner tensors.
    pub fn intermediates(&self) -> &[ValueId] {
        &self.intermediates
    }
}

/// Distance between neighbours' sequence numbers after renumbering.
const SEQ_STEP: u64 = 1 << 20;

/// A function of tensors: operations in execution order.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub(crate) name: String,
    pub(crate) values: Arena<ValueId, Value>,
    pub(crate) ops: Arena<OpId, Operation>,
    pub(crate) inputs: Vec<ValueId>,
    pub(crate) outputs: Vec<ValueId>,
    pub(crate) first: Option<OpId>,
    pub(crate) last: Option<OpId>,
}

impl Graph {
    /// An empty graph.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Its name in the source; may be empty or shared with another graph.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Input values in order.
    pub fn inputs(&self) -> &[ValueId] {
        &self.inputs
    }

    /// Output values in order; a value may stand twice.
    pub fn outputs(&self) -> &[ValueId] {
        &self.outputs
    }

    /// The value with this id.
    ///
    /// # Panics
    /// When the id does not name a live value of this graph: a bug of the caller. Ids that come from the graph are alive.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id]
    }

    /// The value with this id, if alive.
    pub fn get_value(&self, id: ValueId) -> Option<&Value> {
        self.values.get(id)
    }

    /// The operation with this id.
    ///
    /// # Panics
    /// When the id does not name a live operation of this graph.
    pub fn op(&self, id: OpId) -> &Operation {
        &self.ops[id]
    }

    /// The operation with this id, if alive.
    pub fn get_op(&self, id: OpId) -> Option<&Operation> {
        self.ops.get(id)
    }

    /// The type of a value.
    ///
    /// # Panics
    /// As [`value`](Self::value).
    pub fn ty(&self, id: ValueId) -> &Type {
        &self.values[id].ty
    }

    /// Values in id order.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = (ValueId, &Value)> {
        self.values.iter()
    }

    /// One more than the largest value id: the length of a side table indexed by value.
    pub fn value_capacity(&self) -> usize {
        self.values.capacity()
    }

    /// One more than the largest operation id.
    pub fn op_capacity(&self) -> usize {
        self.ops.capacity()
    }

    /// Where each operation stands in execution order, by its id: one walk for many questions. Ids without an operation are at `usize::MAX`.
    pub fn op_positions(&self) -> Vec<usize> {
        let mut positions = vec![usize::MAX; self.op_capacity()];
        for (position, (id, _)) in self.ops().enumerate() {
            if let Some(slot) = positions.get_mut(id.index()) {
                *slot = position;
            }
        }
        positions
    }

    /// Number of operations.
    pub fn op_count(&self) -> usize {
        self.ops.len()
    }

    /// Operations in execution order.
    pub fn ops(&self) -> impl Iterator<Item = (OpId, &Operation)> {
        let mut at = self.first;
        std::iter::from_fn(move || {
            let id = at?;
            let operation = &self.ops[id];
            at = operation.next;
            Some((id, operation))
        })
    }

    /// Operation ids in execution order, as a list that stays valid while the graph changes.
    pub fn op_ids(&self) -> Vec<OpId> {
        self.ops().map(|(id, _)| id).collect()
    }

    /// The operation that defines a value, with its id; `None` for inputs, constants and variables.
    pub fn producer(&self, value: ValueId) -> Option<(OpId, &Operation)> {
        match self.values.get(value)?.def {
            ValueDef::Result { op, .. } => Some((op, &self.ops[op])),
            ValueDef::Input(_) | ValueDef::Constant(_) | ValueDef::Variable | ValueDef::Unbound => None,
        }
    }

    /// The only reader of a value, when it has exactly one use and that is an operand.
    pub fn single_user(&self, value: ValueId) -> Option<(OpId, usize)> {
        match self.values.get(value)?.uses.as_slice() {
            [Use::Operand { op, operand }] => Some((*op, *operand)),
            _ => None,
        }
    }

    /// Whether `a` runs before `b`.
    pub fn runs_before(&self, a: OpId, b: OpId) -> bool {
        self.ops[a].seq < self.ops[b].seq
    }

    /// A name for messages: the source's, else `%id`.
    pub fn value_name(&self, id: ValueId) -> String {
        self.values.get(id).and_then(|v| v.loc.name()).map_or_else(|| id.to_string(), str::to_owned)
    }

    pub(crate) fn attach(&mut self, value: ValueId, user: Use) {
        if let Some(value) = self.values.get_mut(value) {
            value.uses.push(user);
        }
    }

    pub(crate) fn detach(&mut self, value: ValueId, user: Use) {
        if let Some(value) = self.values.get_mut(value) {
            value.uses.retain(|u| *u != user);
        }
    }

    /// Puts an operation into the order: before `anchor`, or at the end. It is already in the arena.
    pub(crate) fn link(&mut self, id: OpId, anchor: Option<OpId>) {
        let prev = anchor.map_or(self.last, |a| self.ops[a].prev);
        match prev {
            Some(p) => self.ops[p].next = Some(id),
            None => self.first = Some(id),
        }
        match anchor {
            Some(a) => self.ops[a].prev = Some(id),
            None => self.last = Some(id),
        }
        let low = prev.map_or(0, |p| self.ops[p].seq);
        let high = anchor.map_or(low + 2 * SEQ_STEP, |a| self.ops[a].seq);
        let operation = &mut self.ops[id];
        operation.prev = prev;
        operation.next = anchor;
        operation.seq = low + (high - low) / 2;
        if operation.seq == low {
            self.renumber();
        }
    }

    /// Takes an operation out of the order and the arena; its uses and results must be gone already.
    pub(crate) fn unlink(&mut self, id: OpId) {
        let Some(operation) = self.ops.remove(id) else { return };
        match operation.prev {
            Some(p) => self.ops[p].next = operation.next,
            None => self.first = operation.next,
        }
        match operation.next {
            Some(n) => self.ops[n].prev = operation.prev,
            None => self.last = operation.prev,
        }
    }

    fn renumber(&mut self) {
        let mut at = self.first;
        let mut seq = SEQ_STEP;
        while let Some(id) = at {
            let operation = &mut self.ops[id];
            operation.seq = seq;
            seq += SEQ_STEP;
            at = operation.next;
        }
    }

    /// Removes an operation and its results. The caller has made sure that nothing uses them.
    pub(crate) fn erase(&mut self, id: OpId) {
        let Some(operation) = self.ops.get(id) else { return };
        let (operands, results, intermediates) = (operation.operands.clone(), operation.results.clone(), operation.intermediates.clone());
        for (operand, value) in operands.into_iter().enumerate() {
            if let Some(value) = value {
                self.detach(value, Use::Operand { op: id, operand });
            }
        }
        for value in results.into_iter().chain(intermediates) {
            self.values.remove(value);
        }
        self.unlink(id);
    }
}

impl PartialEq for Graph {
    /// Same values under the same ids, same operations in the same order. Operation and constant ids may differ;
    /// whether constants hold the same bytes is for [`Module`]'s comparison to say.
    fn eq(&self, other: &Self) -> bool {
        let same_value = |(a_id, a): (ValueId, &Value), (b_id, b): (ValueId, &Value)| {
            let same_def = match (a.def, b.def) {
                (ValueDef::Result { index: i, .. }, ValueDef::Result { index: j, .. }) => i == j,
                (ValueDef::Constant(_), ValueDef::Constant(_)) => true,
                (x, y) => x == y,
            };
            a_id == b_id
                && same_def
                && a.ty == b.ty
                && a.loc == b.loc
                && a.range == b.range
                && a.sparsity == b.sparsity
                && a.uses.len() == b.uses.len()
        };
        self.name == other.name
            && self.inputs == other.inputs
            && self.outputs == other.outputs
            && self.values.len() == other.values.len()
            && self.ops.len() == other.ops.len()
            && self.values().zip(other.values()).all(|(a, b)| same_value(a, b))
            && self.ops().zip(other.ops()).all(|((_, a), (_, b))| {
                a.op == b.op && a.operands == b.operands && a.results == b.results && a.intermediates == b.intermediates
            })
    }
}

/// Builds one graph of a module, value by value and operation by operation, in execution order.
///
/// Nothing is checked here beyond the ids' own sanity: run the verifier on the finished module.
#[derive(Debug)]
pub struct GraphBuilder<'m> {
    module: &'m mut Module,
    id: GraphId,
    graph: Graph,
}

impl<'m> GraphBuilder<'m> {
    /// Begins a graph. It takes its number now, so that graphs begun while it grows ([`child`](Self::child)) come after it.
    pub fn new(module: &'m mut Module, name: impl Into<String>) -> Self {
        let name = name.into();
        let id = module.add_graph(Graph::new(name.clone()));
        Self { module, id, graph: Graph::new(name) }
    }

    /// Begins another graph of the same module: the body of a control-flow operation of this one.
    pub fn child(&mut self, name: impl Into<String>) -> GraphBuilder<'_> {
        GraphBuilder::new(self.module, name)
    }

    /// The graph so far.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The module that will own the graph.
    pub fn module(&self) -> &Module {
        self.module
    }

    /// Declares a value without saying yet where it comes from; [`input`](Self::input), [`constant`](Self::constant),
    /// [`variable`](Self::variable) and [`op`](Self::op) bind it. Ids count up from 0: file formats that number tensors keep their numbers.
    pub fn declare(&mut self, ty: Type, loc: Loc) -> ValueId {
        self.graph.values.push(new_value(ty, ValueDef::Unbound, loc))
    }

    /// Declares a value under a chosen id. Answers false when the id is taken.
    pub fn declare_at(&mut self, id: ValueId, ty: Type, loc: Loc) -> bool {
        self.graph.values.insert(id, new_value(ty, ValueDef::Unbound, loc)).is_ok()
    }

    /// Replaces a value's type.
    pub fn set_type(&mut self, value: ValueId, ty: Type) {
        if let Some(value) = self.graph.values.get_mut(value) {
            value.ty = ty;
        }
    }

    /// Sets the source names of a value.
    pub fn set_loc(&mut self, value: ValueId, loc: Loc) {
        if let Some(value) = self.graph.values.get_mut(value) {
            value.loc = loc;
        }
    }

    /// Notes a value's range.
    pub fn set_range(&mut self, value: ValueId, range: Option<Range>) {
        if let Some(value) = self.graph.values.get_mut(value) {
            value.range = range;
        }
    }

    /// Notes how a constant is stored.
    pub fn set_sparsity(&mut self, value: ValueId, sparsity: Option<Arc<Sparsity>>) {
        if let Some(value) = self.graph.values.get_mut(value) {
            value.sparsity = sparsity;
        }
    }

    fn bind(&mut self, id: ValueId, def: ValueDef) -> bool {
        match self.graph.values.get_mut(id) {
            Some(value) if value.def == ValueDef::Unbound => {
                value.def = def;
                true
            }
            _ => false,
        }
    }

    /// Makes a declared value the next graph input. Answers false when it is bound already.
    pub fn bind_input(&mut self, value: ValueId) -> bool {
        let bound = self.bind(value, ValueDef::Input(self.graph.inputs.len()));
        if bound {
            self.graph.inputs.push(value);
        }
        bound
    }

    /// Gives a declared value a constant's bytes. Answers false when it is bound already.
    pub fn bind_constant(&mut self, value: ValueId, constant: ConstId) -> bool {
        self.bind(value, ValueDef::Constant(constant))
    }

    /// Makes a declared value a variable. Answers false when it is bound already.
    pub fn bind_variable(&mut self, value: ValueId) -> bool {
        self.bind(value, ValueDef::Variable)
    }

    /// Appends an operation whose results are declared values.
    /// Answers `None` when a result is bound already or does not exist.
    pub fn bind_op(
        &mut self,
        op: impl Into<Op>,
        operands: Vec<Option<ValueId>>,
        results: Vec<ValueId>,
        intermediates: Vec<ValueId>,
    ) -> Option<OpId> {
        let id = self.graph.ops.next_id();
        for (index, &result) in results.iter().enumerate() {
            if !self.bind(result, ValueDef::Result { op: id, index }) {
                return None;
            }
        }
        for (operand, value) in operands.iter().enumerate() {
            if let Some(value) = value {
                self.graph.attach(*value, Use::Operand { op: id, operand });
            }
        }
        let operation = Operation { op: op.into(), operands, results, intermediates, prev: None, next: None, seq: 0 };
        self.graph.ops.push(operation);
        self.graph.link(id, None);
        Some(id)
    }

    /// Adds a graph input.
    pub fn input(&mut self, ty: Type, loc: Loc) -> ValueId {
        let value = self.declare(ty, loc);
        self.bind_input(value);
        value
    }

    /// Adds a constant's bytes to the module, to bind values to.
    pub fn add_constant(&mut self, constant: Constant) -> ConstId {
        self.module.add_constant(constant)
    }

    /// Adds a constant.
    pub fn constant(&mut self, constant: Constant, ty: Type, loc: Loc) -> ValueId {
        let id = self.module.add_constant(constant);
        let value = self.declare(ty, loc);
        self.bind_constant(value, id);
        value
    }

    /// Adds a variable.
    pub fn variable(&mut self, ty: Type, loc: Loc) -> ValueId {
        let value = self.declare(ty, loc);
        self.bind_variable(value);
        value
    }

    /// Appends an operation with results of these types.
    pub fn op(&mut self, op: impl Into<Op>, operands: &[Option<ValueId>], results: Vec<(Type, Loc)>) -> Vec<ValueId> {
        let results: Vec<_> = results.into_iter().map(|(ty, loc)| self.declare(ty, loc)).collect();
        self.bind_op(op, operands.to_vec(), results.clone(), Vec::new());
        results
    }

    /// Appends an operation with one result and no optional operand left out.
    pub fn op1(&mut self, op: impl Into<Op>, operands: &[ValueId], ty: Type, loc: Loc) -> ValueId {
        let result = self.declare(ty, loc);
        self.bind_op(op, operands.iter().copied().map(Some).collect(), vec![result], Vec::new());
        result
    }

    /// Appends a graph output. Answers false when the value does not exist.
    pub fn output(&mut self, value: ValueId) -> bool {
        let exists = self.graph.values.get(value).is_some();
        if exists {
            self.graph.attach(value, Use::Output(self.graph.outputs.len()));
            self.graph.outputs.push(value);
        }
        exists
    }

    /// Hands the graph to the module.
    pub fn finish(self) -> GraphId {
        self.module.graphs[self.id.index()] = self.graph;
        self.id
    }
}

pub(crate) fn new_value(ty: Type, def: ValueDef, loc: Loc) -> Value {
    Value { ty, def, uses: Vec::new(), loc, range: None, sparsity: None }
}
