//! Copies whose source or target is chosen by an index: GATHER, GATHER_ND, SCATTER_ND and
//! mirrored borders.

/// An index that lies outside its axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfBounds {
    /// The index.
    pub index: i64,
    /// Size of the axis.
    pub size: usize,
}

/// `index` as a position on an axis of `size`.
pub fn checked(index: i64, size: usize) -> Result<usize, OutOfBounds> {
    usize::try_from(index).ok().filter(|&i| i < size).ok_or(OutOfBounds { index, size })
}

/// GATHER along one axis: the source is `[batch, outer, axis, inner]`, the indices
/// `[batch, count]`, the result `[batch, outer, count, inner]`.
#[derive(Clone, Copy, Debug)]
pub struct GatherShape {
    /// Leading axes that source and indices share.
    pub batch: usize,
    /// Axes between those and the gathered one.
    pub outer: usize,
    /// Size of the gathered axis.
    pub axis: usize,
    /// Bytes per entry of the gathered axis.
    pub inner: usize,
    /// Indices per batch.
    pub count: usize,
}

impl GatherShape {
    /// Copies the chosen entries; an index may be anything that converts to `i64`.
    pub fn run<I: Copy + Into<i64>>(&self, source: &[u8], indices: &[I], target: &mut [u8]) -> Result<(), OutOfBounds> {
        let Self { batch, outer, axis, inner, count } = *self;
        if inner == 0 || target.is_empty() {
            return Ok(());
        }
        let mut entries = target.chunks_exact_mut(inner);
        for b in 0..batch {
            for o in 0..outer {
                let plane = (b * outer + o) * axis;
                for &index in &indices[b * count..][..count] {
                    let at = checked(index.into(), axis)?;
                    if let Some(entry) = entries.next() {
                        entry.copy_from_slice(&source[(plane + at) * inner..][..inner]);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Offsets of slices addressed by tuples of indices: GATHER_ND and SCATTER_ND.
///
/// `dims` are the sizes of the addressed axes, `indices` holds one tuple of `dims.len()` after
/// the other; the answer counts slices, not elements.
pub fn tuple_offset<I: Copy + Into<i64>>(tuple: &[I], dims: &[usize]) -> Result<usize, OutOfBounds> {
    let mut offset = 0;
    for (&index, &size) in tuple.iter().zip(dims) {
        offset = offset * size + checked(index.into(), size)?;
    }
    Ok(offset)
}

/// Copies a tensor through one index table per axis: `target[i, j, ..] = source[a[i], b[j], ..]`.
/// `strides` are the source's, in elements of `width` bytes.
pub fn axis_tables(width: usize, tables: &[Vec<usize>], strides: &[isize], source: &[u8], target: &mut [u8]) {
    fn axis(width: usize, tables: &[Vec<usize>], strides: &[isize], source: &[u8], from: usize, target: &mut [u8]) {
        match (tables, strides) {
            ([table, tables @ ..], [stride, strides @ ..]) => {
                let part = target.len() / table.len().max(1);
                if part == 0 {
                    return;
                }
                for (&index, target) in table.iter().zip(target.chunks_exact_mut(part)) {
                    axis(width, tables, strides, source, from + index * *stride as usize, target);
                }
            }
            _ => target.copy_from_slice(&source[from * width..][..width]),
        }
    }
    axis(width, tables, strides, source, 0, target);
}
