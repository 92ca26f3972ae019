//! Element-wise operations on integers.

use octet_ir::ElementType as E;
use octet_ir::ops::{Binary, BinaryKind, Compare, CompareKind, Gelu, LeakyRelu, Unary, UnaryKind};

use super::{bounds, by_storage, kernel, operand, prepared, result};
use crate::int::binary::{self, Comparison};
use crate::int::unary::{self, Function};
use crate::int::{Bounds, Quantized};
use crate::kernel::{PrepareCx, PrepareError, Prepared};

pub(super) fn unary(op: &Unary, cx: &PrepareCx<'_>) -> Prepared {
    let clamp = |low: f32, high: Option<f32>| Function::Relu(Bounds { low: Some(low), high });
    function(
        cx,
        match op.kind {
            UnaryKind::Abs => Function::Abs,
            UnaryKind::Elu => Function::Elu,
            UnaryKind::Exp => Function::Exp,
            UnaryKind::HardSwish => Function::HardSwish,
            UnaryKind::Log => Function::Log,
            UnaryKind::Logistic => Function::Logistic,
            UnaryKind::Neg => Function::Neg,
            UnaryKind::Relu => clamp(0.0, None),
            UnaryKind::Relu6 => Function::Relu6,
            UnaryKind::ReluN1To1 => clamp(-1.0, Some(1.0)),
            UnaryKind::Relu0To1 => clamp(0.0, Some(1.0)),
            UnaryKind::Rsqrt => Function::Rsqrt,
            UnaryKind::Sqrt => Function::Sqrt,
            UnaryKind::Tanh => Function::Tanh,
            UnaryKind::Ceil
            | UnaryKind::Cos
            | UnaryKind::Floor
            | UnaryKind::LogicalNot
            | UnaryKind::Round
            | UnaryKind::Sign
            | UnaryKind::Sin
            | UnaryKind::Square
            | UnaryKind::ZerosLike => return Err(cx.unsupported()),
        },
    )
}

pub(super) fn gelu(op: &Gelu, cx: &PrepareCx<'_>) -> Prepared {
    function(cx, Function::Gelu { approximate: op.approximate })
}

pub(super) fn leaky_relu(op: &LeakyRelu, cx: &PrepareCx<'_>) -> Prepared {
    function(cx, Function::LeakyRelu(op.alpha))
}

fn function(cx: &PrepareCx<'_>, function: Function) -> Prepared {
    let elem = same_elem(cx)?;
    let (input, output) = (operand(cx, 0)?, result(cx)?);
    by_storage!(cx, elem, T => {
        let function = prepared(cx, unary::Unary::prepare::<T>(function, input, output, cx.profile))?;
        kernel(move |io| function.run::<T>(io.input(0), io.output(0)))
    })
}

/// The storage that operand 0 and the result share.
fn same_elem(cx: &PrepareCx<'_>) -> Result<E, PrepareError> {
    let elem = cx.elem(0)?;
    if cx.result(0)?.elem == elem { Ok(elem) } else { Err(cx.unsupported()) }
}

/// The storage that both operands and the result share.
fn three_elem(cx: &PrepareCx<'_>) -> Result<E, PrepareError> {
    if cx.elem(1)? == cx.elem(0)? { same_elem(cx) } else { Err(cx.unsupported()) }
}

pub(super) fn binary(op: &Binary, cx: &PrepareCx<'_>) -> Prepared {
    let elem = three_elem(cx)?;
    let (a, b, output) = (operand(cx, 0)?, operand(cx, 1)?, result(cx)?);
    let (a_shape, b_shape) = (cx.shape(0)?.to_vec(), cx.shape(1)?.to_vec());
    let activation = bounds(cx, op.activation)?;
    by_storage!(cx, elem, T => {
        let prepare = match op.kind {
            BinaryKind::Add => binary::Binary::add::<T>(a, b, output, activation),
            BinaryKind::Sub => binary::Binary::sub::<T>(a, b, output, activation),
            BinaryKind::Mul => binary::Binary::mul::<T>(a, b, output, activation, cx.profile),
            BinaryKind::Div => binary::Binary::div::<T>(a, b, output, activation, cx.profile),
            BinaryKind::SquaredDifference => binary::Binary::squared_difference::<T>(a, b, output),
            BinaryKind::Maximum => {
                return kernel(move |io| binary::maximum::<T>(&a_shape, io.input(0), &b_shape, io.input(1), io.output(0)));
            }
            BinaryKind::Minimum => {
                return kernel(move |io| binary::minimum::<T>(&a_shape, io.input(0), &b_shape, io.input(1), io.output(0)));
            }
            BinaryKind::FloorDiv
            | BinaryKind::FloorMod
            | BinaryKind::Pow
            | BinaryKind::Atan2
            | BinaryKind::LogicalAnd
            | BinaryKind::LogicalOr
            | BinaryKind::BitwiseXor
            | BinaryKind::RightShift => return Err(cx.unsupported()),
        };
        run_binary::<T, T>(prepared(cx, prepare)?, a_shape, b_shape)
    })
}

fn run_binary<T: Quantized + bytemuck::Pod, B: Quantized + bytemuck::Pod>(
    op: binary::Binary,
    a_shape: Vec<usize>,
    b_shape: Vec<usize>,
) -> Prepared {
    kernel(move |io| op.run::<T, B>(&a_shape, io.input(0), &b_shape, io.input(1), io.output(0)))
}

pub(super) fn prelu(cx: &PrepareCx<'_>) -> Prepared {
    let elem = same_elem(cx)?;
    let (input, alpha, output) = (operand(cx, 0)?, operand(cx, 1)?, result(cx)?);
    let (a_shape, b_shape) = (cx.shape(0)?.to_vec(), cx.shape(1)?.to_vec());
    let narrow = elem == E::I16 && cx.elem(1)? == E::I8;
    if !narrow && cx.elem(1)? != elem {
        return Err(cx.unsupported());
    }
    by_storage!(cx, elem, T => {
        let op = prepared(cx, binary::Binary::prelu::<T>(input, alpha, output, cx.profile))?;
        if narrow { run_binary::<T, i8>(op, a_shape, b_shape) } else { run_binary::<T, T>(op, a_shape, b_shape) }
    })
}

pub(super) fn compare(op: &Compare, cx: &PrepareCx<'_>) -> Prepared {
    let elem = cx.elem(0)?;
    if cx.elem(1)? != elem || cx.result(0)?.elem != E::Bool {
        return Err(cx.unsupported());
    }
    let comparison = prepared(cx, Comparison::prepare(operand(cx, 0)?, operand(cx, 1)?))?;
    let (a_shape, b_shape) = (cx.shape(0)?.to_vec(), cx.shape(1)?.to_vec());
    let holds: fn(i32, i32) -> bool = match op.kind {
        CompareKind::Equal => |a, b| a == b,
        CompareKind::NotEqual => |a, b| a != b,
        CompareKind::Greater => |a, b| a > b,
        CompareKind::GreaterEqual => |a, b| a >= b,
        CompareKind::Less => |a, b| a < b,
        CompareKind::LessEqual => |a, b| a <= b,
    };
    by_storage!(cx, elem, T => kernel(move |io| {
        comparison.run::<T, u8>(&a_shape, io.input(0), &b_shape, io.input(1), io.output::<u8>(0), |a, b| u8::from(holds(a, b)))
    }))
}
