//! CONV_2D and FULLY_CONNECTED: four pixels by eight channels at a time, on an image that was copied into a wider one with its border around it.
//!
//! Every step takes the next 32 bits of each pixel's window (two values of 16 bits, or four bytes in the relaxed build) to all lanes, and multiplies them
//! by the same places of eight filters, which lie in that order: `[filters / 8][rows][steps][8][2 or 4]`. What a window's row is short of whole steps
//! has weight 0.

use wasm_encoder::{BlockType, Function, ValType};

use super::epilogue::{Form, Rounding};
use crate::asm::{Asm, Local, at};

/// How the products are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dot {
    /// Values of 16 bits, two at a time.
    Wide,
    /// Unsigned by signed bytes, four at a time; exact where the probe says so.
    Relaxed,
}

impl Dot {
    /// Bytes of a value of the image.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Wide => 2,
            Self::Relaxed => 1,
        }
    }

    /// Values that one step takes.
    pub(super) fn values(self) -> usize {
        4 / self.bytes()
    }
}

/// What the code of one convolution is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Bytes between two pixels' windows in a row.
    pub(super) distance: u64,
    /// Steps in one round of the inner loop.
    pub(super) unroll: u64,
    pub(super) dot: Dot,
    pub(super) form: Form,
}

impl Shape {
    pub(super) fn name(&self) -> String {
        format!("conv.{:?}.{:?}.{}.{}", self.dot, self.form, self.distance, self.unroll)
    }
}

/// Image, weights, table, result, output rows and columns, bytes of an image row, bytes between windows of two output rows, filter rows,
/// bytes of weights of one
/// filter row of eight channels, filters, zero point, lowest, highest.
pub(super) const PARAMS: usize = 14;

struct Emitter {
    asm: Asm,
    shape: Shape,
    rounding: Rounding,
    window: Local,
    out: Local,
    weights: Local,
    table: Local,
    channel: Local,
    row: Local,
    at_row: Local,
    pointer: Local,
    end: Local,
    store: Local,
    left: Local,
    /// Sums of two times four channels for each of four pixels.
    sums: [[Local; 2]; 4],
    filters: [Local; 2],
    splat: Local,
    /// Eight bytes of memory.
    scratch: u64,
}

const X: Local = 0;
const W: Local = 1;
const TABLE: Local = 2;
const Y: Local = 3;
const ROWS: Local = 4;
const COLUMNS: Local = 5;
const ROW_BYTES: Local = 6;
const ROW_STEP: Local = 7;
const KERNEL_ROWS: Local = 8;
const RUN: Local = 9;
const CHANNELS: Local = 10;

/// The kernel for a shape. `scratch` are eight bytes of memory.
pub(super) fn function(shape: Shape, scratch: u64) -> Function {
    let mut asm = Asm::new(PARAMS);
    let rounding = Rounding::new(&mut asm, shape.form, 11, 12, 13);
    let mut int = || asm.local(ValType::I32);
    let [window, out, weights, table, channel, row, at_row, pointer, end, store, left] = std::array::from_fn(|_| int());
    let (line, column, next) = (int(), int(), int());
    let mut vector = || asm.local(ValType::V128);
    let sums = std::array::from_fn(|_| [vector(), vector()]);
    let filters = [vector(), vector()];
    let splat = vector();
    let mut e = Emitter {
        asm,
        shape,
        rounding,
        window,
        out,
        weights,
        table,
        channel,
        row,
        at_row,
        pointer,
        end,
        store,
        left,
        sums,
        filters,
        splat,
        scratch,
    };
    let distance = i32::try_from(shape.distance).unwrap_or(i32::MAX);
    e.asm.s().local_get(Y).local_set(out).local_get(X).local_set(next).local_get(ROWS).local_set(line).loop_(BlockType::Empty);
    e.asm.s().local_get(next).local_set(window).local_get(COLUMNS).local_set(column);
    for pixels in [4usize, 1] {
        let count = i32::try_from(pixels).unwrap_or(1);
        e.asm.s().block(BlockType::Empty).loop_(BlockType::Empty);
        e.asm.s().local_get(column).i32_const(count).i32_lt_s().br_if(1);
        e.tile(pixels);
        let mut s = e.asm.s();
        s.local_get(window).i32_const(count * distance).i32_add().local_set(window);
        s.local_get(out).local_get(CHANNELS).i32_const(count).i32_mul().i32_add().local_set(out);
        s.local_get(column).i32_const(count).i32_sub().local_set(column).br(0).end().end();
    }
    let mut s = e.asm.s();
    s.local_get(next).local_get(ROW_STEP).i32_add().local_set(next);
    s.local_get(line).i32_const(1).i32_sub().local_tee(line).br_if(0).end();
    e.asm.finish()
}

impl Emitter {
    /// All channels of so many pixels.
    fn tile(&mut self, pixels: usize) {
        let sums: Vec<[Local; 2]> = self.sums.iter().take(pixels).copied().collect();
        let mut s = self.asm.s();
        s.local_get(W).local_set(self.weights).local_get(TABLE).local_set(self.table).i32_const(0).local_set(self.channel);
        s.loop_(BlockType::Empty);
        Rounding::begin(&mut self.asm, self.table, &sums);
        let mut s = self.asm.s();
        s.local_get(self.window).local_set(self.at_row).local_get(KERNEL_ROWS).local_set(self.row).loop_(BlockType::Empty);
        s.local_get(self.at_row).local_set(self.pointer).local_get(self.weights).local_get(RUN).i32_add().local_set(self.end);
        s.loop_(BlockType::Empty);
        for step in 0..self.shape.unroll {
            self.step(&sums, step);
        }
        let unroll = i32::try_from(self.shape.unroll).unwrap_or(1);
        let mut s = self.asm.s();
        s.local_get(self.pointer).i32_const(4 * unroll).i32_add().local_set(self.pointer);
        s.local_get(self.weights).i32_const(32 * unroll).i32_add().local_tee(self.weights).local_get(self.end).i32_lt_u().br_if(0).end();
        s.local_get(self.at_row).local_get(ROW_BYTES).i32_add().local_set(self.at_row);
        s.local_get(self.row).i32_const(1).i32_sub().local_tee(self.row).br_if(0).end();
        self.rounding.finish(&mut self.asm, self.table, &sums);
        let mut s = self.asm.s();
        s.local_get(self.out).local_get(self.channel).i32_add().local_set(self.store);
        s.local_get(CHANNELS).local_get(self.channel).i32_sub().local_tee(self.left).i32_const(8).i32_ge_s().if_(BlockType::Empty);
        for (index, pair) in sums.iter().enumerate() {
            if index > 0 {
                s.local_get(self.store).local_get(CHANNELS).i32_add().local_set(self.store);
            }
            s.local_get(self.store).local_get(pair[0]).v128_store64_lane(at(0, 0), 0);
        }
        s.else_();
        for pair in &sums {
            // Fewer than eight channels are left: byte by byte.
            s.i32_const(0).local_get(pair[0]).v128_store64_lane(at(self.scratch, 0), 0).i32_const(0).local_set(self.pointer);
            s.loop_(BlockType::Empty).local_get(self.store).local_get(self.pointer).i32_add();
            s.local_get(self.pointer).i32_load8_u(at(self.scratch, 0)).i32_store8(at(0, 0));
            s.local_get(self.pointer).i32_const(1).i32_add().local_tee(self.pointer).local_get(self.left).i32_lt_s().br_if(0).end();
            s.local_get(self.store).local_get(CHANNELS).i32_add().local_set(self.store);
        }
        s.end();
        s.local_get(self.table).i32_const(self.shape.form.group()).i32_add().local_set(self.table);
        s.local_get(self.channel).i32_const(8).i32_add().local_tee(self.channel).local_get(CHANNELS).i32_lt_s().br_if(0).end();
    }

    /// The next 32 bits of every window by eight filters.
    fn step(&mut self, sums: &[[Local; 2]], step: u64) {
        let mut s = self.asm.s();
        for (half, &filter) in (0..).zip(&self.filters) {
            s.local_get(self.weights).v128_load(at(32 * step + 16 * half, 4)).local_set(filter);
        }
        for (index, pair) in (0..).zip(sums) {
            s.local_get(self.pointer).v128_load32_splat(at(4 * step + self.shape.distance * index, 0)).local_set(self.splat);
            for (&sum, &filter) in pair.iter().zip(&self.filters) {
                match self.shape.dot {
                    Dot::Wide => s.local_get(self.splat).local_get(filter).i32x4_dot_i16x8_s().local_get(sum).i32x4_add(),
                    Dot::Relaxed => s.local_get(filter).local_get(self.splat).local_get(sum).i32x4_relaxed_dot_i8x16_i7x16_add_s(),
                };
                s.local_set(sum);
            }
        }
    }
}
