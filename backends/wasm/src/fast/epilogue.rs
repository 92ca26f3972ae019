//! From sums to stored values: four channels at a time, with the bits of the scalar rounding.
//!
//! A sum x is scaled by a mantissa m and shifted right by s after two roundings: half up at 31 bits, then half away from zero at s bits, where s >= 1.
//! Nested floors are one floor, so that for x >= 0 this is (x m + 2^30 + 2^(30+s)) >> (31+s), and for x < 0 the same less 2^31. With x scaled by
//! 2^d before, d = S - s >= 2 and S the same for all channels, the constants are multiples of 2^32: only the high half of the product is needed, and
//! the last shift is one for all lanes.

use wasm_encoder::{InstructionSink, ValType};

use crate::asm::{Asm, Local, at};

/// Bytes of the table of eight channels: two vectors each of biases, factors 2^d, mantissas.
pub(super) const GROUP: i32 = 96;
/// Where the factors begin.
const FACTORS: u64 = 32;
/// Where the mantissas begin.
const MANTISSAS: u64 = 64;

/// What the rounding of a layer needs in every lane.
pub(super) struct Rounding {
    shift: Local,
    half: Local,
    zero: Local,
    low: Local,
    high: Local,
}

/// Pushes the high halves of the products of the two vectors.
pub(super) fn high_halves(s: &mut InstructionSink<'_>, x: Local, m: Local) {
    s.local_get(x).local_get(m).i64x2_extmul_low_i32x4_s();
    s.local_get(x).local_get(m).i64x2_extmul_high_i32x4_s();
    s.i8x16_shuffle([4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31]);
}

impl Rounding {
    /// Reads the parameters: the last shift, the output's zero point, lowest and highest stored value.
    pub(super) fn new(asm: &mut Asm, shift: Local, zero: Local, low: Local, high: Local) -> Self {
        let vector = |asm: &mut Asm| asm.local(ValType::V128);
        let vectors = [vector(asm), vector(asm), vector(asm), vector(asm)];
        let mut s = asm.s();
        s.i32_const(1).local_get(shift).i32_const(1).i32_sub().i32_shl().i32x4_splat().local_set(vectors[0]);
        s.local_get(zero).i16x8_splat().local_set(vectors[1]);
        s.local_get(low).i8x16_splat().local_set(vectors[2]);
        s.local_get(high).i8x16_splat().local_set(vectors[3]);
        Self { shift, half: vectors[0], zero: vectors[1], low: vectors[2], high: vectors[3] }
    }

    /// Sets the biases of eight channels, whose table `table` points to.
    pub(super) fn begin(asm: &mut Asm, table: Local, sums: &[[Local; 2]]) {
        for (half, offset) in [(0, 0), (1, 16)] {
            for (index, pair) in sums.iter().enumerate() {
                if index == 0 {
                    asm.s().local_get(table).v128_load(at(offset, 4)).local_set(pair[half]);
                } else {
                    asm.s().local_get(sums[0][half]).local_set(pair[half]);
                }
            }
        }
    }

    /// Turns eight sums into eight bytes, which come twice in the first of the two locals.
    pub(super) fn finish(&self, asm: &mut Asm, table: Local, sums: &[[Local; 2]]) {
        let new = |asm: &mut Asm| asm.local(ValType::V128);
        let (factor, mantissa, quarter) = (new(asm), new(asm), new(asm));
        let (sign, scaled) = (new(asm), new(asm));
        for half in [0, 1] {
            let distance = 16 * u64::try_from(half).unwrap_or(0);
            let mut s = asm.s();
            s.local_get(table).v128_load(at(FACTORS + distance, 4)).local_tee(factor);
            s.i32_const(2).i32x4_shr_u().local_set(quarter);
            s.local_get(table).v128_load(at(MANTISSAS + distance, 4)).local_set(mantissa);
            for pair in sums {
                let x = pair[half];
                s.local_get(x).i32_const(31).i32x4_shr_s().local_set(sign);
                s.local_get(x).local_get(factor).i32x4_mul().local_set(scaled);
                high_halves(&mut s, scaled, mantissa);
                s.local_get(self.half).i32x4_add();
                s.local_get(quarter).local_get(sign).v128_xor().local_get(sign).i32x4_sub().i32x4_add();
                s.local_get(self.shift).i32x4_shr_s().local_set(x);
            }
        }
        let mut s = asm.s();
        for pair in sums {
            s.local_get(pair[0]).local_get(pair[1]).i16x8_narrow_i32x4_s().local_get(self.zero).i16x8_add_sat_s().local_tee(pair[0]);
            s.local_get(pair[0]).i8x16_narrow_i16x8_s();
            s.local_get(self.low).i8x16_max_s().local_get(self.high).i8x16_min_s().local_set(pair[0]);
        }
    }
}
