//! The context in which operations are made: the graph so far, the values that may be read, and what is known about them.
//!
//! New data is declared first and becomes an input or a constant only when an operation takes it, so a refused operation leaves nothing behind
//! that compaction does not sweep away.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use octet_ir::ops::{InferCx, InferError, Op};
use octet_ir::verify::types::numbers;
use octet_ir::{Constant, ElementType, GraphBuilder, Loc, Module, Quantization, Range, Shape, Type, ValueDef, ValueId};

use crate::inputs::random_constant;
use crate::kind::{Kind, quantized_range};
use crate::profile::{Profile, Runtime};
use crate::random::Random;
use crate::support;

/// Reals beyond this would soon be infinite.
const LARGEST_FLOAT: f32 = 1e6;
/// Integers beyond this would soon overflow.
const LARGEST_INTEGER: f32 = 1e9;
/// What float inputs hold unless an operation needs something else.
pub(crate) const FLOAT_RANGE: (f32, f32) = (-4.0, 4.0);
/// What integer inputs hold unless an operation needs something else.
pub(crate) const INTEGER_RANGE: (f32, f32) = (-100.0, 100.0);

/// A graph that an operation calls, still to be made.
pub(crate) struct Body {
    /// What it computes.
    pub(crate) task: Task,
    /// Types that it takes.
    pub(crate) inputs: Vec<Type>,
    /// Types that it gives.
    pub(crate) outputs: Vec<Type>,
    /// How deep its caller is nested.
    pub(crate) depth: usize,
}

/// What a called graph computes.
pub(crate) enum Task {
    /// Anything: a branch of an IF.
    Branch,
    /// Whether the counter, its first input, is below a limit.
    Condition(i32),
    /// The counter and one, and anything for the rest of the state.
    Loop,
    /// Gives the variable of this name its first value.
    Init(String, Type),
}

/// What the graphs of one module share while they are made.
pub(crate) struct Shared {
    pub(crate) random: Random,
    pub(crate) profile: Profile,
    pub(crate) bodies: VecDeque<Body>,
    pub(crate) graphs: usize,
}

impl Shared {
    /// Orders a called graph and answers its number.
    pub(crate) fn order(&mut self, body: Body) -> usize {
        self.bodies.push_back(body);
        self.graphs += 1;
        self.graphs - 1
    }
}

/// A result to be: the element type, how integers stand for reals, and the reals that it can hold.
#[derive(Clone, Debug)]
pub(crate) struct Out {
    pub(crate) elem: ElementType,
    pub(crate) quant: Option<Quantization>,
    pub(crate) range: (f32, f32),
}

impl Out {
    /// A result of plain numbers.
    pub(crate) fn plain(elem: ElementType, low: f32, high: f32) -> Self {
        Self { elem, quant: None, range: (low, high) }
    }
}

/// One graph in the making.
pub(crate) struct Cx<'m, 's> {
    pub(crate) shared: &'s mut Shared,
    pub(crate) builder: GraphBuilder<'m>,
    pub(crate) depth: usize,
    pool: Vec<ValueId>,
    ranges: BTreeMap<ValueId, (f32, f32)>,
    undecided: BTreeSet<ValueId>,
    named: usize,
}

impl<'m, 's> Cx<'m, 's> {
    pub(crate) fn new(module: &'m mut Module, shared: &'s mut Shared, name: &str, depth: usize) -> Self {
        let builder = GraphBuilder::new(module, name);
        Self { shared, builder, depth, pool: Vec::new(), ranges: BTreeMap::new(), undecided: BTreeSet::new(), named: 0 }
    }

    pub(crate) fn random(&mut self) -> &mut Random {
        &mut self.shared.random
    }

    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.shared.random.chance(percent)
    }

    pub(crate) fn profile(&self) -> &Profile {
        &self.shared.profile
    }

    pub(crate) fn runtime(&self) -> Runtime {
        self.shared.profile.runtime
    }

    /// A kind that the operation takes for its data.
    pub(crate) fn kind(&mut self, mnemonic: &str) -> Option<Kind> {
        let kinds: Vec<Kind> = self.profile().kinds.iter().copied().filter(|&k| support::takes(mnemonic, k, self.runtime())).collect();
        if kinds.is_empty() { None } else { Some(*self.random().pick(&kinds)) }
    }

    pub(crate) fn ty(&self, value: ValueId) -> &Type {
        self.builder.graph().ty(value)
    }

    pub(crate) fn dims(&self, value: ValueId) -> Vec<usize> {
        self.ty(value).shape.dims().to_vec()
    }

    pub(crate) fn rank(&self, value: ValueId) -> usize {
        self.ty(value).shape.rank()
    }

    /// The reals (or plain numbers) that a value may hold.
    pub(crate) fn range(&self, value: ValueId) -> (f32, f32) {
        quantized_range(self.ty(value)).or_else(|| self.ranges.get(&value).copied()).unwrap_or(FLOAT_RANGE)
    }

    /// The largest absolute value of [`range`](Self::range).
    pub(crate) fn amplitude(&self, value: ValueId) -> f32 {
        let (low, high) = self.range(value);
        low.abs().max(high.abs())
    }

    /// A name that no other value of the graph has.
    pub(crate) fn name(&mut self, stem: &str) -> Loc {
        self.named += 1;
        Loc::named(format!("{stem}_{}", self.named))
    }

    /// Sizes of a random tensor of this rank.
    pub(crate) fn sizes(&mut self, rank: usize) -> Vec<usize> {
        let most = self.profile().max_elements;
        let mut left = most;
        (0..rank)
            .map(|axis| {
                let largest = if axis == 0 && rank == 4 { 2 } else { 7 };
                let size = self.random().between(1, largest.min(left.max(1)));
                left /= size;
                size
            })
            .collect()
    }

    /// Sizes of a random image `[N, H, W, C]`.
    pub(crate) fn image_sizes(&mut self) -> Vec<usize> {
        let r = self.random();
        let (n, h, w) = (r.between(1, 2), r.between(1, 8), r.between(1, 8));
        let most = (self.profile().max_elements / (n * h * w)).clamp(1, 8);
        vec![n, h, w, self.random().between(1, most)]
    }

    /// New data of this type, not yet bound to be an input or a constant.
    pub(crate) fn fresh(&mut self, mut ty: Type, low: f32, high: f32) -> ValueId {
        if self.depth == 0 && self.profile().dynamic_batch && ty.shape.rank() > 0 {
            ty.shape = ty.shape.with_dynamic(0, "batch");
        }
        let value = self.builder.declare(ty, Loc::unknown());
        self.ranges.insert(value, (low, high));
        self.undecided.insert(value);
        value
    }

    /// New data of this kind over a range, or over the usual one.
    pub(crate) fn fresh_of(&mut self, kind: Kind, dims: Vec<usize>, within: Option<(f32, f32)>) -> ValueId {
        let usual = if matches!(kind, Kind::I32 | Kind::I64) { INTEGER_RANGE } else { FLOAT_RANGE };
        let (low, high) = match within {
            Some((low, high)) => (low.max(usual.0.min(high - 1.0)), high.min(usual.1.max(low + 1.0))),
            None => usual,
        };
        let quant = if kind.is_quantized() && within.is_none() {
            let span = self.random().float(0.5, 8.0);
            let share = self.random().unit();
            kind.quantization(-span * share, span * (1.0 - share))
        } else {
            kind.quantization(low, high)
        };
        self.fresh(Type::new(kind.elem(), dims).with_quant(quant.map(Into::into)), low, high)
    }

    /// Data of this kind that lies within a range and whose sizes fit: from the graph, or new with `dims`.
    pub(crate) fn data(
        &mut self,
        kind: Kind,
        within: Option<(f32, f32)>,
        fits: impl Fn(&[usize]) -> bool,
        dims: impl FnOnce(&mut Self) -> Vec<usize>,
    ) -> ValueId {
        let inside = |range: (f32, f32)| within.is_none_or(|(low, high)| range.0 >= low && range.1 <= high);
        let found: Vec<ValueId> = (self.pool.iter().copied())
            .filter(|&v| Kind::of(self.ty(v)) == Some(kind) && fits(self.ty(v).shape.dims()) && inside(self.range(v)))
            .collect();
        if !found.is_empty() && self.chance(85) {
            // The later one of two, so that graphs grow deep.
            let index = self.random().below(found.len()).max(self.random().below(found.len()));
            return found[index];
        }
        let dims = dims(self);
        self.fresh_of(kind, dims, within)
    }

    /// Data of any rank from 1 to 4.
    pub(crate) fn any(&mut self, kind: Kind) -> ValueId {
        self.any_within(kind, None)
    }

    /// Data of any rank from 1 to 4 within a range.
    pub(crate) fn any_within(&mut self, kind: Kind, within: Option<(f32, f32)>) -> ValueId {
        self.data(
            kind,
            within,
            |d| (1..=4).contains(&d.len()),
            |cx| {
                let rank = cx.random().between(1, 4);
                if rank == 4 { cx.image_sizes() } else { cx.sizes(rank) }
            },
        )
    }

    /// Data of one rank.
    pub(crate) fn ranked(&mut self, kind: Kind, rank: usize) -> ValueId {
        self.data(kind, None, |d| d.len() == rank, |cx| cx.sizes(rank))
    }

    /// Data `[N, H, W, C]`.
    pub(crate) fn image(&mut self, kind: Kind) -> ValueId {
        self.data(kind, None, |d| d.len() == 4, Self::image_sizes)
    }

    /// Data of exactly this type, quantization included.
    pub(crate) fn twin(&mut self, ty: &Type) -> ValueId {
        let found: Vec<ValueId> = self.pool.iter().copied().filter(|&v| same_type(self.ty(v), ty)).collect();
        if !found.is_empty() && self.chance(70) {
            return *self.random().pick(&found);
        }
        let (low, high) = match Kind::of(ty) {
            Some(Kind::I32 | Kind::I64) => INTEGER_RANGE,
            _ => quantized_range(ty).unwrap_or(FLOAT_RANGE),
        };
        self.fresh(Type { shape: ty.shape.to_static(), ..ty.clone() }, low, high)
    }

    /// Whether the graph has a value of exactly this type to read.
    pub(crate) fn typed(&self, ty: &Type) -> Vec<ValueId> {
        self.pool.iter().copied().filter(|&v| same_type(self.ty(v), ty)).collect()
    }

    /// Everything that may be read.
    pub(crate) fn pool(&self) -> &[ValueId] {
        &self.pool
    }

    /// Lets later operations read a value.
    pub(crate) fn offer(&mut self, value: ValueId) {
        self.pool.push(value);
    }

    /// A constant.
    pub(crate) fn constant(&mut self, constant: Constant, ty: Type) -> ValueId {
        let loc = self.name("const");
        self.builder.constant(constant, ty, loc)
    }

    /// A vector of constant integers: a shape, axes, paddings.
    pub(crate) fn vector(&mut self, values: &[usize]) -> ValueId {
        let values: Vec<i32> = values.iter().map(|&v| i32::try_from(v).unwrap_or(i32::MAX)).collect();
        self.integers(&values)
    }

    /// A vector of constant integers.
    pub(crate) fn integers(&mut self, values: &[i32]) -> ValueId {
        self.constant(Constant::from_i32(values), Type::i32([values.len()]))
    }

    /// A constant matrix of integers with two columns: paddings.
    pub(crate) fn pairs(&mut self, values: &[(usize, usize)]) -> ValueId {
        let flat: Vec<i32> = values.iter().flat_map(|&(a, b)| [a, b]).map(|v| i32::try_from(v).unwrap_or(i32::MAX)).collect();
        self.constant(Constant::from_i32(&flat), Type::i32([values.len(), 2]))
    }

    /// A constant integer.
    pub(crate) fn scalar(&mut self, value: i32) -> ValueId {
        self.constant(Constant::from_i32(&[value]), Type::i32(Shape::scalar()))
    }

    /// An axis as an attribute or operand gives it: counted from the front or the end.
    pub(crate) fn axis(&mut self, axis: usize, rank: usize) -> i32 {
        let [axis, rank] = [axis, rank].map(|v| i32::try_from(v).unwrap_or(0));
        if self.chance(30) { axis - rank } else { axis }
    }

    /// Integers from 0 to `below`, which is left out: indices.
    pub(crate) fn indices(&mut self, dims: Vec<usize>, below: usize) -> ValueId {
        #[expect(clippy::cast_precision_loss, reason = "sizes of test tensors")]
        self.fresh(Type::i32(dims), 0.0, below.saturating_sub(1) as f32)
    }

    /// A result like a value: same kind, quantization and range.
    pub(crate) fn like(&self, value: ValueId) -> Out {
        let ty = self.ty(value);
        Out { elem: ty.elem, quant: ty.quant.as_deref().cloned(), range: self.range(value) }
    }

    /// A result of this kind that covers about a range.
    pub(crate) fn out(&mut self, kind: Kind, low: f32, high: f32) -> Out {
        let stretch = self.random().float(0.6, 1.2);
        let quant = kind.quantization(low * stretch, high * stretch);
        Out { elem: kind.elem(), quant, range: (low, high) }
    }

    /// A constant with random elements over a range, or over the whole storage range of a quantized type.
    pub(crate) fn filled(&mut self, ty: Type, low: f32, high: f32) -> ValueId {
        let constant = random_constant(&mut self.shared.random, &ty, (low, high));
        self.constant(constant, ty)
    }

    /// Binds new data: an input of the main graph, or a constant.
    fn settle(&mut self, value: ValueId) {
        if !self.undecided.remove(&value) {
            return;
        }
        let range = self.ranges.get(&value).copied().unwrap_or(FLOAT_RANGE);
        let first = self.builder.graph().inputs().is_empty();
        let percent = self.profile().input_percent;
        if self.depth == 0 && (first || self.chance(percent)) {
            let name = self.name("input");
            self.builder.set_loc(value, name);
            self.builder.bind_input(value);
            let usual = match Kind::of(self.ty(value)) {
                Some(Kind::I32 | Kind::I64) => INTEGER_RANGE,
                Some(Kind::F32) => FLOAT_RANGE,
                _ => range,
            };
            if range != usual {
                self.builder.set_range(value, Some(Range::new(range.0, range.1)));
            }
        } else {
            let ty = Type { shape: self.ty(value).shape.to_static(), ..self.ty(value).clone() };
            let constant = random_constant(&mut self.shared.random, &ty, range);
            let id = self.builder.add_constant(constant);
            let name = self.name("const");
            self.builder.set_loc(value, name);
            self.builder.set_type(value, ty);
            self.builder.bind_constant(value, id);
        }
        self.pool.push(value);
    }

    /// Types of the results, or `None` when one is too large, empty, or could hold numbers that soon overflow.
    fn inferred(&self, op: &Op, operands: &[Option<ValueId>], outs: &[Out]) -> Option<Vec<Type>> {
        let graph = self.builder.graph();
        let types: Vec<Option<&Type>> = operands.iter().map(|v| v.map(|v| graph.ty(v))).collect();
        let declared: Vec<Type> = outs.iter().map(|o| Type::new(o.elem, Shape::scalar())).collect();
        let values = |index: usize| {
            let value = operands.get(index).copied().flatten()?;
            numbers(graph.ty(value).elem, self.builder.module().constant_of(graph, value)?)
        };
        let inferred = match op.infer(&InferCx::new(&types, &declared, outs.len(), &values)) {
            Ok(inferred) => inferred,
            Err(InferError::Unknown) => panic!("{}: a shape depends on data: give the types", op.mnemonic()),
            Err(InferError::Invalid(why)) => panic!("{}: {why}", op.mnemonic()),
        };
        assert_eq!(inferred.len(), outs.len(), "{}", op.mnemonic());
        let most = self.profile().max_elements;
        let types = inferred.into_iter().zip(outs).map(|((elem, shape), out)| {
            assert_eq!(elem, out.elem, "{}", op.mnemonic());
            let limit = match out.elem {
                ElementType::I32 | ElementType::I64 => LARGEST_INTEGER,
                _ => LARGEST_FLOAT,
            };
            let calm = out.range.0.abs() <= limit && out.range.1.abs() <= limit;
            let fits = (1..=most).contains(&shape.elements()) && calm;
            fits.then(|| Type::new(elem, shape).with_quant(out.quant.clone().map(Into::into)))
        });
        types.collect()
    }

    /// Appends an operation whose result shapes follow from its operands; `None` when a result would be too large.
    pub(crate) fn emit(&mut self, op: impl Into<Op>, operands: &[Option<ValueId>], outs: &[Out]) -> Option<Vec<ValueId>> {
        let op = op.into();
        self.inferred(&op, operands, outs)?;
        operands.iter().flatten().for_each(|&v| self.settle(v));
        // Again, because what became a constant is not dynamic.
        let types = self.inferred(&op, operands, outs)?;
        Some(self.append(op, operands, types, outs.iter().map(|o| o.range), Vec::new()))
    }

    /// Appends an operation of one result.
    pub(crate) fn emit1(&mut self, op: impl Into<Op>, operands: &[ValueId], out: Out) -> Option<ValueId> {
        let operands: Vec<Option<ValueId>> = operands.iter().copied().map(Some).collect();
        self.emit(op, &operands, &[out])?.pop()
    }

    /// Appends an operation whose result types nothing but the file tells.
    pub(crate) fn emit_declared(&mut self, op: impl Into<Op>, operands: &[Option<ValueId>], types: Vec<Type>) -> Vec<ValueId> {
        operands.iter().flatten().for_each(|&v| self.settle(v));
        let ranges = vec![FLOAT_RANGE; types.len()];
        self.append(op.into(), operands, types, ranges.into_iter(), Vec::new())
    }

    /// Appends an operation with intermediates: values that only describe what happens inside.
    pub(crate) fn emit_with(&mut self, op: impl Into<Op>, operands: &[Option<ValueId>], out: Type, inner: Vec<Type>) -> Vec<ValueId> {
        operands.iter().flatten().for_each(|&v| self.settle(v));
        let range = quantized_range(&out).unwrap_or((-1.0, 1.0));
        let inner = inner.into_iter().map(|ty| {
            let name = self.name("intermediate");
            self.builder.declare(ty, name)
        });
        let inner = inner.collect();
        self.append(op.into(), operands, vec![out], std::iter::once(range), inner)
    }

    fn append(
        &mut self,
        op: Op,
        operands: &[Option<ValueId>],
        types: Vec<Type>,
        ranges: impl Iterator<Item = (f32, f32)>,
        inner: Vec<ValueId>,
    ) -> Vec<ValueId> {
        let mnemonic = op.mnemonic();
        let results: Vec<ValueId> = types
            .into_iter()
            .map(|ty| {
                let name = self.name(mnemonic);
                self.builder.declare(ty, name)
            })
            .collect();
        for (&result, range) in results.iter().zip(ranges) {
            self.ranges.insert(result, range);
        }
        self.builder.bind_op(op, operands.to_vec(), results.clone(), inner);
        self.pool.extend(&results);
        results
    }

    /// Results that nothing reads, in order.
    pub(crate) fn unread(&self) -> Vec<ValueId> {
        let graph = self.builder.graph();
        let unread = |v: &ValueId| graph.value(*v).uses().is_empty() && matches!(graph.value(*v).def(), ValueDef::Result { .. });
        self.pool.iter().copied().filter(unread).collect()
    }
}

/// Equal but for dynamic marks.
pub(crate) fn same_type(a: &Type, b: &Type) -> bool {
    a.elem == b.elem && a.quant == b.quant && a.shape.dims() == b.shape.dims() && a.shape.is_ranked() == b.shape.is_ranked()
}
