//! Layer 2: types. Codes `IRV1xx`.

use super::MAX_FINDINGS;
use crate::constant::Constant;
use crate::diagnostic::{Diagnostic, Diagnostics, SourceLocation};
use crate::entity::{EntityId, GraphId, ValueId};
use crate::graph::{Graph, Operation, ValueDef};
use crate::module::Module;
use crate::ops::{InferCx, InferError, Inferred, Numbers, Op};
use crate::quant::Granularity;
use crate::types::{ElementType, Shape, Type};

/// Checks the types of a module whose structure is sound.
pub fn verify(module: &Module) -> Result<(), Diagnostics> {
    let mut found = Vec::new();
    for (_, graph) in module.graphs() {
        for (id, value) in graph.values() {
            if let Err(why) = check_type(value.ty()).and_then(|()| check_constant(module, graph, id)) {
                found.push(Diagnostic::error("IRV101", why).at(at(graph, None, Some(id))));
            }
        }
        for (index, (_, operation)) in graph.ops().enumerate() {
            if let Err(why) = check_operation(module, graph, operation) {
                found.push(Diagnostic::error("IRV102", why).at(at(graph, Some((index, operation)), operation.results().first().copied())));
            }
        }
        if found.len() >= MAX_FINDINGS {
            break;
        }
    }
    found.truncate(MAX_FINDINGS);
    if found.is_empty() { Ok(()) } else { Err(Diagnostics(found)) }
}

fn at(graph: &Graph, op: Option<(usize, &Operation)>, value: Option<ValueId>) -> SourceLocation {
    SourceLocation {
        graph: Some(graph.name().to_owned()),
        op: op.map(|(index, o)| (index, o.op().mnemonic().to_owned())),
        tensor: value.map(|v| graph.value_name(v)),
        ..SourceLocation::default()
    }
}

/// Whether a type is sound by itself: sizes that do not overflow, quantization parameters that mean something.
pub fn check_type(ty: &Type) -> Result<(), String> {
    let elements = ty.shape.checked_elements();
    let bytes = elements.map(|n| ty.elem.bits().map(|_| ty.elem.byte_len(n)));
    if elements.is_none_or(|n| n > isize::MAX as usize) || bytes == Some(Some(None)) {
        return Err(format!("the size of {} overflows", ty.shape));
    }
    let Some(quant) = &ty.quant else { return Ok(()) };
    if let Some(scale) = quant.scales().iter().find(|s| !(s.is_finite() && **s > 0.0)) {
        return Err(format!("{scale:?} is not a scale: scales are finite and positive"));
    }
    if let Some((low, high)) = ty.elem.integer_range()
        && let Some(zero_point) = quant.zero_points().iter().find(|z| !(low..=high).contains(*z))
    {
        return Err(format!("zero point {zero_point} does not fit {}", ty.elem));
    }
    match quant.granularity() {
        Granularity::PerTensor => Ok(()),
        Granularity::PerAxis(axis) => match ty.shape.dims().get(axis) {
            Some(&size) if size == quant.scales().len() => Ok(()),
            _ => Err(format!("{} scales along axis {axis} do not fit shape {}", quant.scales().len(), ty.shape)),
        },
        Granularity::Blockwise { block } => {
            let fits = ty.shape.dims().last().is_some_and(|&d| block > 0 && d % block == 0);
            if fits && elements.unwrap_or(0) / block == quant.scales().len() {
                Ok(())
            } else {
                Err(format!("{} scales for blocks of {block} do not fit shape {}", quant.scales().len(), ty.shape))
            }
        }
    }
}

fn check_constant(module: &Module, graph: &Graph, id: ValueId) -> Result<(), String> {
    let value = graph.value(id);
    let ValueDef::Constant(constant) = value.def() else { return Ok(()) };
    let Some(constant) = module.get_constant(constant) else { return Ok(()) };
    let length = match value.sparsity() {
        Some(sparsity) => {
            let stored = sparsity.stored_elements(value.ty().shape.dims());
            let stored = stored.map_err(|why| format!("the sparsity of a constant of type {} is wrong: {why}", value.ty()))?;
            value.ty().elem.byte_len(stored)
        }
        None => value.ty().byte_len(),
    };
    match length {
        Some(length) if length != constant.bytes().len() => {
            Err(format!("a constant of type {} needs {length} bytes, it has {}", value.ty(), constant.bytes().len()))
        }
        _ => Ok(()),
    }
}

fn check_operation(module: &Module, graph: &Graph, operation: &Operation) -> Result<(), String> {
    check_calls(module, graph, operation)?;
    let inferred = match infer_operation(module, graph, operation) {
        Ok(inferred) => inferred,
        Err(InferError::Unknown) => return Ok(()),
        Err(InferError::Invalid(why)) => return Err(why),
    };
    if inferred.len() != operation.results().len() {
        return Err(format!("{} results, expected {}", operation.results().len(), inferred.len()));
    }
    for (&result, (elem, shape)) in operation.results().iter().zip(&inferred) {
        let ty = graph.ty(result);
        let unknown = !ty.shape.is_ranked() || !shape.is_ranked();
        if ty.elem != *elem || (!unknown && ty.shape.dims() != shape.dims()) {
            return Err(format!(
                "{} is declared {ty}, the operation computes {}",
                graph.value_name(result),
                Type::new(*elem, shape.clone())
            ));
        }
    }
    Ok(())
}

fn check_calls(module: &Module, graph: &Graph, operation: &Operation) -> Result<(), String> {
    let types = |ids: &[ValueId], of: &Graph| ids.iter().map(|v| of.ty(*v).clone()).collect::<Vec<Type>>();
    let passed: Vec<Type> = operation.operands().iter().flatten().map(|v| graph.ty(*v).clone()).collect();
    let given = types(operation.results(), graph);
    let check = |index: usize, inputs: &[Type], outputs: Option<&[Type]>| {
        let target = module.graph(GraphId::from_index(index));
        let gives = outputs.is_none_or(|outputs| same_types(&types(target.outputs(), target), outputs));
        if !same_types(&types(target.inputs(), target), inputs) || !gives {
            return Err(format!("graph '{}' does not take and give the types that the operation passes", target.name()));
        }
        Ok(())
    };
    match operation.op() {
        Op::If(op) => {
            let inputs = passed.get(1..).unwrap_or(&[]);
            check(op.then_graph, inputs, Some(&given))?;
            check(op.else_graph, inputs, Some(&given))
        }
        Op::While(op) => {
            check(op.cond_graph, &passed, None)?;
            let cond = module.graph(GraphId::from_index(op.cond_graph));
            if !matches!(cond.outputs(), [decides] if cond.ty(*decides).elem == ElementType::Bool) {
                return Err(format!("graph '{}' does not say whether the loop goes on", cond.name()));
            }
            check(op.body_graph, &passed, Some(&passed))?;
            if same_types(&passed, &given) { Ok(()) } else { Err("the results of a loop have the types of its operands".into()) }
        }
        Op::CallOnce(op) => check(op.init_graph, &[], Some(&[])),
        _ => Ok(()),
    }
}

/// Whether values of the one types may be handed to the others: equal element types and quantization, and equal sizes along the axes
/// that are static on both sides.
fn same_types(a: &[Type], b: &[Type]) -> bool {
    let same_shape = |a: &Shape, b: &Shape| {
        let fits = |axis: usize| a.dynamic(axis).is_some() || b.dynamic(axis).is_some() || a.dims().get(axis) == b.dims().get(axis);
        !a.is_ranked() || !b.is_ranked() || (a.rank() == b.rank() && (0..a.rank()).all(fits))
    };
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.elem == b.elem && a.quant == b.quant && same_shape(&a.shape, &b.shape))
}

/// Infers the results of an operation as it stands in a graph; constants give the values that shapes depend on.
pub fn infer_operation(module: &Module, graph: &Graph, operation: &Operation) -> Result<Vec<Inferred>, InferError> {
    let operands: Vec<Option<&Type>> = operation.operands().iter().map(|v| v.map(|v| graph.ty(v))).collect();
    let declared: Vec<Type> = operation.results().iter().map(|v| graph.ty(*v).clone()).collect();
    let values = |index: usize| {
        let value = operation.operand(index)?;
        numbers(graph.ty(value).elem, module.constant_of(graph, value)?)
    };
    operation.op().infer(&InferCx::new(&operands, &declared, declared.len(), &values))
}

/// The elements of a constant as numbers; `None` for types that are neither integers nor floats, and for large ones that cannot be shapes.
pub fn numbers(elem: ElementType, constant: &Constant) -> Option<Numbers> {
    const LARGEST: usize = 1 << 16;
    if constant.bytes().len() > LARGEST {
        return None;
    }
    fn ints<T: Into<i64>>(values: Vec<T>) -> Option<Numbers> {
        Some(Numbers::Ints(values.into_iter().map(Into::into).collect()))
    }
    match elem {
        ElementType::I8 => ints(constant.to_i8()),
        ElementType::U8 | ElementType::Bool => ints(constant.to_u8()),
        ElementType::I16 => ints(constant.to_i16()),
        ElementType::I32 => ints(constant.to_i32()),
        ElementType::I64 => ints(constant.to_i64()),
        ElementType::F32 => Some(Numbers::Floats(constant.to_f32().into_iter().map(f64::from).collect())),
        ElementType::F64 => Some(Numbers::Floats(constant.to_f64())),
        ElementType::F16
        | ElementType::BF16
        | ElementType::F8E4M3FN
        | ElementType::F8E5M2
        | ElementType::I4
        | ElementType::I2
        | ElementType::U64
        | ElementType::U32
        | ElementType::U16
        | ElementType::U4
        | ElementType::String
        | ElementType::Complex64
        | ElementType::Complex128
        | ElementType::Resource
        | ElementType::Variant => None,
    }
}
