//! Copies an image into a wider one with its border around it, in the form that the products take: 16 bits, or bytes with the top bit turned.
//!
//! Whole vectors are written from the first row to the last, so that what is written too far is overwritten, but behind the last row: there the copy
//! has room.

use wasm_encoder::{BlockType, Function, ValType};

use super::conv::Dot;
use crate::asm::{Asm, Local, at};

/// Image, copy, rows, values of a row, values before the first row's first one, values between rows, values behind the last row, zero point.
pub(super) const PARAMS: usize = 8;

/// Values that may be written behind the last one, and read behind it with weight 0.
pub(super) const SLACK: usize = 32;

pub(super) fn name(dot: Dot) -> String {
    format!("image.{dot:?}")
}

const X: Local = 0;
const Y: Local = 1;
const ROWS: Local = 2;
const ROW: Local = 3;
const BEFORE: Local = 4;
const BETWEEN: Local = 5;
const BEHIND: Local = 6;
const ZERO: Local = 7;

/// The kernel for either form.
pub(super) fn function(dot: Dot) -> Function {
    let mut asm = Asm::new(PARAMS);
    let (left, to, from) = (asm.local(ValType::I32), asm.local(ValType::I32), asm.local(ValType::I32));
    let (fill, turn) = (asm.local(ValType::V128), asm.local(ValType::V128));
    let mut s = asm.s();
    s.local_get(ZERO);
    match dot {
        Dot::Wide => s.i16x8_splat(),
        Dot::Relaxed => s.i8x16_splat().i32_const(-128).i8x16_splat().local_tee(turn).v128_xor(),
    };
    s.local_set(fill);
    s.local_get(Y).local_set(to).local_get(X).local_set(from);
    border(&mut asm, dot, BEFORE, left, to, fill);
    asm.s().loop_(BlockType::Empty);
    // A row.
    let step = if dot == Dot::Wide { 8 } else { 16 };
    let mut s = asm.s();
    s.local_get(ROW).local_set(left).loop_(BlockType::Empty).local_get(to).local_get(from);
    match dot {
        Dot::Wide => s.v128_load8x8_s(at(0, 0)),
        Dot::Relaxed => s.v128_load(at(0, 0)).local_get(turn).v128_xor(),
    };
    s.v128_store(at(0, 0));
    s.local_get(to).i32_const(16).i32_add().local_set(to).local_get(from).i32_const(step).i32_add().local_set(from);
    s.local_get(left).i32_const(step).i32_sub().local_tee(left).i32_const(0).i32_gt_s().br_if(0).end();
    // `left` is 0 or less: what was written too far.
    s.local_get(from).local_get(left).i32_add().local_set(from);
    back(&mut asm, dot, left, to);
    let mut s = asm.s();
    s.local_get(ROWS).i32_const(1).i32_sub().local_tee(ROWS).if_(BlockType::Empty);
    border(&mut asm, dot, BETWEEN, left, to, fill);
    asm.s().br(1).end().end();
    border(&mut asm, dot, BEHIND, left, to, fill);
    asm.finish()
}

/// Takes `to` back by what was written too far.
fn back(asm: &mut Asm, dot: Dot, left: Local, to: Local) {
    let mut s = asm.s();
    s.local_get(to).local_get(left);
    if dot == Dot::Wide {
        s.i32_const(1).i32_shl();
    }
    s.i32_add().local_set(to);
}

/// Writes so many values of the border.
fn border(asm: &mut Asm, dot: Dot, count: Local, left: Local, to: Local, fill: Local) {
    let step = if dot == Dot::Wide { 8 } else { 16 };
    let mut s = asm.s();
    s.local_get(count).local_tee(left).if_(BlockType::Empty).loop_(BlockType::Empty);
    s.local_get(to).local_get(fill).v128_store(at(0, 0)).local_get(to).i32_const(16).i32_add().local_set(to);
    s.local_get(left).i32_const(step).i32_sub().local_tee(left).i32_const(0).i32_gt_s().br_if(0).end();
    back(asm, dot, left, to);
    asm.s().end();
}
