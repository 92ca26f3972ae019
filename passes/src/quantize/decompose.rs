//! Rewrites operations without a quantized kernel into equal computations that have one, before anything is quantized: also where what comes
//! of it stays in float, since that is known only later. A division by a constant becomes a multiplication, which rounds less.
//!
//! Each decomposition is exact on reals (to the rounding of `f32`). What it costs in integers is the rounding of its intermediates, stated
//! with each; their ranges follow from the operand's by interval arithmetic, so that no calibration run is needed.

use octet_ir::ops::{Activation, Binary, BinaryKind, Conv2d, DepthToSpace, Reshape, SpaceToDepth, Transpose, Unary, UnaryKind};
use octet_ir::{
    Constant, Diagnostic, Diagnostics, ElementType, Graph, GraphId, Loc, Module, Op, OpId, Operation, Patch, Range, Shape, Type, ValueId,
};

use super::options::Runtime;
use super::params::{Bounds, Width};
use super::rules::{Special, rule};
use crate::legalize::gelu::gelu;

/// Decomposes every operation whose rule asks for it. Answers how many; `may` is asked before each.
pub(super) fn decompose(
    module: &mut Module,
    width: Width,
    runtime: Runtime,
    may: &mut dyn FnMut(&str) -> bool,
) -> Result<usize, Diagnostics> {
    let mut count = 0;
    for id in module.graph_ids() {
        for op_id in module.graph(id).op_ids() {
            let Some(patch) = plan(module, id, op_id, width, runtime) else { continue };
            if !may(module.graph(id).op(op_id).op().mnemonic()) {
                return Ok(count);
            }
            patch.apply(module, id).map_err(|e| Diagnostics::from(Diagnostic::error("QNT099", format!("decomposition refused: {e}"))))?;
            count += 1;
        }
    }
    Ok(count)
}

fn plan(module: &Module, id: GraphId, op_id: OpId, width: Width, runtime: Runtime) -> Option<Patch> {
    let graph = module.graph(id);
    let op = graph.get_op(op_id)?;
    let &[result] = op.results() else { return None };
    let by_constant = is_division_by_constant(module, graph, op);
    // LiteRT's CONV_2D takes no model without a bias, TFLite Micro's does.
    // Functions that this runtime alone lacks.
    let lacking = is_function(op.op()) && !runtime.has(rule(op.op(), width).kernels);
    let bare = runtime != Runtime::Tflm && matches!(op.op(), Op::Conv2d(_)) && op.operand(2).is_none();
    if (rule(op.op(), width).special != Special::Decompose && !by_constant && !bare && !lacking)
        || graph.ty(result).elem != ElementType::F32
    {
        return None;
    }
    if matches!(op.op(), Op::Gelu(_)) {
        return gelu(module, graph, op_id).ok();
    }
    let mut build = Build { module, graph, patch: Patch::before(graph, op_id), result };
    let made = match op.op() {
        Op::Unary(unary) => build.unary(unary.kind, op)?,
        Op::Binary(binary) if binary.kind == BinaryKind::SquaredDifference => build.squared_difference(op)?,
        Op::Binary(binary) if by_constant => build.multiply_by_inverse(op, binary.activation)?,
        Op::Conv2d(conv) if bare => build.with_bias(conv, op)?,
        Op::Prelu(_) => build.prelu(op)?,
        Op::SpaceToDepth(space) => build.space_to_depth(space, op)?,
        Op::DepthToSpace(space) => build.depth_to_space(space, op)?,
        _ => return None,
    };
    build.patch.set_range(made, graph.value(result).range().cloned());
    build.patch.replace(result, made);
    Some(build.patch)
}

/// Functions that some runtimes have a kernel for, and that others compute in steps.
fn is_function(op: &Op) -> bool {
    match op {
        Op::Gelu(_) => true,
        Op::Unary(unary) => matches!(unary.kind, UnaryKind::ReluN1To1 | UnaryKind::Relu0To1),
        _ => false,
    }
}

/// A DIV whose divisor is a constant of numbers that have inverses.
fn is_division_by_constant(module: &Module, graph: &Graph, op: &Operation) -> bool {
    let (Op::Binary(binary), Some(divisor)) = (op.op(), op.operand(1)) else { return false };
    let inverses = || inverses(module, graph, divisor);
    binary.kind == BinaryKind::Div && binary.activation.bounds().is_some() && inverses().is_some()
}

fn inverses(module: &Module, graph: &Graph, value: ValueId) -> Option<Vec<f32>> {
    if graph.ty(value).elem != ElementType::F32 {
        return None;
    }
    let inverses: Vec<f32> = module.constant_of(graph, value)?.to_f32().into_iter().map(|v| 1.0 / v).collect();
    inverses.iter().all(|v| v.is_finite()).then_some(inverses)
}

struct Build<'a> {
    module: &'a Module,
    graph: &'a Graph,
    patch: Patch,
    result: ValueId,
}

impl Build<'_> {
    fn loc(&self) -> Loc {
        self.graph.value(self.result).loc().clone()
    }

    /// A value's range: as observed, or a constant's own.
    fn bounds(&self, value: ValueId) -> Option<Bounds> {
        let observed = self.graph.value(value).range().and_then(Range::bounds).and_then(|(lo, hi)| Bounds::new(lo, hi));
        observed.or_else(|| super::solve::constant_bounds(self.module, self.graph, value))
    }

    fn scalar(&mut self, value: f32) -> ValueId {
        let loc = self.loc();
        self.patch.constant(Constant::from_f32(&[value]), Type::f32(Shape::scalar()), loc)
    }

    /// A binary operation with the type of `like`.
    fn binary(&mut self, kind: BinaryKind, activation: Activation, operands: [ValueId; 2], ty: Type, bounds: Option<Bounds>) -> ValueId {
        let (op, loc) = (Binary { activation, ..Binary::new(kind) }, self.loc());
        self.noted(op.into(), &operands, ty, loc, bounds)
    }

    fn noted(&mut self, op: Op, operands: &[ValueId], ty: Type, loc: Loc, bounds: Option<Bounds>) -> ValueId {
        let value = self.patch.op1(op, operands, ty.with_quant(None), loc);
        if let Some(Bounds { lo, hi }) = bounds {
            self.patch.set_range(value, Some(Range::new(lo, hi)));
        }
        value
    }

    /// The convolution with a bias of zeros.
    fn with_bias(&mut self, conv: &Conv2d, op: &Operation) -> Option<ValueId> {
        let (input, filter) = (op.operand(0)?, op.operand(1)?);
        let channels = *self.graph.ty(filter).shape.dims().first()?;
        let loc = self.loc();
        let zeros = self.patch.constant(Constant::from_f32(&vec![0.0; channels]), Type::f32([channels]), loc);
        Some(self.last(conv.clone(), &[input, filter, zeros]))
    }

    /// The last operation of a decomposition: it carries the result's type, names and range.
    fn last(&mut self, op: impl Into<Op>, operands: &[ValueId]) -> ValueId {
        self.patch.op1(op, operands, self.graph.ty(self.result).clone(), self.loc())
    }

    fn last_binary(&mut self, kind: BinaryKind, activation: Activation, operands: [ValueId; 2]) -> ValueId {
        self.last(Binary { activation, ..Binary::new(kind) }, &operands)
    }

    fn unary(&mut self, kind: UnaryKind, op: &Operation) -> Option<ValueId> {
        let x = op.operand(0)?;
        let ty = self.graph.ty(x).clone();
        match kind {
            UnaryKind::HardSwish => Some(self.hard_swish(x, &ty)),
            // The factor 1 is stored exactly; one rounding, as a kernel of its own would have.
            UnaryKind::ReluN1To1 => {
                let one = self.scalar(1.0);
                Some(self.last_binary(BinaryKind::Mul, Activation::ReluN1To1, [x, one]))
            }
            // Two clamps of which the first rounds.
            UnaryKind::Relu0To1 => {
                let one = self.scalar(1.0);
                let bounds = self.bounds(x).map(|b| Bounds { lo: b.lo.clamp(-1.0, 1.0), hi: b.hi.clamp(-1.0, 1.0) });
                let upper = self.binary(BinaryKind::Mul, Activation::ReluN1To1, [x, one], ty, bounds);
                Some(self.last(Unary::new(UnaryKind::Relu), &[upper]))
            }
            // One rounding.
            UnaryKind::Neg => {
                let minus = self.scalar(-1.0);
                Some(self.last_binary(BinaryKind::Mul, Activation::None, [x, minus]))
            }
            // One rounding.
            UnaryKind::Square => Some(self.last_binary(BinaryKind::Mul, Activation::None, [x, x])),
            _ => None,
        }
    }

    /// `x * (relu6(x + 3) * (1/6))`: ADD with RELU6, MUL by a constant, MUL.
    ///
    /// In 16 bits the gate `relu6(x + 3) / 6` is off by at most 1.5 steps of 1/32767 (two roundings and the constant's), the product by another
    /// half step of its own: relative to the largest |x| an error below 2^-14, far below the int8 weights'.
    fn hard_swish(&mut self, x: ValueId, ty: &Type) -> ValueId {
        let (three, sixth) = (self.scalar(3.0), self.scalar(1.0 / 6.0));
        let shifted = self.bounds(x).map(|b| Bounds { lo: (b.lo + 3.0).clamp(0.0, 6.0), hi: (b.hi + 3.0).clamp(0.0, 6.0) });
        let sum = self.binary(BinaryKind::Add, Activation::Relu6, [x, three], ty.clone(), shifted);
        let gate_bounds = shifted.map(|b| Bounds { lo: b.lo / 6.0, hi: b.hi / 6.0 });
        let gate = self.binary(BinaryKind::Mul, Activation::None, [sum, sixth], ty.clone(), gate_bounds);
        self.last_binary(BinaryKind::Mul, Activation::None, [x, gate])
    }

    /// `(a - b) * (a - b)`: the difference is rounded once more than in a kernel of its own.
    fn squared_difference(&mut self, op: &Operation) -> Option<ValueId> {
        let (a, b) = (op.operand(0)?, op.operand(1)?);
        let bounds = match (self.bounds(a), self.bounds(b)) {
            (Some(a), Some(b)) => Bounds::new(a.lo - b.hi, a.hi - b.lo),
            _ => None,
        };
        let ty = self.graph.ty(self.result).clone();
        let difference = self.binary(BinaryKind::Sub, Activation::None, [a, b], ty, bounds);
        Some(self.last_binary(BinaryKind::Mul, Activation::None, [difference, difference]))
    }

    /// `x * (1 / c)`: one rounding, and no divisor that could round to 0, which the DIV kernels refuse.
    fn multiply_by_inverse(&mut self, op: &Operation, activation: Activation) -> Option<ValueId> {
        let (x, divisor) = (op.operand(0)?, op.operand(1)?);
        let inverses = inverses(self.module, self.graph, divisor)?;
        let (ty, loc) = (self.graph.ty(divisor).clone().with_quant(None), self.graph.value(divisor).loc().clone());
        let factor = self.patch.constant(Constant::from_f32(&inverses), ty, loc);
        Some(self.last_binary(BinaryKind::Mul, activation, [x, factor]))
    }

    /// `relu(x) + alpha * min(x, 0)`: RELU, MINIMUM, MUL, ADD. Each half is rounded once, their sum again.
    fn prelu(&mut self, op: &Operation) -> Option<ValueId> {
        let (x, alpha) = (op.operand(0)?, op.operand(1)?);
        let (ty, result_ty) = (self.graph.ty(x).clone(), self.graph.ty(self.result).clone());
        let (range, slopes) = (self.bounds(x), self.bounds(alpha));
        let loc = self.loc();
        let positive = range.map(|b| Bounds { lo: b.lo.max(0.0), hi: b.hi.max(0.0) });
        let relu = self.noted(Unary::new(UnaryKind::Relu).into(), &[x], ty.clone(), loc, positive);
        let zero = self.scalar(0.0);
        let negative = range.map(|b| Bounds { lo: b.lo.min(0.0), hi: b.hi.min(0.0) });
        let below = self.binary(BinaryKind::Minimum, Activation::None, [x, zero], ty, negative);
        let products = match (negative, slopes) {
            (Some(n), Some(s)) => {
                let corners = [n.lo * s.lo, n.lo * s.hi, n.hi * s.lo, n.hi * s.hi];
                Bounds::of(&corners)
            }
            _ => None,
        };
        let sloped = self.binary(BinaryKind::Mul, Activation::None, [below, alpha], result_ty, products);
        Some(self.last_binary(BinaryKind::Add, Activation::None, [relu, sloped]))
    }

    /// RESHAPE, TRANSPOSE, RESHAPE over four axes: no rounding at all.
    fn space_to_depth(&mut self, space: &SpaceToDepth, op: &Operation) -> Option<ValueId> {
        let x = op.operand(0)?;
        let &[n, h, w, c] = self.graph.ty(x).shape.dims() else { return None };
        let b = space.block_size;
        self.permuted(x, [n * (h / b), b, w / b, b * c])
    }

    /// RESHAPE, TRANSPOSE, RESHAPE over four axes: no rounding at all.
    fn depth_to_space(&mut self, space: &DepthToSpace, op: &Operation) -> Option<ValueId> {
        let x = op.operand(0)?;
        let &[n, h, w, c] = self.graph.ty(x).shape.dims() else { return None };
        let b = space.block_size;
        self.permuted(x, [n * h, w, b, c / b])
    }

    /// Reads `x` as `dims`, swaps the two middle axes, and reads that as the result's shape.
    fn permuted(&mut self, x: ValueId, dims: [usize; 4]) -> Option<ValueId> {
        if self.graph.ty(x).shape.is_dynamic() {
            return None;
        }
        let bounds = self.bounds(x);
        let swapped = [dims[0], dims[2], dims[1], dims[3]];
        let split = self.reshape(x, &dims, bounds)?;
        let loc = self.loc();
        let order = self.patch.constant(Constant::from_i32(&[0, 2, 1, 3]), Type::i32([4]), loc.clone());
        let moved = self.noted(Transpose::default().into(), &[split, order], Type::f32(swapped), loc, bounds);
        let target = self.graph.ty(self.result).shape.dims().to_vec();
        let shape = self.shape_constant(&target)?;
        Some(self.last(Reshape::default(), &[moved, shape]))
    }

    fn reshape(&mut self, x: ValueId, dims: &[usize], bounds: Option<Bounds>) -> Option<ValueId> {
        let (shape, loc) = (self.shape_constant(dims)?, self.loc());
        Some(self.noted(Reshape::default().into(), &[x, shape], Type::f32(dims.to_vec()), loc, bounds))
    }

    fn shape_constant(&mut self, dims: &[usize]) -> Option<ValueId> {
        let sizes: Option<Vec<i32>> = dims.iter().map(|&d| i32::try_from(d).ok()).collect();
        let loc = self.loc();
        Some(self.patch.constant(Constant::from_i32(&sizes?), Type::i32([dims.len()]), loc))
    }
}
