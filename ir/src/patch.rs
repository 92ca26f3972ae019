//! Patches: the only way to change a finished graph, all or nothing.
//!
//! A patch is written against a graph that it does not touch. [`Patch::apply`] checks the whole of it first (ids alive, types of replaced
//! values compatible, definitions before uses) and then changes the graph, so a refused patch leaves no trace.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::constant::Constant;
use crate::entity::{EntityId, GraphId, OpId, ValueId};
use crate::graph::{Graph, Operation, Range, Use, ValueDef, new_value};
use crate::location::Loc;
use crate::module::Module;
use crate::ops::Op;
use crate::types::Type;

/// Why a patch was refused. The graph is as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatchError {
    /// The graph has changed since the patch was begun.
    Stale,
    /// A value or operation that the patch names is not in the graph.
    Dead(String),
    /// A new operation or replacement would be read before it is computed.
    Order(String),
    /// A value would be replaced by one of another shape or element type.
    Type(String),
    /// An operation is erased whose results are still read.
    InUse(String),
}

impl fmt::Display for PatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale => f.write_str("the graph changed after the patch was begun"),
            Self::Dead(what) => write!(f, "{what} is not in the graph"),
            Self::Order(what) => write!(f, "{what} would be read before it is computed"),
            Self::Type(what) => write!(f, "types do not fit: {what}"),
            Self::InUse(what) => write!(f, "{what} is erased but still read"),
        }
    }
}

impl std::error::Error for PatchError {}

/// What a patch did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Operations that were added, in order.
    pub added: Vec<OpId>,
    /// Operations that were erased, named ones first, then those that nothing needed any more.
    pub erased: Vec<OpId>,
}

#[derive(Clone, Debug)]
enum NewValue {
    Constant(Constant),
    /// Of the patch's new operation with this index.
    Result(usize),
    Unbound,
}

/// A place in the execution order: operations that a patch puts before an anchor run, in the patch's order, after everything
/// that already stands before the anchor and before the anchor itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment {
    /// Sequence number of the operation or of the anchor.
    seq: u64,
    /// Whether this is the operation of that number and not a new one before it.
    is_anchor: bool,
    /// Number of a new operation within the patch.
    index: usize,
}

impl Moment {
    /// Before every operation. Sequence numbers may be 0, but what is readable from the start is never compared for order.
    const START: Self = Self { seq: 0, is_anchor: false, index: 0 };

    fn of(operation: &Operation) -> Self {
        Self { seq: operation.seq, is_anchor: true, index: 0 }
    }
}

/// A set of changes to one graph.
#[derive(Clone, Debug)]
pub struct Patch {
    first_value: usize,
    first_op: usize,
    anchor: Option<OpId>,
    values: Vec<(Type, Loc, NewValue)>,
    ops: Vec<(Option<OpId>, Operation)>,
    replaced: Vec<(ValueId, ValueId)>,
    retyped: bool,
    operands: Vec<(OpId, usize, Option<ValueId>)>,
    outputs: Vec<(usize, ValueId)>,
    intermediates: Vec<(OpId, Vec<ValueId>)>,
    set_ops: Vec<(OpId, Op)>,
    types: BTreeMap<ValueId, Type>,
    constants: Vec<(ValueId, Constant)>,
    ranges: Vec<(ValueId, Option<Range>)>,
    locs: Vec<(ValueId, Loc)>,
    erased: Vec<OpId>,
}

impl Patch {
    /// An empty patch whose new operations will stand right before `anchor`.
    pub fn before(graph: &Graph, anchor: OpId) -> Self {
        Self::with_anchor(graph, Some(anchor))
    }

    /// An empty patch whose new operations will stand right after `op`.
    pub fn after(graph: &Graph, op: OpId) -> Self {
        Self::with_anchor(graph, graph.get_op(op).and_then(|o| o.next))
    }

    /// An empty patch whose new operations will stand at the beginning of the graph.
    pub fn at_start(graph: &Graph) -> Self {
        Self::with_anchor(graph, graph.first)
    }

    /// An empty patch whose new operations will stand at the end of the graph.
    pub fn at_end(graph: &Graph) -> Self {
        Self::with_anchor(graph, None)
    }

    fn with_anchor(graph: &Graph, anchor: Option<OpId>) -> Self {
        Self {
            first_value: graph.values.capacity(),
            first_op: graph.ops.capacity(),
            anchor,
            values: Vec::new(),
            ops: Vec::new(),
            replaced: Vec::new(),
            retyped: false,
            operands: Vec::new(),
            outputs: Vec::new(),
            intermediates: Vec::new(),
            set_ops: Vec::new(),
            types: BTreeMap::new(),
            constants: Vec::new(),
            ranges: Vec::new(),
            locs: Vec::new(),
            erased: Vec::new(),
        }
    }

    /// Lets later operations of this patch stand right before another one.
    pub fn move_before(&mut self, anchor: OpId) {
        self.anchor = Some(anchor);
    }

    /// Lets later operations of this patch stand right after `op`.
    pub fn move_after(&mut self, graph: &Graph, op: OpId) {
        self.anchor = graph.get_op(op).and_then(|o| o.next);
    }

    /// Lets later operations of this patch stand at the beginning of the graph.
    pub fn move_to_start(&mut self, graph: &Graph) {
        self.anchor = graph.first;
    }

    /// Lets later operations of this patch stand at the end of the graph.
    pub fn move_to_end(&mut self) {
        self.anchor = None;
    }

    fn new_value(&mut self, ty: Type, loc: Loc, new: NewValue) -> ValueId {
        self.values.push((ty, loc, new));
        ValueId::from_index(self.first_value + self.values.len() - 1)
    }

    /// Adds a constant value.
    pub fn constant(&mut self, constant: Constant, ty: Type, loc: Loc) -> ValueId {
        self.new_value(ty, loc, NewValue::Constant(constant))
    }

    /// Adds an operation; operands may be values of the graph or of this patch.
    pub fn op(&mut self, op: impl Into<Op>, operands: Vec<Option<ValueId>>, results: Vec<(Type, Loc)>) -> Vec<ValueId> {
        let index = self.ops.len();
        let results: Vec<_> = results.into_iter().map(|(ty, loc)| self.new_value(ty, loc, NewValue::Result(index))).collect();
        let operation =
            Operation { op: op.into(), operands, results: results.clone(), intermediates: Vec::new(), prev: None, next: None, seq: 0 };
        self.ops.push((self.anchor, operation));
        results
    }

    /// Adds an operation with one result and no optional operand left out.
    pub fn op1(&mut self, op: impl Into<Op>, operands: &[ValueId], ty: Type, loc: Loc) -> ValueId {
        let operands = operands.iter().copied().map(Some).collect();
        self.op(op, operands, vec![(ty, loc)])[0]
    }

    /// Lets everything that reads `old` read `new` instead, graph outputs included. Both must have the same element type, shape and
    /// quantization.
    pub fn replace(&mut self, old: ValueId, new: ValueId) {
        self.replaced.push((old, new));
    }

    /// Lets replaced values differ in element type and quantization (never in shape): for quantization rewrites,
    /// whose readers change in the same patch.
    pub fn allow_retyping(&mut self) {
        self.retyped = true;
    }

    /// Sets one operand of an operation.
    pub fn set_operand(&mut self, op: OpId, operand: usize, value: Option<ValueId>) {
        self.operands.push((op, operand, value));
    }

    /// Lets output number `index` of the graph be another value; other readers of the old one keep it.
    pub fn set_output(&mut self, index: usize, value: ValueId) {
        self.outputs.push((index, value));
    }

    /// Adds a value that only describes an inner tensor of an operation.
    pub fn unbound(&mut self, ty: Type, loc: Loc) -> ValueId {
        self.new_value(ty, loc, NewValue::Unbound)
    }

    /// Sets the values that describe an operation's inner tensors; those that it had before go away.
    pub fn set_intermediates(&mut self, op: OpId, values: Vec<ValueId>) {
        self.intermediates.push((op, values));
    }

    /// Changes what an operation computes, or its attributes.
    pub fn set_op(&mut self, id: OpId, op: impl Into<Op>) {
        self.set_ops.push((id, op.into()));
    }

    /// Changes the type of a value.
    pub fn set_type(&mut self, value: ValueId, ty: Type) {
        self.types.insert(value, ty);
    }

    /// Gives a constant value other bytes (and leaves those that share the old ones alone).
    pub fn set_constant(&mut self, value: ValueId, constant: Constant) {
        self.constants.push((value, constant));
    }

    /// Notes or forgets the range of a value.
    pub fn set_range(&mut self, value: ValueId, range: Option<Range>) {
        self.ranges.push((value, range));
    }

    /// Sets the source names of a value.
    pub fn set_loc(&mut self, value: ValueId, loc: Loc) {
        self.locs.push((value, loc));
    }

    /// Erases an operation; nothing may read its results once the patch is applied.
    pub fn erase(&mut self, op: OpId) {
        self.erased.push(op);
    }

    /// Whether the patch changes nothing.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
            && self.ops.is_empty()
            && self.replaced.is_empty()
            && self.operands.is_empty()
            && self.outputs.is_empty()
            && self.intermediates.is_empty()
            && self.set_ops.is_empty()
            && self.types.is_empty()
            && self.constants.is_empty()
            && self.ranges.is_empty()
            && self.locs.is_empty()
            && self.erased.is_empty()
    }

    /// Checks the patch and carries it out, or says why not and changes nothing. Operations that nothing reads any more because of
    /// this patch are erased with it, unless they have side effects.
    pub fn apply(self, module: &mut Module, graph: GraphId) -> Result<Applied, PatchError> {
        let target = module.graphs.get(graph.index()).ok_or_else(|| PatchError::Dead(graph.to_string()))?;
        self.check(target)?;
        Ok(self.carry_out(module, graph))
    }

    /// The moment at which a value becomes readable.
    fn defined_at(&self, graph: &Graph, value: ValueId) -> Result<Moment, PatchError> {
        if let Some(known) = graph.values.get(value) {
            return Ok(match known.def {
                ValueDef::Result { op, .. } => Moment::of(&graph.ops[op]),
                ValueDef::Input(_) | ValueDef::Constant(_) | ValueDef::Variable | ValueDef::Unbound => Moment::START,
            });
        }
        let index = value.index().wrapping_sub(self.first_value);
        match self.values.get(index) {
            Some((_, _, NewValue::Constant(_) | NewValue::Unbound)) => Ok(Moment::START),
            Some((_, _, NewValue::Result(op))) => Ok(self.position(graph, *op)),
            None => Err(PatchError::Dead(value.to_string())),
        }
    }

    /// When new operation `index` will run: just before its anchor.
    fn position(&self, graph: &Graph, index: usize) -> Moment {
        Moment { seq: self.ops[index].0.and_then(|a| graph.ops.get(a)).map_or(u64::MAX, |a| a.seq), is_anchor: false, index }
    }

    fn type_of<'a>(&'a self, graph: &'a Graph, value: ValueId) -> Option<&'a Type> {
        if let Some(ty) = self.types.get(&value) {
            return Some(ty);
        }
        graph.values.get(value).map(|v| &v.ty).or_else(|| self.values.get(value.index().wrapping_sub(self.first_value)).map(|v| &v.0))
    }

    fn check(&self, graph: &Graph) -> Result<(), PatchError> {
        if graph.values.capacity() != self.first_value || graph.ops.capacity() != self.first_op {
            return Err(PatchError::Stale);
        }
        let alive = |op: OpId| graph.ops.get(op).ok_or_else(|| PatchError::Dead(op.to_string()));
        for (index, (anchor, operation)) in self.ops.iter().enumerate() {
            if let Some(anchor) = anchor {
                alive(*anchor)?;
            }
            let here = self.position(graph, index);
            for &value in operation.operands.iter().flatten() {
                if self.defined_at(graph, value)? >= here
                    && graph.values.get(value).is_none_or(|v| matches!(v.def, ValueDef::Result { .. }))
                {
                    return Err(PatchError::Order(graph.value_name(value)));
                }
            }
        }
        let erased: BTreeSet<OpId> = self.erased.iter().copied().collect();
        for &(old, new) in &self.replaced {
            graph.values.get(old).ok_or_else(|| PatchError::Dead(old.to_string()))?;
            self.defined_at(graph, new)?;
            if let (Some(a), Some(b)) = (self.type_of(graph, old), self.type_of(graph, new)) {
                let same_shape = a.shape.dims() == b.shape.dims();
                if !same_shape || (!self.retyped && (a.elem != b.elem || a.quant != b.quant)) {
                    return Err(PatchError::Type(format!("{} is {a}, its replacement {b}", graph.value_name(old))));
                }
            }
        }
        for &(op, operand, value) in &self.operands {
            let operation = alive(op)?;
            if operand >= operation.operands.len() {
                return Err(PatchError::Dead(format!("operand {operand} of {op}")));
            }
            if let Some(value) = value {
                self.defined_at(graph, value)?;
            }
        }
        let readers = self.moved_readers(graph);
        self.check_order(graph, &erased, &readers)?;
        for &(index, value) in &self.outputs {
            self.defined_at(graph, value)?;
            if index >= graph.outputs.len() {
                return Err(PatchError::Dead(format!("output {index}")));
            }
        }
        for (op, values) in &self.intermediates {
            alive(*op)?;
            for &value in values {
                self.defined_at(graph, value)?;
            }
        }
        for (op, _) in &self.set_ops {
            alive(*op)?;
        }
        let named = self.types.keys().copied().chain(self.ranges.iter().map(|r| r.0)).chain(self.locs.iter().map(|l| l.0));
        for value in named {
            if self.type_of(graph, value).is_none() {
                return Err(PatchError::Dead(value.to_string()));
            }
        }
        for (value, _) in &self.constants {
            if !matches!(graph.values.get(*value).map(|v| v.def), Some(ValueDef::Constant(_))) {
                return Err(PatchError::Dead(format!("constant {value}")));
            }
        }
        self.check_erased(graph, &erased, &readers)
    }

    /// Operands of the graph's own operations that the patch changes, by the value that they read once all has been carried out: operands are set
    /// first, then values are replaced one after the other, so that a replacement moves what was set and what earlier ones moved.
    fn moved_readers(&self, graph: &Graph) -> BTreeMap<ValueId, Vec<(OpId, usize)>> {
        let mut set: BTreeMap<(OpId, usize), Option<ValueId>> = BTreeMap::new();
        set.extend(self.operands.iter().map(|&(op, operand, value)| ((op, operand), value)));
        let mut rebound: BTreeSet<(OpId, usize)> = set.keys().copied().collect();
        let mut readers: BTreeMap<ValueId, Vec<(OpId, usize)>> = BTreeMap::new();
        for (user, value) in set {
            if let Some(value) = value {
                readers.entry(value).or_default().push(user);
            }
        }
        for &(old, new) in self.replaced.iter().filter(|(old, new)| old != new) {
            let mut moved = readers.remove(&old).unwrap_or_default();
            for user in graph.values.get(old).map_or(&[][..], |v| &v.uses) {
                if let Use::Operand { op, operand } = *user
                    && rebound.insert((op, operand))
                {
                    moved.push((op, operand));
                }
            }
            readers.entry(new).or_default().extend(moved);
        }
        readers
    }

    /// Whether every operand that the patch changes is computed before its operation runs.
    fn check_order(
        &self,
        graph: &Graph,
        erased: &BTreeSet<OpId>,
        readers: &BTreeMap<ValueId, Vec<(OpId, usize)>>,
    ) -> Result<(), PatchError> {
        for (&value, users) in readers {
            let made = self.defined_at(graph, value)?;
            let late = |(op, _): &(OpId, usize)| !erased.contains(op) && graph.ops.get(*op).is_some_and(|o| made >= Moment::of(o));
            if !self.is_timeless(graph, value) && users.iter().any(late) {
                return Err(PatchError::Order(graph.value_name(value)));
            }
        }
        Ok(())
    }

    fn is_timeless(&self, graph: &Graph, value: ValueId) -> bool {
        match graph.values.get(value) {
            Some(known) => !matches!(known.def, ValueDef::Result { .. }),
            None => matches!(self.values.get(value.index().wrapping_sub(self.first_value)), Some((_, _, NewValue::Constant(_)))),
        }
    }

    /// Whether nothing reads the results of what is erased, once all has been carried out.
    fn check_erased(
        &self,
        graph: &Graph,
        erased: &BTreeSet<OpId>,
        readers: &BTreeMap<ValueId, Vec<(OpId, usize)>>,
    ) -> Result<(), PatchError> {
        if erased.is_empty() {
            return Ok(());
        }
        let replaced: BTreeSet<ValueId> = self.replaced.iter().filter(|(old, new)| old != new).map(|(old, _)| *old).collect();
        let set: BTreeSet<(OpId, usize)> = self.operands.iter().map(|&(op, operand, _)| (op, operand)).collect();
        let mut outputs = graph.outputs.clone();
        for &(index, value) in &self.outputs {
            outputs[index] = value;
        }
        for &(old, new) in &self.replaced {
            outputs.iter_mut().filter(|v| **v == old).for_each(|v| *v = new);
        }
        let read_anew: BTreeSet<ValueId> =
            self.ops.iter().flat_map(|(_, new)| new.operands.iter().flatten().copied()).chain(outputs).collect();
        let stays = |op: &OpId| !erased.contains(op);
        for &op in &self.erased {
            let operation = graph.ops.get(op).ok_or_else(|| PatchError::Dead(op.to_string()))?;
            for result in &operation.results {
                let moved = readers.get(result).is_some_and(|users| users.iter().any(|(op, _)| stays(op)));
                let untouched = |user: &Use| matches!(user, Use::Operand { op, operand } if stays(op) && !set.contains(&(*op, *operand)));
                let left = !replaced.contains(result) && graph.values[*result].uses.iter().any(untouched);
                if moved || left || read_anew.contains(result) {
                    return Err(PatchError::InUse(graph.value_name(*result)));
                }
            }
        }
        Ok(())
    }

    fn carry_out(self, module: &mut Module, graph: GraphId) -> Applied {
        let mut applied = Applied::default();
        let mut new_values = Vec::with_capacity(self.values.len());
        for (ty, loc, new) in self.values {
            let def = match new {
                NewValue::Constant(constant) => ValueDef::Constant(module.add_constant(constant)),
                NewValue::Result(_) | NewValue::Unbound => ValueDef::Unbound,
            };
            new_values.push(new_value(ty, def, loc));
        }
        let changed_constants: Vec<_> =
            self.constants.into_iter().map(|(value, constant)| (value, module.add_constant(constant))).collect();
        let graph = &mut module.graphs[graph.index()];
        for value in new_values {
            graph.values.push(value);
        }
        for (anchor, operation) in self.ops {
            let (operands, results) = (operation.operands.clone(), operation.results.clone());
            let id = graph.ops.push(operation);
            for (index, result) in results.into_iter().enumerate() {
                graph.values[result].def = ValueDef::Result { op: id, index };
            }
            for (operand, value) in operands.into_iter().enumerate() {
                if let Some(value) = value {
                    graph.attach(value, Use::Operand { op: id, operand });
                }
            }
            graph.link(id, anchor);
            applied.added.push(id);
        }
        for (id, op) in self.set_ops {
            graph.ops[id].op = op;
        }
        for (id, values) in self.intermediates {
            for old in std::mem::replace(&mut graph.ops[id].intermediates, values.clone()) {
                if !values.contains(&old) {
                    graph.values.remove(old);
                }
            }
        }
        for (value, ty) in self.types {
            graph.values[value].ty = ty;
        }
        for (value, constant) in changed_constants {
            graph.values[value].def = ValueDef::Constant(constant);
        }
        for (value, range) in self.ranges {
            graph.values[value].range = range;
        }
        for (value, loc) in self.locs {
            graph.values[value].loc = loc;
        }
        let mut candidates: Vec<ValueId> = Vec::new();
        for (op, operand, value) in self.operands {
            let old = std::mem::replace(&mut graph.ops[op].operands[operand], value);
            if let Some(old) = old {
                graph.detach(old, Use::Operand { op, operand });
                candidates.push(old);
            }
            if let Some(value) = value {
                graph.attach(value, Use::Operand { op, operand });
            }
        }
        for (index, value) in self.outputs {
            let old = std::mem::replace(&mut graph.outputs[index], value);
            graph.detach(old, Use::Output(index));
            graph.attach(value, Use::Output(index));
            candidates.push(old);
        }
        for (old, new) in self.replaced {
            redirect(graph, old, new, self.first_op);
            candidates.push(old);
        }
        for op in self.erased {
            if let Some(operation) = graph.ops.get(op) {
                candidates.extend(operation.operands.iter().flatten());
                graph.erase(op);
                applied.erased.push(op);
            }
        }
        sweep(graph, candidates, &mut applied.erased);
        applied
    }
}

/// Moves every use of `old` that the patch did not itself add over to `new`.
fn redirect(graph: &mut Graph, old: ValueId, new: ValueId, first_added: usize) {
    if old == new {
        return;
    }
    let Some(value) = graph.values.get_mut(old) else { return };
    let (moved, kept): (Vec<Use>, Vec<Use>) =
        std::mem::take(&mut value.uses).into_iter().partition(|u| !matches!(u, Use::Operand { op, .. } if op.index() >= first_added));
    value.uses = kept;
    for user in moved {
        match user {
            Use::Operand { op, operand } => graph.ops[op].operands[operand] = Some(new),
            Use::Output(index) => graph.outputs[index] = new,
        }
        graph.attach(new, user);
    }
}

/// Erases operations that nothing needs, from the given values upwards.
pub(crate) fn sweep(graph: &mut Graph, mut candidates: Vec<ValueId>, erased: &mut Vec<OpId>) {
    while let Some(value) = candidates.pop() {
        let Some(known) = graph.values.get(value) else { continue };
        if !known.uses.is_empty() {
            continue;
        }
        match known.def {
            ValueDef::Result { op, .. } => {
                let operation = &graph.ops[op];
                let unread = operation.results.iter().all(|r| graph.values[*r].uses.is_empty());
                if unread && !operation.op.has_side_effects() {
                    candidates.extend(operation.operands.iter().flatten());
                    graph.erase(op);
                    erased.push(op);
                }
            }
            ValueDef::Constant(_) | ValueDef::Variable => {
                graph.values.remove(value);
            }
            ValueDef::Input(_) | ValueDef::Unbound => {}
        }
    }
}
