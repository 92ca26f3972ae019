//! Decides, for every operation, whether it is computed in integers, and for every real tensor which scale it has.
//!
//! Operations are chosen by rule; values that must share a scale are united across operations and graphs; an operation one of whose
//! tensors ends up without parameters is given up, and the solution computed again without it. Nothing is changed here.

mod calls;

use std::collections::{BTreeMap, BTreeSet};

use octet_ir::ops::BinaryKind;
use octet_ir::{ElementType, EntityId, Graph, GraphId, Module, Op, OpId, Operation, ValueDef, ValueId};

use super::choose::{Choice, Goal, choose};
use super::classes::{Anchor, Class, Classes};
use super::limits::{Limit, Slot, limits};
use super::params::{Bounds, Params, Width};
use super::rules::{Outcome, Role, Rule, Special, rule};
use super::weights::least_filter_scale;

/// The answer.
#[derive(Debug)]
pub(super) struct Solution {
    pub(super) goal: Goal,
    choices: Vec<Vec<Choice>>,
    nodes: Vec<Vec<usize>>,
    classes: Classes,
    /// Operand slots whose parameters are not their value's: constants, and operands that must be requantized.
    slots: BTreeMap<(GraphId, OpId, usize), usize>,
    /// Outputs of called graphs that must be requantized.
    outputs: BTreeMap<(GraphId, usize), usize>,
    /// Sets that some integer operation reads or writes.
    wanted: BTreeSet<usize>,
    pub(super) entries: BTreeSet<GraphId>,
}

const ABSENT: usize = usize::MAX;

impl Solution {
    /// Solves for a module.
    pub(super) fn new(module: &Module, goal: Goal) -> Self {
        let choices = choose(module, goal);
        let mut solution = Self::united(module, goal, choices);
        loop {
            while solution.give_up(module) {
                solution = Self::united(module, goal, solution.choices);
            }
            if goal.strict || !solution.prune_idle_movers(module) {
                return solution;
            }
            solution = Self::united(module, goal, solution.choices);
        }
    }

    /// What happens to an operation.
    pub(super) fn choice(&self, graph: GraphId, op: OpId) -> &Choice {
        &self.choices[graph.index()][op.index()]
    }

    /// The parameters that a quantized operation wants operand `index` in; `None` for operands that are no activations.
    pub(super) fn wanted_operand(&self, graph: GraphId, op: OpId, index: usize, value: ValueId) -> Option<Params> {
        let node = self.slots.get(&(graph, op, index)).copied().or_else(|| self.node(graph, value))?;
        self.classes.params(node)
    }

    /// Parameters that a called graph's output is wanted in.
    pub(super) fn wanted_output(&self, graph: GraphId, index: usize, value: ValueId) -> Option<Params> {
        let node = self.outputs.get(&(graph, index)).copied().or_else(|| self.node(graph, value))?;
        self.carried(node)
    }

    /// Parameters of a value's set, whether or not the value is stored in integers.
    pub(super) fn params(&self, graph: GraphId, value: ValueId) -> Option<Params> {
        self.classes.params(self.node(graph, value)?)
    }

    /// Where the parameters of a value come from.
    pub(super) fn anchor(&self, graph: GraphId, value: ValueId) -> Option<Anchor> {
        Some(self.classes.class(self.node(graph, value)?).anchor)
    }

    /// Parameters that a control operation's operand is passed in; `None` when it is passed in float.
    pub(super) fn carried_operand(&self, graph: GraphId, op: OpId, index: usize, value: ValueId) -> Option<Params> {
        let node = self.slots.get(&(graph, op, index)).copied().or_else(|| self.node(graph, value))?;
        self.carried(node)
    }

    fn carried(&self, node: usize) -> Option<Params> {
        // Where nothing may be float, what is only passed around is integer too.
        if self.goal.strict {
            return self.classes.params(node);
        }
        self.wanted.contains(&self.classes.root(node)).then(|| self.classes.params(node)).flatten()
    }

    /// The parameters in which a value is stored when its definition has run; `None` for float and for no real tensors.
    pub(super) fn stored(&self, graph: GraphId, source: &Graph, value: ValueId) -> Option<Params> {
        let node = self.node(graph, value)?;
        match source.value(value).def() {
            ValueDef::Input(_) if self.entries.contains(&graph) => {
                if self.goal.integer_io {
                    self.classes.params(node)
                } else {
                    None
                }
            }
            ValueDef::Input(_) => self.carried(node),
            ValueDef::Result { op, .. } => match self.choice(graph, op) {
                Choice::Quantized => self.classes.params(node),
                Choice::Control => self.carried(node),
                Choice::Neutral | Choice::Float(_) | Choice::Idle => None,
            },
            ValueDef::Constant(_) | ValueDef::Variable | ValueDef::Unbound => None,
        }
    }

    /// Operations that are computed in integers, in execution order.
    fn integer_ops<'g>(&self, id: GraphId, graph: &'g Graph) -> Vec<(OpId, &'g Operation)> {
        graph.ops().filter(|(op, _)| *self.choice(id, *op) == Choice::Quantized).collect()
    }

    fn node(&self, graph: GraphId, value: ValueId) -> Option<usize> {
        self.nodes.get(graph.index())?.get(value.index()).copied().filter(|&n| n != ABSENT)
    }

    fn united(module: &Module, goal: Goal, choices: Vec<Vec<Choice>>) -> Self {
        let mut solution = Self {
            goal,
            choices,
            nodes: Vec::new(),
            classes: Classes::new(goal.width),
            slots: BTreeMap::new(),
            outputs: BTreeMap::new(),
            wanted: BTreeSet::new(),
            entries: entry_graphs(module),
        };
        for (_, graph) in module.graphs() {
            let mut nodes = vec![ABSENT; graph.value_capacity()];
            for (id, value) in graph.values() {
                if value.ty().elem == ElementType::F32 && !matches!(value.def(), ValueDef::Constant(_)) {
                    nodes[id.index()] = solution.classes.add(class_of_value(graph, id, goal.width));
                }
            }
            solution.nodes.push(nodes);
        }
        solution.prescribe(module);
        solution.tie_calls(module);
        for (id, graph) in module.graphs() {
            for (op_id, op) in solution.integer_ops(id, graph) {
                solution.unite_operation(module, id, graph, op_id, op);
            }
        }
        solution.unite_calls(module);
        solution.unite_variables(module);
        solution.raise_floors(module);
        solution.collect_wanted(module);
        solution
    }

    /// Gives results whose scale a kernel prescribes that scale.
    fn prescribe(&mut self, module: &Module) {
        for (id, graph) in module.graphs() {
            for op in self.integer_ops(id, graph).into_iter().map(|(_, op)| op) {
                let rule = rule(op.op(), self.goal.width);
                for (index, &result) in op.results().iter().enumerate() {
                    let prescribed = match rule.outcome(index) {
                        Outcome::Fixed(params) => Some(params),
                        // A DEQUANTIZE that the model has already: its operand's parameters are exact.
                        Outcome::Free if rule.special == Special::Convert => own_params(graph, op, self.goal.width),
                        Outcome::Free | Outcome::Shared | Outcome::Carried | Outcome::Plain => None,
                    };
                    if let (Some(params), Some(node)) = (prescribed, self.node(id, result)) {
                        self.classes.class_mut(node).anchor = Anchor::Kernel(params);
                    }
                }
            }
        }
    }

    /// An addend that nothing else reads takes the sum's range too, unless that would more than double its own: its scale then is the sum's
    /// or close to it, and the addition rounds it no second time. (The TFLite converter arrives at the same ranges, because addend and
    /// sum share memory while it calibrates.)
    fn widen_addends(&mut self, id: GraphId, graph: &Graph, op: &Operation) {
        let (Op::Binary(binary), Some(&sum)) = (op.op(), op.results().first()) else { return };
        let Some(sum) = observed(graph, sum).filter(|_| binary.kind == BinaryKind::Add && self.goal.width == Width::I8) else { return };
        for (_, addend) in real_operands(graph, op) {
            let (Some(node), Some(own)) = (self.node(id, addend), observed(graph, addend)) else { continue };
            let union = own.union(sum).with_zero();
            let own = own.with_zero();
            if graph.value(addend).uses().len() == 1 && union.hi - union.lo <= 2.0 * (own.hi - own.lo) {
                self.classes.absorb(node, union);
            }
        }
    }

    fn unite_operation(&mut self, module: &Module, id: GraphId, graph: &Graph, op_id: OpId, op: &Operation) {
        let rule = rule(op.op(), self.goal.width);
        self.widen_addends(id, graph, op);
        let pivot = self.unite_results(id, op, &rule);
        // Whether what the results hold was trained as such, before they meet anything else.
        let trained = op.results().iter().any(|&r| graph.ty(r).quant.is_some());
        let shared: Vec<(usize, ValueId)> = real_operands(graph, op).filter(|(index, _)| rule.role(*index) == Role::Shared).collect();
        if let Some(pivot) = pivot.filter(|_| !trained && shared.len() > 1) {
            self.meet(module, id, graph, &shared, pivot);
        }
        for (index, value) in real_operands(graph, op) {
            let constant = constant_bounds(module, graph, value);
            match (rule.role(index), constant, pivot) {
                (Role::Shared, Some(bounds), Some(pivot)) => {
                    self.classes.absorb(pivot, bounds);
                    self.slots.insert((id, op_id, index), pivot);
                }
                (Role::Activation, Some(_), _) => {
                    let node = self.classes.add(class_of_constant(graph, value, constant, self.goal.width));
                    self.slots.insert((id, op_id, index), node);
                }
                (Role::Weight { .. }, None, _) => self.symmetric_operand(id, graph, op_id, index, value),
                _ => {}
            }
        }
        let Some(pivot) = pivot else { return };
        for (index, value) in real_operands(graph, op) {
            let (Role::Shared, Some(node)) = (rule.role(index), self.node(id, value)) else { continue };
            // A result that training clipped clips what it is made of, unless that is read elsewhere; what only moves stays within what it is made of.
            let forced = if trained { graph.value(value).uses().len() == 1 } else { shared.len() == 1 };
            let united = if forced { self.classes.unite_trained(pivot, node) } else { self.classes.unite(pivot, node) };
            if !united {
                self.requantize_operand(id, graph, op_id, index, value, pivot);
            }
        }
    }

    /// Where several operands meet in one scale and training found some of theirs: a trained one that holds all of them is kept, else the set takes
    /// the union of their ranges and trained operands are requantized.
    fn meet(&mut self, module: &Module, id: GraphId, graph: &Graph, shared: &[(usize, ValueId)], pivot: usize) {
        if self.classes.class(pivot).anchor != Anchor::Range {
            return;
        }
        let width = self.goal.width;
        let mut found = Vec::new();
        for &(_, value) in shared {
            let class = match self.node(id, value) {
                Some(node) => *self.classes.class(node),
                None => Class::free(constant_bounds(module, graph, value)),
            };
            match class.anchor {
                Anchor::Trained(p) => found.push((Some(p), Some(p.bounds(width)))),
                Anchor::Kernel(p) => found.push((None, Some(p.bounds(width)))),
                Anchor::Range => found.push((None, class.bounds)),
            }
        }
        if found.iter().all(|(trained, _)| trained.is_none()) {
            return;
        }
        let holds = |p: &Params| found.iter().all(|(_, bounds)| bounds.is_none_or(|b| p.covers(b, width)));
        match found.iter().filter_map(|(trained, _)| *trained).find(holds) {
            Some(params) => self.classes.class_mut(pivot).anchor = Anchor::Trained(params),
            None => found.iter().filter_map(|(_, bounds)| *bounds).for_each(|bounds| self.classes.absorb(pivot, bounds)),
        }
    }

    /// Widens ranges whose scale would be finer than a kernel's fixed-point arithmetic takes. Ranges only grow, so this ends.
    fn raise_floors(&mut self, module: &Module) {
        let width = self.goal.width;
        let mut raised = true;
        while std::mem::take(&mut raised) {
            for (id, graph) in module.graphs() {
                for (op_id, op) in self.integer_ops(id, graph) {
                    for (limit, node, _) in self.limits(module, id, graph, op_id, op) {
                        let too_fine = self.classes.params(node).is_some_and(|p| limit.is_too_fine(p.scale));
                        let free = self.classes.class(node).anchor == Anchor::Range;
                        if let Some(bounds) = limit.raised(width).filter(|_| too_fine && free) {
                            self.classes.absorb(node, bounds);
                            raised = true;
                        }
                    }
                }
            }
        }
    }

    /// What the kernel of an operation asks of its tensors' scales, with their sets.
    fn limits(&self, module: &Module, id: GraphId, graph: &Graph, op_id: OpId, op: &Operation) -> Vec<(Limit, usize, ValueId)> {
        let operand = |(index, value)| {
            let node = self.slots.get(&(id, op_id, index)).copied().or_else(|| self.node(id, value))?;
            Some((index, value, node))
        };
        let operands: Vec<(usize, ValueId, usize)> = real_operands(graph, op).filter_map(operand).collect();
        let scales: Vec<(usize, f32)> =
            operands.iter().filter_map(|&(index, _, node)| Some((index, self.classes.params(node)?.scale))).collect();
        let placed = |limit: Limit| match limit.of {
            Slot::Operand(at) => operands.iter().find(|(index, ..)| *index == at).map(|&(_, value, node)| (limit, node, value)),
            Slot::Result => op.results().first().and_then(|&r| Some((limit, self.node(id, r)?, r))),
        };
        let mut limits = limits(op.op(), self.goal.width, &scales);
        limits.extend(self.room_for_bias(module, graph, op, &scales));
        limits.into_iter().filter_map(placed).collect()
    }

    /// What a constant bias asks of the scale of a filter that is computed at run time: the product with the input's is the bias's own.
    fn room_for_bias(&self, module: &Module, graph: &Graph, op: &Operation, scales: &[(usize, f32)]) -> Option<Limit> {
        let rule = rule(op.op(), self.goal.width);
        let (filter, _) = real_operands(graph, op)
            .find(|(index, value)| matches!(rule.role(*index), Role::Weight { .. }) && module.constant_of(graph, *value).is_none())?;
        let (input, bias) = real_operands(graph, op).find_map(|(index, value)| match rule.role(index) {
            Role::Bias { input, .. } => Some((input, module.constant_of(graph, value)?.to_f32())),
            _ => None,
        })?;
        let (_, scale) = scales.iter().find(|(index, _)| *index == input)?;
        Some(Limit::least(Slot::Operand(filter), least_filter_scale(&bias, *scale, self.goal.width)))
    }

    /// Why a kernel would refuse the scales of an operation's tensors.
    fn out_of_limits(&self, module: &Module, id: GraphId, graph: &Graph, op_id: OpId, op: &Operation) -> Option<String> {
        self.limits(module, id, graph, op_id, op)
            .into_iter()
            .find_map(|(limit, node, value)| limit.refuse(op.op(), &graph.value_name(value), self.classes.params(node)?.scale))
    }

    /// Unites the shared results of an operation; answers the set of its shared scale.
    fn unite_results(&mut self, id: GraphId, op: &Operation, rule: &Rule) -> Option<usize> {
        let mut pivot = None;
        for (index, &result) in op.results().iter().enumerate() {
            let (Outcome::Shared, Some(node)) = (rule.outcome(index), self.node(id, result)) else { continue };
            let class = self.classes.class_mut(node);
            if rule.symmetric {
                if matches!(class.anchor, Anchor::Trained(p) if p.zero_point != 0) {
                    class.anchor = Anchor::Range;
                }
                class.symmetric = true;
            }
            match pivot {
                None => pivot = Some(node),
                Some(first) if self.classes.unite(first, node) => {}
                // Two parts of one tensor were trained apart: the first one's scale holds for both.
                Some(first) => {
                    self.classes.class_mut(node).anchor = Anchor::Range;
                    let _ = self.classes.unite_trained(first, node);
                }
            }
        }
        pivot
    }

    /// An operand that is a filter computed at run time: one symmetric scale.
    fn symmetric_operand(&mut self, id: GraphId, graph: &Graph, op_id: OpId, index: usize, value: ValueId) {
        let Some(node) = self.node(id, value) else { return };
        let class = *self.classes.class(node);
        match class.anchor {
            Anchor::Range => self.classes.class_mut(node).symmetric = true,
            Anchor::Trained(p) | Anchor::Kernel(p) if p.zero_point == 0 => {}
            Anchor::Trained(_) | Anchor::Kernel(_) => {
                let own = self.classes.add(Class { symmetric: true, ..Class::free(class.bounds.or(observed(graph, value))) });
                self.slots.insert((id, op_id, index), own);
            }
        }
    }

    fn requantize_operand(&mut self, id: GraphId, graph: &Graph, op_id: OpId, index: usize, value: ValueId, to: usize) {
        if let Some(bounds) = observed(graph, value) {
            self.classes.absorb(to, bounds);
        }
        self.slots.insert((id, op_id, index), to);
    }

    /// Unites everything that is written to or read from one variable.
    fn unite_variables(&mut self, module: &Module) {
        let mut variables: BTreeMap<(String, String), usize> = BTreeMap::new();
        for (id, graph) in module.graphs() {
            for (op_id, op) in graph.ops() {
                let (Op::ReadVariable(_) | Op::AssignVariable(_)) = op.op() else { continue };
                let Some(name) = variable_name(graph, op) else { continue };
                let (value, operand) = match op.operand(1) {
                    Some(value) => (value, Some(1)),
                    None => match op.results().first() {
                        Some(&result) => (result, None),
                        None => continue,
                    },
                };
                let constant = constant_bounds(module, graph, value);
                let Some(node) = self.node(id, value).or_else(|| constant.map(|b| self.classes.add(Class::free(Some(b))))) else {
                    continue;
                };
                if let (Some(_), Some(index)) = (constant, operand) {
                    self.slots.insert((id, op_id, index), node);
                }
                let known = *variables.entry(name).or_insert(node);
                if !self.classes.unite(known, node)
                    && let Some(index) = operand
                {
                    self.requantize_operand(id, graph, op_id, index, value, known);
                }
            }
        }
    }

    /// Notes the sets that integer operations read or write: tensors that are passed around are quantized only if they are among them.
    fn collect_wanted(&mut self, module: &Module) {
        let mut wanted = BTreeSet::new();
        for (id, graph) in module.graphs() {
            for (op_id, op) in self.integer_ops(id, graph) {
                let operands = real_operands(graph, op)
                    .filter_map(|(index, value)| self.slots.get(&(id, op_id, index)).copied().or_else(|| self.node(id, value)));
                let results = op.results().iter().filter_map(|&r| self.node(id, r));
                wanted.extend(operands.chain(results).map(|node| self.classes.root(node)));
            }
        }
        self.wanted = wanted;
    }

    /// Turns operations that lack the parameters of a tensor, or whose kernels refuse them, back to float. Answers whether there were any.
    fn give_up(&mut self, module: &Module) -> bool {
        let mut given_up = Vec::new();
        for (id, graph) in module.graphs() {
            for (op_id, op) in self.integer_ops(id, graph) {
                let missing = self.missing(id, graph, op_id, op).map(|value| no_range(graph, value));
                if let Some(why) = missing.or_else(|| self.out_of_limits(module, id, graph, op_id, op)) {
                    given_up.push((id, op_id, why));
                }
            }
        }
        let any = !given_up.is_empty();
        for (id, op, why) in given_up {
            self.choices[id.index()][op.index()] = Choice::Float(why);
        }
        any
    }

    /// A real tensor of an operation that has no parameters.
    fn missing(&self, id: GraphId, graph: &Graph, op_id: OpId, op: &Operation) -> Option<ValueId> {
        let rule = rule(op.op(), self.goal.width);
        let operand = real_operands(graph, op).find(|&(index, value)| {
            let slot = self.slots.get(&(id, op_id, index)).copied().or_else(|| self.node(id, value));
            match (rule.role(index), slot) {
                (Role::Activation | Role::Shared | Role::Weight { .. }, Some(node)) => self.classes.params(node).is_none(),
                _ => false,
            }
        });
        let result = || op.results().iter().copied().find(|&r| self.node(id, r).is_some_and(|node| self.classes.params(node).is_none()));
        operand.map(|(_, value)| value).or_else(result)
    }

    /// Leaves movers in float that no integer operation, input or output reaches through other movers.
    fn prune_idle_movers(&mut self, module: &Module) -> bool {
        let mut idle = Vec::new();
        for (id, graph) in module.graphs() {
            let mover = |op: OpId| *self.choice(id, op) == Choice::Quantized && rule(graph.op(op).op(), self.goal.width).is_mover();
            let mut reached = vec![false; graph.op_capacity()];
            let mut queue: Vec<OpId> = Vec::new();
            let boundary = self.goal.integer_io || !self.entries.contains(&id);
            for (op_id, op) in graph.ops().filter(|(op, _)| mover(*op)) {
                let touches = |value: ValueId| {
                    let definition = match graph.value(value).def() {
                        ValueDef::Input(_) => boundary,
                        ValueDef::Result { op, .. } => !mover(op) && *self.choice(id, op) == Choice::Quantized,
                        ValueDef::Constant(_) | ValueDef::Variable | ValueDef::Unbound => false,
                    };
                    definition
                        || graph.value(value).uses().iter().any(|u| match u {
                            octet_ir::Use::Operand { op, .. } => !mover(*op) && *self.choice(id, *op) == Choice::Quantized,
                            octet_ir::Use::Output(_) => boundary,
                        })
                };
                if op.operands().iter().flatten().chain(op.results()).any(|&v| graph.ty(v).elem == ElementType::F32 && touches(v)) {
                    reached[op_id.index()] = true;
                    queue.push(op_id);
                }
            }
            while let Some(op_id) = queue.pop() {
                let op = graph.op(op_id);
                let producers = op.operands().iter().flatten().filter_map(|v| graph.producer(*v)).map(|(id, _)| id);
                let readers = op.results().iter().flat_map(|r| graph.value(*r).uses()).filter_map(|u| match u {
                    octet_ir::Use::Operand { op, .. } => Some(*op),
                    octet_ir::Use::Output(_) => None,
                });
                for next in producers.chain(readers) {
                    if mover(next) && !std::mem::replace(&mut reached[next.index()], true) {
                        queue.push(next);
                    }
                }
            }
            idle.extend(graph.ops().map(|(op, _)| op).filter(|op| mover(*op) && !reached[op.index()]).map(|op| (id, op)));
        }
        for &(id, op) in &idle {
            self.choices[id.index()][op.index()] = Choice::Idle;
        }
        !idle.is_empty()
    }
}

/// Operands that are `f32` tensors, with their numbers.
pub(super) fn real_operands<'g>(graph: &'g Graph, op: &'g Operation) -> impl Iterator<Item = (usize, ValueId)> + 'g {
    let operands = op.operands().iter().enumerate().filter_map(|(index, value)| Some((index, (*value)?)));
    operands.filter(|(_, value)| graph.ty(*value).elem == ElementType::F32)
}

/// Graphs that are called from outside: the main one and those of signatures, unless an operation calls them too.
pub(super) fn entry_graphs(module: &Module) -> BTreeSet<GraphId> {
    let called: BTreeSet<usize> = module.graphs().flat_map(|(_, g)| g.ops().flat_map(|(_, o)| o.op().graphs())).collect();
    let named = module.signatures.iter().map(|s| s.graph).chain([GraphId::MAIN]);
    named.filter(|g| !called.contains(&g.index())).collect()
}

/// The range of a constant's elements; `None` for values that are no dense, finite constants. Where calibration found that nothing can
/// tell lower elements from a floor (masks before SOFTMAX), the range begins there, and minus infinity is one of them.
pub(super) fn constant_bounds(module: &Module, graph: &Graph, value: ValueId) -> Option<Bounds> {
    if graph.ty(value).elem != ElementType::F32 {
        return None;
    }
    let mut elements = module.constant_of(graph, value)?.to_f32();
    if let Some(Bounds { lo: floor, .. }) = observed(graph, value) {
        elements.iter_mut().for_each(|e| *e = if *e < floor { floor } else { *e });
    }
    Bounds::of(&elements)
}

/// The range that was observed or declared for a value.
fn observed(graph: &Graph, value: ValueId) -> Option<Bounds> {
    let (lo, hi) = graph.value(value).range()?.bounds()?;
    Bounds::new(lo, hi)
}

fn class_of_value(graph: &Graph, value: ValueId, width: Width) -> Class {
    annotated(graph, value, observed(graph, value), width)
}

fn class_of_constant(graph: &Graph, value: ValueId, bounds: Option<Bounds>, width: Width) -> Class {
    annotated(graph, value, bounds, width)
}

/// A value's set, with the int8 parameters that its `f32` type may be annotated with (what `adopt-fake-quant` leaves behind).
/// Wider activations keep the annotated range and take a scale of their own.
fn annotated(graph: &Graph, value: ValueId, bounds: Option<Bounds>, width: Width) -> Class {
    let trained = graph.ty(value).scale_zero_point().map(|(scale, zero_point)| Params { scale, zero_point });
    match (trained, width) {
        (None, _) => Class::free(bounds),
        (Some(params), Width::I8) => Class { anchor: Anchor::Trained(params), ..Class::free(bounds) },
        (Some(params), Width::I16) => Class::free(Some(params.bounds(Width::I8))),
    }
}

/// The parameters of an operation's first operand as activations of this width have them, if it is quantized per tensor to 8 or 16 bits.
pub(super) fn own_params(graph: &Graph, op: &Operation, width: Width) -> Option<Params> {
    let ty = graph.ty(op.operand(0)?);
    let (scale, zero_point) = ty.scale_zero_point()?;
    match (ty.elem, width) {
        (ElementType::I8, Width::I8) | (ElementType::I16, Width::I16) => Some(Params { scale, zero_point }),
        (ElementType::U8, Width::I8) => Some(Params { scale, zero_point: zero_point - 128 }),
        (ElementType::I8, Width::I16) => Some(Params::for_activation(Params { scale, zero_point }.bounds(Width::I8), width)),
        (ElementType::U8, Width::I16) => {
            Some(Params::for_activation(Params { scale, zero_point: zero_point - 128 }.bounds(Width::I8), width))
        }
        _ => None,
    }
}

fn variable_name(graph: &Graph, op: &Operation) -> Option<(String, String)> {
    match graph.producer(op.operand(0)?)?.1.op() {
        Op::VarHandle(handle) => Some((handle.container.clone(), handle.shared_name.clone())),
        _ => None,
    }
}

fn no_range(graph: &Graph, value: ValueId) -> String {
    let name = graph.value_name(value);
    match graph.value(value).range() {
        Some(range) if observed(graph, value).is_none() => {
            format!("the range of tensor '{name}' is not finite: {:?} to {:?}", range.min, range.max)
        }
        Some(_) | None => format!("tensor '{name}' has no range: calibration never saw it"),
    }
}
