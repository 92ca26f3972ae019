//! AVERAGE_POOL_2D of bytes over windows that lie inside the image, eight channels at a time.
//!
//! The quotient of a sum and the number of cells, truncated, is that of their single-precision quotient: both are below 2^24, so that no quotient rounds up to
//! a whole number that it does not reach.

use wasm_encoder::{BlockType, Function, ValType};

use crate::asm::{Asm, Local, at};

/// What the code of one layer is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) channels: u64,
    /// Rows and columns of the window.
    pub(super) window: [i32; 2],
}

impl Shape {
    pub(super) fn name(&self) -> String {
        format!("pool.{}.{:?}", self.channels, self.window)
    }
}

/// Image, result, output rows and columns, bytes of an image row, bytes between windows of two rows, of two columns, lowest, highest.
pub(super) const PARAMS: usize = 9;

const X: Local = 0;
const Y: Local = 1;
const ROWS: Local = 2;
const COLUMNS: Local = 3;
const ROW: Local = 4;
const ROW_STEP: Local = 5;
const STEP: Local = 6;
const LOW: Local = 7;
const HIGH: Local = 8;

/// The kernel for a shape.
pub(super) fn function(shape: Shape) -> Function {
    let mut asm = Asm::new(PARAMS);
    let [column, window, pointer, line, row, tap, end] = std::array::from_fn(|_| asm.local(ValType::I32));
    let [value, sign, half, count] = std::array::from_fn(|_| asm.local(ValType::V128));
    let sums: [Local; 2] = std::array::from_fn(|_| asm.local(ValType::V128));
    let channels = i32::try_from(shape.channels).unwrap_or(i32::MAX);
    let [kh, kw] = shape.window;
    let cells = kh * kw;
    let mut s = asm.s();
    s.i32_const(cells).i32x4_splat().f32x4_convert_i32x4_s().local_set(count);
    s.i32_const(cells / 2).i32x4_splat().local_set(half);
    s.loop_(BlockType::Empty).local_get(X).local_set(window).local_get(COLUMNS).local_set(column).loop_(BlockType::Empty);
    s.local_get(window).local_tee(pointer).i32_const(channels).i32_add().local_set(end).loop_(BlockType::Empty);
    for sum in sums {
        s.v128_const(0).local_set(sum);
    }
    s.local_get(pointer).local_set(line).i32_const(kh).local_set(row).loop_(BlockType::Empty);
    // `tap` walks along a row of the window.
    s.local_get(line).local_set(tap).loop_(BlockType::Empty);
    s.local_get(tap).v128_load8x8_s(at(0, 0)).local_set(value);
    s.local_get(value).i32x4_extend_low_i16x8_s().local_get(sums[0]).i32x4_add().local_set(sums[0]);
    s.local_get(value).i32x4_extend_high_i16x8_s().local_get(sums[1]).i32x4_add().local_set(sums[1]);
    s.local_get(tap).i32_const(channels).i32_add().local_tee(tap);
    s.local_get(line).i32_const(kw * channels).i32_add().i32_lt_u().br_if(0).end();
    s.local_get(line).local_get(ROW).i32_add().local_set(line);
    s.local_get(row).i32_const(1).i32_sub().local_tee(row).br_if(0).end();
    for sum in sums {
        // Half the cells away from zero: a sum of 0 goes down, which truncation takes back.
        s.local_get(sum).i32_const(0).i32x4_splat().i32x4_gt_s().local_set(sign);
        s.local_get(sum).local_get(half).i32x4_add().local_get(sum).local_get(half).i32x4_sub().local_get(sign).v128_bitselect();
        s.f32x4_convert_i32x4_s().local_get(count).f32x4_div().i32x4_trunc_sat_f32x4_s().local_set(sum);
    }
    s.local_get(Y).local_get(sums[0]).local_get(sums[1]).i16x8_narrow_i32x4_s().local_tee(value).local_get(value).i8x16_narrow_i16x8_s();
    s.local_get(LOW).i8x16_splat().i8x16_max_s().local_get(HIGH).i8x16_splat().i8x16_min_s().v128_store64_lane(at(0, 0), 0);
    s.local_get(Y).i32_const(8).i32_add().local_set(Y);
    s.local_get(pointer).i32_const(8).i32_add().local_tee(pointer).local_get(end).i32_lt_u().br_if(0).end();
    s.local_get(window).local_get(STEP).i32_add().local_set(window);
    s.local_get(column).i32_const(1).i32_sub().local_tee(column).br_if(0).end();
    s.local_get(X).local_get(ROW_STEP).i32_add().local_set(X);
    s.local_get(ROWS).i32_const(1).i32_sub().local_tee(ROWS).br_if(0).end();
    asm.finish()
}
