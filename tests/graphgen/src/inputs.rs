//! Data for inputs and constants: whole ranges, edges included, and floats of which results stay comparable.

use octet_ir::{Constant, ElementType, Granularity, Module, Type};

use crate::build::{FLOAT_RANGE, INTEGER_RANGE};
use crate::random::Random;

/// One constant for each input of the main graph.
///
/// Quantized and byte inputs take their whole storage range with its ends and the zero point often; floats lie within the input's
/// range (-4 to 4 where it has none), with its ends, zeros and ties often, and are never denormal; integers lie within the input's range
/// (-100 to 100 where it has none).
pub fn random_inputs(module: &Module, seed: u64) -> Vec<Constant> {
    let mut random = Random::new(seed ^ 0x5eed_da7a);
    let graph = module.main();
    let inputs = graph.inputs().iter().map(|&input| {
        let value = graph.value(input);
        let usual = match value.ty().elem {
            ElementType::I32 | ElementType::I64 => INTEGER_RANGE,
            _ => FLOAT_RANGE,
        };
        let range = value.range().and_then(octet_ir::Range::bounds).unwrap_or(usual);
        random_constant(&mut random, value.ty(), range)
    });
    inputs.collect()
}

/// A constant of this type. Floats and plain integers lie within `range`; everything that is quantized takes its whole storage range, but
/// per-axis and blockwise types (weights) stay symmetric.
pub fn random_constant(random: &mut Random, ty: &Type, range: (f32, f32)) -> Constant {
    let count = ty.shape.elements();
    let weights = ty.quant.as_ref().is_some_and(|q| q.granularity() != Granularity::PerTensor);
    let zero_point = ty.scale_zero_point().map_or(0, |(_, z)| z);
    // Integers of a range; the largest float that is an i64 is no i64 itself, so sixty-two bits must do.
    #[expect(clippy::cast_possible_truncation, reason = "floats saturate")]
    let (first, last) = (range.0.ceil() as i64, (range.1.floor() as i64).min(1 << 62));
    let plain = (first, last.max(first));
    let storage = |elem: ElementType| match elem.integer_range() {
        Some((low, high)) if weights => (low.max(-high), high),
        Some(range) => range,
        None => (0, 1),
    };
    let edge = |random: &mut Random, (low, high): (i64, i64)| match random.below(20) {
        0 => low,
        1 => high,
        2 => zero_point.clamp(low, high),
        _ => random.integer(low, high),
    };
    let mut bytes = Vec::new();
    match ty.elem {
        ElementType::F32 => (0..count).for_each(|_| bytes.extend(float(random, range).to_le_bytes())),
        ElementType::F64 => (0..count).for_each(|_| bytes.extend(f64::from(float(random, range)).to_le_bytes())),
        ElementType::Complex64 => (0..2 * count).for_each(|_| bytes.extend(float(random, range).to_le_bytes())),
        ElementType::Complex128 => (0..2 * count).for_each(|_| bytes.extend(f64::from(float(random, range)).to_le_bytes())),
        // Exponents around one, any sign and mantissa.
        ElementType::F16 => (0..count).for_each(|_| bytes.extend(half_bits(random, 11, 19, 10).to_le_bytes())),
        ElementType::BF16 => (0..count).for_each(|_| bytes.extend(half_bits(random, 123, 131, 7).to_le_bytes())),
        // Eight bits of which every exponent but the largest is a number.
        ElementType::F8E4M3FN | ElementType::F8E5M2 => (0..count).for_each(|_| bytes.push(low_bytes(random.integer(0, 0x77), 1)[0])),
        ElementType::Bool => (0..count).for_each(|_| bytes.push(u8::from(random.chance(50)))),
        ElementType::I32 if ty.quant.is_none() => (0..count).for_each(|_| bytes.extend(low_bytes(edge(random, plain), 4))),
        ElementType::I64 if ty.quant.is_none() => (0..count).for_each(|_| bytes.extend(low_bytes(edge(random, plain), 8))),
        ElementType::I32 | ElementType::I64 => {
            // Biases: far from where an accumulator saturates.
            let width = ty.elem.bits().unwrap_or(32) / 8;
            (0..count).for_each(|_| bytes.extend(low_bytes(random.integer(-20_000, 20_000), width)));
        }
        ElementType::I8 | ElementType::U8 | ElementType::I16 | ElementType::U16 | ElementType::U32 | ElementType::U64 => {
            let width = ty.elem.bits().unwrap_or(8) / 8;
            let range = storage(ty.elem);
            (0..count).for_each(|_| bytes.extend(low_bytes(edge(random, range), width)));
        }
        ElementType::I4 | ElementType::U4 | ElementType::I2 => {
            let bits = ty.elem.bits().unwrap_or(4);
            let range = storage(ty.elem);
            bytes = vec![0; ty.elem.byte_len(count).unwrap_or(0)];
            for index in 0..count {
                let value = low_bytes(random.integer(range.0, range.1), 1)[0] & ((1 << bits) - 1);
                bytes[index * bits / 8] |= value << (index * bits % 8);
            }
        }
        // No fixed size: nothing feeds them.
        ElementType::String | ElementType::Resource | ElementType::Variant => {}
    }
    Constant::new(bytes)
}

fn low_bytes(value: i64, width: usize) -> Vec<u8> {
    value.to_le_bytes()[..width].to_vec()
}

fn half_bits(random: &mut Random, low: usize, high: usize, mantissa: u32) -> u16 {
    let parts = (random.below(2) << 15) | (random.between(low, high) << mantissa) | random.below(1 << mantissa);
    u16::try_from(parts).unwrap_or(0)
}

/// A float within a range: mostly anywhere, sometimes at an edge. Never denormal: what runtimes do with those depends on the processor.
fn float(random: &mut Random, (low, high): (f32, f32)) -> f32 {
    let value = match random.below(24) {
        0 => low,
        1 => high,
        2 => 0.0,
        3 => -0.0,
        4 => 1.0,
        5 => -1.0,
        6 => random.float(low, high).round() + 0.5,
        7 => random.float(low, high).round(),
        _ => random.float(low, high),
    };
    let value = value.max(low).min(high);
    if value.is_subnormal() { 0.0 } else { value }
}
