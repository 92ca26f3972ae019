//! Storage for tensor data: bytes aligned to a cache line, viewed as numbers.
//!
//! Alignment is what vector loads want (a 64-byte load that straddles two cache lines costs
//! two), and it makes every cast to a number type valid. A buffer never shrinks its
//! allocation, so an interpreter that runs twice allocates once.

use bytemuck::{Pod, Zeroable};

/// Bytes in one block, the alignment of every buffer.
pub const ALIGNMENT: usize = 64;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Block([u8; ALIGNMENT]);

/// A growable run of bytes whose start is aligned to [`ALIGNMENT`].
#[derive(Clone, Default)]
pub struct Buffer {
    blocks: Vec<Block>,
    len: usize,
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} bytes)", self.len)
    }
}

impl Buffer {
    /// A buffer of `len` zero bytes.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        let mut buffer = Self::default();
        buffer.resize(len);
        buffer
    }

    /// A copy of `bytes`.
    #[must_use]
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut buffer = Self::zeroed(bytes.len());
        buffer.bytes_mut().copy_from_slice(bytes);
        buffer
    }

    /// A copy of `values`.
    #[must_use]
    pub fn from_slice<T: Pod>(values: &[T]) -> Self {
        Self::copy_of(bytemuck::cast_slice(values))
    }

    /// Makes the buffer `len` bytes long. Bytes beyond the longest length so far are zero,
    /// the others keep whatever they held.
    pub fn resize(&mut self, len: usize) {
        let blocks = len.div_ceil(ALIGNMENT);
        if blocks > self.blocks.len() {
            self.blocks.resize(blocks, Block::zeroed());
        }
        self.len = len;
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the buffer holds no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.blocks)[..self.len]
    }

    /// The bytes, to write.
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.blocks)[..self.len]
    }

    /// The bytes as numbers; trailing bytes that make no whole number are left out.
    #[must_use]
    pub fn as_slice<T: Pod>(&self) -> &[T] {
        let size = size_of::<T>();
        bytemuck::cast_slice(&self.bytes()[..self.len / size * size])
    }

    /// The bytes as numbers, to write; trailing bytes that make no whole number are left out.
    #[must_use]
    pub fn as_mut_slice<T: Pod>(&mut self) -> &mut [T] {
        let size = size_of::<T>();
        let whole = self.len / size * size;
        bytemuck::cast_slice_mut(&mut self.bytes_mut()[..whole])
    }
}
