//! Placing buffers in one arena.
//!
//! Buffers that live at the same time must not share bytes, except where a step says that its output may lie over a dying input. Finding the
//! smallest arena is NP-hard; here many orders of first fit are tried until one reaches the lower bound, and both numbers are told. The bound
//! is the largest sum of what lives at one step, with the most that an allowed overlap can save taken off: no plan is smaller.

mod regions;
mod tensors;

pub use regions::{Region, plan_regions};
pub use tensors::{TensorPlan, plan_tensors};

use crate::program::{Arg, BufferKind, Overlap, Program, Step};

/// Where buffers lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Byte offset of each buffer; `None` for states and buffers that nothing uses.
    pub offsets: Vec<Option<usize>>,
    /// First and last step of each buffer, as [`offsets`](Self::offsets).
    pub lives: Vec<Option<(usize, usize)>>,
    /// Bytes of the arena.
    pub size: usize,
    /// No plan of this program in this order is smaller.
    pub lower_bound: usize,
    /// Bytes of the stack that take the place of scratch memory; buffers in use that have no offset and are no state lie at its beginning.
    pub stack: usize,
}

/// How to plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanOptions {
    /// Every offset is a multiple of it.
    pub alignment: usize,
    /// Whether outputs may lie over dying inputs where kernels allow it.
    pub overlap: bool,
    /// How many orders to try.
    pub attempts: usize,
    /// Scratch memory of at most so many bytes lies on the stack instead.
    pub stack: usize,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self { alignment: 16, overlap: true, attempts: 4000, stack: 0 }
    }
}

/// A block to place.
struct Block {
    buffer: usize,
    size: usize,
    life: (usize, usize),
}

/// An overlap between blocks: distances in bytes, aligned.
struct Allowed {
    input: usize,
    output: usize,
    below: usize,
    above: Option<usize>,
    /// Bytes that the two can have in common.
    saving: usize,
}

impl Plan {
    /// Whether the output lies above the input.
    #[must_use]
    pub fn is_backward(&self, input: Option<usize>, output: Option<usize>) -> bool {
        let at = |buffer: Option<usize>| buffer.and_then(|b| self.offsets.get(b).copied().flatten());
        matches!((at(input), at(output)), (Some(input), Some(output)) if output > input)
    }
}

/// The scratch buffer of a step that lies on the stack.
pub(crate) fn on_stack(program: &Program, step: &Step, options: &PlanOptions) -> Option<usize> {
    // Several scratch buffers of one step would lie over each other.
    match step.scratch.as_slice() {
        [only] if program.buffers[*only].bytes() <= options.stack => Some(*only),
        _ => None,
    }
}

/// Whether a step reads the input by one argument of its one call only.
pub(crate) fn usable(step: &Step, overlap: &Overlap) -> bool {
    let reads = |a: &&Arg| matches!(a, Arg::Buffer { buffer, .. } if *buffer == overlap.input);
    step.calls.len() == 1 && step.calls.iter().flat_map(|c| &c.args).filter(reads).count() == 1
}

/// Plans a program.
#[must_use]
pub fn plan(program: &Program, options: &PlanOptions) -> Plan {
    plan_some(program, options, &|_| true)
}

/// Plans those buffers that are chosen; the others have no place in this arena.
fn plan_some(program: &Program, options: &PlanOptions, chosen: &dyn Fn(usize) -> bool) -> Plan {
    let mut lives = lives(program);
    let mut stack = 0;
    for buffer in program.steps.iter().filter_map(|s| on_stack(program, s, options)) {
        lives[buffer] = None;
        stack = stack.max(program.buffers[buffer].bytes());
    }
    for (buffer, life) in lives.iter_mut().enumerate() {
        *life = life.filter(|_| chosen(buffer));
    }
    let align = |n: usize| n.div_ceil(options.alignment) * options.alignment;
    let blocks: Vec<Block> = lives
        .iter()
        .enumerate()
        .filter_map(|(buffer, life)| Some(Block { buffer, size: align(program.buffers[buffer].bytes()), life: (*life)? }))
        .filter(|b| b.size > 0)
        .collect();
    let overlaps = if options.overlap { overlaps(program, &blocks, &align) } else { Vec::new() };
    let lower_bound = lower_bound(program, &blocks, &overlaps);
    let search = Search { blocks: &blocks, rules: rules(&blocks, &overlaps) };
    let found = search.best(lower_bound, options.attempts);
    let mut offsets = vec![None; program.buffers.len()];
    for (block, offset) in blocks.iter().zip(&found) {
        offsets[block.buffer] = Some(*offset);
    }
    for (buffer, life) in lives.iter().enumerate() {
        if life.is_some() && program.buffers[buffer].bytes() == 0 {
            offsets[buffer] = Some(0);
        }
    }
    let size = search.size(&found);
    Plan { offsets, lives, size, lower_bound, stack }
}

/// First and last step at which each arena buffer holds something that is still wanted. Inputs hold theirs from the start, outputs until the end; what a
/// loop finds there, until the loop ends, since every turn may read it again.
fn lives(program: &Program) -> Vec<Option<(usize, usize)>> {
    let mut lives: Vec<Option<(usize, usize)>> = vec![None; program.buffers.len()];
    let mut touch = |place: Arg, step: usize| {
        if let Arg::Buffer { buffer, .. } = place
            && program.buffers[buffer].kind == BufferKind::Arena
        {
            let life = lives[buffer].get_or_insert((step, step));
            *life = (life.0.min(step), life.1.max(step));
        }
    };
    for port in &program.inputs {
        touch(port.place, 0);
    }
    for (index, step) in program.steps.iter().enumerate() {
        step.args().for_each(|arg| touch(arg, index));
    }
    for port in &program.outputs {
        touch(port.place, program.steps.len());
    }
    let inputs: Vec<Arg> = program.inputs.iter().map(|p| p.place).collect();
    let given = |buffer: usize| inputs.iter().any(|place| matches!(place, Arg::Buffer { buffer: b, .. } if *b == buffer));
    // Inner loops end before outer ones.
    for (end, begin) in program.jumps().into_iter().enumerate() {
        let Some(begin) = begin.filter(|&begin| begin < end) else { continue };
        for (buffer, life) in lives.iter_mut().enumerate() {
            if let Some((first, last)) = life
                && (*first < begin || given(buffer))
                && (begin..end).contains(last)
            {
                *last = end;
            }
        }
    }
    lives
}

/// Overlaps that lives and alignment allow: the input dies where the output is born, and the output is written nowhere else.
fn overlaps(program: &Program, blocks: &[Block], align: &dyn Fn(usize) -> usize) -> Vec<Allowed> {
    let find = |buffer: usize| blocks.iter().position(|b| b.buffer == buffer);
    let mut found = Vec::new();
    for (index, step) in program.steps.iter().enumerate() {
        for overlap in &step.overlaps {
            let Overlap { input, output, below, above } = *overlap;
            let (Some(i), Some(o)) = (find(input), find(output)) else { continue };
            if blocks[i].life.1 == index && blocks[o].life.0 == index && usable(step, overlap) {
                let saving = overlap.saving(blocks[i].size, blocks[o].size, align);
                found.push(Allowed { input: i, output: o, below: align(below), above: above.map(align), saving });
            }
        }
    }
    found
}

/// For every pair of blocks that live at the same time, how far apart they have to be: `rules[a][b]` is the least
/// `offset(b) - offset(a)` if `b` lies above `a`.
fn rules(blocks: &[Block], overlaps: &[Allowed]) -> Vec<Vec<Option<usize>>> {
    let together = |a: &Block, b: &Block| a.life.0 <= b.life.1 && b.life.0 <= a.life.1;
    let mut rules: Vec<Vec<Option<usize>>> =
        blocks.iter().map(|a| blocks.iter().map(|b| (a.buffer != b.buffer && together(a, b)).then_some(a.size)).collect()).collect();
    for allowed in overlaps {
        if let Some(distance) = &mut rules[allowed.output][allowed.input] {
            *distance = (*distance).min(allowed.below);
        }
        if let (Some(distance), Some(above)) = (&mut rules[allowed.input][allowed.output], allowed.above) {
            *distance = (*distance).min(above);
        }
    }
    rules
}

fn lower_bound(program: &Program, blocks: &[Block], overlaps: &[Allowed]) -> usize {
    let steps = program.steps.len() + 1;
    let live = |step: usize| -> usize {
        let all: usize = blocks.iter().filter(|b| b.life.0 <= step && step <= b.life.1).map(|b| b.size).sum();
        // An output lies over at most what one input and itself have in common; several inputs may each save.
        let saved: usize =
            overlaps.iter().filter(|a| blocks[a.input].life.1 == step && blocks[a.output].life.0 == step).map(|a| a.saving).sum();
        all.saturating_sub(saved)
    };
    let largest = blocks.iter().map(|b| b.size).max().unwrap_or(0);
    (0..steps).map(live).max().unwrap_or(0).max(largest)
}

struct Search<'a> {
    blocks: &'a [Block],
    rules: Vec<Vec<Option<usize>>>,
}

impl Search<'_> {
    fn size(&self, offsets: &[usize]) -> usize {
        offsets.iter().zip(self.blocks).map(|(o, b)| o + b.size).max().unwrap_or(0)
    }

    /// First fit in this order.
    fn place(&self, order: &[usize]) -> Vec<usize> {
        let mut offsets: Vec<Option<usize>> = vec![None; self.blocks.len()];
        for &block in order {
            // Intervals of offsets that other blocks forbid.
            let mut forbidden: Vec<(usize, usize)> = Vec::new();
            for (other, offset) in offsets.iter().enumerate() {
                if let (Some(at), Some(above), Some(below)) = (*offset, self.rules[other][block], self.rules[block][other]) {
                    let from = (at + 1).saturating_sub(below);
                    forbidden.push((from, at + above));
                }
            }
            forbidden.sort_unstable();
            let mut at = 0;
            for (from, to) in forbidden {
                if at < from {
                    break;
                }
                at = at.max(to);
            }
            offsets[block] = Some(at);
        }
        offsets.into_iter().map(Option::unwrap_or_default).collect()
    }

    /// The smallest plan found: first in orders that are known to do well, then by exchanging blocks in the best one.
    fn best(&self, bound: usize, attempts: usize) -> Vec<usize> {
        let key = |f: &dyn Fn(&Block) -> (usize, usize)| {
            let mut order: Vec<usize> = (0..self.blocks.len()).collect();
            order.sort_by_key(|&i| (f(&self.blocks[i]), self.blocks[i].buffer));
            order
        };
        let inverse = |n: usize| usize::MAX - n;
        let mut order = Vec::new();
        let mut best = Vec::new();
        let mut size = usize::MAX;
        for candidate in [
            key(&|b| (inverse(b.size), b.life.0)),
            key(&|b| (inverse(b.size), inverse(b.life.0))),
            key(&|b| (inverse(b.life.1 - b.life.0), inverse(b.size))),
            key(&|b| (b.life.0, inverse(b.size))),
            key(&|b| (inverse(b.life.1), inverse(b.size))),
        ] {
            let offsets = self.place(&candidate);
            if self.size(&offsets) < size {
                (size, best, order) = (self.size(&offsets), offsets, candidate);
            }
        }
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random >> 33).unwrap_or(0) % below.max(1)
        };
        for _ in 0..attempts {
            if size <= bound || order.len() < 2 {
                break;
            }
            let mut candidate = order.clone();
            for _ in 0..=next(3) {
                let block = candidate.remove(next(candidate.len()));
                candidate.insert(next(candidate.len() + 1), block);
            }
            let offsets = self.place(&candidate);
            // Equal plans are taken too, so that the search can walk over plateaus.
            if self.size(&offsets) <= size {
                (size, best, order) = (self.size(&offsets), offsets, candidate);
            }
        }
        best
    }
}
