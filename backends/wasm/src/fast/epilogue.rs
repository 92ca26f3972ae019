//! From sums to stored values: four channels at a time, with the bits of the scalar rounding.
//!
//! A sum x is scaled by a mantissa m and shifted right by s after two roundings: half up at 31 bits, then half away from zero at s bits, where s >= 1.
//! Nested floors are one floor, so that for x >= 0 this is (x m + 2^30 + 2^(30+s)) >> (31+s), and for x < 0 the same less 2^31. With x scaled by
//! 2^d before, d = S - s >= 2 and S the same for four channels, the constants are multiples of 2^32: only the high half of the product is needed, and
//! the last shift is one for all lanes.
//!
//! Where the shifts of four channels lie too far apart for that, both roundings are made as they are written, and the second shift is a product too.

use wasm_encoder::{InstructionSink, ValType};

use crate::asm::{Asm, Local, at};

/// How a layer's sums are rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One shift for four channels.
    Near,
    /// A shift for each.
    Apart,
}

impl Form {
    /// Bytes of the table of eight channels: two vectors each of biases, factors 2^d (2^(32-s) where shifts are apart), mantissas, then
    /// the last shift of either
    /// half (two vectors of 2^(s-1) where shifts are apart).
    pub(super) fn group(self) -> i32 {
        match self {
            Self::Near => 112,
            Self::Apart => 128,
        }
    }
}

/// Where the factors begin.
const FACTORS: u64 = 32;
/// Where the mantissas begin.
const MANTISSAS: u64 = 64;
/// Where the shifts begin.
const SHIFTS: u64 = 96;

/// The odd lanes of two vectors of 32 bits.
const ODD: [u8; 16] = [4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31];

/// The even ones.
const EVEN: [u8; 16] = [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27];

/// What the rounding of a layer needs in every lane.
pub(super) struct Rounding {
    form: Form,
    zero: Local,
    low: Local,
    high: Local,
}

/// Pushes the high halves of the products of the two vectors.
pub(super) fn high_halves(s: &mut InstructionSink<'_>, x: Local, m: Local) {
    s.local_get(x).local_get(m).i64x2_extmul_low_i32x4_s();
    s.local_get(x).local_get(m).i64x2_extmul_high_i32x4_s();
    s.i8x16_shuffle(ODD);
}

impl Rounding {
    /// Reads the parameters: the output's zero point, lowest and highest stored value.
    pub(super) fn new(asm: &mut Asm, form: Form, zero: Local, low: Local, high: Local) -> Self {
        let mut vector = || asm.local(ValType::V128);
        let vectors = Self { form, zero: vector(), low: vector(), high: vector() };
        let mut s = asm.s();
        s.local_get(zero).i16x8_splat().local_set(vectors.zero);
        s.local_get(low).i8x16_splat().local_set(vectors.low);
        s.local_get(high).i8x16_splat().local_set(vectors.high);
        vectors
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
        for half in [0, 1] {
            match self.form {
                Form::Near => Self::near(asm, table, sums, half),
                Form::Apart => Self::apart(asm, table, sums, half),
            }
        }
        let mut s = asm.s();
        for pair in sums {
            s.local_get(pair[0]).local_get(pair[1]).i16x8_narrow_i32x4_s().local_get(self.zero).i16x8_add_sat_s().local_tee(pair[0]);
            s.local_get(pair[0]).i8x16_narrow_i16x8_s();
            s.local_get(self.low).i8x16_max_s().local_get(self.high).i8x16_min_s().local_set(pair[0]);
        }
    }

    /// The first or second four channels of all pixels, with one shift.
    fn near(asm: &mut Asm, table: Local, sums: &[[Local; 2]], half: usize) {
        let [factor, mantissa, quarter, sign, scaled, middle] = std::array::from_fn(|_| asm.local(ValType::V128));
        let shift = asm.local(ValType::I32);
        let distance = if half == 0 { 0 } else { 16 };
        let mut s = asm.s();
        s.local_get(table).v128_load(at(FACTORS + distance, 4)).local_tee(factor);
        s.i32_const(2).i32x4_shr_u().local_set(quarter);
        s.local_get(table).v128_load(at(MANTISSAS + distance, 4)).local_set(mantissa);
        s.i32_const(1).local_get(table).i32_load(at(SHIFTS + distance / 4, 2)).local_tee(shift).i32_const(1).i32_sub();
        s.i32_shl().i32x4_splat().local_set(middle);
        for pair in sums {
            let x = pair[half];
            s.local_get(x).i32_const(31).i32x4_shr_s().local_set(sign);
            s.local_get(x).local_get(factor).i32x4_mul().local_set(scaled);
            high_halves(&mut s, scaled, mantissa);
            s.local_get(middle).i32x4_add();
            s.local_get(quarter).local_get(sign).v128_xor().local_get(sign).i32x4_sub().i32x4_add();
            s.local_get(shift).i32x4_shr_s().local_set(x);
        }
    }

    /// The same with a shift for each channel.
    fn apart(asm: &mut Asm, table: Local, sums: &[[Local; 2]], half: usize) {
        let [power, mantissa, halves, round] = std::array::from_fn(|_| asm.local(ValType::V128));
        let distance = if half == 0 { 0 } else { 16 };
        let mut s = asm.s();
        s.local_get(table).v128_load(at(FACTORS + distance, 4)).local_set(power);
        s.local_get(table).v128_load(at(MANTISSAS + distance, 4)).local_set(mantissa);
        s.local_get(table).v128_load(at(SHIFTS + distance, 4)).local_set(halves);
        s.i64_const(1 << 30).i64x2_splat().local_set(round);
        for pair in sums {
            let x = pair[half];
            for high in [false, true] {
                s.local_get(x).local_get(mantissa);
                if high {
                    s.i64x2_extmul_high_i32x4_s()
                } else {
                    s.i64x2_extmul_low_i32x4_s()
                };
                // The low half of the shifted sum is the same whatever comes in from above.
                s.local_get(round).i64x2_add().i32_const(31).i64x2_shr_u();
            }
            s.i8x16_shuffle(EVEN).local_tee(x);
            // Half away from zero: one less where it is negative.
            s.local_get(x).i32_const(31).i32x4_shr_s().i32x4_add().local_get(halves).i32x4_add().local_set(x);
            high_halves(&mut s, x, power);
            s.local_set(x);
        }
    }
}
