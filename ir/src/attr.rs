//! The one grammar of attributes: a small value tree with a serde bridge.
//!
//! Any attribute struct that derives serde's traits prints and parses without code of its own. Structs are maps in field order, unit
//! enum variants are bare words, other enum variants are one-entry maps, `None` is left out.

use std::fmt;

use serde::Serialize;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, DeserializeOwned, IntoDeserializer, Visitor};
use serde::ser::{self, Impossible, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple};

/// An attribute value.
#[derive(Clone, Debug, PartialEq)]
pub enum Attr {
    /// Nothing: an option that is not set.
    None,
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float; kept in single precision because every float of a model is.
    Float(f32),
    /// A bare word: an enum variant.
    Word(String),
    /// A quoted string.
    Str(String),
    /// Bytes, `x"00ff"`.
    Bytes(Vec<u8>),
    /// `[a, b]`.
    List(Vec<Attr>),
    /// `{name = value, ...}` in order.
    Map(Vec<(String, Attr)>),
}

/// Why a value could not be turned into attributes, or attributes into a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttrError(String);

impl AttrError {
    pub(crate) fn unknown_op(mnemonic: &str) -> Self {
        Self(format!("there is no operation '{mnemonic}'"))
    }
    pub(crate) fn not_a_struct() -> Self {
        Self("attributes must be a struct".into())
    }
}

impl fmt::Display for AttrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for AttrError {}
impl ser::Error for AttrError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}
impl de::Error for AttrError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

impl Attr {
    /// Whether this word needs no quotes in the text form.
    pub(crate) fn is_word(text: &str) -> bool {
        let mut chars = text.chars();
        chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
            && !matches!(text, "true" | "false" | "none" | "inf" | "nan" | "x")
    }
}

impl fmt::Display for Attr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Bool(v) => write!(f, "{v}"),
            Self::Int(v) => write!(f, "{v}"),
            Self::Float(v) => fmt_float(*v, f),
            Self::Word(v) => f.write_str(v),
            Self::Str(v) => write!(f, "{}", Quoted(v)),
            Self::Bytes(v) => {
                f.write_str("x\"")?;
                v.iter().try_for_each(|b| write!(f, "{b:02x}"))?;
                f.write_str("\"")
            }
            Self::List(items) => {
                f.write_str("[")?;
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if i > 0 { ", " } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Map(entries) => {
                f.write_str("{")?;
                fmt_entries(entries, f)?;
                f.write_str("}")
            }
        }
    }
}

/// Prints `a = 1, b = 2`.
pub(crate) fn fmt_entries(entries: &[(String, Attr)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, (name, value)) in entries.iter().enumerate() {
        write!(f, "{}{name} = {value}", if i > 0 { ", " } else { "" })?;
    }
    Ok(())
}

/// Prints a float so that it reads back as the same bits and never as an integer; a NaN keeps its payload.
pub(crate) fn fmt_float(value: f32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if value.is_nan() { write!(f, "nan:{:08x}", value.to_bits()) } else { write!(f, "{value:?}") }
}

/// A string in double quotes with the escapes that the lexer knows: `\"`, `\\`, `\n`, `\t`, `\r`, `\u{hex}`.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                '\r' => f.write_str("\\r")?,
                c if c.is_control() => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

/// The attribute form of a value.
pub fn to_attr<T: Serialize>(value: &T) -> Result<Attr, AttrError> {
    value.serialize(ToAttr)
}

/// The value that an attribute describes.
pub fn from_attr<T: DeserializeOwned>(attr: Attr) -> Result<T, AttrError> {
    T::deserialize(attr)
}

struct ToAttr;

/// Collects a list or a map.
struct Collect {
    variant: Option<&'static str>,
    items: Vec<Attr>,
    entries: Vec<(String, Attr)>,
}

impl Collect {
    fn new(variant: Option<&'static str>) -> Self {
        Self { variant, items: Vec::new(), entries: Vec::new() }
    }
    fn wrap(variant: Option<&'static str>, attr: Attr) -> Attr {
        match variant {
            Some(name) => Attr::Map(vec![(name.into(), attr)]),
            None => attr,
        }
    }
    fn field<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), AttrError> {
        match value.serialize(ToAttr)? {
            Attr::None => {}
            attr => self.entries.push((key.into(), attr)),
        }
        Ok(())
    }
}

macro_rules! int {
    ($($method:ident: $ty:ty),*) => {$(
        fn $method(self, v: $ty) -> Result<Attr, AttrError> {
            i64::try_from(v).map(Attr::Int).map_err(|_| ser::Error::custom("integer out of range"))
        }
    )*};
}

impl ser::Serializer for ToAttr {
    type Ok = Attr;
    type Error = AttrError;
    type SerializeSeq = Collect;
    type SerializeTuple = Collect;
    type SerializeTupleStruct = Impossible<Attr, AttrError>;
    type SerializeTupleVariant = Impossible<Attr, AttrError>;
    type SerializeMap = Collect;
    type SerializeStruct = Collect;
    type SerializeStructVariant = Collect;

    int!(serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_u8: u8, serialize_u16: u16,
         serialize_u32: u32, serialize_u64: u64);
    fn serialize_bool(self, v: bool) -> Result<Attr, AttrError> {
        Ok(Attr::Bool(v))
    }
    fn serialize_f32(self, v: f32) -> Result<Attr, AttrError> {
        Ok(Attr::Float(v))
    }
    fn serialize_f64(self, _: f64) -> Result<Attr, AttrError> {
        Err(ser::Error::custom("attributes hold single-precision floats"))
    }
    fn serialize_char(self, v: char) -> Result<Attr, AttrError> {
        Ok(Attr::Str(v.into()))
    }
    fn serialize_str(self, v: &str) -> Result<Attr, AttrError> {
        Ok(Attr::Str(v.into()))
    }
    fn serialize_bytes(self, v: &[u8]) -> Result<Attr, AttrError> {
        Ok(Attr::Bytes(v.into()))
    }
    fn serialize_none(self) -> Result<Attr, AttrError> {
        Ok(Attr::None)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Attr, AttrError> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<Attr, AttrError> {
        Ok(Attr::None)
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<Attr, AttrError> {
        Ok(Attr::Map(Vec::new()))
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Attr, AttrError> {
        Ok(Attr::Word(variant.into()))
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<Attr, AttrError> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Attr, AttrError> {
        Ok(Collect::wrap(Some(variant), value.serialize(self)?))
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Collect, AttrError> {
        Ok(Collect::new(None))
    }
    fn serialize_tuple(self, _: usize) -> Result<Collect, AttrError> {
        Ok(Collect::new(None))
    }
    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, AttrError> {
        Err(ser::Error::custom(format!("{name}: tuple structs are not attributes")))
    }
    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, AttrError> {
        Err(ser::Error::custom(format!("{name}: tuple variants are not attributes")))
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Collect, AttrError> {
        Ok(Collect::new(None))
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Collect, AttrError> {
        Ok(Collect::new(None))
    }
    fn serialize_struct_variant(self, _: &'static str, _: u32, variant: &'static str, _: usize) -> Result<Collect, AttrError> {
        Ok(Collect::new(Some(variant)))
    }
}

impl SerializeSeq for Collect {
    type Ok = Attr;
    type Error = AttrError;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), AttrError> {
        self.items.push(value.serialize(ToAttr)?);
        Ok(())
    }
    fn end(self) -> Result<Attr, AttrError> {
        Ok(Attr::List(self.items))
    }
}
impl SerializeTuple for Collect {
    type Ok = Attr;
    type Error = AttrError;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), AttrError> {
        SerializeSeq::serialize_element(self, value)
    }
    fn end(self) -> Result<Attr, AttrError> {
        SerializeSeq::end(self)
    }
}
impl SerializeStruct for Collect {
    type Ok = Attr;
    type Error = AttrError;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), AttrError> {
        self.field(key, value)
    }
    fn end(self) -> Result<Attr, AttrError> {
        Ok(Collect::wrap(self.variant, Attr::Map(self.entries)))
    }
}
impl SerializeStructVariant for Collect {
    type Ok = Attr;
    type Error = AttrError;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), AttrError> {
        self.field(key, value)
    }
    fn end(self) -> Result<Attr, AttrError> {
        SerializeStruct::end(self)
    }
}
impl SerializeMap for Collect {
    type Ok = Attr;
    type Error = AttrError;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), AttrError> {
        match key.serialize(ToAttr)? {
            Attr::Str(key) | Attr::Word(key) => self.entries.push((key, Attr::None)),
            _ => return Err(ser::Error::custom("map keys must be strings")),
        }
        Ok(())
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), AttrError> {
        let attr = value.serialize(ToAttr)?;
        if let Some(last) = self.entries.last_mut() {
            last.1 = attr;
        }
        Ok(())
    }
    fn end(self) -> Result<Attr, AttrError> {
        Ok(Attr::Map(self.entries))
    }
}

impl IntoDeserializer<'_, AttrError> for Attr {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> de::Deserializer<'de> for Attr {
    type Error = AttrError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, AttrError> {
        match self {
            Self::None => visitor.visit_none(),
            Self::Bool(v) => visitor.visit_bool(v),
            Self::Int(v) => visitor.visit_i64(v),
            Self::Float(v) => visitor.visit_f32(v),
            Self::Word(v) | Self::Str(v) => visitor.visit_string(v),
            Self::Bytes(v) => visitor.visit_byte_buf(v),
            Self::List(items) => visitor.visit_seq(SeqDeserializer::new(items.into_iter())),
            Self::Map(entries) => visitor.visit_map(MapDeserializer::new(entries.into_iter())),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, AttrError> {
        match self {
            Self::None => visitor.visit_none(),
            some => visitor.visit_some(some),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, AttrError> {
        match self {
            Self::Word(word) | Self::Str(word) => visitor.visit_enum(word.into_deserializer()),
            Self::Map(entries) if entries.len() == 1 => {
                visitor.visit_enum(de::value::MapAccessDeserializer::new(MapDeserializer::new(entries.into_iter())))
            }
            _ => Err(de::Error::custom(format!("expected {name}: one of {}", variants.join(", ")))),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, AttrError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, AttrError> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "a whole number written for a float means the nearest one")]
            Self::Int(v) => visitor.visit_f32(v as f32),
            other => other.deserialize_any(visitor),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}
