//! Writing arrays, in the formats that NumPy reads.

use std::io::{Seek, Write};

use half::{bf16, f16};
use octet_ir::{Diagnostic, ElementType};
use octet_plugin::Tensor;

use crate::npy;

/// The type string and bytes under which a tensor is stored. Types that NumPy lacks are widened without loss: `bf16` to
/// `float32`, integers below a byte to bytes.
fn stored(tensor: &Tensor) -> Result<(&'static str, std::borrow::Cow<'_, [u8]>), Diagnostic> {
    let count: usize = crate::npy::count(&tensor.shape);
    let same = |descr| Ok((descr, tensor.bytes.as_slice().into()));
    match tensor.elem {
        ElementType::F32 => same("<f4"),
        ElementType::F16 => same("<f2"),
        ElementType::F64 => same("<f8"),
        ElementType::I64 => same("<i8"),
        ElementType::I32 => same("<i4"),
        ElementType::I16 => same("<i2"),
        ElementType::I8 => same("|i1"),
        ElementType::U64 => same("<u8"),
        ElementType::U32 => same("<u4"),
        ElementType::U16 => same("<u2"),
        ElementType::U8 => same("|u1"),
        ElementType::Bool => same("|b1"),
        ElementType::Complex64 => same("<c8"),
        ElementType::Complex128 => same("<c16"),
        ElementType::BF16 => {
            let wide = tensor.bytes.as_chunks().0.iter().flat_map(|c| bf16::from_le_bytes(*c).to_f32().to_le_bytes());
            Ok(("<f4", wide.collect::<Vec<u8>>().into()))
        }
        ElementType::F8E5M2 => {
            // The upper byte of a half-precision float.
            let wide = tensor.bytes.iter().flat_map(|b| f16::from_le_bytes([0, *b]).to_f32().to_le_bytes());
            Ok(("<f4", wide.collect::<Vec<u8>>().into()))
        }
        ElementType::I4 => Ok(("|i1", unpack(&tensor.bytes, 4, true, count).into())),
        ElementType::I2 => Ok(("|i1", unpack(&tensor.bytes, 2, true, count).into())),
        ElementType::U4 => Ok(("|u1", unpack(&tensor.bytes, 4, false, count).into())),
        ElementType::F8E4M3FN | ElementType::String | ElementType::Resource | ElementType::Variant => {
            Err(Diagnostic::error("DAT040", format!("a tensor of type {} cannot be written as a NumPy array", tensor.elem)))
        }
    }
}

/// Packed integers as bytes: the first element in the lowest bits.
fn unpack(bytes: &[u8], bits: u32, signed: bool, count: usize) -> Vec<u8> {
    let each = |byte: u8| (0..8 / bits).map(move |i| byte >> (i * bits) & ((1 << bits) - 1));
    let widen = |v: u8| if signed && v >> (bits - 1) == 1 { v | (u8::MAX << bits) } else { v };
    bytes.iter().flat_map(|b| each(*b)).map(widen).take(count).collect()
}

/// Writes one array as `.npy`.
pub fn write_npy(tensor: &Tensor, out: &mut dyn Write) -> Result<(), Diagnostic> {
    let (descr, bytes) = stored(tensor)?;
    let written = out.write_all(&npy::write_header(descr, &tensor.shape)).and_then(|()| out.write_all(&bytes));
    written.map_err(|e| Diagnostic::error("DAT040", format!("cannot write: {e}")))
}

/// Writes named arrays as an uncompressed `.npz`, in this order. The bytes depend on the arrays only, not on the time.
pub fn write_npz<'t, W: Write + Seek>(arrays: impl IntoIterator<Item = (&'t str, &'t Tensor)>, out: W) -> Result<W, Diagnostic> {
    let failed = |e: &dyn std::fmt::Display| Diagnostic::error("DAT040", format!("cannot write: {e}"));
    let mut archive = zip::ZipWriter::new(out).set_auto_large_file();
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::DEFAULT)
        .with_alignment(64);
    for (name, tensor) in arrays {
        archive.start_file(format!("{name}.npy"), options).map_err(|e| failed(&e))?;
        write_npy(tensor, &mut archive).map_err(|d| d.on_tensor(name))?;
    }
    archive.finish().map_err(|e| failed(&e))
}
