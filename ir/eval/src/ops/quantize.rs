//! Ops that convert between reals and quantized integers.

use octet_ir::ops::{Densify, Dequantize, FakeQuant, Quantize};

use crate::kernel::{PrepareCx, Prepared};

pub(super) fn quantize(_op: &Quantize, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn dequantize(_op: &Dequantize, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn fake_quant(_op: &FakeQuant, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn densify(_op: &Densify, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}
