//! Dense copies of sparse constants.

use octet_ir::{Sparsity, SparsityDim, Type};

use super::strided::dense_strides;
use crate::buffer::Buffer;

/// The dense tensor that `bytes` stores in the layout of `sparsity`.
///
/// Dimensions beyond the tensor's rank are blocks: dimension `rank + b` subdivides dimension
/// `block_map[b]`. Anything that does not add up is an error, never a write out of bounds.
pub fn densify(bytes: &[u8], sparsity: &Sparsity, ty: &Type) -> Result<Buffer, String> {
    let width = ty.elem.bits().filter(|bits| *bits >= 8).map(|bits| bits / 8);
    let width = width.ok_or("elements of less than a byte")?;
    let dims = ty.shape.dims();
    let rank = dims.len();
    let order: Option<Vec<usize>> = sparsity.traversal_order.iter().map(|&d| usize::try_from(d).ok()).collect();
    let blocks: Option<Vec<usize>> = sparsity.block_map.iter().map(|&d| usize::try_from(d).ok()).collect();
    let (Some(order), Some(blocks)) = (order, blocks) else { return Err("a negative dimension".into()) };
    let mut seen = order.clone();
    seen.sort_unstable();
    if seen.iter().enumerate().any(|(i, d)| i != *d) || order.len() != sparsity.dims.len() || order.len() != rank + blocks.len() {
        return Err("the traversal order is no permutation of the dimensions".into());
    }
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
    let mut out = Buffer::zeroed(ty.byte_len().ok_or("a type without a size")?);
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
