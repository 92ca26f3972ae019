//! Constant bytes, shared and possibly backed by a memory map.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Bytes that serialize as one attribute (custom options, for example).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Blob(pub Bytes);

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}

impl Serialize for Blob {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Blob;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(Bytes::copy_from_slice(bytes)))
            }
            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Blob, E> {
                Ok(Blob(bytes.into()))
            }
        }
        deserializer.deserialize_byte_buf(Visitor)
    }
}

/// The little-endian, row-major bytes of a constant tensor. Cloning shares them.
#[derive(Clone, PartialEq, Eq)]
pub struct Constant {
    bytes: Bytes,
}

impl fmt::Debug for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Constant({} bytes)", self.bytes.len())
    }
}

macro_rules! typed {
    ($($from:ident, $to:ident: $ty:ty;)*) => {$(
        #[doc = concat!("A constant of `", stringify!($ty), "` elements.")]
        pub fn $from(values: &[$ty]) -> Self {
            Self { bytes: values.iter().flat_map(|v| v.to_le_bytes()).collect() }
        }
        #[doc = concat!("The elements read as `", stringify!($ty), "`; a trailing partial element is left out.")]
        pub fn $to(&self) -> Vec<$ty> {
            let (chunks, _) = self.bytes.as_chunks();
            chunks.iter().map(|c| <$ty>::from_le_bytes(*c)).collect()
        }
    )*};
}

impl Constant {
    /// A constant over bytes that are already little-endian.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into() }
    }

    /// The bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    typed! {
        from_f32, to_f32: f32;
        from_f64, to_f64: f64;
        from_i8, to_i8: i8;
        from_u8, to_u8: u8;
        from_i16, to_i16: i16;
        from_i32, to_i32: i32;
        from_i64, to_i64: i64;
    }
}
