//! The `.npy` format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.
//!
//! The header is a Python dictionary with three keys; only that is parsed, without recursion and up to [`MOST_HEADER`] bytes, so that no
//! header can exhaust memory or stack. (The npyz crate parses headers as any Python literal and multiplies sizes unchecked.)

use bytes::Bytes;
use octet_ir::{Diagnostic, ElementType};

use crate::array::Array;

/// Headers longer than this are refused; NumPy itself warns beyond 10,000 bytes.
const MOST_HEADER: usize = 64 * 1024;

/// What a header says, and where the data begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) elem: ElementType,
    pub(crate) big_endian: bool,
    pub(crate) fortran: bool,
    pub(crate) shape: Vec<usize>,
    /// Bytes before the first element.
    pub(crate) data_start: usize,
    /// Bytes of all elements.
    pub(crate) data_len: usize,
}

/// The longest prefix of a file that [`header`] may need.
pub(crate) const MOST_PREFIX: usize = MOST_HEADER + 12;

/// Parses the header at the start of `bytes`.
pub(crate) fn header(bytes: &[u8]) -> Result<Header, Diagnostic> {
    let malformed = |what: &str| Diagnostic::error("DAT005", format!("the .npy header is malformed: {what}"));
    let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or_else(|| malformed("it does not begin with \\x93NUMPY"))?;
    let (len, before_text) = match rest {
        [1, _, a, b, ..] => (u32::from(u16::from_le_bytes([*a, *b])), 10),
        [2 | 3, _, a, b, c, d, ..] => (u32::from_le_bytes([*a, *b, *c, *d]), 12),
        [major, ..] if !(1..=3).contains(major) => return Err(malformed(&format!("there is no version {major}"))),
        _ => return Err(malformed("the file ends in it")),
    };
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if len > MOST_HEADER {
        return Err(malformed(&format!("{len} bytes are more than any array needs")));
    }
    let data_start = before_text + len;
    let text = bytes.get(before_text..data_start).ok_or_else(|| malformed("the file ends in it"))?;
    // Version 1 and 2 are Latin-1; only field names, which we refuse, could hold more than ASCII.
    let text = std::str::from_utf8(text).map_err(|_| malformed("it is not text"))?;
    let fields = Parser { rest: text }.dictionary().ok_or_else(|| malformed("it is no dictionary of descr, fortran_order and shape"))?;
    let (elem, big_endian) = element(&fields.descr)?;
    let data_len = if fields.shape.contains(&0) {
        0
    } else {
        let count = fields.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        count.and_then(|n| elem.byte_len(n)).ok_or_else(|| malformed(&format!("a shape of {} overflows", shown(&fields.shape))))?
    };
    Ok(Header { elem, big_endian, fortran: fields.fortran, shape: fields.shape, data_start, data_len })
}

/// The array in a whole `.npy` file.
pub(crate) fn array(bytes: &Bytes) -> Result<Array, Diagnostic> {
    let header = header(bytes)?;
    let have = bytes.len().saturating_sub(header.data_start);
    if have < header.data_len {
        let message = format!("an array of {} {} takes {} bytes, the file has {have}", shown(&header.shape), header.elem, header.data_len);
        return Err(Diagnostic::error("DAT003", message));
    }
    let data = bytes.slice(header.data_start..header.data_start + header.data_len);
    Ok(Array::new(&header, data))
}

/// Elements of a shape, saturating; an axis of 0 makes it empty whatever the others are.
pub(crate) fn count(shape: &[usize]) -> usize {
    if shape.contains(&0) { 0 } else { shape.iter().copied().fold(1, usize::saturating_mul) }
}

/// A shape as NumPy shows it.
pub(crate) fn shown(shape: &[usize]) -> String {
    let dims: Vec<String> = shape.iter().map(ToString::to_string).collect();
    if let [one] = dims.as_slice() { format!("({one},)") } else { format!("({})", dims.join(", ")) }
}

/// Element type and byte order of a `descr`.
fn element(descr: &str) -> Result<(ElementType, bool), Diagnostic> {
    let unsupported = |why: &str| Diagnostic::error("DAT004", format!("elements of type '{descr}': {why}"));
    let mut chars = descr.chars();
    let order = chars.next().unwrap_or_default();
    let elem = match chars.as_str() {
        "b1" => ElementType::Bool,
        "i1" => ElementType::I8,
        "u1" => ElementType::U8,
        "i2" => ElementType::I16,
        "u2" => ElementType::U16,
        "i4" => ElementType::I32,
        "u4" => ElementType::U32,
        "i8" => ElementType::I64,
        "u8" => ElementType::U64,
        "f2" => ElementType::F16,
        "f4" => ElementType::F32,
        "f8" => ElementType::F64,
        "c8" => ElementType::Complex64,
        "c16" => ElementType::Complex128,
        other if other.starts_with('O') || descr.contains('O') => {
            return Err(unsupported("pickled Python objects are never loaded")
                .with_help("convert before saving, for example np.stack(list_of_arrays).astype(np.float32)"));
        }
        other if other.starts_with(['S', 'U', 'a']) => return Err(unsupported("text is no sample")),
        _ => return Err(unsupported("only booleans, integers, floats and complex numbers are read")),
    };
    match order {
        '<' | '|' | '=' => Ok((elem, false)),
        '>' => Ok((elem, true)),
        _ => Err(unsupported("the byte order is unknown")),
    }
}

struct Fields {
    descr: String,
    fortran: bool,
    shape: Vec<usize>,
}

/// A scanner over the one form of dictionary that stands in headers.
struct Parser<'t> {
    rest: &'t str,
}

impl<'t> Parser<'t> {
    fn dictionary(mut self) -> Option<Fields> {
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        self.take("{")?;
        while self.take("}").is_none() {
            let key = self.string()?;
            self.take(":")?;
            match key {
                "descr" => descr = Some(self.descr()?),
                "fortran_order" => fortran = Some(self.boolean()?),
                "shape" => shape = Some(self.shape()?),
                _ => return None,
            }
            if self.take(",").is_none() {
                self.take("}")?;
                break;
            }
        }
        self.rest.trim().is_empty().then_some(())?;
        Some(Fields { descr: descr?, fortran: fortran?, shape: shape? })
    }

    fn take(&mut self, token: &str) -> Option<()> {
        self.rest = self.rest.trim_start().strip_prefix(token)?;
        Some(())
    }

    fn string(&mut self) -> Option<&'t str> {
        let rest = self.rest.trim_start();
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let (text, after) = rest.get(1..)?.split_once(quote)?;
        self.rest = after;
        Some(text)
    }

    /// A type string, or the text of a list of fields (a record), which is refused later.
    fn descr(&mut self) -> Option<String> {
        if let Some(text) = self.string() {
            return Some(text.to_owned());
        }
        let rest = self.rest.trim_start();
        let end = rest.starts_with('[').then(|| rest.rfind(']'))??;
        let (list, after) = rest.split_at_checked(end + 1)?;
        self.rest = after;
        Some(list.to_owned())
    }

    fn boolean(&mut self) -> Option<bool> {
        if self.take("True").is_some() { Some(true) } else { self.take("False").map(|()| false) }
    }

    fn shape(&mut self) -> Option<Vec<usize>> {
        self.take("(")?;
        let mut dims = Vec::new();
        while self.take(")").is_none() {
            let rest = self.rest.trim_start();
            let end = rest.find(|c: char| !c.is_ascii_digit())?;
            let (digits, after) = rest.split_at_checked(end)?;
            dims.push(digits.parse().ok()?);
            // Python 2 wrote long integers as 3L.
            self.rest = after.strip_prefix('L').unwrap_or(after);
            if self.take(",").is_none() {
                self.take(")")?;
                break;
            }
        }
        Some(dims)
    }
}

/// The header of a little-endian array in C order, padded so that data begin at a multiple of 64.
pub(crate) fn write_header(descr: &str, shape: &[usize]) -> Vec<u8> {
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {}, }}", shown(shape));
    let version_1 = text.len() + 64 <= usize::from(u16::MAX);
    let before = if version_1 { 10 } else { 12 };
    while (before + text.len() + 1) % 64 != 0 {
        text.push(' ');
    }
    text.push('\n');
    let mut out = b"\x93NUMPY".to_vec();
    match u16::try_from(text.len()) {
        Ok(len) if version_1 => {
            out.extend([1, 0]);
            out.extend(len.to_le_bytes());
        }
        _ => {
            out.extend([2, 0]);
            out.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        }
    }
    out.extend(text.as_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Vec<u8> {
        let mut out = b"\x93NUMPY\x01\x00".to_vec();
        out.extend(u16::try_from(text.len()).unwrap().to_le_bytes());
        out.extend(text.as_bytes());
        out
    }

    #[test]
    fn headers_as_numpy_writes_them() {
        let h = header(&file("{'descr': '>f8', 'fortran_order': True, 'shape': (3, 4), }   \n")).unwrap();
        assert_eq!((h.elem, h.big_endian, h.fortran, h.shape, h.data_len), (ElementType::F64, true, true, vec![3, 4], 96));
        let scalar = header(&file("{'descr': '|u1', 'fortran_order': False, 'shape': (), }\n")).unwrap();
        assert_eq!((scalar.shape, scalar.data_len), (vec![], 1));
        for shape in [&[][..], &[5], &[2, 3, 4]] {
            let written = write_header("<i2", shape);
            assert_eq!(written.len() % 64, 0);
            assert_eq!(header(&written).unwrap().shape, shape);
        }
    }

    #[test]
    fn what_is_no_header_has_a_code() {
        let code = |bytes: &[u8]| header(bytes).unwrap_err().code;
        assert_eq!(code(b""), "DAT005");
        assert_eq!(code(b"\x93NUMPY\x01"), "DAT005");
        assert_eq!(code(b"\x93NUMPY\x09\x00\x00\x00"), "DAT005");
        assert_eq!(code(b"\x93NUMPY\x02\x00\xff\xff\xff\xff"), "DAT005");
        assert_eq!(code(&file(&"(".repeat(60_000))), "DAT005");
        assert_eq!(code(&file("{'descr': '<f4', 'fortran_order': False, 'shape': (3,")), "DAT005");
        assert_eq!(code(&file("{'descr': '<f4', 'shape': (3,)}")), "DAT005");
        assert_eq!(code(&file("{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}")), "DAT005");
        assert_eq!(code(&file("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 2)}")), "DAT005");
        assert_eq!(code(&file("{'descr': '|O', 'fortran_order': False, 'shape': (3,)}")), "DAT004");
        assert_eq!(code(&file("{'descr': '<U5', 'fortran_order': False, 'shape': (3,)}")), "DAT004");
        assert_eq!(code(&file("{'descr': [('a', '<f4'), ('b', '<i2')], 'fortran_order': False, 'shape': (3,)}")), "DAT004");
        let short: Bytes = file("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}").into();
        assert_eq!(array(&short).unwrap_err().code, "DAT003");
    }
}
