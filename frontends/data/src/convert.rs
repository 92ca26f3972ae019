//! Values of one type as values of another, never losing anything in silence.
#![cfg_attr(
    not(test),
    expect(clippy::as_conversions, reason = "conversions between number types, each checked or exact as its comment says")
)]

use half::{bf16, f16};
use octet_ir::ElementType;
use octet_ir::arith::{Affine, quantize_saturating};

use crate::input::{Feed, Input};
use crate::preprocess::Preprocess;

/// A value that cannot be converted: which one, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    pub(crate) code: &'static str,
    pub(crate) position: usize,
    pub(crate) message: String,
}

/// How the elements of one array become those of an input.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    from: ElementType,
    to: ElementType,
    steps: Steps,
    /// The elements are these quantized integers, and stand for the real numbers that the steps begin with.
    stored: Option<(ElementType, Affine)>,
}

#[derive(Clone, Debug)]
enum Steps {
    /// The bytes as they are; floats are checked.
    Copy,
    /// Integers and booleans to an integer type, checked.
    Integer,
    /// Any real number to `f64`.
    Double,
    /// Any real number through `f32`: preprocessing, then rounding to the type or quantization.
    Real { preprocess: Option<Preprocess>, channels: usize, affine: Option<Affine> },
}

impl Plan {
    /// Decides how; the error is a sentence on why not. `channels` is the size of the innermost axis of a sample.
    pub(crate) fn new(
        from: ElementType,
        input: &Input,
        preprocess: Option<&Preprocess>,
        channels: usize,
        feed: Feed,
    ) -> Result<Self, (&'static str, String)> {
        let to = input.elem;
        let preprocess = preprocess.filter(|p| p.changes_values());
        let complex = |e| matches!(e, ElementType::Complex64 | ElementType::Complex128);
        if complex(from) || complex(to) {
            return if from == to && preprocess.is_none() {
                Ok(Self { from, to, steps: Steps::Copy, stored: None })
            } else {
                Err(("DAT012", format!("{from} data do not fit the type {to}")))
            };
        }
        if let Some(p) = preprocess
            && p.channels() > 1
            && p.channels() != channels
        {
            let message = format!("preprocessing has {} values, the innermost axis has {channels} entries", p.channels());
            return Err(("DAT031", message));
        }
        let real = |affine| Steps::Real { preprocess: preprocess.cloned(), channels: channels.max(1), affine };
        let steps = match (to, input.quant) {
            (ElementType::F64, _) if preprocess.is_none() => Steps::Double,
            (ElementType::F32 | ElementType::F16 | ElementType::BF16, _) if from == to && preprocess.is_none() => Steps::Copy,
            (ElementType::F32 | ElementType::F16 | ElementType::BF16 | ElementType::F64, _) => real(None),
            (_, Some(_)) if from == to && preprocess.is_none() && feed != Feed::RealOnly => Steps::Copy,
            (ElementType::I8 | ElementType::U8 | ElementType::I16, Some((scale, zero_point)))
                if preprocess.is_some() || feed != Feed::Raw =>
            {
                // A zero point that does not fit is no valid type.
                let zero_point = i32::try_from(zero_point).map_err(|_| ("DAT012", format!("a zero point of {zero_point}")))?;
                real(Some(Affine { scale, zero_point }))
            }
            (_, Some(_)) => return Err(("DAT012", format!("{from} data for an input of quantized {to} integers"))),
            _ if preprocess.is_some() => {
                return Err(("DAT031", format!("preprocessing makes real numbers, the input takes {to} without a scale")));
            }
            _ if from.is_float() => return Err(("DAT012", format!("{from} data for an input of type {to}"))),
            (
                ElementType::I64
                | ElementType::I32
                | ElementType::I16
                | ElementType::I8
                | ElementType::U64
                | ElementType::U32
                | ElementType::U16
                | ElementType::U8
                | ElementType::Bool,
                None,
            ) => {
                if from == to {
                    Steps::Copy
                } else {
                    Steps::Integer
                }
            }
            _ => return Err(("DAT012", format!("no data file feeds an input of type {to}"))),
        };
        Ok(Self { from, to, steps, stored: None })
    }

    /// A plan for `f32` that takes quantized integers of this type instead, for the real numbers that they stand for.
    pub(crate) fn dequantizing(self, stored: ElementType, affine: Affine) -> Self {
        Self { stored: Some((stored, affine)), ..self }
    }

    /// Whether plain integers, such as pixels, are taken for the real numbers of the same value.
    pub(crate) fn takes_integers_for_reals(&self) -> bool {
        self.stored.is_none() && self.from.is_integer() && matches!(self.steps, Steps::Real { .. } | Steps::Double)
    }

    /// Whether floats are rounded to a narrower type that the user did not ask for.
    pub(crate) fn rounds(&self) -> bool {
        let width = |e: ElementType| e.bits().unwrap_or(0);
        self.stored.is_none()
            && matches!(self.steps, Steps::Real { .. })
            && self.from.is_float()
            && self.to.is_float()
            && width(self.from) > width(self.to)
    }

    /// The elements of `bytes` (little-endian, of the stored type) as bytes of the input's type.
    pub(crate) fn convert(&self, bytes: &[u8]) -> Result<Vec<u8>, Misfit> {
        match self.stored {
            Some((elem, affine)) => {
                // In f64 and rounded to f32, as DEQUANTIZE does.
                let real = |q: f64| ((q - f64::from(affine.zero_point)) * f64::from(affine.scale)) as f32;
                let reals: Vec<f32> = to_f64(elem, bytes)?.into_iter().map(real).collect();
                self.convert_stored(&le_bytes(&reals))
            }
            None => self.convert_stored(bytes),
        }
    }

    fn convert_stored(&self, bytes: &[u8]) -> Result<Vec<u8>, Misfit> {
        match &self.steps {
            Steps::Copy => {
                if self.from.is_float() {
                    finite(&to_f32(self.from, bytes)?)?;
                }
                Ok(bytes.to_vec())
            }
            Steps::Integer => integers(self.from, bytes, self.to),
            Steps::Double => {
                let values = to_f64(self.from, bytes)?;
                if let Some(position) = values.iter().position(|v| !v.is_finite()) {
                    return Err(not_finite(position, values.get(position).copied().unwrap_or_default()));
                }
                Ok(values.iter().flat_map(|v| v.to_le_bytes()).collect())
            }
            Steps::Real { preprocess, channels, affine } => {
                let mut values = to_f32(self.from, bytes)?;
                finite(&values)?;
                if let Some(preprocess) = preprocess {
                    preprocess.apply_all(&mut values, *channels);
                    finite(&values)?;
                }
                self.finish(&values, *affine)
            }
        }
    }

    fn finish(&self, values: &[f32], affine: Option<Affine>) -> Result<Vec<u8>, Misfit> {
        let quantized = |affine, min, max| values.iter().map(move |v| quantize_saturating(*v, affine, min, max));
        Ok(match (self.to, affine) {
            (ElementType::I8, Some(a)) => quantized(a, i8::MIN.into(), i8::MAX.into()).map(|q| (q as i8).to_le_bytes()[0]).collect(),
            (ElementType::U8, Some(a)) => quantized(a, 0, u8::MAX.into()).map(|q| q as u8).collect(),
            (ElementType::I16, Some(a)) => quantized(a, i16::MIN.into(), i16::MAX.into()).flat_map(|q| (q as i16).to_le_bytes()).collect(),
            (ElementType::F16, _) => {
                let out: Vec<f16> = values.iter().map(|v| f16::from_f32(*v)).collect();
                overflow(values, out.iter().map(|v| v.is_finite()), self.to)?;
                out.iter().flat_map(|v| v.to_le_bytes()).collect()
            }
            (ElementType::BF16, _) => {
                let out: Vec<bf16> = values.iter().map(|v| bf16::from_f32(*v)).collect();
                overflow(values, out.iter().map(|v| v.is_finite()), self.to)?;
                out.iter().flat_map(|v| v.to_le_bytes()).collect()
            }
            (ElementType::F64, _) => values.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect(),
            _ => le_bytes(values),
        })
    }
}

/// The bytes of floats, little-endian.
fn le_bytes(values: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; size_of_val(values)];
    for (to, value) in bytes.as_chunks_mut().0.iter_mut().zip(values) {
        *to = value.to_le_bytes();
    }
    bytes
}

fn overflow(values: &[f32], mut finite: impl Iterator<Item = bool>, to: ElementType) -> Result<(), Misfit> {
    match finite.position(|f| !f) {
        Some(position) => {
            let value = values.get(position).copied().unwrap_or_default();
            Err(Misfit { code: "DAT012", position, message: format!("{value} is beyond the range of {to}") })
        }
        None => Ok(()),
    }
}

fn not_finite(position: usize, value: f64) -> Misfit {
    Misfit { code: "DAT013", position, message: format!("the data hold {}", if value.is_nan() { "NaN" } else { "an infinity" }) }
}

fn finite(values: &[f32]) -> Result<(), Misfit> {
    // Without a way out of the loop the compiler vectorises it.
    if values.iter().fold(true, |all, v| all & v.is_finite()) {
        return Ok(());
    }
    match values.iter().position(|v| !v.is_finite()) {
        Some(position) => Err(not_finite(position, values.get(position).copied().unwrap_or_default().into())),
        None => Ok(()),
    }
}

/// Calls `f` with the elements of `bytes` read by `read`.
fn each<const N: usize, T, U>(bytes: &[u8], read: impl Fn([u8; N]) -> T, f: impl Fn(T) -> U) -> Vec<U> {
    bytes.as_chunks().0.iter().map(|c| f(read(*c))).collect()
}

/// 64-bit integers as doubles, which must be exact.
fn exact<T: Copy + Into<i128>>(integers: &[T]) -> Result<Vec<f64>, Misfit> {
    let wide = integers.iter().map(|v| (*v).into());
    match wide.clone().position(|v: i128| (v as f64) as i128 != v) {
        Some(position) => {
            let value = wide.clone().nth(position).unwrap_or_default();
            Err(Misfit { code: "DAT012", position, message: format!("{value} has no exact float") })
        }
        None => Ok(wide.map(|v| v as f64).collect()),
    }
}

fn to_f64(from: ElementType, bytes: &[u8]) -> Result<Vec<f64>, Misfit> {
    Ok(match from {
        ElementType::F64 => each(bytes, f64::from_le_bytes, |v| v),
        ElementType::I64 => exact(&each(bytes, i64::from_le_bytes, |v| v))?,
        ElementType::U64 => exact(&each(bytes, u64::from_le_bytes, |v| v))?,
        ElementType::I32 => each(bytes, i32::from_le_bytes, f64::from),
        ElementType::U32 => each(bytes, u32::from_le_bytes, f64::from),
        ElementType::I16 => each(bytes, i16::from_le_bytes, f64::from),
        ElementType::U16 => each(bytes, u16::from_le_bytes, f64::from),
        ElementType::I8 => each(bytes, i8::from_le_bytes, f64::from),
        ElementType::U8 | ElementType::Bool => each(bytes, u8::from_le_bytes, f64::from),
        ElementType::F16 => each(bytes, f16::from_le_bytes, f64::from),
        ElementType::BF16 => each(bytes, bf16::from_le_bytes, f64::from),
        // `npy` reads no other type.
        _ => each(bytes, f32::from_le_bytes, f64::from),
    })
}

/// Elements as `f32`. An integer or double that `f32` cannot hold: integers must be exact, doubles round but must not overflow.
fn to_f32(from: ElementType, bytes: &[u8]) -> Result<Vec<f32>, Misfit> {
    let wide: Vec<f64> = match from {
        ElementType::F32 => return Ok(each(bytes, f32::from_le_bytes, |v| v)),
        ElementType::U8 | ElementType::Bool => return Ok(each(bytes, u8::from_le_bytes, f32::from)),
        ElementType::I8 => return Ok(each(bytes, i8::from_le_bytes, f32::from)),
        ElementType::I16 => return Ok(each(bytes, i16::from_le_bytes, f32::from)),
        ElementType::U16 => return Ok(each(bytes, u16::from_le_bytes, f32::from)),
        ElementType::F16 => return Ok(each(bytes, f16::from_le_bytes, f32::from)),
        ElementType::BF16 => return Ok(each(bytes, bf16::from_le_bytes, f32::from)),
        _ => to_f64(from, bytes)?,
    };
    let narrow: Vec<f32> = wide.iter().map(|v| *v as f32).collect();
    let lost = |(w, n): (&f64, &f32)| if from.is_float() { w.is_finite() && !n.is_finite() } else { f64::from(*n) != *w };
    if let Some(position) = wide.iter().zip(&narrow).position(lost) {
        let value = wide.get(position).copied().unwrap_or_default();
        return Err(Misfit { code: "DAT012", position, message: format!("{value} has no exact float32") });
    }
    Ok(narrow)
}

fn integers(from: ElementType, bytes: &[u8], to: ElementType) -> Result<Vec<u8>, Misfit> {
    let values: Vec<i128> = match from {
        ElementType::I64 => each(bytes, i64::from_le_bytes, i128::from),
        ElementType::U64 => each(bytes, u64::from_le_bytes, i128::from),
        ElementType::I32 => each(bytes, i32::from_le_bytes, i128::from),
        ElementType::U32 => each(bytes, u32::from_le_bytes, i128::from),
        ElementType::I16 => each(bytes, i16::from_le_bytes, i128::from),
        ElementType::U16 => each(bytes, u16::from_le_bytes, i128::from),
        ElementType::I8 => each(bytes, i8::from_le_bytes, i128::from),
        _ => each(bytes, u8::from_le_bytes, i128::from),
    };
    let (min, max) = match to {
        ElementType::U64 => (0, i128::from(u64::MAX)),
        ElementType::Bool => (0, 1),
        _ => to.integer_range().map_or((0, 0), |(a, b)| (a.into(), b.into())),
    };
    if let Some(position) = values.iter().position(|v| *v < min || *v > max) {
        let value = values.get(position).copied().unwrap_or_default();
        return Err(Misfit { code: "DAT012", position, message: format!("{value} does not fit the type {to}") });
    }
    let size = to.byte_len(1).unwrap_or(1);
    // In range, so the low bytes are the number.
    Ok(values.iter().flat_map(|v| v.to_le_bytes().into_iter().take(size)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(elem: ElementType, quant: Option<(f32, i64)>) -> Input {
        Input { name: "x".into(), aliases: vec![], elem, quant, shape: vec![None], batch: 1 }
    }

    fn plan(
        from: ElementType,
        to: ElementType,
        quant: Option<(f32, i64)>,
        preprocess: &str,
        feed: Feed,
    ) -> Result<Plan, (&'static str, String)> {
        let preprocess: Option<Preprocess> = (!preprocess.is_empty()).then(|| preprocess.parse().unwrap());
        Plan::new(from, &input(to, quant), preprocess.as_ref(), 1, feed)
    }

    #[test]
    fn floats() {
        use ElementType::*;
        let p = plan(U8, F32, None, "scale=1/255", Feed::Raw).unwrap();
        assert_eq!(p.convert(&[0, 51, 255]).unwrap(), [0f32, 0.2, 1.0].map(f32::to_le_bytes).concat());
        let p = plan(F64, F32, None, "", Feed::Raw).unwrap();
        assert!(p.rounds());
        assert_eq!(p.convert(&0.1f64.to_le_bytes()).unwrap(), 0.1f32.to_le_bytes());
        assert_eq!(p.convert(&1e300f64.to_le_bytes()).unwrap_err().code, "DAT012");
        let p = plan(I32, F32, None, "", Feed::Raw).unwrap();
        assert_eq!(p.convert(&16_777_216i32.to_le_bytes()).unwrap(), 16_777_216f32.to_le_bytes());
        assert_eq!(p.convert(&16_777_217i32.to_le_bytes()).unwrap_err().code, "DAT012");
        assert_eq!(plan(I64, F32, None, "", Feed::Raw).unwrap().convert(&(i64::MAX).to_le_bytes()).unwrap_err().code, "DAT012");
        let p = plan(F32, F32, None, "", Feed::Raw).unwrap();
        assert_eq!(p.convert(&[1.0, f32::NAN].map(f32::to_le_bytes).concat()).unwrap_err(), not_finite(1, f64::NAN));
        assert_eq!(plan(F32, F16, None, "", Feed::Raw).unwrap().convert(&1e6f32.to_le_bytes()).unwrap_err().code, "DAT012");
    }

    #[test]
    fn quantized_inputs() {
        use ElementType::*;
        let quant = Some((0.5, -3));
        assert_eq!(plan(I8, I8, quant, "", Feed::Real).unwrap().convert(&[5]).unwrap(), [5]);
        assert_eq!(plan(I8, I8, quant, "", Feed::RealOnly).unwrap().convert(&[5]).unwrap(), [7]);
        assert_eq!(plan(F32, I8, quant, "", Feed::Raw).unwrap_err().0, "DAT012");
        let p = plan(F32, I8, quant, "", Feed::Real).unwrap();
        assert_eq!(p.convert(&[0.25f32, -1e9].map(f32::to_le_bytes).concat()).unwrap(), [254, 128]);
        assert_eq!(plan(U8, I8, quant, "", Feed::Raw).unwrap_err().0, "DAT012");
        assert_eq!(plan(U8, I8, quant, "scale=0.5", Feed::Raw).unwrap().convert(&[6]).unwrap(), [3]);
    }

    #[test]
    fn integers_of_another_scale() {
        use ElementType::*;
        let affine = Affine { scale: 0.5, zero_point: -3 };
        let own = plan(F32, U8, Some((0.25, 10)), "", Feed::RealOnly).unwrap().dequantizing(I8, affine);
        assert_eq!(own.convert(&[-3i8, 1, 127].map(i8::to_le_bytes).concat()).unwrap(), [10, 18, 255]);
        let float = plan(F32, F32, None, "", Feed::RealOnly).unwrap().dequantizing(I8, affine);
        assert_eq!(float.convert(&[1]).unwrap(), 2f32.to_le_bytes());
    }

    #[test]
    fn integer_inputs() {
        use ElementType::*;
        let p = plan(I64, I32, None, "", Feed::Raw).unwrap();
        assert_eq!(p.convert(&(-7i64).to_le_bytes()).unwrap(), (-7i32).to_le_bytes());
        assert_eq!(p.convert(&(1i64 << 31).to_le_bytes()).unwrap_err().code, "DAT012");
        assert_eq!(plan(F32, I32, None, "", Feed::Real).unwrap_err().0, "DAT012");
        assert_eq!(plan(I32, I32, None, "scale=2", Feed::Raw).unwrap_err().0, "DAT031");
        assert_eq!(plan(U8, Bool, None, "", Feed::Raw).unwrap().convert(&[2]).unwrap_err().code, "DAT012");
    }
}
