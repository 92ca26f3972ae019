//! Bits of integers, and elements taken for another type.

use octet_ir::ops::{self, BinaryKind};
use octet_ir::{Constant, ElementType, Shape, Type, ValueId};

use super::{Inputs, Lowering, Outputs, Table, input};
use crate::attributes::{Node, Refusal};
use crate::scope::Scope;
use crate::tensor;

pub(super) const TABLE: Table = &[
    ("BitCast", bit_cast),
    ("BitShift", shift),
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

/// The type that holds the sum of two such integers, and the largest integer of an unsigned type (-1 of a signed one).
fn room(elem: ElementType) -> Result<(ElementType, i64), Refusal> {
    match elem {
        ElementType::U8 => Ok((ElementType::I32, 0xff)),
        ElementType::U16 => Ok((ElementType::I32, 0xffff)),
        ElementType::I8 | ElementType::I16 => Ok((ElementType::I32, -1)),
        ElementType::U32 => Ok((ElementType::I64, 0xffff_ffff)),
        ElementType::I32 => Ok((ElementType::I64, -1)),
        other => Err(format!("TFLite has no operation for it on {}", other.name())),
    }
}

/// A scalar constant of i32 or i64.
fn whole(scope: &mut Scope<'_>, value: i64, elem: ElementType) -> ValueId {
    let constant = Constant::new(value.to_le_bytes().to_vec());
    let long = scope.constant_value(constant, Type::new(ElementType::I64, Shape::scalar()));
    // Constants are cast at once, and these fit.
    scope.cast(long, elem).unwrap_or(long)
}

/// The other bits: the number of all ones less this one.
fn bitwise_not(l: &mut Lowering<'_, '_, '_>, _: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let x = input(inputs, 0)?;
    let elem = scope.elem(x);
    let (wide, ones) = if matches!(elem, ElementType::I32 | ElementType::I64) { (elem, -1) } else { room(elem)? };
    let x = scope.cast(x, wide)?;
    let ones = whole(scope, ones, wide);
    let flipped = scope.binary(BinaryKind::Sub, ones, x)?;
    Ok(vec![scope.cast(flipped, elem)?])
}

/// `a + b = 2 (a and b) + (a xor b)`, and `a or b` is the sum of both.
fn and_or(scope: &mut Scope<'_>, inputs: Inputs<'_>, or: bool) -> Result<ValueId, Refusal> {
    let (a, b) = (input(inputs, 0)?, input(inputs, 1)?);
    let elem = scope.elem(a);
    let (wide, _) = room(elem)?;
    // There is a kernel for i32, none for i64.
    let narrow = if wide == ElementType::I64 { elem } else { wide };
    let [short_a, short_b] = [scope.cast(a, narrow)?, scope.cast(b, narrow)?];
    let different = scope.op1(ops::Binary::new(BinaryKind::BitwiseXor), &[short_a, short_b])?;
    let different = scope.cast(different, wide)?;
    let (a, b) = (scope.cast(a, wide)?, scope.cast(b, wide)?);
    let sum = scope.binary(BinaryKind::Add, a, b)?;
    let twice = scope.binary(BinaryKind::Sub, sum, different)?;
    let two = whole(scope, 2, wide);
    let mut result = scope.binary(BinaryKind::FloorDiv, twice, two)?;
    if or {
        result = scope.binary(BinaryKind::Add, result, different)?;
    }
    scope.cast(result, elem)
}

/// Products with powers of two, of which the bits that fit are kept, or quotients.
fn shift(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (x, by) = (input(inputs, 0)?, input(inputs, 1)?);
    let elem = scope.elem(x);
    let (wide, largest) = room(elem)?;
    if largest < 0 {
        return Err("ONNX shifts unsigned integers only".into());
    }
    let bits = i64::from(largest.count_ones());
    // A shift by all bits leaves nothing, and so does any longer one; the power of two of that one still fits the wide type.
    let powers: Vec<u8> = (0..=bits).flat_map(|n| (1i64 << n).to_le_bytes()).collect();
    let table = Type::new(ElementType::I64, [powers.len() / 8]);
    let powers = scope.constant_value(Constant::new(powers), table);
    let powers = scope.cast(powers, wide)?;
    let by = scope.cast(by, ElementType::I32)?;
    let most = whole(scope, bits, ElementType::I32);
    let by = scope.binary(BinaryKind::Minimum, by, most)?;
    let factor = scope.gather(powers, by, 0)?;
    let x = scope.cast(x, wide)?;
    let shifted = if node.text_or("direction", "") == "LEFT" {
        let modulus = whole(scope, largest + 1, wide);
        let product = scope.binary(BinaryKind::Mul, x, factor)?;
        scope.binary(BinaryKind::FloorMod, product, modulus)?
    } else {
        scope.binary(BinaryKind::FloorDiv, x, factor)?
    };
    Ok(vec![scope.cast(shifted, elem)?])
}
