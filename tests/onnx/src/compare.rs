//! ONNX's own judgement of a result: element type and shape exact, numbers within its tolerances.

use octet::Tensor;
use octet::ir::ElementType;

const RELATIVE: f64 = 1e-3;
const ABSOLUTE: f64 = 1e-7;

/// Whether `found` is `expected`.
///
/// # Errors
/// How they differ.
pub(crate) fn same(expected: &Tensor, found: &Tensor) -> Result<(), String> {
    if expected.elem != found.elem || expected.shape != found.shape {
        let shown = |t: &Tensor| format!("{:?} {}", t.shape, t.elem.name());
        return Err(format!("expected {}, found {}", shown(expected), shown(found)));
    }
    if expected.bytes == found.bytes {
        return Ok(());
    }
    let (Some(a), Some(b)) = (numbers(expected), numbers(found)) else { return Err("bytes differ".into()) };
    let differs = |&(_, (a, b)): &(usize, (&f64, &f64))| !close(*a, *b);
    let mut different = a.iter().zip(&b).enumerate().filter(differs);
    let Some((at, (x, y))) = different.next() else { return Ok(()) };
    let count = 1 + different.count();
    Err(format!("{count} of {} elements differ, first at {at}: expected {x}, found {y}", a.len()))
}

#[expect(clippy::float_cmp, reason = "infinities are equal or not")]
fn close(expected: f64, found: f64) -> bool {
    expected == found || (expected.is_nan() && found.is_nan()) || (expected - found).abs() <= ABSOLUTE + RELATIVE * expected.abs()
}

fn numbers(tensor: &Tensor) -> Option<Vec<f64>> {
    fn all<const N: usize>(bytes: &[u8], to: fn([u8; N]) -> f64) -> Vec<f64> {
        bytes.as_chunks().0.iter().map(|c| to(*c)).collect()
    }
    let bytes = &tensor.bytes;
    Some(match tensor.elem {
        ElementType::F32 => all(bytes, |b| f64::from(f32::from_le_bytes(b))),
        ElementType::F64 => all(bytes, f64::from_le_bytes),
        ElementType::F16 => all(bytes, |b| half(u16::from_le_bytes(b), 5)),
        ElementType::BF16 => all(bytes, |b| half(u16::from_le_bytes(b), 8)),
        ElementType::I8 => all(bytes, |b| f64::from(i8::from_le_bytes(b))),
        ElementType::U8 => all(bytes, |b| f64::from(u8::from_le_bytes(b))),
        ElementType::I16 => all(bytes, |b| f64::from(i16::from_le_bytes(b))),
        ElementType::U16 => all(bytes, |b| f64::from(u16::from_le_bytes(b))),
        ElementType::I32 => all(bytes, |b| f64::from(i32::from_le_bytes(b))),
        ElementType::U32 => all(bytes, |b| f64::from(u32::from_le_bytes(b))),
        _ => return None,
    })
}

/// A 16-bit float with this many bits of exponent.
fn half(bits: u16, exponent_bits: u32) -> f64 {
    let mantissa_bits = 15 - exponent_bits;
    let exponent = (bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
    let mantissa = f64::from(bits & ((1 << mantissa_bits) - 1)) / f64::from(1u32 << mantissa_bits);
    let bias = (1 << (exponent_bits - 1)) - 1;
    let size = match i32::from(exponent) {
        0 => mantissa * 2f64.powi(1 - bias),
        e if e == (1 << exponent_bits) - 1 => {
            if mantissa == 0.0 {
                f64::INFINITY
            } else {
                f64::NAN
            }
        }
        e => (1.0 + mantissa) * 2f64.powi(e - bias),
    };
    if bits >> 15 == 1 { -size } else { size }
}
