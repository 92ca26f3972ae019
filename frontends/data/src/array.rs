//! An array as its file stores it: any byte order, C or Fortran order, possibly still in the mapped file.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use octet_ir::ElementType;

use crate::npy::{Header, count};

/// A stored array.
#[derive(Clone, Debug)]
pub(crate) struct Array {
    pub(crate) elem: ElementType,
    pub(crate) shape: Vec<usize>,
    big_endian: bool,
    fortran: bool,
    bytes: Bytes,
}

impl Array {
    /// The array that a header describes over its data, of which there are as many bytes as it says.
    pub(crate) fn new(header: &Header, data: Bytes) -> Self {
        let bytewise = header.elem.bits() == Some(8);
        Self {
            elem: header.elem,
            shape: header.shape.clone(),
            big_endian: header.big_endian && !bytewise,
            fortran: header.fortran && header.shape.iter().filter(|&&d| d > 1).count() > 1,
            bytes: data,
        }
    }

    /// A little-endian array in C order.
    pub(crate) fn plain(elem: ElementType, shape: Vec<usize>, bytes: Bytes) -> Self {
        Self { elem, shape, big_endian: false, fortran: false, bytes }
    }

    /// Number of elements.
    pub(crate) fn len(&self) -> usize {
        count(&self.shape)
    }

    /// Bytes of one element.
    fn size(&self) -> usize {
        self.elem.byte_len(1).unwrap_or(1)
    }

    /// Little-endian bytes of the elements at these positions in C order. Positions beyond the end are left out.
    pub(crate) fn elements(&self, range: Range<usize>) -> Cow<'_, [u8]> {
        let size = self.size();
        if !self.fortran {
            let end = range.end.saturating_mul(size).min(self.bytes.len());
            let stored = self.bytes.get(range.start.saturating_mul(size)..end).unwrap_or_default();
            if !self.big_endian {
                return Cow::Borrowed(stored);
            }
            let mut out = stored.to_vec();
            self.swap(&mut out);
            return Cow::Owned(out);
        }
        let mut out = Vec::with_capacity(range.len().min(self.len()) * size);
        for position in range {
            let at = self.stored_position(position) * size;
            out.extend_from_slice(self.bytes.get(at..at + size).unwrap_or_default());
        }
        if self.big_endian {
            self.swap(&mut out);
        }
        Cow::Owned(out)
    }

    /// Where the element at a position in C order stands in Fortran order.
    fn stored_position(&self, position: usize) -> usize {
        let (mut rest, mut block, mut at) = (position, self.len(), 0);
        let mut stride = 1;
        for &dim in &self.shape {
            block /= dim.max(1);
            let index = rest / block.max(1);
            rest %= block.max(1);
            at += index * stride;
            stride *= dim;
        }
        at
    }

    fn swap(&self, bytes: &mut [u8]) {
        // A complex number is two numbers.
        let number = match self.elem {
            ElementType::Complex64 | ElementType::Complex128 => self.size() / 2,
            _ => self.size(),
        };
        bytes.chunks_exact_mut(number.max(1)).for_each(<[u8]>::reverse);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders() {
        let header = Header { elem: ElementType::I16, big_endian: true, fortran: true, shape: vec![2, 3], data_start: 0, data_len: 12 };
        // [[1, 2, 3], [4, 5, 6]] in Fortran order is 1 4 2 5 3 6.
        let stored: Vec<u8> = [1i16, 4, 2, 5, 3, 6].iter().flat_map(|v| v.to_be_bytes()).collect();
        let array = Array::new(&header, stored.into());
        let read = |range| array.elements(range).as_chunks().0.iter().map(|c| i16::from_le_bytes(*c)).collect::<Vec<_>>();
        assert_eq!(read(0..6), [1, 2, 3, 4, 5, 6]);
        assert_eq!(read(2..4), [3, 4]);
    }
}
