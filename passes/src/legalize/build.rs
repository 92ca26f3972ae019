//! What the rewrites of this pass are written with: chains of operations that end in the type and name of what they stand for.

use std::sync::Arc;

use octet_ir::ops::{Reshape, Slice, Unary, UnaryKind};
use octet_ir::{Constant, ElementType, Graph, Loc, Op, OpId, Patch, Quantization, Range, Shape, Type, ValueId};

use crate::quantize::{Bounds, Params, Width};
use crate::rewrite::Refusal;
use crate::rewrite::pattern::{operand, result};

/// A patch that replaces one operation with several.
pub(super) struct Chain<'g> {
    graph: &'g Graph,
    loc: Loc,
    pub(super) patch: Patch,
}

/// Whether an element type is one that accelerators compute with.
pub(super) fn is_byte(elem: ElementType) -> bool {
    matches!(elem, ElementType::I8 | ElementType::U8)
}

/// The scale and zero point of a tensor of bytes.
pub(super) fn byte_scale(ty: &Type) -> Result<(f32, i64), Refusal> {
    if !is_byte(ty.elem) {
        return Err(Refusal::NoMatch);
    }
    ty.scale_zero_point().ok_or(Refusal::NoMatch)
}

/// The interval in which the elements of a tensor lie: what its bytes can stand for, or the range of a float, where it has one.
pub(super) fn interval(graph: &Graph, value: ValueId) -> Option<Bounds> {
    let ty = graph.ty(value);
    if !is_byte(ty.elem) {
        return graph.value(value).range().and_then(Range::bounds).and_then(|(lo, hi)| Bounds::new(lo, hi));
    }
    let (scale, zero_point) = ty.scale_zero_point()?;
    let lift = if ty.elem == ElementType::U8 { 128 } else { 0 };
    Some(Params { scale, zero_point: zero_point - lift }.bounds(Width::I8))
}

/// The quantization of bytes that an int8 tensor would have; none of floats.
fn quantized(elem: ElementType, int8: Params) -> Option<Arc<Quantization>> {
    is_byte(elem).then(|| Quantization::new(int8.scale, int8.zero_point + if elem == ElementType::U8 { 128 } else { 0 }).into())
}

/// The operand and the result's type of an operation that computes this function of bytes.
pub(super) fn function_of_bytes(graph: &Graph, root: OpId, kind: UnaryKind) -> Result<(ValueId, Type), Refusal> {
    let operation = graph.op(root);
    if !matches!(operation.op(), Op::Unary(unary) if unary.kind == kind) {
        return Err(Refusal::NoMatch);
    }
    let x = operand(operation, 0)?;
    byte_scale(graph.ty(x))?;
    let ty = graph.ty(result(operation)?);
    byte_scale(ty)?;
    Ok((x, ty.clone()))
}

/// Sizes of a shape that is known.
pub(super) fn sizes(ty: &Type) -> Result<Vec<usize>, Refusal> {
    if !ty.shape.is_ranked() || ty.shape.is_dynamic() {
        return Err(Refusal::check("a size is known only when the model runs"));
    }
    Ok(ty.shape.dims().to_vec())
}

impl<'g> Chain<'g> {
    /// Begins to replace an operation, whose operands and results have known sizes.
    pub(super) fn of(graph: &'g Graph, root: OpId) -> Result<Self, Refusal> {
        let operation = graph.op(root);
        for value in operation.operands().iter().flatten().chain(operation.results()) {
            sizes(graph.ty(*value))?;
        }
        Self::of_any_size(graph, root)
    }

    /// Begins to replace an operation on elements, whatever their number.
    pub(super) fn of_any_size(graph: &'g Graph, root: OpId) -> Result<Self, Refusal> {
        let first = graph.op(root).results().first().ok_or(Refusal::NoMatch)?;
        Ok(Self { graph, loc: graph.value(*first).loc().clone(), patch: Patch::before(graph, root) })
    }

    /// A small vector.
    pub(super) fn ints(&mut self, values: &[usize]) -> Result<ValueId, Refusal> {
        let values: Vec<i32> = values.iter().map(|n| i32::try_from(*n)).collect::<Result<_, _>>().map_err(|_| Refusal::NoMatch)?;
        Ok(self.patch.constant(Constant::from_i32(&values), Type::i32([values.len()]), Loc::unknown()))
    }

    /// Of bytes, the integer is 127 or -127, or 0 with a zero point of 127.
    fn real(&mut self, elem: ElementType, real: f32, shape: Shape) -> ValueId {
        if elem == ElementType::F32 {
            return self.patch.constant(Constant::from_f32(&[real]), Type::f32(shape), Loc::unknown());
        }
        let scale = real.abs() / 127.0;
        let (byte, zero_point) = match (elem, real < 0.0) {
            (ElementType::U8, true) => (0, 127),
            (_, true) => (127u8.wrapping_neg(), 0),
            (_, false) => (127, 0),
        };
        let ty = Type::quantized(elem, shape, Quantization::new(scale, zero_point));
        self.patch.constant(Constant::from_u8(&[byte]), ty, Loc::unknown())
    }

    /// A slope for PRELU, of one axis.
    pub(super) fn slope(&mut self, elem: ElementType, real: f32) -> ValueId {
        self.real(elem, real, [1].into())
    }

    /// One number as a constant without axes.
    pub(super) fn number(&mut self, elem: ElementType, real: f32) -> ValueId {
        self.real(elem, real, Shape::scalar())
    }

    /// An operation in the middle.
    pub(super) fn op(&mut self, op: impl Into<Op>, operands: &[ValueId], ty: Type) -> ValueId {
        self.patch.op1(op, operands, ty, self.loc.clone())
    }

    /// An operation in the middle, on floats or bytes as `like` is, whose results matter within `bounds`: of bytes those are what can be told apart, and
    /// what lies beyond saturates; on a float they are the range that quantization will take.
    pub(super) fn within(&mut self, op: impl Into<Op>, operands: &[ValueId], like: &Type, bounds: Option<Bounds>) -> ValueId {
        let quant = bounds.and_then(|bounds| quantized(like.elem, Params::asymmetric(bounds)));
        let float = !is_byte(like.elem);
        let value = self.op(op, operands, like.clone().with_quant(quant));
        if let Some(Bounds { lo, hi }) = bounds.filter(|_| float) {
            self.patch.set_range(value, Some(Range::new(lo, hi)));
        }
        value
    }

    /// LOGISTIC, on floats or bytes as `like` is, whose kernels prescribe the scale 1/256 from 0.
    pub(super) fn logistic(&mut self, x: ValueId, like: &Type) -> ValueId {
        self.prescribed(UnaryKind::Logistic, x, like, Params { scale: 1.0 / 256.0, zero_point: -128 }, (0.0, 1.0))
    }

    /// TANH, likewise: the scale 1/128 around 0.
    pub(super) fn tanh(&mut self, x: ValueId, like: &Type) -> ValueId {
        self.prescribed(UnaryKind::Tanh, x, like, Params { scale: 1.0 / 128.0, zero_point: 0 }, (-1.0, 1.0))
    }

    /// A function whose kernels prescribe the quantization of an int8 result; a uint8 one has its zero point 128 higher.
    fn prescribed(&mut self, kind: UnaryKind, x: ValueId, like: &Type, int8: Params, range: (f32, f32)) -> ValueId {
        let value = self.op(Unary::new(kind), &[x], like.clone().with_quant(quantized(like.elem, int8)));
        if !is_byte(like.elem) {
            self.patch.set_range(value, Some(Range::new(range.0, range.1)));
        }
        value
    }

    /// `x`, of type `ty`, in another shape.
    pub(super) fn reshape(&mut self, x: ValueId, ty: &Type, dims: &[usize]) -> Result<ValueId, Refusal> {
        if ty.shape.dims() == dims {
            return Ok(x);
        }
        let shape = self.ints(dims)?;
        Ok(self.op(Reshape::default(), &[x, shape], ty.clone().with_shape(dims.to_vec())))
    }

    /// A box of `x`, of type `ty`; `x` itself if it is all of it.
    pub(super) fn slice(&mut self, x: ValueId, ty: &Type, begin: &[usize], size: &[usize]) -> Result<ValueId, Refusal> {
        if ty.shape.dims() == size {
            return Ok(x);
        }
        let (begin, extent) = (self.ints(begin)?, self.ints(size)?);
        Ok(self.op(Slice::default(), &[x, begin, extent], ty.clone().with_shape(size.to_vec())))
    }

    /// Lets `new` take the place of result `old`: what is last in the chain carries its names and range.
    pub(super) fn replace(&mut self, old: ValueId, new: ValueId) {
        let value = self.graph.value(old);
        self.patch.set_loc(new, value.loc().clone());
        self.patch.set_range(new, value.range().cloned());
        self.patch.replace(old, new);
    }

    /// The patch, with `op` as the last operation of the chain.
    pub(super) fn last(mut self, root: OpId, op: impl Into<Op>, operands: &[ValueId]) -> Result<Patch, Refusal> {
        let old = result(self.graph.op(root))?;
        let new = self.op(op, operands, self.graph.ty(old).clone());
        self.replace(old, new);
        Ok(self.patch)
    }

    /// The patch, with a reshape of `x`, of type `ty`, as the last operation.
    pub(super) fn reshaped(mut self, root: OpId, x: ValueId, ty: &Type) -> Result<Patch, Refusal> {
        let old = result(self.graph.op(root))?;
        let dims = sizes(self.graph.ty(old))?;
        let new = self.reshape(x, ty, &dims)?;
        self.replace(old, new);
        Ok(self.patch)
    }
}
