//! Fuses `x * relu6(x + 3) / 6`, as exporters write it, into one `hard_swish`.
//!
//! Legal for `f32` when nothing else reads what lies between, up to the rounding of the division. The factor may stand as `* 0.16666667` or as
//! `/ 6`; how far it may be from a sixth is the pass's option `tolerance`.
//!
//! ```ir
//! %2 = add(%0, %1) {activation = relu6} : 1x4 f32
//! %3 = mul(%0, %2) : 1x4 f32
//! %5 = mul(%3, %4) : 1x4 f32
//! ```
//! becomes
//! ```ir
//! %5 = hard_swish(%0) : 1x4 f32
//! ```

use octet::ir::ops::{Activation, Binary, BinaryKind, Unary, UnaryKind};
use octet::ir::{ElementType, Graph, Module, Op, OpId, Operation, Patch, Use, ValueDef, ValueId};
use octet::passes::rewrite::{Refusal, Rewrite};

/// The rewrite with its option.
pub(crate) struct HardSwish {
    /// How far the constants may be from 3 and 1/6.
    pub(crate) tolerance: f32,
}

impl Rewrite for HardSwish {
    fn name(&self) -> &'static str {
        "acme_hard_swish"
    }

    fn source(&self) -> &'static str {
        include_str!("hard_swish.rs")
    }

    fn rewrite(&self, module: &Module, graph: &Graph, op: OpId) -> Result<Patch, Refusal> {
        let root = graph.op(op);
        let (product, scale) = match binary(root)? {
            (Binary { kind: BinaryKind::Mul, activation: Activation::None, .. }, a, b) => either(module, graph, a, b)?,
            (Binary { kind: BinaryKind::Div, activation: Activation::None, .. }, a, b) => {
                (a, 1.0 / splat(module, graph, b).ok_or(Refusal::NoMatch)?)
            }
            _ => return Err(Refusal::NoMatch),
        };
        if (scale - 1.0 / 6.0).abs() > self.tolerance {
            return Err(Refusal::NoMatch);
        }
        let multiplication = producer(graph, product)?;
        let (Binary { kind: BinaryKind::Mul, activation: Activation::None, .. }, a, b) = binary(multiplication)? else {
            return Err(Refusal::NoMatch);
        };
        let (x, gate) = if self.is_gate(module, graph, b, a) {
            (a, b)
        } else if self.is_gate(module, graph, a, b) {
            (b, a)
        } else {
            return Err(Refusal::NoMatch);
        };
        let &[result] = root.results() else { return Err(Refusal::NoMatch) };
        for between in [product, gate] {
            if !matches!(graph.value(between).uses(), [Use::Operand { .. }]) {
                let name = graph.value_name(between);
                return Err(Refusal::check(format!("'{name}' is read by something else")));
            }
        }
        if graph.value(x).def() == ValueDef::Variable || graph.ty(x) != graph.ty(result) {
            return Err(Refusal::check("the input is a variable or of another type than the result"));
        }
        let value = graph.value(result);
        let loc = graph.value(gate).loc().union(graph.value(product).loc()).union(value.loc());
        let mut patch = Patch::before(graph, op);
        let new = patch.op1(Unary::new(UnaryKind::HardSwish), &[x], value.ty().clone(), loc);
        patch.set_range(new, value.range().cloned());
        patch.replace(result, new);
        Ok(patch)
    }
}

impl HardSwish {
    /// Whether `gate` is `relu6(x + 3)`.
    fn is_gate(&self, module: &Module, graph: &Graph, gate: ValueId, x: ValueId) -> bool {
        let read = || -> Result<bool, Refusal> {
            let (sum, a, b) = binary(producer(graph, gate)?)?;
            let (of, three) = either(module, graph, a, b)?;
            Ok(sum.kind == BinaryKind::Add && sum.activation == Activation::Relu6 && of == x && (three - 3.0).abs() <= self.tolerance)
        };
        read().unwrap_or(false)
    }
}

/// An operation of two operands, both there.
fn binary(operation: &Operation) -> Result<(&Binary, ValueId, ValueId), Refusal> {
    match (operation.op(), operation.operands()) {
        (Op::Binary(op), [Some(a), Some(b)]) => Ok((op, *a, *b)),
        _ => Err(Refusal::NoMatch),
    }
}

fn producer(graph: &Graph, value: ValueId) -> Result<&Operation, Refusal> {
    graph.producer(value).map(|(_, operation)| operation).ok_or(Refusal::NoMatch)
}

/// The side that is computed, and the number on the other one.
fn either(module: &Module, graph: &Graph, a: ValueId, b: ValueId) -> Result<(ValueId, f32), Refusal> {
    let first = splat(module, graph, b).map(|number| (a, number));
    first.or_else(|| splat(module, graph, a).map(|number| (b, number))).ok_or(Refusal::NoMatch)
}

/// The number that every element of an `f32` constant equals.
fn splat(module: &Module, graph: &Graph, value: ValueId) -> Option<f32> {
    let constant = module.constant_of(graph, value).filter(|_| graph.ty(value).elem == ElementType::F32)?;
    let values = constant.to_f32();
    let (first, rest) = values.split_first()?;
    rest.iter().all(|v| v == first).then_some(*first)
}
