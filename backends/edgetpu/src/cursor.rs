//! Reading flatbuffers whose schema is not ours, with every offset checked: tables, vectors and strings as slices of the file.
//!
//! What lies outside the bytes is absent, so that a damaged package reads as one with less in it.

/// A table.
#[derive(Clone, Copy)]
pub(crate) struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
    fields: usize,
    field_bytes: usize,
}

/// Nested parts of one file at most: a vector of tables may name one table from everywhere.
const MOST: usize = 4096;

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn offset(bytes: &[u8], at: usize) -> Option<usize> {
    at.checked_add(usize::try_from(u32::from_le_bytes(array(bytes, at)?)).ok()?)
}

fn short(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_le_bytes(array(bytes, at)?)))
}

impl<'a> Table<'a> {
    /// The root of a flatbuffer.
    pub(crate) fn root(bytes: &'a [u8]) -> Option<Self> {
        Self::at(bytes, offset(bytes, 0)?)
    }

    fn at(bytes: &'a [u8], at: usize) -> Option<Self> {
        let back = isize::try_from(i32::from_le_bytes(array(bytes, at)?)).ok()?;
        let fields = at.checked_add_signed(back.checked_neg()?)?;
        Some(Self { bytes, at, fields, field_bytes: short(bytes, fields)? })
    }

    /// Where field `id` lies.
    fn field(self, id: usize) -> Option<usize> {
        let entry = 4 + 2 * id;
        if entry + 2 > self.field_bytes {
            return None;
        }
        match short(self.bytes, self.fields.checked_add(entry)?)? {
            0 => None,
            distance => self.at.checked_add(distance),
        }
    }

    /// A 16-bit number, 0 if it is not there.
    pub(crate) fn i16(self, id: usize) -> i16 {
        self.field(id).and_then(|at| array(self.bytes, at)).map_or(0, i16::from_le_bytes)
    }

    /// A 32-bit number, 0 if it is not there.
    pub(crate) fn i32(self, id: usize) -> i32 {
        self.field(id).and_then(|at| array(self.bytes, at)).map_or(0, i32::from_le_bytes)
    }

    /// A 64-bit number, 0 if it is not there.
    pub(crate) fn u64(self, id: usize) -> u64 {
        self.field(id).and_then(|at| array(self.bytes, at)).map_or(0, u64::from_le_bytes)
    }

    /// Bytes of a vector of bytes or a string.
    pub(crate) fn bytes(self, id: usize) -> Option<&'a [u8]> {
        self.run(offset(self.bytes, self.field(id)?)?)
    }

    fn run(self, at: usize) -> Option<&'a [u8]> {
        let length = usize::try_from(u32::from_le_bytes(array(self.bytes, at)?)).ok()?;
        let start = at.checked_add(4)?;
        self.bytes.get(start..start.checked_add(length)?)
    }

    /// A string.
    pub(crate) fn text(self, id: usize) -> Option<String> {
        self.bytes(id).map(|b| String::from_utf8_lossy(b).into_owned())
    }

    fn elements(self, id: usize) -> Vec<usize> {
        let Some(at) = self.field(id).and_then(|at| offset(self.bytes, at)) else { return Vec::new() };
        let count = array(self.bytes, at).map_or(0, u32::from_le_bytes);
        let count = usize::try_from(count).unwrap_or(0).min(MOST);
        (0..count).filter_map(|i| offset(self.bytes, at.checked_add(4 + 4 * i)?)).collect()
    }

    /// A vector of tables.
    pub(crate) fn tables(self, id: usize) -> Vec<Table<'a>> {
        self.elements(id).into_iter().filter_map(|at| Table::at(self.bytes, at)).collect()
    }

    /// A vector of strings.
    pub(crate) fn strings(self, id: usize) -> Vec<&'a [u8]> {
        self.elements(id).into_iter().filter_map(|at| self.run(at)).collect()
    }
}
