//! Ops that compute each element from the same element of the operands.

use bytemuck::Pod;
use octet_ir::ops::{
    Activation, Binary, BinaryKind, Bitcast, Compare, CompareKind, Gelu, LeakyRelu, Prelu, Select, SelectKind, Unary, UnaryKind,
};
use octet_ir::{Diagnostic, ElementType as E};

use super::shape::same_bytes;
use super::util::width;
use crate::float::activation;
use crate::float::broadcast::Broadcast;
use crate::float::number::Number;
use crate::float::vector::{map, map_vectorized};
use crate::kernel::{PrepareCx, PrepareError, Prepared, fallible_kernel, kernel};

/// Calls `$f::<T>` with the number type of `$elem`.
macro_rules! with_number {
    ($elem:expr, $cx:expr, $f:ident($($arg:expr),*)) => {
        match $elem {
            E::F32 => $f::<f32>($($arg),*),
            E::F64 => $f::<f64>($($arg),*),
            E::I8 => $f::<i8>($($arg),*),
            E::I16 => $f::<i16>($($arg),*),
            E::I32 => $f::<i32>($($arg),*),
            E::I64 => $f::<i64>($($arg),*),
            E::U8 => $f::<u8>($($arg),*),
            E::U16 => $f::<u16>($($arg),*),
            E::U32 => $f::<u32>($($arg),*),
            E::U64 => $f::<u64>($($arg),*),
            _ => Err($cx.unsupported()),
        }
    };
}
pub(super) use with_number;

/// A kernel from a function over whole f32 slices.
fn float_kernel(run: impl Fn(&[f32], &mut [f32]) + Send + Sync + 'static) -> Prepared {
    kernel(move |io| {
        let x = io.input(0);
        run(x, io.output(0));
    })
}

/// A kernel from a function of one number.
fn number_kernel<T: Pod>(f: fn(T) -> T) -> Prepared {
    kernel(move |io| {
        let x = io.input::<T>(0);
        map(x, io.output(0), f);
    })
}

/// The same for a function of f32 that models spend time in.
fn hot_kernel(f: impl Fn(f32) -> f32 + Send + Sync + 'static) -> Prepared {
    kernel(move |io| {
        let x = io.input(0);
        map_vectorized(x, io.output(0), &f);
    })
}

/// Whether some operand or result is quantized.
pub(super) fn quantized(cx: &PrepareCx<'_>) -> bool {
    let operands = cx.operands.iter().flatten().map(|operand| operand.ty);
    operands.chain(cx.results).any(octet_ir::Type::is_quantized)
}

pub(super) fn unary(op: &Unary, cx: &PrepareCx<'_>) -> Prepared {
    let elem = cx.elem(0)?;
    if op.kind == UnaryKind::ZerosLike {
        width(cx, 0)?;
        return kernel(|io| io.output::<u8>(0).fill(0));
    }
    if cx.result(0)?.elem != elem || quantized(cx) {
        return Err(cx.unsupported());
    }
    match (op.kind, elem) {
        (UnaryKind::LogicalNot, E::Bool) => number_kernel(|x: u8| u8::from(x == 0)),
        (kind, E::F32) => float_unary(kind, cx),
        (
            UnaryKind::Ceil
            | UnaryKind::Floor
            | UnaryKind::Round
            | UnaryKind::Sqrt
            | UnaryKind::Rsqrt
            | UnaryKind::Cos
            | UnaryKind::Sin
            | UnaryKind::Log
            | UnaryKind::Exp,
            E::F64,
        ) => double_unary(op.kind, cx),
        (kind, _) => with_number!(elem, cx, arithmetic_unary(kind, cx)),
    }
}

fn float_unary(kind: UnaryKind, cx: &PrepareCx<'_>) -> Prepared {
    match kind {
        UnaryKind::Ceil => number_kernel(f32::ceil),
        UnaryKind::Floor => number_kernel(f32::floor),
        UnaryKind::Round => number_kernel(f32::round_ties_even),
        UnaryKind::Sqrt => number_kernel(f32::sqrt),
        UnaryKind::Rsqrt => number_kernel(|x: f32| 1.0 / x.sqrt()),
        UnaryKind::Cos => number_kernel(f32::cos),
        UnaryKind::Sin => number_kernel(f32::sin),
        UnaryKind::Log => number_kernel(f32::ln),
        UnaryKind::Exp => float_kernel(activation::exp),
        UnaryKind::Elu => float_kernel(activation::elu),
        UnaryKind::HardSwish => float_kernel(activation::hard_swish),
        UnaryKind::Logistic => float_kernel(activation::logistic),
        UnaryKind::Tanh => float_kernel(activation::tanh),
        UnaryKind::Abs => hot_kernel(f32::abs),
        UnaryKind::Neg => hot_kernel(|x| -x),
        UnaryKind::Square => hot_kernel(|x| x * x),
        UnaryKind::Relu => hot_clamp(0.0, f32::INFINITY),
        UnaryKind::Relu6 => hot_clamp(0.0, 6.0),
        UnaryKind::ReluN1To1 => hot_clamp(-1.0, 1.0),
        UnaryKind::Relu0To1 => hot_clamp(0.0, 1.0),
        UnaryKind::Sign => number_kernel(<f32 as Number>::sign),
        UnaryKind::LogicalNot | UnaryKind::ZerosLike => Err(cx.unsupported()),
    }
}

fn hot_clamp(low: f32, high: f32) -> Prepared {
    hot_kernel(move |x| x.larger(low).smaller(high))
}

fn double_unary(kind: UnaryKind, cx: &PrepareCx<'_>) -> Prepared {
    match kind {
        UnaryKind::Ceil => number_kernel(f64::ceil),
        UnaryKind::Floor => number_kernel(f64::floor),
        UnaryKind::Round => number_kernel(f64::round_ties_even),
        UnaryKind::Sqrt => number_kernel(f64::sqrt),
        UnaryKind::Rsqrt => number_kernel(|x: f64| 1.0 / x.sqrt()),
        UnaryKind::Cos => number_kernel(f64::cos),
        UnaryKind::Sin => number_kernel(f64::sin),
        UnaryKind::Log => number_kernel(f64::ln),
        UnaryKind::Exp => number_kernel(f64::exp),
        UnaryKind::Abs
        | UnaryKind::Neg
        | UnaryKind::Sign
        | UnaryKind::Square
        | UnaryKind::LogicalNot
        | UnaryKind::Relu
        | UnaryKind::Relu6
        | UnaryKind::ReluN1To1
        | UnaryKind::Relu0To1
        | UnaryKind::ZerosLike
        | UnaryKind::Elu
        | UnaryKind::HardSwish
        | UnaryKind::Logistic
        | UnaryKind::Tanh => Err(cx.unsupported()),
    }
}

fn arithmetic_unary<T: Number>(kind: UnaryKind, cx: &PrepareCx<'_>) -> Prepared {
    match kind {
        UnaryKind::Abs => number_kernel(T::abs),
        UnaryKind::Neg => number_kernel(T::neg),
        UnaryKind::Sign => number_kernel(T::sign),
        UnaryKind::Square => number_kernel(|x: T| x.mul(x)),
        UnaryKind::Relu => clamp::<T>(Some(0.0), None),
        UnaryKind::Relu6 => clamp::<T>(Some(0.0), Some(6.0)),
        UnaryKind::ReluN1To1 => clamp::<T>(Some(-1.0), Some(1.0)),
        UnaryKind::Relu0To1 => clamp::<T>(Some(0.0), Some(1.0)),
        UnaryKind::Ceil
        | UnaryKind::Floor
        | UnaryKind::Round
        | UnaryKind::Sqrt
        | UnaryKind::Rsqrt
        | UnaryKind::Cos
        | UnaryKind::Sin
        | UnaryKind::Log
        | UnaryKind::Exp
        | UnaryKind::Elu
        | UnaryKind::HardSwish
        | UnaryKind::Logistic
        | UnaryKind::Tanh
        | UnaryKind::LogicalNot
        | UnaryKind::ZerosLike => Err(cx.unsupported()),
    }
}

fn clamp<T: Number>(low: Option<f32>, high: Option<f32>) -> Prepared {
    let low = low.map_or_else(T::lowest, T::from_f32);
    let high = high.map_or_else(T::highest, T::from_f32);
    kernel(move |io| {
        for (y, &x) in io.input::<T>(0).iter().zip(io.output::<T>(0)).map(|(x, y)| (y, x)) {
            *y = x.larger(low).smaller(high);
        }
    })
}

/// The walk over two operands and the result.
fn pair(cx: &PrepareCx<'_>) -> Result<Broadcast<2>, PrepareError> {
    let walk = Broadcast::new([cx.shape(0)?, cx.shape(1)?], cx.result_shape(0)?);
    walk.ok_or_else(|| cx.invalid("the operands do not broadcast to the result"))
}

/// A kernel from a function of two numbers.
fn zip_kernel<T: Pod, U: Pod>(cx: &PrepareCx<'_>, f: fn(T, T) -> U) -> Prepared {
    let walk = pair(cx)?;
    kernel(move |io| {
        let (a, b) = (io.input(0), io.input(1));
        walk.zip(a, b, io.output(0), f);
    })
}

/// The same for a function of f32 that models spend time in.
fn hot_zip_kernel(cx: &PrepareCx<'_>, f: impl Fn(f32, f32) -> f32 + Send + Sync + 'static) -> Prepared {
    let walk = pair(cx)?;
    kernel(move |io| {
        let (a, b) = (io.input(0), io.input(1));
        walk.zip_vectorized(a, b, io.output(0), &f);
    })
}

pub(super) fn binary(op: &Binary, cx: &PrepareCx<'_>) -> Prepared {
    let elem = cx.elem(0)?;
    if cx.elem(1)? != elem || cx.result(0)?.elem != elem || quantized(cx) {
        return Err(cx.unsupported());
    }
    match (op.kind, elem) {
        (BinaryKind::Atan2, E::F64) => zip_kernel(cx, f64::atan2),
        (kind, E::F32) => match op.activation.bounds() {
            Some(bounds) => float_arithmetic(kind, bounds, cx),
            None => Err(cx.unsupported()),
        },
        (BinaryKind::LogicalAnd, E::Bool) => zip_kernel(cx, |a: u8, b: u8| u8::from(a != 0 && b != 0)),
        (BinaryKind::LogicalOr, E::Bool) => zip_kernel(cx, |a: u8, b: u8| u8::from(a != 0 || b != 0)),
        (BinaryKind::BitwiseXor, E::Bool) => zip_kernel(cx, |a: u8, b: u8| a ^ b),
        (BinaryKind::BitwiseXor, E::I8 | E::U8) => zip_kernel(cx, |a: u8, b: u8| a ^ b),
        (BinaryKind::BitwiseXor, E::I16 | E::U16) => zip_kernel(cx, |a: u16, b: u16| a ^ b),
        (BinaryKind::BitwiseXor, E::I32 | E::U32) => zip_kernel(cx, |a: u32, b: u32| a ^ b),
        (BinaryKind::BitwiseXor, E::I64 | E::U64) => zip_kernel(cx, |a: u64, b: u64| a ^ b),
        (BinaryKind::RightShift, E::I8) => zip_kernel(cx, |a: i8, b: i8| a >> b.clamp(0, 7)),
        (BinaryKind::RightShift, E::U8) => zip_kernel(cx, |a: u8, b: u8| a >> b.min(7)),
        (BinaryKind::RightShift, E::I16) => zip_kernel(cx, |a: i16, b: i16| a >> b.clamp(0, 15)),
        (BinaryKind::RightShift, E::U16) => zip_kernel(cx, |a: u16, b: u16| a >> b.min(15)),
        (BinaryKind::RightShift, E::I32) => zip_kernel(cx, |a: i32, b: i32| a >> b.clamp(0, 31)),
        (BinaryKind::RightShift, E::U32) => zip_kernel(cx, |a: u32, b: u32| a >> b.min(31)),
        (BinaryKind::Atan2 | BinaryKind::LogicalAnd | BinaryKind::LogicalOr | BinaryKind::BitwiseXor | BinaryKind::RightShift, _) => {
            Err(cx.unsupported())
        }
        (kind, _) => with_number!(elem, cx, arithmetic(kind, op.activation, cx)),
    }
}

/// f32 arithmetic, with the clamp of a fused activation.
fn float_arithmetic(kind: BinaryKind, (low, high): (f32, f32), cx: &PrepareCx<'_>) -> Prepared {
    let clamp = move |y: f32| y.larger(low).smaller(high);
    let clamped = (low, high) != (f32::NEG_INFINITY, f32::INFINITY);
    match kind {
        BinaryKind::Add if clamped => hot_zip_kernel(cx, move |a, b| clamp(a + b)),
        BinaryKind::Sub if clamped => hot_zip_kernel(cx, move |a, b| clamp(a - b)),
        BinaryKind::Mul if clamped => hot_zip_kernel(cx, move |a, b| clamp(a * b)),
        BinaryKind::Div if clamped => hot_zip_kernel(cx, move |a, b| clamp(a / b)),
        BinaryKind::Add => hot_zip_kernel(cx, |a, b| a + b),
        BinaryKind::Sub => hot_zip_kernel(cx, |a, b| a - b),
        BinaryKind::Mul => hot_zip_kernel(cx, |a, b| a * b),
        BinaryKind::Div => hot_zip_kernel(cx, |a, b| a / b),
        BinaryKind::Maximum => hot_zip_kernel(cx, f32::larger),
        BinaryKind::Minimum => hot_zip_kernel(cx, f32::smaller),
        BinaryKind::SquaredDifference => hot_zip_kernel(cx, |a, b| (a - b) * (a - b)),
        BinaryKind::FloorDiv => zip_kernel(cx, <f32 as Number>::floor_div),
        BinaryKind::FloorMod => zip_kernel(cx, <f32 as Number>::floor_mod),
        BinaryKind::Pow => zip_kernel(cx, f32::powf),
        BinaryKind::Atan2 => zip_kernel(cx, f32::atan2),
        BinaryKind::LogicalAnd | BinaryKind::LogicalOr | BinaryKind::BitwiseXor | BinaryKind::RightShift => Err(cx.unsupported()),
    }
}

/// Arithmetic on any number.
fn arithmetic<T: Number>(kind: BinaryKind, activation: Activation, cx: &PrepareCx<'_>) -> Prepared {
    let Some((low, high)) = activation.bounds() else { return Err(cx.unsupported()) };
    let low = if low == f32::NEG_INFINITY { T::lowest() } else { T::from_f32(low) };
    let high = if high == f32::INFINITY { T::highest() } else { T::from_f32(high) };
    let f: fn(T, T) -> T = match kind {
        BinaryKind::Add => T::add,
        BinaryKind::Sub => T::sub,
        BinaryKind::Mul => T::mul,
        BinaryKind::Div => T::div,
        BinaryKind::FloorDiv => T::floor_div,
        BinaryKind::FloorMod => T::floor_mod,
        BinaryKind::Maximum => T::larger,
        BinaryKind::Minimum => T::smaller,
        BinaryKind::Pow => T::pow,
        BinaryKind::SquaredDifference => |a, b| a.sub(b).mul(a.sub(b)),
        BinaryKind::Atan2 | BinaryKind::LogicalAnd | BinaryKind::LogicalOr | BinaryKind::BitwiseXor | BinaryKind::RightShift => {
            return Err(cx.unsupported());
        }
    };
    let divides = T::INTEGER && matches!(kind, BinaryKind::Div | BinaryKind::FloorDiv | BinaryKind::FloorMod);
    let walk = pair(cx)?;
    fallible_kernel(0, move |io| {
        let (a, b) = (io.input::<T>(0), io.input::<T>(1));
        if divides && b.contains(&T::default()) {
            return Err(Diagnostic::error("EVL011", "an integer is divided by zero"));
        }
        let out = io.output::<T>(0);
        walk.zip(a, b, out, f);
        if activation != Activation::None {
            out.iter_mut().for_each(|y| *y = y.larger(low).smaller(high));
        }
        Ok(())
    })
}

pub(super) fn compare(op: &Compare, cx: &PrepareCx<'_>) -> Prepared {
    fn run<T: Pod + PartialOrd>(kind: CompareKind, cx: &PrepareCx<'_>) -> Prepared {
        match kind {
            CompareKind::Equal => zip_kernel(cx, |a: T, b: T| u8::from(a == b)),
            CompareKind::NotEqual => zip_kernel(cx, |a: T, b: T| u8::from(a != b)),
            CompareKind::Greater => zip_kernel(cx, |a: T, b: T| u8::from(a > b)),
            CompareKind::GreaterEqual => zip_kernel(cx, |a: T, b: T| u8::from(a >= b)),
            CompareKind::Less => zip_kernel(cx, |a: T, b: T| u8::from(a < b)),
            CompareKind::LessEqual => zip_kernel(cx, |a: T, b: T| u8::from(a <= b)),
        }
    }
    let elem = cx.elem(0)?;
    if cx.elem(1)? != elem || quantized(cx) {
        return Err(cx.unsupported());
    }
    match elem {
        E::Bool => run::<u8>(op.kind, cx),
        _ => with_number!(elem, cx, run(op.kind, cx)),
    }
}

pub(super) fn gelu(op: &Gelu, cx: &PrepareCx<'_>) -> Prepared {
    let approximate = op.approximate;
    match cx.elem(0)? {
        E::F32 => float_kernel(move |x, y| activation::gelu(x, y, approximate)),
        _ => Err(cx.unsupported()),
    }
}

pub(super) fn leaky_relu(op: &LeakyRelu, cx: &PrepareCx<'_>) -> Prepared {
    let alpha = op.alpha;
    match cx.elem(0)? {
        E::F32 => hot_kernel(move |x| if x > 0.0 { x } else { x * alpha }),
        _ => Err(cx.unsupported()),
    }
}

pub(super) fn prelu(_: &Prelu, cx: &PrepareCx<'_>) -> Prepared {
    match (cx.elem(0)?, cx.elem(1)?) {
        (E::F32, E::F32) => hot_zip_kernel(cx, |x, alpha| if x >= 0.0 { x } else { x * alpha }),
        _ => Err(cx.unsupported()),
    }
}

pub(super) fn select(op: &Select, cx: &PrepareCx<'_>) -> Prepared {
    let (condition, result) = (cx.shape(0)?, cx.result_shape(0)?);
    // The first version takes one condition per outermost index: the same as trailing axes of 1.
    let mut condition = condition.to_vec();
    if op.kind == SelectKind::Select && condition.len() == 1 && result.len() > 1 {
        condition.resize(result.len(), 1);
    }
    let walk = Broadcast::new([&condition, cx.shape(1)?, cx.shape(2)?], result);
    let walk = walk.ok_or_else(|| cx.invalid("the operands do not broadcast to the result"))?;
    fn run<T: Pod>(walk: Broadcast<3>) -> Prepared {
        kernel(move |io| {
            let (condition, a, b) = (io.input(0), io.input(1), io.input(2));
            walk.select::<T>(condition, a, b, io.output(0));
        })
    }
    match width(cx, 1)? {
        1 => run::<u8>(walk),
        2 => run::<u16>(walk),
        4 => run::<u32>(walk),
        8 => run::<u64>(walk),
        _ => run::<u128>(walk),
    }
}

pub(super) fn bitcast(_: &Bitcast, cx: &PrepareCx<'_>) -> Prepared {
    width(cx, 0)?;
    if cx.ty(0)?.byte_len() != cx.result(0)?.byte_len() {
        return Err(cx.unsupported());
    }
    kernel(|io| {
        let input = io.input::<u8>(0);
        io.output::<u8>(0).copy_from_slice(input);
    })
}

pub(super) use super::cast::cast;

/// The operand unchanged.
pub(super) fn identity(cx: &PrepareCx<'_>) -> Prepared {
    same_bytes(cx, 0)
}
