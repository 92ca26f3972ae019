//! Functions of real numbers, since a module without imports has no mathematical library.
//!
//! They compute in double precision and round once, so that an error of more than half a unit in the last place of single precision is rare. ERFC has the
//! Chebyshev fit of Press et al., "Numerical Recipes", section 6.2, good to 1.2e-7 of its value. SIN and COS reduce their argument in two
//! pieces of pi/2, which is exact enough below 2^28.

use octet_loops::lang::Builtin;
use wasm_encoder::{BlockType, Function, ValType};

use crate::asm::{Asm, Local, Signature};

/// What one of them takes and gives.
pub(crate) fn signature(builtin: Builtin) -> Signature {
    let params = if builtin == Builtin::Pow { 2 } else { 1 };
    Signature { params: vec![ValType::F32; params], results: vec![ValType::F32] }
}

/// ln 2 in two pieces: the first times a whole number is exact.
const LN2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];
/// pi / 2 in two pieces.
const HALF_PI: [f64; 2] = [1.570_796_310_901_641_8, 1.589_325_477_352_819_6e-8];

/// The function that computes a builtin.
pub(crate) fn function(builtin: Builtin) -> Function {
    let mut asm = Asm::new(signature(builtin).params.len());
    let x = asm.local(ValType::F64);
    asm.s().local_get(0).f64_promote_f32().local_set(x);
    match builtin {
        Builtin::Log => log(&mut asm, x),
        Builtin::Sin => wave(&mut asm, x, 0),
        Builtin::Cos => wave(&mut asm, x, 1),
        Builtin::Tanh => tanh(&mut asm, x),
        Builtin::Erfc => erfc(&mut asm, x),
        Builtin::Pow => pow(&mut asm, x),
        _ => exp(&mut asm, x),
    }
    asm.s().f32_demote_f64();
    asm.finish()
}

/// Pushes the value of a polynomial at `x`: coefficients from the constant one.
fn polynomial(asm: &mut Asm, x: Local, coefficients: &[f64]) {
    let Some((last, rest)) = coefficients.split_last() else { return };
    asm.s().f64_const((*last).into());
    for &c in rest.iter().rev() {
        asm.s().local_get(x).f64_mul().f64_const(c.into()).f64_add();
    }
}

/// Pushes e^x. Beyond what single precision holds, the argument is clamped: the result rounds to infinity or 0 there.
fn exp(asm: &mut Asm, x: Local) {
    let (n, r) = (asm.local(ValType::F64), asm.local(ValType::F64));
    let mut s = asm.s();
    s.local_get(x).f64_const((-160.0).into()).f64_max().f64_const(160.0.into()).f64_min().local_tee(r);
    s.f64_const(std::f64::consts::LOG2_E.into()).f64_mul().f64_nearest().local_set(n);
    s.local_get(r).local_get(n).f64_const(LN2[0].into()).f64_mul().f64_sub();
    s.local_get(n).f64_const(LN2[1].into()).f64_mul().f64_sub().local_set(r);
    let mut factorial = 1.0;
    let series: Vec<f64> = (0..12u32)
        .map(|k| {
            factorial *= f64::from(k.max(1));
            1.0 / factorial
        })
        .collect();
    polynomial(asm, r, &series);
    // 2^n by its bits; NaN becomes 0 here and stays NaN in the series.
    asm.s().local_get(n).i64_trunc_sat_f64_s().i64_const(1023).i64_add().i64_const(52).i64_shl().f64_reinterpret_i64().f64_mul();
}

/// Pushes ln x, by the series of atanh((m - 1) / (m + 1)) for a mantissa between sqrt(1/2) and sqrt(2).
fn log(asm: &mut Asm, x: Local) {
    let (bits, exponent) = (asm.local(ValType::I64), asm.local(ValType::I64));
    let (m, s2) = (asm.local(ValType::F64), asm.local(ValType::F64));
    let mut s = asm.s();
    s.local_get(x).f64_const(0.0.into()).f64_gt().local_get(x).f64_const(f64::INFINITY.into()).f64_lt().i32_and();
    s.if_(BlockType::Result(ValType::F64));
    // The bits of sqrt(1/2) become a mantissa of 0, so that the exponent is what is left of them.
    let half_root = std::f64::consts::FRAC_1_SQRT_2.to_bits().cast_signed();
    s.local_get(x).i64_reinterpret_f64().i64_const(half_root).i64_sub().local_tee(bits);
    s.i64_const(52).i64_shr_s().local_set(exponent);
    s.local_get(bits).i64_const((1 << 52) - 1).i64_and().i64_const(half_root).i64_add().f64_reinterpret_i64().local_set(m);
    s.local_get(m).f64_const(1.0.into()).f64_sub().local_get(m).f64_const(1.0.into()).f64_add().f64_div().local_tee(m);
    s.local_get(m).f64_mul().local_set(s2);
    let series: Vec<f64> = (0..10u32).map(|k| 2.0 / f64::from(2 * k + 1)).collect();
    polynomial(asm, s2, &series);
    let mut s = asm.s();
    s.local_get(m).f64_mul().local_get(exponent).f64_convert_i64_s().f64_const(std::f64::consts::LN_2.into()).f64_mul().f64_add();
    s.else_();
    // Of infinity infinity, of 0 minus infinity, of what is below or no number none.
    s.local_get(x).f64_const((-1.0).into()).local_get(x).f64_const(0.0.into()).f64_eq().select();
    s.f64_const(f64::INFINITY.into()).f64_mul();
    s.f64_const(f64::NAN.into()).local_get(x).f64_const(0.0.into()).f64_ge().select();
    s.end();
}

/// Pushes sin(x + quadrant * pi / 2).
fn wave(asm: &mut Asm, x: Local, quadrant: i64) {
    let (n, r, r2) = (asm.local(ValType::F64), asm.local(ValType::F64), asm.local(ValType::F64));
    let q = asm.local(ValType::I64);
    let mut s = asm.s();
    s.local_get(x).f64_const(std::f64::consts::FRAC_2_PI.into()).f64_mul().f64_nearest().local_tee(n);
    s.i64_trunc_sat_f64_s().i64_const(quadrant).i64_add().local_set(q);
    s.local_get(x).local_get(n).f64_const(HALF_PI[0].into()).f64_mul().f64_sub();
    s.local_get(n).f64_const(HALF_PI[1].into()).f64_mul().f64_sub().local_tee(r).local_get(r).f64_mul().local_set(r2);
    s.local_get(q).i64_const(1).i64_and().i32_wrap_i64().if_(BlockType::Result(ValType::F64));
    let series = |first: u32| {
        (0..8u32)
            .map(|k| {
                let order = 2 * k + first;
                let factorial: f64 = (1..=order).map(f64::from).product();
                if k % 2 == 0 { 1.0 / factorial } else { -1.0 / factorial }
            })
            .collect::<Vec<f64>>()
    };
    polynomial(asm, r2, &series(0));
    asm.s().else_();
    polynomial(asm, r2, &series(1));
    let mut s = asm.s();
    s.local_get(r).f64_mul().end();
    s.f64_const((-1.0).into()).f64_const(1.0.into()).local_get(q).i64_const(2).i64_and().i32_wrap_i64().select().f64_mul();
}

/// Pushes tanh x = (e^2x - 1) / (e^2x + 1); for small x the difference is written as a series.
fn tanh(asm: &mut Asm, x: Local) {
    let (twice, square) = (asm.local(ValType::F64), asm.local(ValType::F64));
    asm.s().local_get(x).f64_abs().f64_const(0.01.into()).f64_lt().if_(BlockType::Result(ValType::F64));
    asm.s().local_get(x).local_get(x).f64_mul().local_set(square);
    polynomial(asm, square, &[1.0, -1.0 / 3.0, 2.0 / 15.0, -17.0 / 315.0]);
    asm.s().local_get(x).f64_mul().else_();
    asm.s().local_get(x).local_get(x).f64_add().f64_const((-80.0).into()).f64_max().f64_const(80.0.into()).f64_min().local_set(twice);
    exp(asm, twice);
    asm.s().local_tee(twice).f64_const(1.0.into()).f64_sub().local_get(twice).f64_const(1.0.into()).f64_add().f64_div().end();
}

/// Pushes erfc x.
fn erfc(asm: &mut Asm, x: Local) {
    const FIT: [f64; 10] = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let (t, power) = (asm.local(ValType::F64), asm.local(ValType::F64));
    asm.s().f64_const(1.0.into()).local_get(x).f64_abs().f64_const(0.5.into()).f64_mul().f64_const(1.0.into()).f64_add().f64_div();
    asm.s().local_set(t);
    polynomial(asm, t, &FIT);
    asm.s().local_get(x).local_get(x).f64_mul().f64_sub().local_set(power);
    exp(asm, power);
    let mut s = asm.s();
    s.local_get(t).f64_mul().local_tee(t);
    s.f64_const(2.0.into()).local_get(t).f64_sub().local_get(x).f64_const(0.0.into()).f64_ge().select();
}

/// Pushes x^y, where y is the second parameter, as e^(y ln |x|) with the exceptions of C.
fn pow(asm: &mut Asm, x: Local) {
    let [y, size, power] = std::array::from_fn(|_| asm.local(ValType::F64));
    let whole = asm.local(ValType::I32);
    let mut s = asm.s();
    s.local_get(1).f64_promote_f32().local_tee(y).local_get(y).f64_trunc().f64_eq().local_set(whole);
    s.local_get(x).f64_abs().local_set(size);
    log(asm, size);
    asm.s().local_get(y).f64_mul().local_set(power);
    exp(asm, power);
    asm.s().local_set(power);
    let mut s = asm.s();
    // 1 where y is 0 or x is 1, and where the size is 1 and y is infinite.
    s.f64_const(1.0.into()).local_get(power);
    s.local_get(y).f64_const(0.0.into()).f64_eq().local_get(x).f64_const(1.0.into()).f64_eq().i32_or();
    s.local_get(size).f64_const(1.0.into()).f64_eq().local_get(y).f64_abs().f64_const(f64::INFINITY.into()).f64_eq().i32_and().i32_or();
    s.select().local_set(power);
    // The sign of a negative number stays under an odd power; under one that is no whole number there is no result.
    s.local_get(power).f64_neg().local_get(power);
    s.local_get(0).i32_reinterpret_f32().i32_const(0).i32_lt_s().local_get(whole).i32_and();
    s.local_get(y).f64_const(0.5.into()).f64_mul().local_tee(power).local_get(power).f64_trunc().f64_ne().i32_and();
    s.select().local_set(power);
    s.f64_const(f64::NAN.into()).local_get(power);
    s.local_get(x).f64_const(0.0.into()).f64_lt().local_get(whole).i32_eqz().i32_and();
    s.local_get(size).f64_const(f64::INFINITY.into()).f64_lt().i32_and().select();
}
