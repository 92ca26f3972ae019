//! Bits of integers, and elements taken for another type.

use octet_ir::ops::{self, BinaryKind};
use octet_ir::{ElementType, Type, ValueId};

use super::{Inputs, Lowering, Outputs, Table, input};
use crate::attributes::{Node, Refusal};
use crate::scope::Scope;
use crate::tensor;

pub(super) const TABLE: Table = &[
    ("BitCast", bit_cast),
    ("BitwiseAnd", |l, _, i| Ok(vec![and_or(l.scope, i, false)?])),
    ("BitwiseNot", bitwise_not),
    ("BitwiseOr", |l, _, i| Ok(vec![and_or(l.scope, i, true)?])),
    ("BitwiseXor", |l, _, i| Ok(vec![l.scope.binary(BinaryKind::BitwiseXor, input(i, 0)?, input(i, 1)?)?])),
];

fn bit_cast(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let x = input(inputs, 0)?;
    let code = i32::try_from(node.int_or("to", 0)).unwrap_or(0);
    let elem = tensor::element_type(code).ok_or_else(|| format!("{} has no type in the IR", tensor::element_name(code)))?;
    if scope.elem(x).byte_len(1) != elem.byte_len(1) {
        return Err(format!("{} and {} have different sizes", scope.elem(x).name(), elem.name()));
    }
    let ty = Type::new(elem, scope.ty(x).shape.clone());
    Ok(vec![scope.op_typed(ops::Bitcast {}, &[Some(x)], vec![ty])?[0]])
}

/// Integers narrow enough that a sum of two fits i32, with the largest that they hold.
fn narrow(elem: ElementType) -> Result<i32, Refusal> {
    match elem {
        ElementType::U8 => Ok(0xff),
        ElementType::U16 => Ok(0xffff),
        ElementType::I8 | ElementType::I16 => Ok(-1),
        other => Err(format!("TFLite has no operation for it on {}", other.name())),
    }
}

/// The other bits: the number of all ones less this one.
fn bitwise_not(l: &mut Lowering<'_, '_, '_>, _: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let x = input(inputs, 0)?;
    let elem = scope.elem(x);
    let ones = if matches!(elem, ElementType::I32 | ElementType::I64) { -1 } else { narrow(elem)? };
    let wide = scope.cast(x, if elem == ElementType::I64 { elem } else { ElementType::I32 })?;
    let ones = scope.i32(ones);
    let ones = scope.cast(ones, scope.elem(wide))?;
    let flipped = scope.binary(BinaryKind::Sub, ones, wide)?;
    Ok(vec![scope.cast(flipped, elem)?])
}

/// `a + b = 2 (a and b) + (a xor b)`, and `a or b` is the sum of both.
fn and_or(scope: &mut Scope<'_>, inputs: Inputs<'_>, or: bool) -> Result<ValueId, Refusal> {
    let (a, b) = (input(inputs, 0)?, input(inputs, 1)?);
    let elem = scope.elem(a);
    narrow(elem)?;
    let (a, b) = (scope.cast(a, ElementType::I32)?, scope.cast(b, ElementType::I32)?);
    let different = scope.binary(BinaryKind::BitwiseXor, a, b)?;
    let sum = scope.binary(BinaryKind::Add, a, b)?;
    let twice = scope.binary(BinaryKind::Sub, sum, different)?;
    let two = scope.i32(2);
    let mut result = scope.binary(BinaryKind::FloorDiv, twice, two)?;
    if or {
        result = scope.binary(BinaryKind::Add, result, different)?;
    }
    scope.cast(result, elem)
}
