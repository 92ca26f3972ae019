//! Merges additions of constants that follow each other into one, and multiplications by constants likewise.
//!
//! ADD and SUB of constants become one ADD; MUL and DIV by constants become one MUL. The last fused activation stays.
//!
//! Legal for reals, where the first result has no fused activation and no other reader. The new constant is computed in double precision
//! and rounded once. A constant that would be larger than both is refused: the file must not grow. So are products that overflow, and those
//! that underflow where their factors did not.
//!
//! ```ir
//! graph @main(%0: 2x3 f32 loc("x")) {
//!   %1 = const [1.0, 2.0, 3.0] : 3 f32 loc("c")
//!   %2 = add(%0, %1) {pot_scale_int16 = false} : 2x3 f32 loc("a")
//!   %3 = const [0.5] : 1 f32 loc("d")
//!   %4 = sub(%2, %3) {activation = relu, pot_scale_int16 = false} : 2x3 f32 range(0.0, 4.0) loc("y")
//!   return %4
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 2x3 f32 loc("x")) {
//!   %1 = const [0.5, 1.5, 2.5] : 3 f32 loc("c", "d")
//!   %2 = add(%0, %1) {activation = relu, pot_scale_int16 = false} : 2x3 f32 range(0.0, 4.0) loc("a", "y")
//!   return %2
//! }
//! ```

use octet_ir::ops::{Activation, Binary, BinaryKind, broadcast};
use octet_ir::{Constant, Graph, Module, OpId, Patch, Shape, Type};

use crate::rewrite::pattern::{Replacement, WithConstant, floats, result, sole_producer, with_constant};
use crate::rewrite::{Refusal, rewrite};

rewrite!(ArithmeticChain = "arithmetic_chain", arithmetic_chain);

/// `+ c`, `- c`, `* c` and `/ c`; constants on the left of `-` and `/` are no chain.
fn step(with: &WithConstant<'_>) -> Result<(BinaryKind, fn(f64) -> f64), Refusal> {
    Ok(match with.op.kind {
        BinaryKind::Add => (BinaryKind::Add, |c| c),
        BinaryKind::Sub if !with.constant_first => (BinaryKind::Add, |c| -c),
        BinaryKind::Mul => (BinaryKind::Mul, |c| c),
        BinaryKind::Div if !with.constant_first => (BinaryKind::Mul, |c| 1.0 / c),
        _ => return Err(Refusal::NoMatch),
    })
}

fn arithmetic_chain(module: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let last = with_constant(graph, graph.op(root))?;
    let (kind, last_value) = step(&last)?;
    let (_, producer) = graph.producer(last.value).ok_or(Refusal::NoMatch)?;
    let first = with_constant(graph, producer)?;
    let (first_kind, first_value) = step(&first)?;
    if first_kind != kind {
        return Err(Refusal::NoMatch);
    }
    let (Some(a), Some(b)) = (floats(module, graph, first.constant), floats(module, graph, last.constant)) else {
        return Err(Refusal::check("only f32 constants are merged"));
    };
    sole_producer(graph, last.value)?;
    if first.op.activation != Activation::None {
        return Err(Refusal::check(format!("the first {} has a fused activation", first.op.kind.mnemonic())));
    }
    let (a_shape, b_shape) = (&graph.ty(first.constant).shape, &graph.ty(last.constant).shape);
    let shape = broadcast(a_shape, b_shape).map_err(|_| Refusal::NoMatch)?;
    if shape.elements() > a.len().max(b.len()) {
        return Err(Refusal::check(format!("the merged constant would have {} elements", shape.elements())));
    }
    let result = &graph.ty(result(graph.op(root))?).shape;
    if broadcast(&graph.ty(first.value).shape, &shape).map_err(|_| Refusal::NoMatch)?.dims() != result.dims() {
        return Err(Refusal::NoMatch);
    }
    let combine = |x: f64, y: f64| if kind == BinaryKind::Add { x + y } else { x * y };
    let at = |values: &[f32], of: &Shape, index: usize| values.get(broadcast_index(&shape, of, index)).copied().map_or(f64::NAN, f64::from);
    #[expect(clippy::cast_possible_truncation, reason = "this is the one rounding")]
    let merged: Vec<f32> =
        (0..shape.elements()).map(|i| combine(first_value(at(&a, a_shape, i)), last_value(at(&b, b_shape, i))) as f32).collect();
    if !merged.iter().all(|v| v.is_finite()) {
        return Err(Refusal::check("the merged constant would not be finite"));
    }
    let is_zero = |values: &[f32], of: &Shape, index: usize| at(values, of, index) == 0.0;
    let underflows = |(i, v): (usize, &f32)| !v.is_normal() && !(*v == 0.0 && (is_zero(&a, a_shape, i) || is_zero(&b, b_shape, i)));
    if kind == BinaryKind::Mul && merged.iter().enumerate().any(underflows) {
        return Err(Refusal::check("the merged constant would underflow"));
    }
    let mut new = Replacement::of(graph, root, &[last.value])?;
    let loc = graph.value(first.constant).loc().union(graph.value(last.constant).loc());
    let constant = new.patch.constant(Constant::from_f32(&merged), Type::f32(shape), loc);
    let op = Binary { activation: last.op.activation, ..Binary::new(kind) };
    new.with(op, vec![Some(first.value), Some(constant)])
}

/// Where element `index` of a tensor of shape `to` comes from in a constant of shape `from` that is broadcast to it.
fn broadcast_index(to: &Shape, from: &Shape, index: usize) -> usize {
    let skipped = to.rank().saturating_sub(from.rank());
    let strides = to.strides();
    let mut offset = 0;
    for (axis, (&size, &stride)) in from.dims().iter().zip(&from.strides()).enumerate() {
        let along =
            strides.get(skipped + axis).map_or(0, |s| index / (*s).max(1)) % to.dims().get(skipped + axis).copied().unwrap_or(1).max(1);
        offset += if size == 1 { 0 } else { along * stride };
    }
    offset
}
