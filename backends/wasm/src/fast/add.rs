//! ADD and SUB of bytes without broadcasting, eight at a time. The scales are in the code.

use wasm_encoder::{Function, InstructionSink, ValType};

use super::epilogue::high_halves;
use crate::asm::{Asm, Local, at};

/// Zero points of a, b and y, low, high, left shift, mantissa and shift of a, of b and of y, and whether to subtract: as the scalar kernel has them.
pub(super) type Scales = [i32; 13];

/// Operands, result, count (a multiple of 8).
pub(super) const PARAMS: usize = 4;

pub(super) fn name(q: &Scales) -> String {
    format!("add.{q:?}")
}

/// Whether the vectors' rounding holds: no shift to the left, and room for two more bits.
pub(super) fn fits(q: &Scales) -> bool {
    let shifts = [q[7], q[9], q[11]];
    let centred = |zero: i32| (-128..=127).contains(&zero);
    (0..=20).contains(&q[5]) && shifts.iter().all(|s| (-28..=0).contains(s)) && q[11] < 0 && centred(q[0]) && centred(q[1])
}

/// A scale's vectors, which stay the same in all rounds.
struct Side {
    zero: Local,
    mantissa: Local,
    half: Local,
    right: i32,
}

impl Side {
    fn new(asm: &mut Asm, zero: i32, mantissa: i32, shift: i32) -> Self {
        let right = -shift;
        let mut vector = |value: i32| {
            let local = asm.local(ValType::V128);
            asm.s().i32_const(value).i32x4_splat().local_set(local);
            local
        };
        Self { zero: vector(zero), mantissa: vector(mantissa), half: vector(1 << right), right }
    }

    /// Pushes x * mantissa * 2^(shift - 31), where x is scaled by 4 already and |x| < 2^31.
    fn requantized(&self, s: &mut InstructionSink<'_>, x: Local, one: Local) {
        high_halves(s, x, self.mantissa);
        s.local_get(self.half).i32x4_add();
        if self.right > 0 {
            // One more where x is not negative, one less where it is.
            s.local_get(x).i32_const(31).i32x4_shr_s().local_get(one).v128_or().i32x4_add();
        }
        s.i32_const(self.right + 1).i32x4_shr_s();
    }
}

/// The kernel for these scales.
pub(super) fn function(q: &Scales) -> Function {
    let mut asm = Asm::new(PARAMS);
    let sides = [Side::new(&mut asm, q[0], q[6], q[7]), Side::new(&mut asm, q[1], q[8], q[9])];
    let out = Side::new(&mut asm, 0, q[10], q[11]);
    let mut vector = || asm.local(ValType::V128);
    let [a, b, x, low, one, zero, least, most] = std::array::from_fn(|_| vector());
    let (at_, end) = (asm.local(ValType::I32), 3);
    let mut s = asm.s();
    s.i32_const(1).i32x4_splat().local_set(one).i32_const(q[2]).i16x8_splat().local_set(zero);
    s.i32_const(q[3]).i8x16_splat().local_set(least).i32_const(q[4]).i8x16_splat().local_set(most);
    s.i32_const(0).local_set(at_);
    asm.count(at_, end, 8, |asm| {
        let mut s = asm.s();
        for (side, &local) in (0u32..).zip(&[a, b]) {
            s.local_get(side).local_get(at_).i32_add().v128_load8x8_s(at(0, 0)).local_set(local);
        }
        for half in 0..2 {
            for (side, &local) in sides.iter().zip(&[a, b]) {
                s.local_get(local);
                if half == 0 {
                    s.i32x4_extend_low_i16x8_s()
                } else {
                    s.i32x4_extend_high_i16x8_s()
                };
                s.local_get(side.zero).i32x4_sub().i32_const(q[5] + 2).i32x4_shl().local_set(x);
                side.requantized(&mut s, x, one);
            }
            if q[12] == 0 {
                s.i32x4_add()
            } else {
                s.i32x4_sub()
            };
            s.i32_const(2).i32x4_shl().local_set(x);
            out.requantized(&mut s, x, one);
            if half == 0 {
                s.local_set(low);
            } else {
                s.local_set(x).local_get(2).local_get(at_).i32_add();
                s.local_get(low).local_get(x).i16x8_narrow_i32x4_s().local_get(zero).i16x8_add_sat_s().local_tee(x);
                s.local_get(x).i8x16_narrow_i16x8_s().local_get(least).i8x16_max_s().local_get(most).i8x16_min_s();
                s.v128_store64_lane(at(0, 0), 0);
            }
        }
    });
    asm.finish()
}
