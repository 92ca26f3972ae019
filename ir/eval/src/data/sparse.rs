//! Dense copies of sparse constants.

use octet_ir::{Sparsity, SparsityDim, Type};

use super::strided::dense_strides;
use crate::buffer::Buffer;

/// Largest dense tensor in bytes: a small file may declare any size.
const LARGEST: usize = 1 << 31;

/// The dense tensor that `bytes` stores in the layout of `sparsity`.
///
/// Anything that does not add up ([`Sparsity::stored_elements`]) is an error, never a write out of bounds. The work is bounded by the
/// bytes and the indices, the depth of the walk by [`octet_ir::sparsity::MAX_RANK`].
pub fn densify(bytes: &[u8], sparsity: &Sparsity, ty: &Type) -> Result<Buffer, String> {
    let width = ty.elem.bits().filter(|bits| *bits >= 8).map(|bits| bits / 8);
    let width = width.ok_or("elements of less than a byte")?;
    let dims = ty.shape.dims();
    let rank = dims.len();
    let stored = sparsity.stored_elements(dims)?;
    if stored.checked_mul(width) != Some(bytes.len()) {
        return Err(format!("{stored} elements are stored in {} bytes", bytes.len()));
    }
    let length = ty.byte_len().filter(|length| *length <= LARGEST).ok_or("a dense tensor of more than 2 GiB")?;
    let mut out = Buffer::zeroed(length);
    if stored == 0 {
        return Ok(out);
    }
    let order: Option<Vec<usize>> = sparsity.traversal_order.iter().map(|&d| usize::try_from(d).ok()).collect();
    let blocks: Option<Vec<usize>> = sparsity.block_map.iter().map(|&d| usize::try_from(d).ok()).collect();
    let (Some(order), Some(blocks)) = (order, blocks) else { return Err("a negative dimension".into()) };
    // Elements per index step of every dimension, blocks included.
    let dense = dense_strides(dims);
    let mut steps: Vec<usize> = dense.iter().map(|s| s.unsigned_abs()).collect();
    for (b, &of) in blocks.iter().enumerate() {
        let level = order.iter().position(|&d| d == rank + b).unwrap_or(0);
        let SparsityDim::Dense { size } = &sparsity.dims[level] else { return Err("a sparse block".into()) };
        let size = usize::try_from(*size).map_err(|_| "a negative block size")?;
        let step = steps.get(of).copied().filter(|_| of < rank).ok_or("a block of no dimension")?;
        steps.push(step);
        steps[of] = step.checked_mul(size).ok_or("a block size that overflows")?;
    }
    let mut walk = Walk { sparsity, order: &order, steps: &steps, width, source: bytes.chunks_exact(width), out: &mut out };
    walk.level(0, 0, 0)?;
    Ok(out)
}

struct Walk<'a> {
    sparsity: &'a Sparsity,
    order: &'a [usize],
    steps: &'a [usize],
    width: usize,
    source: std::slice::ChunksExact<'a, u8>,
    out: &'a mut Buffer,
}

impl Walk<'_> {
    /// Visits level `level` under position `row` of the level above; `at` is the element offset so far.
    fn level(&mut self, level: usize, row: usize, at: usize) -> Result<(), String> {
        let Some(dim) = self.sparsity.dims.get(level) else {
            let value = self.source.next().ok_or("fewer values than entries")?;
            let start = at * self.width;
            let target = self.out.bytes_mut().get_mut(start..start + self.width);
            target.ok_or("an index outside the tensor")?.copy_from_slice(value);
            return Ok(());
        };
        let step = self.steps[self.order[level]];
        let next = |index: usize| index.checked_mul(step).and_then(|d| d.checked_add(at)).ok_or("an index that overflows");
        match dim {
            SparsityDim::Dense { size } => {
                let size = usize::try_from(*size).map_err(|_| "a negative size")?;
                for index in 0..size {
                    self.level(level + 1, row * size + index, next(index)?)?;
                }
            }
            SparsityDim::Csr { segments, indices, .. } => {
                let segment = |i: usize| segments.get(i).and_then(|&s| usize::try_from(s).ok()).ok_or("too few segments");
                for entry in segment(row)?..segment(row + 1)? {
                    let index = indices.get(entry).and_then(|&i| usize::try_from(i).ok()).ok_or("too few indices")?;
                    self.level(level + 1, entry, next(index)?)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use octet_ir::{ElementType, Type};

    #[test]
    fn csr_rows_become_dense() {
        // [[0, 5, 0], [0, 0, 0], [7, 0, 9]]
        let sparsity = Sparsity {
            traversal_order: vec![0, 1],
            block_map: vec![],
            dims: vec![
                SparsityDim::Dense { size: 3 },
                SparsityDim::Csr { segments: vec![0, 1, 1, 3], indices: vec![1, 0, 2], segment_bits: 32, index_bits: 32 },
            ],
        };
        let ty = Type::new(ElementType::I8, [3, 3]);
        let dense = densify(&[5, 7, 9], &sparsity, &ty).expect("well formed");
        assert_eq!(dense.bytes(), [0, 5, 0, 0, 0, 0, 7, 0, 9]);
        assert!(densify(&[5, 7], &sparsity, &ty).is_err());
    }

    #[test]
    fn what_is_not_bounded_by_the_bytes_is_refused() {
        let dense = |sizes: &[i32]| Sparsity {
            traversal_order: (0..).take(sizes.len()).collect(),
            block_map: vec![],
            dims: sizes.iter().map(|&size| SparsityDim::Dense { size }).collect(),
        };
        // Two billion rows of nothing, and a tower of dimensions.
        let rows = densify(&[], &dense(&[i32::MAX, 0]), &Type::new(ElementType::I8, [i32::MAX as usize, 0])).expect("well formed");
        assert!(rows.bytes().is_empty());
        let ones = vec![1usize; 100_000];
        assert!(densify(&[1], &dense(&vec![1; 100_000]), &Type::new(ElementType::I8, ones)).is_err());
        let huge = Type::new(ElementType::I8, [1 << 20, 1 << 20]);
        let none = SparsityDim::Csr { segments: vec![0; (1 << 20) + 1], indices: vec![], segment_bits: 8, index_bits: 8 };
        let empty = Sparsity { dims: vec![SparsityDim::Dense { size: 1 << 20 }, none], ..dense(&[1, 1]) };
        assert!(densify(&[], &empty, &huge).is_err());
    }

    #[test]
    fn blocks_subdivide_their_dimension() {
        // A 4x4 matrix in blocks of 2x2; only the block at (0, 1) is stored, row by row.
        let sparsity = Sparsity {
            traversal_order: vec![0, 1, 2, 3],
            block_map: vec![0, 1],
            dims: vec![
                SparsityDim::Dense { size: 2 },
                SparsityDim::Csr { segments: vec![0, 1, 1], indices: vec![1], segment_bits: 8, index_bits: 8 },
                SparsityDim::Dense { size: 2 },
                SparsityDim::Dense { size: 2 },
            ],
        };
        let dense = densify(&[1, 2, 3, 4], &sparsity, &Type::new(ElementType::I8, [4, 4])).expect("well formed");
        assert_eq!(dense.bytes(), [0, 0, 1, 2, 0, 0, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}
