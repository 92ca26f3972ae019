//! One copy between two strided views: the engine of TRANSPOSE, SLICE, STRIDED_SLICE,
//! BROADCAST_TO, TILE, REVERSE_V2, PAD, SPLIT, CONCATENATION, SPACE_TO_DEPTH and their kin.
//!
//! A view is an offset and one signed stride per axis, in elements. Axes that both views walk
//! without a gap are joined beforehand, so that most copies end as a few long `memcpy`s.

/// A view of a row-major tensor: where it starts, and the step along each axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Index of the first element.
    pub start: usize,
    /// Step per axis in elements; 0 repeats, negative goes back.
    pub strides: Vec<isize>,
}

impl View {
    /// The whole of a dense tensor of these sizes.
    #[must_use]
    pub fn dense(dims: &[usize]) -> Self {
        Self { start: 0, strides: dense_strides(dims) }
    }

    /// A view with these strides.
    #[must_use]
    pub fn new(start: usize, strides: Vec<isize>) -> Self {
        Self { start, strides }
    }
}

/// Row-major strides in elements. Those of a tensor without elements may wrap around: nothing is reached through them.
#[must_use]
pub fn dense_strides(dims: &[usize]) -> Vec<isize> {
    let mut strides: Vec<isize> = vec![1; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis].wrapping_mul(dims[axis] as isize);
    }
    strides
}

/// A prepared copy.
#[derive(Clone, Debug)]
pub struct StridedCopy {
    width: usize,
    /// Outer axes: size, source stride, target stride. The last one is the innermost.
    axes: Vec<(usize, isize, isize)>,
    source: usize,
    target: usize,
    empty: bool,
}

impl StridedCopy {
    /// Copies elements of `width` bytes for every index of a box of `dims`.
    #[must_use]
    pub fn new(width: usize, dims: &[usize], source: &View, target: &View) -> Self {
        if dims.contains(&0) {
            return Self { width, axes: Vec::new(), source: 0, target: 0, empty: true };
        }
        let mut axes: Vec<(usize, isize, isize)> = Vec::new();
        for (axis, &size) in dims.iter().enumerate() {
            let (from, to) = (source.strides[axis], target.strides[axis]);
            if size == 1 {
                continue;
            }
            match axes.last_mut() {
                Some((outer, outer_from, outer_to)) if *outer_from == from * size as isize && *outer_to == to * size as isize => {
                    *outer *= size;
                    (*outer_from, *outer_to) = (from, to);
                }
                _ => axes.push((size, from, to)),
            }
        }
        if axes.is_empty() {
            axes.push((1, 1, 1));
        }
        Self { width, axes, source: source.start, target: target.start, empty: false }
    }

    /// From a view of the source into a whole dense tensor of `dims`.
    #[must_use]
    pub fn gather(width: usize, dims: &[usize], source: &View) -> Self {
        Self::new(width, dims, source, &View::dense(dims))
    }

    /// From a whole dense tensor of `dims` into a view of the target.
    #[must_use]
    pub fn scatter(width: usize, dims: &[usize], target: &View) -> Self {
        Self::new(width, dims, &View::dense(dims), target)
    }

    /// Copies.
    ///
    /// # Panics
    ///
    /// If a view leaves its buffer.
    pub fn run(&self, source: &[u8], target: &mut [u8]) {
        if self.empty {
            return;
        }
        match self.width {
            1 => self.typed::<1>(source, target),
            2 => self.typed::<2>(source, target),
            4 => self.typed::<4>(source, target),
            8 => self.typed::<8>(source, target),
            16 => self.typed::<16>(source, target),
            other => unreachable!("no element is {other} bytes wide"),
        }
    }

    fn typed<const W: usize>(&self, source: &[u8], target: &mut [u8]) {
        let source = source.as_chunks::<W>().0;
        let target = target.as_chunks_mut::<W>().0;
        self.axis(&self.axes, source, target, self.source as isize, self.target as isize);
    }

    fn axis<const W: usize>(
        &self,
        axes: &[(usize, isize, isize)],
        source: &[[u8; W]],
        target: &mut [[u8; W]],
        mut from: isize,
        mut to: isize,
    ) {
        match *axes {
            [] => {}
            [(size, 1, 1)] => {
                let (from, to) = (from as usize, to as usize);
                target[to..to + size].copy_from_slice(&source[from..from + size]);
            }
            [(size, 0, 1)] => target[to as usize..][..size].fill(source[from as usize]),
            // A transposed plane: walk it in squares so that both sides stay in cache lines.
            [(rows, from_row, to_row), (columns, from_column, to_column)] if rows * columns > 64 && from_column != 1 => {
                for row in (0..rows).step_by(16) {
                    let row_end = (row + 16).min(rows);
                    for column in (0..columns).step_by(16) {
                        for r in row..row_end {
                            let mut f = from + r as isize * from_row + column as isize * from_column;
                            let mut t = to + r as isize * to_row + column as isize * to_column;
                            for _ in column..(column + 16).min(columns) {
                                target[t as usize] = source[f as usize];
                                f += from_column;
                                t += to_column;
                            }
                        }
                    }
                }
            }
            [(size, from_step, to_step)] => {
                for _ in 0..size {
                    target[to as usize] = source[from as usize];
                    from += from_step;
                    to += to_step;
                }
            }
            [(size, from_step, to_step), ref inner @ ..] => {
                for _ in 0..size {
                    self.axis(inner, source, target, from, to);
                    from += from_step;
                    to += to_step;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(dims: &[usize], source: &View, input: &[u8]) -> Vec<u8> {
        let mut out = vec![0; dims.iter().product()];
        StridedCopy::gather(1, dims, source).run(input, &mut out);
        out
    }

    #[test]
    fn views_transpose_slice_reverse_and_broadcast() {
        let input: Vec<u8> = (0..24).collect();
        // [2, 3, 4] with the axes in the order 2, 0, 1.
        let out = run(&[4, 2, 3], &View::new(0, vec![1, 12, 4]), &input);
        assert_eq!(out[..6], [0, 4, 8, 12, 16, 20]);
        assert_eq!(run(&[2, 2], &View::new(13, vec![4, 1]), &input), [13, 14, 17, 18]);
        assert_eq!(run(&[3], &View::new(5, vec![-2]), &input), [5, 3, 1]);
        assert_eq!(run(&[2, 3], &View::new(7, vec![1, 0]), &input), [7, 7, 7, 8, 8, 8]);
        assert_eq!(run(&[], &View::new(9, vec![]), &input), [9]);
    }

    #[test]
    fn a_large_transpose_reaches_every_element() {
        let (rows, columns) = (37, 53);
        let input: Vec<u8> = (0..rows * columns).flat_map(|i: usize| (i as u16).to_le_bytes()).collect();
        let mut out = vec![0; input.len()];
        let view = View::new(0, vec![1, rows as isize]);
        StridedCopy::gather(2, &[rows, columns], &view).run(&input, &mut out);
        for (i, value) in out.as_chunks::<2>().0.iter().enumerate() {
            let (row, column) = (i / columns, i % columns);
            assert_eq!(usize::from(u16::from_le_bytes(*value)), column * rows + row);
        }
    }
}
