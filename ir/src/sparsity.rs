//! How sparse constants are stored. Only the layout: nothing here touches the constant's elements.

use serde::{Deserialize, Serialize};

/// Largest rank of a sparse constant. TFLite's kernels take no tensors of more axes.
pub const MAX_RANK: usize = 8;

/// One dimension of a sparse tensor's storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SparsityDim {
    /// All indices are stored.
    Dense {
        /// How many.
        size: i32,
    },
    /// Compressed sparse row storage.
    Csr {
        /// Where each row's entries begin, and the end of the last.
        segments: Vec<i32>,
        /// Index along this dimension of each stored entry.
        indices: Vec<i32>,
        /// Width in bits of the segments in the file: 8, 16 or 32.
        segment_bits: u8,
        /// Width in bits of the indices in the file: 8, 16 or 32.
        index_bits: u8,
    },
}

/// How a sparse constant is stored, as in TFLite's `SparsityParameters`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sparsity {
    /// Order in which dimensions (and then blocks) are stored.
    pub traversal_order: Vec<i32>,
    /// Original dimension of each block dimension.
    pub block_map: Vec<i32>,
    /// Storage of each dimension, in traversal order.
    pub dims: Vec<SparsityDim>,
}

impl Sparsity {
    /// Number of elements that a constant of shape `dims` stores, after checking every index.
    ///
    /// Dimensions beyond the tensor's rank are blocks: dimension `rank + b` subdivides dimension `block_map[b]`. They are stored after the
    /// tensor's own and are dense. There are at most as many blocks as dimensions, and at most [`MAX_RANK`] of these.
    ///
    /// # Errors
    /// What does not add up.
    pub fn stored_elements(&self, dims: &[usize]) -> Result<usize, &'static str> {
        let (rank, total) = (dims.len(), self.traversal_order.len());
        if total < rank || self.dims.len() != total || self.block_map.len() != total - rank {
            return Err("the number of dimensions does not fit");
        }
        if rank > MAX_RANK || total > 2 * rank {
            return Err("there are too many dimensions");
        }
        let order: Vec<usize> = self
            .traversal_order
            .iter()
            .map(|&d| usize::try_from(d).ok().filter(|d| *d < total).ok_or("the traversal order names no dimension"))
            .collect::<Result<_, _>>()?;
        let (outer, blocks) = order.split_at(rank);
        let mut seen = vec![false; total];
        let in_part = outer.iter().all(|d| *d < rank) && blocks.iter().all(|d| *d >= rank);
        if !in_part || order.iter().any(|&d| seen.get_mut(d).is_none_or(|s| std::mem::replace(s, true))) {
            return Err("the traversal order is no permutation");
        }
        // Sizes of the outer dimensions in blocks, then of the dimensions inside a block.
        let mut sizes = dims.to_vec();
        sizes.resize(total, 0);
        let mut blocked = vec![false; rank];
        for (position, &dim) in blocks.iter().enumerate() {
            let Some(SparsityDim::Dense { size }) = self.dims.get(rank + position) else {
                return Err("a dimension inside a block is not dense");
            };
            let size = usize::try_from(*size).ok().filter(|s| *s > 0).ok_or("a block has no size")?;
            let mapped = self.block_map.get(dim - rank).and_then(|&m| usize::try_from(m).ok());
            let target = mapped.filter(|m| *m < rank).ok_or("the block map names no dimension")?;
            if blocked.get_mut(target).is_none_or(|b| std::mem::replace(b, true)) {
                return Err("two blocks subdivide one dimension");
            }
            if let Some(slot) = sizes.get_mut(dim) {
                *slot = size;
            }
            if let Some(slot) = sizes.get_mut(target) {
                if *slot % size != 0 {
                    return Err("blocks do not divide their dimension");
                }
                *slot /= size;
            }
        }
        let mut count = 1usize;
        for (dim, storage) in order.iter().zip(&self.dims) {
            let extent = sizes.get(*dim).copied().unwrap_or(0);
            match storage {
                SparsityDim::Dense { size } => {
                    if usize::try_from(*size) != Ok(extent) {
                        return Err("a dense dimension has another size than the shape");
                    }
                    count = count.checked_mul(extent).ok_or("the number of elements overflows")?;
                }
                SparsityDim::Csr { segments, indices, .. } => {
                    let ascending = segments.windows(2).all(|w| matches!(w, [a, b] if a <= b)) && segments.first().is_none_or(|s| *s >= 0);
                    let ends = segments.last().is_some_and(|&s| usize::try_from(s) == Ok(indices.len()));
                    if !ascending || !ends || segments.len() - 1 != count {
                        return Err("the segments do not fit");
                    }
                    if !indices.iter().all(|&i| usize::try_from(i).is_ok_and(|i| i < extent)) {
                        return Err("an index lies outside its dimension");
                    }
                    count = indices.len();
                }
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_one_do_not_pile_up() {
        let piled = |blocks: i32| Sparsity {
            traversal_order: (0..1 + blocks).collect(),
            block_map: vec![0; usize::try_from(blocks).unwrap()],
            dims: std::iter::once(SparsityDim::Dense { size: 4 }).chain((0..blocks).map(|_| SparsityDim::Dense { size: 1 })).collect(),
        };
        assert_eq!(piled(1).stored_elements(&[4]), Ok(4));
        assert_eq!(piled(2).stored_elements(&[4]), Err("there are too many dimensions"));
        assert_eq!(piled(200_000).stored_elements(&[4]), Err("there are too many dimensions"));
    }
}
