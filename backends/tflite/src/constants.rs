//! Constants of a module as buffers of a file: equal bytes are one buffer, numbered in the order of first use.

use std::collections::HashMap;

use bytes::Bytes;
use octet_ir::{ConstId, EntityId};

/// Distinct buffers, beginning with the empty one that tensors without data name.
pub(crate) struct Buffers {
    buffers: Vec<Bytes>,
    /// Buffer of a constant that was seen before.
    by_constant: HashMap<usize, u32>,
    /// Buffers by length and first bytes, to compare with.
    by_content: HashMap<(usize, u64), Vec<u32>>,
}

impl Buffers {
    pub(crate) fn new() -> Self {
        Self { buffers: vec![Bytes::new()], by_constant: HashMap::new(), by_content: HashMap::new() }
    }

    /// The buffer of a constant.
    pub(crate) fn constant(&mut self, id: ConstId, bytes: &Bytes) -> u32 {
        if let Some(&known) = self.by_constant.get(&id.index()) {
            return known;
        }
        let index = self.bytes(bytes);
        self.by_constant.insert(id.index(), index);
        index
    }

    /// The buffer that holds these bytes.
    pub(crate) fn bytes(&mut self, bytes: &Bytes) -> u32 {
        let candidates = self.by_content.entry((bytes.len(), fingerprint(bytes))).or_default();
        let same = |index: &&u32| self.buffers.get(**index as usize).is_some_and(|known| known == bytes);
        if let Some(known) = candidates.iter().find(same) {
            return *known;
        }
        let index = u32::try_from(self.buffers.len()).unwrap_or(u32::MAX);
        candidates.push(index);
        self.buffers.push(bytes.clone());
        index
    }

    /// All buffers by index; the first one is the empty one.
    pub(crate) fn all(&self) -> &[Bytes] {
        &self.buffers
    }
}

/// A number that differs for most different bytes: samples of up to 64 words, since whole gigabytes take long to look at and are compared
/// word for word anyway before they are held equal.
fn fingerprint(bytes: &[u8]) -> u64 {
    let (words, tail) = bytes.as_chunks::<8>();
    let step = words.len().div_ceil(64).max(1);
    let sampled = words.iter().step_by(step).chain(words.last()).map(|w| u64::from_le_bytes(*w));
    let tail = tail.iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
    sampled.chain([tail]).fold(0xcbf2_9ce4_8422_2325, |hash, word| (hash ^ word).wrapping_mul(0x100_0000_01b3).rotate_left(23))
}
