//! Control flow and named state. The called graphs are ordered here and made afterwards.

use octet_ir::ops::{AssignVariable, CallOnce, If, ReadVariable, VarHandle, While};
use octet_ir::{Constant, ElementType, Shape, Type, ValueId};

use super::{Family, Needs, keep_type};
use crate::build::{Body, Cx, Task};
use crate::kind::Kind;

/// How deep graphs may call each other.
const MOST_DEPTH: usize = 2;

pub(super) const FAMILIES: &[Family] = &[
    Family::new(&["if"], branch).needing(Needs::ControlFlow),
    Family::new(&["while"], repeat).needing(Needs::ControlFlow),
    Family::new(&["call_once", "var_handle", "read_variable", "assign_variable"], variable).needing(Needs::State),
];

/// A few values of the graph, or one new one: what a called graph takes.
fn passed(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<Vec<ValueId>> {
    let mut values = Vec::new();
    for _ in 0..cx.random().between(1, 2) {
        let kind = cx.kind(mnemonic)?;
        values.push(cx.any(kind));
    }
    Some(values)
}

fn static_type(cx: &Cx<'_, '_>, value: ValueId) -> Type {
    let ty = cx.ty(value);
    Type { shape: ty.shape.to_static(), ..ty.clone() }
}

fn branch(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    if cx.depth >= MOST_DEPTH {
        return None;
    }
    let condition = cx.data(Kind::Bool, None, |d| d.iter().product::<usize>() == 1, |_| vec![1]);
    let inputs = passed(cx, mnemonic)?;
    let types: Vec<Type> = inputs.iter().map(|&v| static_type(cx, v)).collect();
    // Results have types of operands, so that a body always has something to give.
    let mut outputs = vec![cx.random().pick(&types).clone()];
    if cx.chance(30) {
        outputs.push(cx.random().pick(&types).clone());
    }
    let depth = cx.depth + 1;
    let mut order = || cx.shared.order(Body { task: Task::Branch, inputs: types.clone(), outputs: outputs.clone(), depth });
    let op = If { then_graph: order(), else_graph: order() };
    let operands: Vec<_> = std::iter::once(condition).chain(inputs).map(Some).collect();
    cx.emit_declared(op, &operands, outputs);
    Some(())
}

fn repeat(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    if cx.depth >= MOST_DEPTH {
        return None;
    }
    let counter = cx.constant(Constant::from_i32(&[0]), Type::i32(Shape::scalar()));
    let state: Vec<ValueId> = std::iter::once(counter).chain(passed(cx, mnemonic)?).collect();
    let types: Vec<Type> = state.iter().map(|&v| static_type(cx, v)).collect();
    let limit = i32::try_from(cx.random().below(4)).ok()?;
    let depth = cx.depth + 1;
    let flag = vec![Type::new(ElementType::Bool, Shape::scalar())];
    let cond_graph = cx.shared.order(Body { task: Task::Condition(limit), inputs: types.clone(), outputs: flag, depth });
    let body_graph = cx.shared.order(Body { task: Task::Loop, inputs: types.clone(), outputs: types.clone(), depth });
    let operands: Vec<_> = state.into_iter().map(Some).collect();
    cx.emit_declared(While { cond_graph, body_graph }, &operands, types);
    Some(())
}

/// A variable: given a value once, read, and given another one.
fn variable(cx: &mut Cx<'_, '_>, _: &'static str) -> Option<()> {
    if cx.depth > 0 {
        return None;
    }
    let kind = cx.kind("call_once")?;
    let rank = cx.random().between(1, 3);
    let sizes = cx.sizes(rank);
    let quant = kind.quantization(-2.0, 2.0).map(Into::into);
    let ty = Type::new(kind.elem(), sizes).with_quant(quant);
    let name = cx.name("variable").name()?.to_owned();
    let task = Task::Init(name.clone(), ty.clone());
    let init_graph = cx.shared.order(Body { task, inputs: Vec::new(), outputs: Vec::new(), depth: 1 });
    cx.emit_declared(CallOnce { init_graph }, &[], Vec::new());
    let handle = handle(cx, &name);
    let read = cx.emit_declared(ReadVariable {}, &[Some(handle)], vec![ty]);
    if cx.chance(60) {
        let next = keep_type(cx, *read.first()?)?;
        cx.emit_declared(AssignVariable {}, &[Some(handle), Some(next)], Vec::new());
    }
    Some(())
}

/// The handle of a variable.
pub(crate) fn handle(cx: &mut Cx<'_, '_>, name: &str) -> ValueId {
    let op = VarHandle { container: String::new(), shared_name: name.to_owned() };
    cx.emit_declared(op, &[], vec![Type::new(ElementType::Resource, Shape::scalar())])[0]
}

/// Appends what a called graph computes and answers its outputs.
pub(crate) fn body(cx: &mut Cx<'_, '_>, body: &Body, inputs: &[ValueId]) -> Vec<ValueId> {
    match &body.task {
        Task::Condition(limit) => {
            let limit = cx.scalar(*limit);
            let op = octet_ir::ops::Compare { kind: octet_ir::ops::CompareKind::Less };
            cx.emit_declared(op, &[Some(inputs[0]), Some(limit)], body.outputs.clone())
        }
        Task::Init(name, ty) => {
            let handle = handle(cx, name);
            let value = cx.filled(ty.clone(), -2.0, 2.0);
            cx.emit_declared(AssignVariable {}, &[Some(handle), Some(value)], Vec::new())
        }
        Task::Branch | Task::Loop => {
            let mut given = Vec::new();
            for (index, ty) in body.outputs.iter().enumerate() {
                if index == 0 && matches!(body.task, Task::Loop) {
                    let one = cx.scalar(1);
                    let op = octet_ir::ops::Binary::new(octet_ir::ops::BinaryKind::Add);
                    given.extend(cx.emit_declared(op, &[Some(inputs[0]), Some(one)], vec![ty.clone()]));
                    continue;
                }
                // An input of the same type is always there; something computed is better.
                let found = cx.typed(ty);
                let mut value = found[cx.random().below(found.len()).max(cx.random().below(found.len()))];
                for _ in 0..cx.random().between(usize::from(inputs.contains(&value)), 2) {
                    value = keep_type(cx, value).unwrap_or(value);
                }
                given.push(value);
            }
            given
        }
    }
}
