//! Sizes as products: what is known of shape arithmetic before the model runs.

use std::collections::BTreeMap;

use octet_ir::ops::{BinaryKind, ReduceKind, Reshape};
use octet_ir::{ElementType, Graph, Module, Op, Operation, ValueId};

use crate::rewrite::pattern::{ints, is};

/// A number times sizes of dynamic axes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Size {
    factor: i64,
    /// Dynamic axes of values, sorted; one may stand several times.
    axes: Vec<(ValueId, usize)>,
}

/// Shape vectors are short; anything longer is data.
const LONGEST: usize = 64;
/// Operations between a SHAPE and its reader.
const DEEPEST: usize = 64;
/// Dynamic axes in one product: a tensor has no more.
const MOST_AXES: usize = 8;

/// What is known of the values on the way: an operation that reads a value twice does not follow it twice.
type Known = BTreeMap<ValueId, Option<Vec<Size>>>;

impl Size {
    pub(super) fn one() -> Self {
        Self::number(1)
    }

    fn number(factor: i64) -> Self {
        Self { factor, axes: Vec::new() }
    }

    /// The size of one axis of a value.
    pub(super) fn of_axis(graph: &Graph, value: ValueId, axis: usize) -> Option<Self> {
        let shape = &graph.ty(value).shape;
        if shape.dynamic(axis).is_some() {
            return Some(Self { factor: 1, axes: vec![(value, axis)] });
        }
        Some(Self::number(i64::try_from(*shape.dims().get(axis)?).ok()?))
    }

    /// Its value, when no dynamic axis is in it.
    pub(super) fn known(&self) -> Option<i64> {
        self.axes.is_empty().then_some(self.factor)
    }

    pub(super) fn times(&self, other: &Self) -> Option<Self> {
        if self.axes.len() + other.axes.len() > MOST_AXES {
            return None;
        }
        let mut axes = [self.axes.as_slice(), &other.axes].concat();
        axes.sort_unstable();
        Some(Self { factor: self.factor.checked_mul(other.factor)?, axes })
    }

    /// The quotient, when it is a whole number that is known.
    pub(super) fn divided_by(&self, other: &Self) -> Option<i64> {
        let fits = self.axes == other.axes && other.factor > 0 && self.factor % other.factor == 0;
        fits.then(|| self.factor / other.factor)
    }
}

/// The entries of an integer tensor of rank 0 or 1, in order.
pub(super) fn sizes_of(module: &Module, graph: &Graph, value: ValueId) -> Option<Vec<Size>> {
    follow(module, graph, value, DEEPEST, &mut Known::new())
}

fn follow(module: &Module, graph: &Graph, value: ValueId, depth: usize, known: &mut Known) -> Option<Vec<Size>> {
    let ty = graph.ty(value);
    if !matches!(ty.elem, ElementType::I32 | ElementType::I64) || ty.shape.is_dynamic() || ty.shape.elements() > LONGEST {
        return None;
    }
    if let Some(constants) = ints(module, graph, value) {
        return Some(constants.into_iter().map(Size::number).collect());
    }
    if let Some(entries) = known.get(&value) {
        return entries.clone();
    }
    let (_, operation) = graph.producer(value)?;
    let entries = computed(module, graph, operation, depth.checked_sub(1)?, known).filter(|e| e.len() == ty.shape.elements());
    known.insert(value, entries.clone());
    entries
}

fn computed(module: &Module, graph: &Graph, operation: &Operation, depth: usize, known: &mut Known) -> Option<Vec<Size>> {
    let mut entries = |index: usize| follow(module, graph, operation.operand(index)?, depth, known);
    let constants = |index: usize| ints(module, graph, operation.operand(index)?);
    match operation.op() {
        Op::ShapeOf(_) => {
            let of = operation.operand(0)?;
            let shape = &graph.ty(of).shape;
            if !shape.is_ranked() {
                return None;
            }
            (0..shape.rank()).map(|axis| Size::of_axis(graph, of, axis)).collect()
        }
        // Elements in the same order in another shape, or as another integer type.
        op if is::<Reshape>(op) || matches!(op, Op::Squeeze(_) | Op::ExpandDims(_) | Op::Cast(_)) => entries(0),
        Op::StridedSlice(op) => {
            let from = entries(0)?;
            let (ranges, _) = op.ranges(&[from.len()], &constants(1)?, &constants(2)?, &constants(3)?).ok()?;
            let range = ranges.first()?;
            let start = i64::try_from(range.start).ok()?;
            let index = |i: usize| usize::try_from(start + i64::try_from(i).ok()? * range.step).ok();
            (0..range.count).map(|i| from.get(index(i)?).cloned()).collect()
        }
        Op::Slice(_) => {
            let from = entries(0)?;
            let (&[begin], &[size]) = (constants(1)?.as_slice(), constants(2)?.as_slice()) else { return None };
            let begin = usize::try_from(begin).ok()?;
            let end = if size == -1 { from.len() } else { begin.checked_add(usize::try_from(size).ok()?)? };
            from.get(begin..end).map(<[Size]>::to_vec)
        }
        Op::Gather(op) if op.batch_dims == 0 => {
            let from = entries(0)?;
            // LiteRT and TFLM take only indices from 0 up.
            constants(1)?.into_iter().map(|i| from.get(usize::try_from(i).ok()?).cloned()).collect()
        }
        Op::Pack(_) | Op::Concatenation(_) => {
            let parts: Option<Vec<Vec<Size>>> = (0..operation.operands().len()).map(&mut entries).collect();
            let parts = parts?;
            // Vectors side by side along an inner axis would interleave; only vectors of numbers are shapes.
            let scalars = parts.iter().all(|p| p.len() == 1) || matches!(operation.op(), Op::Concatenation(_));
            scalars.then(|| parts.concat())
        }
        Op::Binary(op) if op.kind == BinaryKind::Mul => {
            let (a, b) = (entries(0)?, entries(1)?);
            let length = a.len().max(b.len());
            let pick = |from: &[Size], i: usize| if from.len() == 1 { from.first().cloned() } else { from.get(i).cloned() };
            (0..length).map(|i| pick(&a, i)?.times(&pick(&b, i)?)).collect()
        }
        Op::Reduce(op) if op.kind == ReduceKind::Prod => {
            let product = entries(0)?.iter().try_fold(Size::one(), |a, b| a.times(b))?;
            Some(vec![product])
        }
        _ => None,
    }
}
