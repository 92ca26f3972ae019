//! CAST between any two plain number types.
//!
//! Floats become integers by truncation, saturating where the target cannot hold them (C++
//! leaves that case undefined); anything but zero becomes true.

use bytemuck::Pod;
use half::{bf16, f16};
use octet_ir::ElementType as E;
use octet_ir::ops::Cast;

use crate::float::hybrid::unpack;
use crate::float::vector::map;
use crate::kernel::{PrepareCx, Prepared, kernel};

/// A kernel from a conversion of one number.
fn convert<T: Pod, U: Pod>(f: impl Fn(T) -> U + Send + Sync + 'static) -> Prepared {
    kernel(move |io| {
        let x = io.input::<T>(0);
        map(x, io.output::<U>(0), &f);
    })
}

/// Conversions of `$from` to every target.
macro_rules! from_number {
    ($from:ident, $to:expr, $cx:expr) => {
        match $to {
            E::F32 => convert(|x: $from| x as f32),
            E::F64 => convert(|x: $from| x as f64),
            E::F16 => convert(|x: $from| f16::from_f32(x as f32)),
            E::BF16 => convert(|x: $from| bf16::from_f32(x as f32)),
            E::I8 => convert(|x: $from| x as i8),
            E::I16 => convert(|x: $from| x as i16),
            E::I32 => convert(|x: $from| x as i32),
            E::I64 => convert(|x: $from| x as i64),
            E::U8 => convert(|x: $from| x as u8),
            E::U16 => convert(|x: $from| x as u16),
            E::U32 => convert(|x: $from| x as u32),
            E::U64 => convert(|x: $from| x as u64),
            E::Bool => convert(|x: $from| u8::from(x != (0 as $from))),
            E::Complex64 => convert(|x: $from| [x as f32, 0.0]),
            _ => Err($cx.unsupported()),
        }
    };
}

/// Conversions of a type that reads as f32.
macro_rules! from_float {
    ($from:ty, $read:expr, $to:expr, $cx:expr) => {
        match $to {
            E::F32 => convert(|x: $from| $read(x)),
            E::F64 => convert(|x: $from| f64::from($read(x))),
            E::F16 => convert(|x: $from| f16::from_f32($read(x))),
            E::BF16 => convert(|x: $from| bf16::from_f32($read(x))),
            E::I8 => convert(|x: $from| $read(x) as i8),
            E::I16 => convert(|x: $from| $read(x) as i16),
            E::I32 => convert(|x: $from| $read(x) as i32),
            E::I64 => convert(|x: $from| $read(x) as i64),
            E::U8 => convert(|x: $from| $read(x) as u8),
            E::U16 => convert(|x: $from| $read(x) as u16),
            E::U32 => convert(|x: $from| $read(x) as u32),
            E::U64 => convert(|x: $from| $read(x) as u64),
            E::Bool => convert(|x: $from| u8::from($read(x) != 0.0)),
            E::Complex64 => convert(|x: $from| [$read(x), 0.0]),
            _ => Err($cx.unsupported()),
        }
    };
}

pub(super) fn cast(_: &Cast, cx: &PrepareCx<'_>) -> Prepared {
    let (from, to) = (cx.elem(0)?, cx.result(0)?.elem);
    if from == to {
        return super::elementwise::identity(cx);
    }
    match from {
        E::F32 => from_number!(f32, to, cx),
        E::F64 => from_number!(f64, to, cx),
        E::I8 => from_number!(i8, to, cx),
        E::I16 => from_number!(i16, to, cx),
        E::I32 => from_number!(i32, to, cx),
        E::I64 => from_number!(i64, to, cx),
        E::U8 => from_number!(u8, to, cx),
        E::U16 => from_number!(u16, to, cx),
        E::U32 => from_number!(u32, to, cx),
        E::U64 => from_number!(u64, to, cx),
        E::Bool => match to {
            E::Complex64 => convert(|x: u8| [f32::from(u8::from(x != 0)), 0.0]),
            _ => from_float!(u8, |x: u8| f32::from(u8::from(x != 0)), to, cx),
        },
        E::F16 => from_float!(f16, f16::to_f32, to, cx),
        E::BF16 => from_float!(bf16, bf16::to_f32, to, cx),
        E::Complex64 => from_float!([f32; 2], |x: [f32; 2]| x[0], to, cx),
        E::I4 | E::I2 if to == E::F32 => {
            let (bits, count) = (from.bits().unwrap_or(4), cx.ty(0)?.shape.elements());
            kernel(move |io| {
                let numbers = unpack(io.input(0), bits, count);
                io.output::<f32>(0).copy_from_slice(&numbers);
            })
        }
        _ => Err(cx.unsupported()),
    }
}
