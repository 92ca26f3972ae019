//! What the elements of a tensor are for a kernel: the element type, and whether integers stand for reals.

use octet_ir::{ElementType, Quantization, Type};

/// Kinds of tensors that kernels tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Floats.
    F32,
    /// Quantized signed bytes.
    I8,
    /// Quantized unsigned bytes.
    U8,
    /// Quantized 16-bit integers, symmetric.
    I16,
    /// Plain integers.
    I32,
    /// Plain wide integers.
    I64,
    /// Booleans.
    Bool,
}

impl Kind {
    /// Every kind with its letter in the table of support.
    pub const ALL: [(char, Self); 7] =
        [('f', Self::F32), ('b', Self::I8), ('u', Self::U8), ('h', Self::I16), ('i', Self::I32), ('l', Self::I64), ('o', Self::Bool)];

    /// The kind of a type, if it has one.
    pub fn of(ty: &Type) -> Option<Self> {
        let per_tensor = ty.scale_zero_point().is_some();
        Some(match (ty.elem, &ty.quant) {
            (ElementType::F32, None) => Self::F32,
            (ElementType::I8, Some(_)) if per_tensor => Self::I8,
            (ElementType::U8, Some(_)) if per_tensor => Self::U8,
            (ElementType::I16, Some(_)) if per_tensor => Self::I16,
            (ElementType::I32, None) => Self::I32,
            (ElementType::I64, None) => Self::I64,
            (ElementType::Bool, None) => Self::Bool,
            _ => return None,
        })
    }

    /// The element type.
    pub fn elem(self) -> ElementType {
        match self {
            Self::F32 => ElementType::F32,
            Self::I8 => ElementType::I8,
            Self::U8 => ElementType::U8,
            Self::I16 => ElementType::I16,
            Self::I32 => ElementType::I32,
            Self::I64 => ElementType::I64,
            Self::Bool => ElementType::Bool,
        }
    }

    /// Whether integers stand for reals.
    pub fn is_quantized(self) -> bool {
        matches!(self, Self::I8 | Self::U8 | Self::I16)
    }

    /// Quantization of this kind that covers the reals from `low` to `high` and holds zero exactly; `None` for kinds without.
    pub fn quantization(self, low: f32, high: f32) -> Option<Quantization> {
        let (low, high) = (low.min(0.0), high.max(0.0));
        let (first, last) = match self {
            Self::I8 => (-128, 127),
            Self::U8 => (0, 255),
            Self::I16 => {
                let scale = low.abs().max(high).max(1e-6) / 32767.0;
                return Some(Quantization::new(scale, 0));
            }
            Self::F32 | Self::I32 | Self::I64 | Self::Bool => return None,
        };
        let scale = (high - low).max(1e-6) / 255.0;
        #[expect(clippy::cast_possible_truncation, reason = "a number of steps below 256")]
        let steps = (-low / scale).round() as i64;
        Some(Quantization::new(scale, (first + steps).clamp(first, last)))
    }
}

/// The reals that a per-tensor quantized type can say.
pub(crate) fn quantized_range(ty: &Type) -> Option<(f32, f32)> {
    let (scale, zero_point) = ty.scale_zero_point()?;
    let (low, high) = ty.elem.integer_range()?;
    #[expect(clippy::cast_precision_loss, reason = "storage of at most 16 bits")]
    let real = |q: i64| (q - zero_point) as f32 * scale;
    Some((real(low), real(high)))
}
