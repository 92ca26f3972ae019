//! The order of steps whose peak of memory is the lowest.
//!
//! Sets of steps that have run are the states of a search, best peak first; what a step takes is what lives beside it, less what overlaps can save. The
//! first complete order is the best one. Where there are too many states the best order known is kept, and what no order can undercut is told with it.
//! Steps keep their order where one writes what another reads or writes, so states of the model are safe.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::lang::Ty;
use crate::plan::{Plan, PlanOptions, on_stack, plan, usable};
use crate::program::{Arg, BufferKind, Program};

/// What is known about the order of a program's steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Bytes that live at the step with the most of them, overlaps taken off.
    pub peak: usize,
    /// No order has a lower peak.
    pub bound: usize,
    /// Whether another order than the graph's was taken.
    pub changed: bool,
}

/// States that a search visits.
const STATES: usize = 20_000;

/// A set of steps.
type Set = Vec<u64>;

fn contains(set: &Set, step: usize) -> bool {
    set.get(step / 64).is_some_and(|word| word >> (step % 64) & 1 == 1)
}

fn with(set: &Set, step: usize) -> Set {
    let mut set = set.clone();
    if let Some(word) = set.get_mut(step / 64) {
        *word |= 1 << (step % 64);
    }
    set
}

#[derive(Default)]
struct Node {
    reads: Vec<usize>,
    writes: Vec<usize>,
    /// Steps that have to run before.
    after: Vec<usize>,
    /// Input, output and bytes that they can have in common if the input dies here.
    savings: Vec<(usize, usize, usize)>,
}

struct Steps {
    nodes: Vec<Node>,
    /// Bytes of each buffer in the arena, 0 for all others.
    bytes: Vec<usize>,
    readers: Vec<Vec<usize>>,
    inputs: Vec<usize>,
    is_output: Vec<bool>,
}

/// Bytes beside a step while it runs, and after it.
struct Cost {
    during: usize,
    after: usize,
}

impl Steps {
    fn of(program: &Program, options: &PlanOptions) -> Self {
        let align = |n: usize| n.div_ceil(options.alignment) * options.alignment;
        let mut bytes: Vec<usize> =
            program.buffers.iter().map(|b| if b.kind == BufferKind::Arena { align(b.bytes()) } else { 0 }).collect();
        for buffer in program.steps.iter().filter_map(|s| on_stack(program, s, options)) {
            bytes[buffer] = 0;
        }
        let buffer = |place: &Arg| match place {
            Arg::Buffer { buffer, .. } => Some(*buffer),
            Arg::Constant { .. } | Arg::Int(_) | Arg::Backward { .. } => None,
        };
        let mut readers = vec![Vec::new(); bytes.len()];
        let mut writers: Vec<Vec<usize>> = vec![Vec::new(); bytes.len()];
        let mut nodes: Vec<Node> = Vec::new();
        for (index, step) in program.steps.iter().enumerate() {
            let mut node = Node::default();
            for call in &step.calls {
                let params = program.library.function(&call.kernel).map(|f| f.params.as_slice()).unwrap_or_default();
                for (at, used) in call.args.iter().enumerate().filter_map(|(at, arg)| Some((at, buffer(arg)?))) {
                    let written = params.get(at).is_none_or(|(_, ty)| matches!(ty, Ty::Ptr { mutable: true, .. }));
                    let list = if written { &mut node.writes } else { &mut node.reads };
                    if !list.contains(&used) {
                        list.push(used);
                    }
                }
            }
            for &used in &node.reads {
                node.after.extend(&writers[used]);
            }
            for &used in &node.writes {
                node.after.extend(writers[used].iter().chain(&readers[used]));
            }
            node.after.retain(|&before| before != index);
            node.after.sort_unstable();
            node.after.dedup();
            for &used in &node.reads {
                readers[used].push(index);
            }
            for &used in &node.writes {
                writers[used].push(index);
            }
            node.savings = step
                .overlaps
                .iter()
                .filter(|o| options.overlap && usable(step, o))
                .map(|o| (o.input, o.output, o.saving(bytes[o.input], bytes[o.output], &align)))
                .collect();
            nodes.push(node);
        }
        let ports = |ports: &[crate::Port]| ports.iter().filter_map(|p| buffer(&p.place)).collect::<Vec<_>>();
        let mut is_output = vec![false; bytes.len()];
        for output in ports(&program.outputs) {
            is_output[output] = true;
        }
        Self { nodes, inputs: ports(&program.inputs), bytes, readers, is_output }
    }

    /// Whether a buffer holds something wanted when these steps have run.
    fn wanted(&self, buffer: usize, done: &Set) -> bool {
        self.is_output[buffer] || self.readers[buffer].iter().any(|&reader| !contains(done, reader))
    }

    /// Buffers that hold something wanted when these steps have run.
    fn live(&self, done: &Set) -> Vec<usize> {
        let written = (0..self.nodes.len()).filter(|&s| contains(done, s)).flat_map(|s| self.nodes[s].writes.iter().copied());
        let mut live: Vec<usize> = self.inputs.iter().copied().chain(written).filter(|&b| self.wanted(b, done)).collect();
        live.sort_unstable();
        live.dedup();
        live
    }

    fn cost(&self, live: &[usize], done: &Set, step: usize) -> Cost {
        let node = &self.nodes[step];
        let next = with(done, step);
        let mut beside: Vec<usize> = live.iter().chain(&node.writes).chain(&node.reads).copied().collect();
        beside.sort_unstable();
        beside.dedup();
        let sum = |buffers: &[usize]| buffers.iter().map(|&b| self.bytes[b]).sum::<usize>();
        let saved: usize = node
            .savings
            .iter()
            .filter(|(input, output, _)| !self.wanted(*input, &next) && !live.contains(output))
            .map(|(.., bytes)| bytes)
            .sum();
        let rest: Vec<usize> = beside.iter().copied().filter(|&b| self.wanted(b, &next)).collect();
        Cost { during: sum(&beside).saturating_sub(saved), after: sum(&rest) }
    }

    fn ready(&self, done: &Set) -> Vec<usize> {
        let fits = |&step: &usize| !contains(done, step) && self.nodes[step].after.iter().all(|&before| contains(done, before));
        (0..self.nodes.len()).filter(fits).collect()
    }

    fn none(&self) -> Set {
        vec![0; self.nodes.len().div_ceil(64)]
    }

    fn peak(&self, order: &[usize]) -> usize {
        let mut done = self.none();
        let mut peak = 0;
        for &step in order {
            peak = peak.max(self.cost(&self.live(&done), &done, step).during);
            done = with(&done, step);
        }
        peak
    }

    /// The step that takes least, then leaves least, every time.
    fn greedy(&self) -> Vec<usize> {
        let mut done = self.none();
        let mut order = Vec::new();
        while order.len() < self.nodes.len() {
            let live = self.live(&done);
            let cost = |step: usize| {
                let cost = self.cost(&live, &done, step);
                (cost.after, cost.during, step)
            };
            let Some(step) = self.ready(&done).into_iter().min_by_key(|&s| cost(s)) else { break };
            done = with(&done, step);
            order.push(step);
        }
        order
    }

    /// The best order, if it is below `upper`, and what no order undercuts.
    fn search(&self, upper: usize, states: usize) -> (Option<Vec<usize>>, usize) {
        // What each state came from.
        let mut trail: Vec<(usize, usize)> = vec![(0, 0)];
        let mut sets: Vec<Set> = vec![self.none()];
        let mut seen: HashMap<Set, usize> = HashMap::new();
        let mut queue = BinaryHeap::from([(Reverse(0), 0, Reverse(0))]);
        let mut visited = 0;
        while let Some((Reverse(peak), depth, Reverse(state))) = queue.pop() {
            if depth == self.nodes.len() {
                let mut order = Vec::new();
                let mut at = state;
                while at != 0 {
                    order.push(trail[at].1);
                    at = trail[at].0;
                }
                order.reverse();
                return (Some(order), peak);
            }
            visited += 1;
            if visited > states {
                return (None, peak);
            }
            let done = sets[state].clone();
            if seen.get(&done).is_some_and(|&known| known < peak) {
                continue;
            }
            let live = self.live(&done);
            let before: usize = live.iter().map(|&b| self.bytes[b]).sum();
            let mut next: Vec<(usize, Cost)> = self.ready(&done).into_iter().map(|s| (s, self.cost(&live, &done, s))).collect();
            // A step that costs nothing more and leaves no more than there was may as well run now.
            if let Some(free) = next.iter().position(|(_, cost)| cost.during <= peak && cost.after <= before) {
                next = vec![next.swap_remove(free)];
            }
            for (step, cost) in next {
                let (reached, set) = (peak.max(cost.during), with(&done, step));
                if reached >= upper || seen.get(&set).is_some_and(|&known| known <= reached) {
                    continue;
                }
                seen.insert(set.clone(), reached);
                sets.push(set);
                trail.push((state, step));
                queue.push((Reverse(reached), depth + 1, Reverse(sets.len() - 1)));
            }
        }
        (None, upper)
    }
}

/// Puts the steps into the order whose peak is the lowest, if its plan is smaller than that of the graph's own order; answers with the plan.
pub fn plan_in_best_order(program: &mut Program, options: &PlanOptions) -> (Plan, Order) {
    let own = plan(program, options);
    if !program.is_straight() {
        // Steps between marks stay there.
        let peak = own.lower_bound;
        return (own, Order { peak, bound: peak, changed: false });
    }
    let steps = Steps::of(program, options);
    let identity: Vec<usize> = (0..program.steps.len()).collect();
    let start = steps.peak(&identity);
    let greedy = steps.greedy();
    let (mut best, mut upper) = (identity, start);
    if greedy.len() == best.len() && steps.peak(&greedy) < upper {
        upper = steps.peak(&greedy);
        best = greedy;
    }
    let (found, bound) = steps.search(upper, STATES);
    if let Some(found) = found {
        upper = bound;
        best = found;
    }
    if upper >= start {
        return (own, Order { peak: start, bound, changed: false });
    }
    let graph_order = program.steps.clone();
    program.steps = best.iter().map(|&s| graph_order[s].clone()).collect();
    let other = plan(program, options);
    if other.size < own.size {
        return (other, Order { peak: upper, bound, changed: true });
    }
    program.steps = graph_order;
    (own, Order { peak: start, bound, changed: false })
}
