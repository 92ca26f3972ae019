//! DEPTHWISE_CONV_2D: eight channels of one or two pixels at a time, on an image of 16 bits with its border around it. Two taps are interleaved, so that one
//! instruction multiplies and adds both. Weights lie as `[channels / 8][pairs of taps][8][2]`; an odd tap's partner has weight 0.

use wasm_encoder::{BlockType, Function, ValType};

use super::epilogue::{Form, Rounding};
use crate::asm::{Asm, Local, at};

/// What the code of one layer is made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) channels: u64,
    /// Byte distances of the taps from the window's first one.
    pub(super) taps: Vec<u64>,
    /// Bytes between two pixels' windows in a row.
    pub(super) distance: u64,
    pub(super) form: Form,
}

impl Shape {
    pub(super) fn name(&self) -> String {
        format!("depthwise.{:?}.{}.{}.{:?}", self.form, self.channels, self.distance, self.taps)
    }
}

/// Image, weights, table, result, output rows and columns, bytes between windows of two output rows, zero point, lowest, highest.
pub(super) const PARAMS: usize = 10;

const X: Local = 0;
const W: Local = 1;
const TABLE: Local = 2;
const Y: Local = 3;
const ROWS: Local = 4;
const COLUMNS: Local = 5;
const ROW_STEP: Local = 6;

/// The kernel for a shape.
pub(super) fn function(shape: &Shape) -> Function {
    let mut asm = Asm::new(PARAMS);
    let rounding = Rounding::new(&mut asm, shape.form, 7, 8, 9);
    let mut int = || asm.local(ValType::I32);
    let [window, out, weights, table, pointer, store, line, column, next, end] = std::array::from_fn(|_| int());
    let mut vector = || asm.local(ValType::V128);
    let sums: [[Local; 2]; 2] = std::array::from_fn(|_| [vector(), vector()]);
    let filters = [vector(), vector()];
    let values = [vector(), vector()];
    let (distance, channels) = (i32::try_from(shape.distance).unwrap_or(i32::MAX), i32::try_from(shape.channels).unwrap_or(i32::MAX));
    let pairs: Vec<[u64; 2]> = shape.taps.chunks(2).map(|c| [c[0], c[c.len() - 1]]).collect();
    let bytes = i32::try_from(32 * pairs.len()).unwrap_or(i32::MAX);

    asm.s().local_get(Y).local_set(out).local_get(X).local_set(next).local_get(ROWS).local_set(line).loop_(BlockType::Empty);
    asm.s().local_get(next).local_set(window).local_get(COLUMNS).local_set(column);
    for pixels in [2usize, 1] {
        let count = i32::try_from(pixels).unwrap_or(1);
        let mut s = asm.s();
        s.block(BlockType::Empty).loop_(BlockType::Empty).local_get(column).i32_const(count).i32_lt_s().br_if(1);
        s.local_get(W).local_set(weights).local_get(TABLE).local_set(table).local_get(window).local_set(pointer);
        s.local_get(out).local_tee(store).i32_const(channels).i32_add().local_set(end).loop_(BlockType::Empty);
        let mine = &sums[..pixels];
        Rounding::begin(&mut asm, table, mine);
        for (pair, taps) in (0..).zip(&pairs) {
            let mut s = asm.s();
            for (half, &filter) in (0..).zip(&filters) {
                s.local_get(weights).v128_load(at(32 * pair + 16 * half, 4)).local_set(filter);
            }
            for (pixel, sums) in (0..).zip(mine) {
                for (&value, tap) in values.iter().zip(taps) {
                    s.local_get(pointer).v128_load(at(tap + shape.distance * pixel, 0)).local_set(value);
                }
                for (half, (&sum, &filter)) in (0u8..).zip(sums.iter().zip(&filters)) {
                    s.local_get(values[0]).local_get(values[1]).i8x16_shuffle(interleave(8 * half));
                    s.local_get(filter).i32x4_dot_i16x8_s().local_get(sum).i32x4_add().local_set(sum);
                }
            }
        }
        rounding.finish(&mut asm, table, mine);
        let mut s = asm.s();
        for (pixel, sums) in (0..).zip(mine) {
            s.local_get(store).local_get(sums[0]).v128_store64_lane(at(shape.channels * pixel, 0), 0);
        }
        s.local_get(weights).i32_const(bytes).i32_add().local_set(weights);
        s.local_get(table).i32_const(shape.form.group()).i32_add().local_set(table);
        s.local_get(pointer).i32_const(16).i32_add().local_set(pointer);
        s.local_get(store).i32_const(8).i32_add().local_tee(store).local_get(end).i32_lt_u().br_if(0).end();
        s.local_get(window).i32_const(count * distance).i32_add().local_set(window);
        s.local_get(out).i32_const(count * channels).i32_add().local_set(out);
        s.local_get(column).i32_const(count).i32_sub().local_set(column).br(0).end().end();
    }
    let mut s = asm.s();
    s.local_get(next).local_get(ROW_STEP).i32_add().local_set(next);
    s.local_get(line).i32_const(1).i32_sub().local_tee(line).br_if(0).end();
    asm.finish()
}

/// Four lanes of 16 bits from byte `from` on of either vector, in turn.
fn interleave(from: u8) -> [u8; 16] {
    std::array::from_fn(|i| {
        let i = u8::try_from(i).unwrap_or(0);
        from + i / 4 * 2 + i % 2 + if i % 4 < 2 { 0 } else { 16 }
    })
}
