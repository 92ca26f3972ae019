//! Reading a flexbuffer whose root is a map, with every offset checked: keys, and values that are bytes.
//!
//! The compiler stores its package as a string that is no UTF-8, which readers of strings refuse; here a string is bytes.

/// A map.
pub(crate) struct Map<'a> {
    bytes: &'a [u8],
    /// Where the values begin, how wide each is, and how many there are.
    values: usize,
    width: usize,
    length: usize,
    keys: usize,
    key_width: usize,
}

const MAP: u8 = 9;
const STRING: u8 = 5;
const BLOB: u8 = 25;

/// An unsigned number of `width` bytes.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    let part = bytes.get(at..at.checked_add(width)?)?;
    part.iter().rev().try_fold(0usize, |n, b| n.checked_mul(256)?.checked_add(usize::from(*b)))
}

/// What an offset at `at` points to.
fn behind(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    at.checked_sub(number(bytes, at, width)?)
}

/// Type and width of a packed type byte.
fn unpacked(byte: u8) -> (u8, usize) {
    (byte >> 2, 1 << (byte & 3))
}

impl<'a> Map<'a> {
    /// Reads the root; `None` if it is no map.
    pub(crate) fn root(bytes: &'a [u8]) -> Option<Self> {
        let (&root_width, rest) = bytes.split_last()?;
        let (&packed, rest) = rest.split_last()?;
        let (kind, width) = unpacked(packed);
        let root_width = usize::from(root_width);
        let at = rest.len().checked_sub(root_width)?;
        let values = behind(bytes, at, root_width).filter(|_| kind == MAP && root_width <= 8)?;
        // Before the values: their number, the width of the keys, and where the keys are.
        let before = |n: usize| values.checked_sub(n.checked_mul(width)?);
        let length = number(bytes, before(1)?, width)?;
        let key_width = number(bytes, before(2)?, width).filter(|w| [1, 2, 4, 8].contains(w))?;
        let keys = behind(bytes, before(3)?, width)?;
        (length <= bytes.len()).then_some(Self { bytes, values, width, length, keys, key_width })
    }

    fn key(&self, index: usize) -> Option<&'a str> {
        let at = behind(self.bytes, self.keys.checked_add(index.checked_mul(self.key_width)?)?, self.key_width)?;
        let text = self.bytes.get(at..)?.split(|b| *b == 0).next()?;
        std::str::from_utf8(text).ok()
    }

    /// The keys, in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'a str> + '_ {
        (0..self.length).filter_map(|i| self.key(i))
    }

    /// The bytes of a string or blob.
    pub(crate) fn get(&self, key: &str) -> Option<&'a [u8]> {
        let index = (0..self.length).find(|i| self.key(*i) == Some(key))?;
        let types = self.values.checked_add(self.length.checked_mul(self.width)?)?;
        let (kind, width) = unpacked(*self.bytes.get(types.checked_add(index)?)?);
        let at = behind(self.bytes, self.values.checked_add(index.checked_mul(self.width)?)?, self.width)?;
        let length = number(self.bytes, at.checked_sub(width)?, width)?;
        self.bytes.get(at..at.checked_add(length)?).filter(|_| kind == STRING || kind == BLOB)
    }
}

#[cfg(test)]
mod tests {
    use super::Map;

    /// `{"4": "ab\xff"}`: key, string, vector of keys, map.
    const SAMPLE: &[u8] = &[b'4', 0, 3, b'a', b'b', 0xff, 0, 1, 8, 1, 1, 1, 9, 5 << 2, 2, MAP_BYTE, 1];
    const MAP_BYTE: u8 = 9 << 2;

    #[test]
    fn maps_are_read() {
        let map = Map::root(SAMPLE).expect("a map");
        assert_eq!(map.keys().collect::<Vec<_>>(), ["4"]);
        assert_eq!(map.get("4"), Some(&b"ab\xff"[..]));
        assert_eq!(map.get("5"), None);
    }

    #[test]
    fn damaged_maps_are_no_maps() {
        for end in 0..SAMPLE.len() {
            if let Some(map) = SAMPLE.get(..end).and_then(Map::root) {
                let _ = (map.keys().count(), map.get("4"));
            }
        }
        for at in 0..SAMPLE.len() {
            for value in 0..=255 {
                let mut bytes = SAMPLE.to_vec();
                bytes[at] = value;
                if let Some(map) = Map::root(&bytes) {
                    let _ = (map.keys().count(), map.get("4"));
                }
            }
        }
    }
}
