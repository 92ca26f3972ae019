//! Arrays on their way to and from Python: `.npz` files of little-endian C-order arrays, held as raw bytes so that
//! "equal" can mean equal bytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use npyz::{AutoSerialize, Deserialize, NpyFile, Order, WriterBuilder};

/// Element type of an [`Array`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say all")]
pub enum Element {
    Bool,
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F16,
    F32,
    F64,
}

impl Element {
    /// Size of one element in bytes.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::Bool | Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 | Self::F16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }
}

/// An array: element type, shape, and the elements as little-endian bytes in C order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Array {
    /// Element type.
    pub element: Element,
    /// Length of each axis, outermost first.
    pub shape: Vec<usize>,
    /// `element.size()` bytes for each element.
    pub bytes: Vec<u8>,
}

/// Makes the typed constructor and accessor of one element type.
macro_rules! typed {
    ($($rust:ty, $element:ident, $from:ident, $to:ident;)*) => { impl Array { $(
        #[doc = concat!("An array of `", stringify!($rust), "` elements in C order.")]
        ///
        /// # Panics
        /// If the shape does not hold that many elements.
        #[must_use]
        pub fn $from(shape: &[usize], values: &[$rust]) -> Self {
            assert_eq!(shape.iter().product::<usize>(), values.len(), "the shape must hold the values");
            let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            Self { element: Element::$element, shape: shape.to_vec(), bytes }
        }

        #[doc = concat!("The elements, if they are `", stringify!($rust), "`.")]
        #[must_use]
        pub fn $to(&self) -> Option<Vec<$rust>> {
            (self.element == Element::$element).then(|| {
                self.bytes.as_chunks().0.iter().map(|c| <$rust>::from_le_bytes(*c)).collect()
            })
        }
    )* } };
}

typed! {
    i8, I8, from_i8, to_i8;
    u8, U8, from_u8, to_u8;
    i16, I16, from_i16, to_i16;
    i32, I32, from_i32, to_i32;
    i64, I64, from_i64, to_i64;
    f32, F32, from_f32, to_f32;
    f64, F64, from_f64, to_f64;
}

impl Array {
    /// The bytes of sample `index` along the first axis.
    #[must_use]
    pub fn sample(&self, index: usize) -> Option<&[u8]> {
        let count = *self.shape.first()?;
        let size = self.bytes.len().checked_div(count)?;
        self.bytes.get(index * size..(index + 1) * size)
    }

    /// All elements as real numbers, whatever their type; `None` for f16.
    #[must_use]
    pub fn to_real(&self) -> Option<Vec<f64>> {
        Some(match self.element {
            Element::Bool | Element::U8 => self.bytes.iter().map(|&b| f64::from(b)).collect(),
            Element::I8 => self.to_i8()?.into_iter().map(f64::from).collect(),
            Element::I16 => self.to_i16()?.into_iter().map(f64::from).collect(),
            Element::U16 => self.bytes.as_chunks().0.iter().map(|c| f64::from(u16::from_le_bytes(*c))).collect(),
            Element::I32 => self.to_i32()?.into_iter().map(f64::from).collect(),
            Element::U32 => self.bytes.as_chunks().0.iter().map(|c| f64::from(u32::from_le_bytes(*c))).collect(),
            Element::I64 => self.to_i64()?.into_iter().map(|v| v as f64).collect(),
            Element::U64 => self.bytes.as_chunks().0.iter().map(|c| u64::from_le_bytes(*c) as f64).collect(),
            Element::F32 => self.to_f32()?.into_iter().map(f64::from).collect(),
            Element::F64 => self.to_f64()?,
            Element::F16 => return None,
        })
    }
}

/// All arrays of an `.npz` file, by name.
///
/// # Errors
/// If the file cannot be read, or an array is not little-endian, in C order and of a type that [`Element`] has.
pub fn read_npz(path: &Path) -> Result<BTreeMap<String, Array>, String> {
    let told = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let file = File::open(path).map_err(|e| told(&e))?;
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(|e| told(&e))?;
    let mut arrays = BTreeMap::new();
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|e| told(&e))?;
        let entry_name = entry.name().map_err(|e| told(&e))?.into_owned();
        let Some(name) = entry_name.strip_suffix(".npy").map(ToOwned::to_owned) else { continue };
        let npy = NpyFile::new(entry).map_err(|e| told(&e))?;
        let array = read_npy(npy).map_err(|e| told(&format!("{name}: {e}")))?;
        arrays.insert(name, array);
    }
    Ok(arrays)
}

fn read_npy<R: Read>(npy: NpyFile<R>) -> Result<Array, String> {
    let shape: Vec<usize> = npy.shape().iter().map(|&n| usize::try_from(n).map_err(|e| e.to_string())).collect::<Result<_, _>>()?;
    if npy.order() != Order::C && shape.len() > 1 {
        return Err("not in C order".into());
    }
    let described = npy.dtype().descr();
    let element = match described.trim_matches('\'') {
        "|b1" => Element::Bool,
        "|i1" => Element::I8,
        "|u1" => Element::U8,
        "<i2" => Element::I16,
        "<u2" => Element::U16,
        "<i4" => Element::I32,
        "<u4" => Element::U32,
        "<i8" => Element::I64,
        "<u8" => Element::U64,
        "<f2" => Element::F16,
        "<f4" => Element::F32,
        "<f8" => Element::F64,
        other => return Err(format!("elements of type {other}")),
    };
    fn all<R: Read, T: Deserialize, const N: usize>(npy: NpyFile<R>, to: fn(T) -> [u8; N]) -> Result<Vec<u8>, String> {
        let values: Vec<T> = npy.into_vec().map_err(|e| e.to_string())?;
        Ok(values.into_iter().flat_map(to).collect())
    }
    let bytes = match element {
        Element::Bool => all(npy, |v: bool| [u8::from(v)])?,
        Element::I8 => all(npy, i8::to_le_bytes)?,
        Element::U8 => all(npy, u8::to_le_bytes)?,
        Element::I16 => all(npy, i16::to_le_bytes)?,
        Element::U16 => all(npy, u16::to_le_bytes)?,
        Element::I32 => all(npy, i32::to_le_bytes)?,
        Element::U32 => all(npy, u32::to_le_bytes)?,
        Element::I64 => all(npy, i64::to_le_bytes)?,
        Element::U64 => all(npy, u64::to_le_bytes)?,
        Element::F16 => return Err("elements of type f2".into()),
        Element::F32 => all(npy, f32::to_le_bytes)?,
        Element::F64 => all(npy, f64::to_le_bytes)?,
    };
    Ok(Array { element, shape, bytes })
}

/// Writes arrays to an `.npz` file that [`read_npz`] and NumPy read.
///
/// # Errors
/// If the file cannot be written, or an array is of type f16.
pub fn write_npz(path: &Path, arrays: &BTreeMap<String, Array>) -> Result<(), String> {
    let told = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let file = File::create(path).map_err(|e| told(&e))?;
    let mut npz = zip::ZipWriter::new(BufWriter::new(file));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, array) in arrays {
        npz.start_file(format!("{name}.npy"), options).map_err(|e| told(&e))?;
        write_npy(&mut npz, array).map_err(|e| told(&format!("{name}: {e}")))?;
    }
    npz.finish().map_err(|e| told(&e))?.flush().map_err(|e| told(&e))
}

fn write_npy(out: &mut impl Write, array: &Array) -> Result<(), String> {
    let shape: Vec<u64> = array.shape.iter().map(|&n| n as u64).collect();
    fn all<T: AutoSerialize, const N: usize>(
        out: &mut impl Write,
        shape: &[u64],
        bytes: &[u8],
        from: fn([u8; N]) -> T,
    ) -> Result<(), String> {
        let options = npyz::WriteOptions::new().default_dtype().shape(shape);
        let mut writer = options.writer(out).begin_nd().map_err(|e| e.to_string())?;
        writer.extend(bytes.as_chunks().0.iter().map(|c| from(*c))).map_err(|e| e.to_string())?;
        writer.finish().map_err(|e| e.to_string())
    }
    let b = &array.bytes;
    match array.element {
        Element::Bool => all(out, &shape, b, |[v]: [u8; 1]| v != 0),
        Element::I8 => all(out, &shape, b, i8::from_le_bytes),
        Element::U8 => all(out, &shape, b, u8::from_le_bytes),
        Element::I16 => all(out, &shape, b, i16::from_le_bytes),
        Element::U16 => all(out, &shape, b, u16::from_le_bytes),
        Element::I32 => all(out, &shape, b, i32::from_le_bytes),
        Element::U32 => all(out, &shape, b, u32::from_le_bytes),
        Element::I64 => all(out, &shape, b, i64::from_le_bytes),
        Element::U64 => all(out, &shape, b, u64::from_le_bytes),
        Element::F16 => Err("elements of type f16".into()),
        Element::F32 => all(out, &shape, b, f32::from_le_bytes),
        Element::F64 => all(out, &shape, b, f64::from_le_bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn npz_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let arrays = BTreeMap::from([
            ("f".to_owned(), Array::from_f32(&[2, 3], &[0.0, -1.5, f32::MIN_POSITIVE, 3.0, 4.0, f32::INFINITY])),
            ("i".to_owned(), Array::from_i8(&[1, 4], &[-128, -1, 0, 127])),
            ("wide".to_owned(), Array::from_i64(&[], &[i64::MIN])),
        ]);
        write_npz(&path, &arrays).unwrap();
        assert_eq!(read_npz(&path).unwrap(), arrays);
        assert_eq!(arrays["f"].sample(1).unwrap().len(), 12);
    }
}
