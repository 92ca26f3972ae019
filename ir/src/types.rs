//! Element types, shapes and tensor types. Quantization is part of a type.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::attr::Quoted;
use crate::quant::Quantization;

/// What one element of a tensor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum ElementType {
    F32,
    F16,
    BF16,
    F64,
    F8E4M3FN,
    F8E5M2,
    I64,
    I32,
    I16,
    I8,
    I4,
    I2,
    U64,
    U32,
    U16,
    U8,
    U4,
    Bool,
    String,
    Complex64,
    Complex128,
    Resource,
    Variant,
}

impl ElementType {
    /// Every element type, in the order of the declaration.
    pub const ALL: [Self; 23] = [
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::F64,
        Self::F8E4M3FN,
        Self::F8E5M2,
        Self::I64,
        Self::I32,
        Self::I16,
        Self::I8,
        Self::I4,
        Self::I2,
        Self::U64,
        Self::U32,
        Self::U16,
        Self::U8,
        Self::U4,
        Self::Bool,
        Self::String,
        Self::Complex64,
        Self::Complex128,
        Self::Resource,
        Self::Variant,
    ];

    /// The name in the text form: `f32`, `i8`, `bool`, ...
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::F64 => "f64",
            Self::F8E4M3FN => "f8e4m3fn",
            Self::F8E5M2 => "f8e5m2",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::I16 => "i16",
            Self::I8 => "i8",
            Self::I4 => "i4",
            Self::I2 => "i2",
            Self::U64 => "u64",
            Self::U32 => "u32",
            Self::U16 => "u16",
            Self::U8 => "u8",
            Self::U4 => "u4",
            Self::Bool => "bool",
            Self::String => "string",
            Self::Complex64 => "complex64",
            Self::Complex128 => "complex128",
            Self::Resource => "resource",
            Self::Variant => "variant",
        }
    }

    /// The type that the text form calls `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|e| e.name() == name)
    }

    /// The name of the NumPy type in which TFLite's interpreter hands a tensor out (`float32`): integers below a byte, and 8-bit floats,
    /// come as bytes.
    #[must_use]
    pub fn numpy_name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F64 => "float64",
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
            Self::I64 => "int64",
            Self::I32 => "int32",
            Self::I16 => "int16",
            Self::I8 | Self::I4 | Self::I2 | Self::F8E4M3FN | Self::F8E5M2 => "int8",
            Self::U64 => "uint64",
            Self::U32 => "uint32",
            Self::U16 => "uint16",
            Self::U8 | Self::U4 => "uint8",
            Self::Bool => "bool",
            Self::Complex64 => "complex64",
            Self::Complex128 => "complex128",
            Self::String => "bytes",
            Self::Resource | Self::Variant => "object",
        }
    }

    /// Bits of one element in a buffer; `None` for types with no fixed-size storage.
    pub fn bits(self) -> Option<usize> {
        Some(match self {
            Self::I2 => 2,
            Self::I4 | Self::U4 => 4,
            Self::I8 | Self::U8 | Self::Bool | Self::F8E4M3FN | Self::F8E5M2 => 8,
            Self::F16 | Self::BF16 | Self::I16 | Self::U16 => 16,
            Self::F32 | Self::I32 | Self::U32 => 32,
            Self::F64 | Self::I64 | Self::U64 | Self::Complex64 => 64,
            Self::Complex128 => 128,
            Self::String | Self::Resource | Self::Variant => return None,
        })
    }

    /// Bytes that `count` elements take (sub-byte types are packed); `None` when the type has no
    /// fixed size or the product overflows.
    pub fn byte_len(self, count: usize) -> Option<usize> {
        let bits = self.bits()?;
        if bits >= 8 { count.checked_mul(bits / 8) } else { count.checked_mul(bits).map(|b| b.div_ceil(8)) }
    }

    /// Whether this is an integer type (booleans are not).
    pub fn is_integer(self) -> bool {
        self.integer_range().is_some()
    }

    /// Whether this is a real floating-point type.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::BF16 | Self::F64 | Self::F8E4M3FN | Self::F8E5M2)
    }

    /// Smallest and largest integer (`u64` saturates at `i64::MAX`); `None` for other types.
    pub fn integer_range(self) -> Option<(i64, i64)> {
        Some(match self {
            Self::I2 => (-2, 1),
            Self::I4 => (-8, 7),
            Self::I8 => (i8::MIN.into(), i8::MAX.into()),
            Self::I16 => (i16::MIN.into(), i16::MAX.into()),
            Self::I32 => (i32::MIN.into(), i32::MAX.into()),
            Self::I64 => (i64::MIN, i64::MAX),
            Self::U4 => (0, 15),
            Self::U8 => (0, u8::MAX.into()),
            Self::U16 => (0, u16::MAX.into()),
            Self::U32 => (0, u32::MAX.into()),
            Self::U64 => (0, i64::MAX),
            Self::F32
            | Self::F16
            | Self::BF16
            | Self::F64
            | Self::F8E4M3FN
            | Self::F8E5M2
            | Self::Bool
            | Self::String
            | Self::Complex64
            | Self::Complex128
            | Self::Resource
            | Self::Variant => return None,
        })
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The extent of a tensor along each axis, outermost first.
///
/// Every axis has a size, which kernels and planners may rely on. An axis may besides be *dynamic*:
/// its size may change when the model is fed (`shape_signature` -1 in TFLite, a symbolic dim in ONNX), and the size
/// that stands here is the nominal one. A tensor of unknown rank (its shape is known only when the model runs) is
/// [`unranked`](Self::unranked).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    dims: Vec<usize>,
    /// Names of dynamic axes; empty when all are static.
    dynamic: Vec<Option<Arc<str>>>,
    ranked: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self::scalar()
    }
}

impl Shape {
    /// A static shape.
    pub fn new(dims: impl Into<Vec<usize>>) -> Self {
        Self { dims: dims.into(), dynamic: Vec::new(), ranked: true }
    }

    /// The shape of a scalar: no axes, one element.
    pub fn scalar() -> Self {
        Self::new([])
    }

    /// A shape of which nothing is known before the model runs.
    pub fn unranked() -> Self {
        Self { dims: Vec::new(), dynamic: Vec::new(), ranked: false }
    }

    /// The same sizes with axis `axis` marked dynamic under `name` (`"?"` when the source gives none).
    #[must_use]
    pub fn with_dynamic(mut self, axis: usize, name: &str) -> Self {
        if axis < self.dims.len() {
            self.dynamic.resize(self.dims.len(), None);
            self.dynamic[axis] = Some(name.into());
        }
        self
    }

    /// Nominal sizes, outermost axis first.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.dims.len()
    }

    /// Whether the rank is known.
    pub fn is_ranked(&self) -> bool {
        self.ranked
    }

    /// The name of a dynamic axis, `None` for a static one.
    pub fn dynamic(&self, axis: usize) -> Option<&str> {
        self.dynamic.get(axis)?.as_deref()
    }

    /// Whether some axis is dynamic or the rank is unknown.
    pub fn is_dynamic(&self) -> bool {
        !self.ranked || self.dynamic.iter().any(Option::is_some)
    }

    /// Number of elements; `None` when the product overflows.
    pub fn checked_elements(&self) -> Option<usize> {
        // A zero anywhere makes the tensor empty, whatever the other sizes multiply to.
        if self.dims.contains(&0) {
            return Some(0);
        }
        self.dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
    }

    /// Number of elements, saturating; verified types never saturate.
    pub fn elements(&self) -> usize {
        self.checked_elements().unwrap_or(usize::MAX)
    }

    /// The same shape with nothing dynamic: what kernels see.
    #[must_use]
    pub fn to_static(&self) -> Self {
        Self::new(self.dims.clone())
    }

    /// Row-major strides in elements.
    pub fn strides(&self) -> Vec<usize> {
        let mut strides = vec![1usize; self.rank()];
        for axis in (1..self.rank()).rev() {
            strides[axis - 1] = strides[axis].saturating_mul(self.dims[axis]);
        }
        strides
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Self {
        Self::new(dims.to_vec())
    }
}

impl From<Vec<usize>> for Shape {
    fn from(dims: Vec<usize>) -> Self {
        Self::new(dims)
    }
}

impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Self {
        Self::new(dims.to_vec())
    }
}

impl fmt::Display for Shape {
    /// `1x28x28x1`; a dynamic axis is `batch:1` or `?:1`; an unknown rank is `*`; a scalar prints nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.ranked {
            return f.write_str("*");
        }
        for (axis, dim) in self.dims.iter().enumerate() {
            if axis > 0 {
                f.write_str("x")?;
            }
            match self.dynamic(axis) {
                Some("?") => write!(f, "?:{dim}")?,
                Some(name) => write!(f, "{}:{dim}", Quoted(name))?,
                None => write!(f, "{dim}")?,
            }
        }
        Ok(())
    }
}

/// The type of a value: element type, shape, and quantization if the elements stand for real numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Type {
    /// What an element is.
    pub elem: ElementType,
    /// Sizes per axis.
    pub shape: Shape,
    /// How integers stand for reals; `None` for plain numbers.
    pub quant: Option<Arc<Quantization>>,
}

impl Type {
    /// A type without quantization.
    pub fn new(elem: ElementType, shape: impl Into<Shape>) -> Self {
        Self { elem, shape: shape.into(), quant: None }
    }

    /// An `f32` tensor.
    pub fn f32(shape: impl Into<Shape>) -> Self {
        Self::new(ElementType::F32, shape)
    }

    /// An `i32` tensor.
    pub fn i32(shape: impl Into<Shape>) -> Self {
        Self::new(ElementType::I32, shape)
    }

    /// A tensor of quantized integers.
    pub fn quantized(elem: ElementType, shape: impl Into<Shape>, quant: impl Into<Arc<Quantization>>) -> Self {
        Self { elem, shape: shape.into(), quant: Some(quant.into()) }
    }

    /// The same type with another quantization.
    #[must_use]
    pub fn with_quant(mut self, quant: Option<Arc<Quantization>>) -> Self {
        self.quant = quant;
        self
    }

    /// The same type with another shape.
    #[must_use]
    pub fn with_shape(mut self, shape: impl Into<Shape>) -> Self {
        self.shape = shape.into();
        self
    }

    /// Whether the elements are integers that stand for reals.
    pub fn is_quantized(&self) -> bool {
        self.quant.is_some() && self.elem.is_integer()
    }

    /// Bytes of the whole tensor; `None` when it has no fixed size.
    pub fn byte_len(&self) -> Option<usize> {
        self.elem.byte_len(self.shape.checked_elements()?)
    }

    /// Scale and zero point of a per-tensor quantized type.
    pub fn scale_zero_point(&self) -> Option<(f32, i64)> {
        self.quant.as_ref()?.per_tensor()
    }
}

impl fmt::Display for Type {
    /// `1x28x28x1 f32`, or quantized: `1x28x28x1 !q<i8, 0.003921569:-128>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.shape.is_ranked() || self.shape.rank() > 0 {
            write!(f, "{} ", self.shape)?;
        }
        match &self.quant {
            None => write!(f, "{}", self.elem),
            Some(quant) => quant.fmt_with(self.elem, f),
        }
    }
}
