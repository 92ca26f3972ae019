//! Clamps to an interval: what RELU and its kin, MINIMUM and MAXIMUM with a constant, and fused activations are.

use octet_ir::ops::{Activation, BinaryKind, Unary, UnaryKind};
use octet_ir::{ElementType, Graph, Module, Op, Operation, ValueId};

use crate::rewrite::pattern::{splat, with_constant};

/// An interval of reals, its ends not NaN and in order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Clamp {
    low: f32,
    high: f32,
}

/// The unary operations that clamp.
const UNARY: [(UnaryKind, f32, f32); 4] = [
    (UnaryKind::Relu, 0.0, f32::INFINITY),
    (UnaryKind::Relu6, 0.0, 6.0),
    (UnaryKind::ReluN1To1, -1.0, 1.0),
    (UnaryKind::Relu0To1, 0.0, 1.0),
];

/// The fused activations that clamp.
const FUSED: [Activation; 4] = [Activation::None, Activation::Relu, Activation::Relu6, Activation::ReluN1To1];

impl Clamp {
    /// What an operation of this kind clamps to.
    pub(crate) fn of_unary(kind: UnaryKind) -> Option<Self> {
        UNARY.iter().find(|row| row.0 == kind).map(|&(_, low, high)| Self { low, high })
    }

    /// What a fused activation clamps to.
    pub(crate) fn of_activation(activation: Activation) -> Option<Self> {
        activation.bounds().map(|(low, high)| Self { low, high })
    }

    /// The clamp that an operation is, with the value that it clamps. MINIMUM and MAXIMUM count for `f32` and a constant that is the same
    /// everywhere and does not enlarge the tensor.
    pub(crate) fn of(module: &Module, graph: &Graph, operation: &Operation) -> Option<(Self, ValueId)> {
        let &[result] = operation.results() else { return None };
        if let Op::Unary(unary) = operation.op() {
            return Some((Self::of_unary(unary.kind)?, operation.operand(0)?));
        }
        let with = with_constant(graph, operation).ok()?;
        let bound = splat(module, graph, with.constant).filter(|b| !b.is_nan())?;
        let clamp = match with.op.kind {
            BinaryKind::Maximum => Self { low: bound, high: f32::INFINITY },
            BinaryKind::Minimum => Self { low: f32::NEG_INFINITY, high: bound },
            _ => return None,
        };
        let same = graph.ty(with.value) == graph.ty(result) && graph.ty(result).elem == ElementType::F32;
        same.then_some((clamp, with.value))
    }

    /// The operation that clamps like this.
    pub(crate) fn to_unary(self) -> Option<Unary> {
        UNARY.iter().find(|row| (row.1, row.2) == (self.low, self.high)).map(|row| Unary::new(row.0))
    }

    /// The fused activation that clamps like this.
    pub(crate) fn to_activation(self) -> Option<Activation> {
        FUSED.into_iter().find(|a| a.bounds() == Some((self.low, self.high)))
    }

    /// The smallest number that comes out.
    pub(crate) fn low(self) -> f32 {
        self.low
    }
}

/// The clamp that does what `outer` after `inner` does.
pub(crate) fn after(inner: Clamp, outer: Clamp) -> Clamp {
    let through = |x: f32| x.max(outer.low).min(outer.high);
    Clamp { low: through(inner.low), high: through(inner.high) }
}
