//! Tensors of the file: every encoding of `TensorProto` becomes little-endian bytes.

use std::path::{Component, Path};

use bytes::Bytes;
use octet_ir::{Constant, Diagnostic, ElementType, Shape, Type};

use octet_plugin::Siblings;

use crate::proto::{StringStringEntryProto, TensorProto};

/// The element type behind ONNX's number; `None` for those that the IR has no type for (8-bit floats and the like).
pub(crate) fn element_type(code: i32) -> Option<ElementType> {
    Some(match code {
        1 => ElementType::F32,
        2 => ElementType::U8,
        3 => ElementType::I8,
        4 => ElementType::U16,
        5 => ElementType::I16,
        6 => ElementType::I32,
        7 => ElementType::I64,
        8 => ElementType::String,
        9 => ElementType::Bool,
        10 => ElementType::F16,
        11 => ElementType::F64,
        12 => ElementType::U32,
        13 => ElementType::U64,
        14 => ElementType::Complex64,
        15 => ElementType::Complex128,
        16 => ElementType::BF16,
        21 => ElementType::U4,
        22 => ElementType::I4,
        17 => ElementType::F8E4M3FN,
        19 => ElementType::F8E5M2,
        26 => ElementType::I2,
        _ => return None,
    })
}

/// ONNX's name for the types that the IR lacks, for messages.
pub(crate) fn element_name(code: i32) -> String {
    match code {
        18 => "float8e4m3fnuz".into(),
        20 => "float8e5m2fnuz".into(),
        23 => "float4e2m1".into(),
        24 => "float8e8m0".into(),
        25 => "uint2".into(),
        other => element_type(other).map_or_else(|| format!("type {other}"), |e| e.name().to_owned()),
    }
}

/// Type and bytes of a tensor of the file.
pub(crate) fn read(tensor: &TensorProto, siblings: &Siblings<'_>) -> Result<(Type, Constant), Diagnostic> {
    let fail = |code: &'static str, why: String| Err(Diagnostic::error(code, why).on_tensor(tensor.name.clone()));
    let Some(elem) = element_type(tensor.data_type) else {
        return fail("ONX011", format!("tensors of {} are not supported", element_name(tensor.data_type)));
    };
    let dims: Option<Vec<usize>> = tensor.dims.iter().map(|&d| usize::try_from(d).ok()).collect();
    let Some(shape) = dims.map(Shape::new) else {
        return fail("ONX012", format!("{:?} is not a shape", tensor.dims));
    };
    let ty = Type::new(elem, shape);
    let Some(length) = ty.byte_len() else {
        return fail("ONX011", format!("constants of type {ty} are not supported"));
    };
    let bytes = if tensor.data_location == 1 {
        external(&tensor.external_data, length, siblings).map_err(|d| d.on_tensor(tensor.name.clone()))?
    } else if let Some(raw) = &tensor.raw_data {
        raw.clone()
    } else {
        typed(tensor, elem)
    };
    if bytes.len() != length {
        return fail("ONX012", format!("a tensor of type {ty} needs {length} bytes, the file holds {}", bytes.len()));
    }
    Ok((ty, Constant::new(bytes)))
}

/// The typed fields: small types travel in `int32_data`, one element an entry, two or four to an entry's low byte for sub-byte types.
fn typed(tensor: &TensorProto, elem: ElementType) -> Bytes {
    fn le<T: Copy, const N: usize>(values: &[T], bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
        values.iter().flat_map(|&v| bytes(v)).collect()
    }
    let low = |width: usize| -> Vec<u8> { tensor.int32_data.iter().flat_map(|v| v.to_le_bytes().into_iter().take(width)).collect() };
    match elem {
        ElementType::F32 | ElementType::Complex64 => le(&tensor.float_data, f32::to_le_bytes),
        ElementType::F64 | ElementType::Complex128 => le(&tensor.double_data, f64::to_le_bytes),
        ElementType::I64 => le(&tensor.int64_data, i64::to_le_bytes),
        ElementType::U64 => le(&tensor.uint64_data, u64::to_le_bytes),
        ElementType::U32 => tensor.uint64_data.iter().flat_map(|v| v.to_le_bytes().into_iter().take(4)).collect(),
        ElementType::I32 => low(4),
        ElementType::I16 | ElementType::U16 | ElementType::F16 | ElementType::BF16 => low(2),
        ElementType::I8
        | ElementType::U8
        | ElementType::Bool
        | ElementType::I4
        | ElementType::U4
        | ElementType::I2
        | ElementType::F8E4M3FN
        | ElementType::F8E5M2 => low(1),
        ElementType::String | ElementType::Resource | ElementType::Variant => Vec::new(),
    }
    .into()
}

/// Bytes that stand in another file: found by key, kept inside the model's folder, checked against that file's length.
fn external(entries: &[StringStringEntryProto], length: usize, siblings: &Siblings<'_>) -> Result<Bytes, Diagnostic> {
    let value = |key: &str| entries.iter().find(|e| e.key == key).map(|e| e.value.as_str());
    let number = |key: &str| match value(key) {
        None | Some("") => Ok(None),
        Some(text) => text
            .parse::<usize>()
            .map(Some)
            .map_err(|_| Diagnostic::error("ONX013", format!("external data: {key} '{text}' is not a number"))),
    };
    let location = value("location").ok_or_else(|| Diagnostic::error("ONX013", "external data without a location"))?;
    let inside = !location.is_empty()
        && !location.contains('\\')
        && Path::new(location).components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    if !inside {
        return Err(Diagnostic::error("ONX014", format!("external data '{location}' lies outside the model's folder")));
    }
    let offset = number("offset")?.unwrap_or(0);
    let length = number("length")?.unwrap_or(length);
    let file = siblings(location)?;
    let end = offset.checked_add(length).filter(|&end| end <= file.len());
    let end = end.ok_or_else(|| {
        Diagnostic::error("ONX013", format!("external data: {length} bytes at {offset} exceed '{location}', which has {}", file.len()))
    })?;
    Ok(file.slice(offset..end))
}
