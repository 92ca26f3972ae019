//! Walking two tensors whose shapes broadcast together, as NumPy does.

use super::{KernelError, Result, elements, ensure};

/// The shape that both broadcast to.
pub fn broadcast_shape(a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let rank = a.len().max(b.len());
    let dim = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    (0..rank)
        .map(|axis| match (dim(a, axis), dim(b, axis)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => Err(KernelError(format!("the shapes {a:?} and {b:?} do not broadcast together"))),
        })
        .collect()
}

/// Row-major strides of `shape` inside `out`: 0 along broadcast axes.
fn strides(shape: &[usize], out: &[usize]) -> Vec<usize> {
    let mut strides = vec![0; out.len()];
    let mut stride = 1usize;
    for (i, &d) in shape.iter().enumerate().rev() {
        let axis = i + out.len() - shape.len();
        if d != 1 {
            strides[axis] = stride;
        }
        stride = stride.saturating_mul(d);
    }
    strides
}

/// For every element of `out` in row-major order, the offset of the element of `shape` that it reads.
pub fn offsets(shape: &[usize], out: &[usize]) -> Vec<usize> {
    let strides = strides(shape, out);
    let count = if out.contains(&0) { 0 } else { out.iter().product() };
    let mut offsets = Vec::with_capacity(count);
    let mut index = vec![0usize; out.len()];
    let mut at = 0usize;
    for _ in 0..count {
        offsets.push(at);
        step(&mut index, out, &mut [(&mut at, &strides)]);
    }
    offsets
}

/// Advances a row-major index and the offsets that belong to it.
fn step(index: &mut [usize], shape: &[usize], offsets: &mut [(&mut usize, &[usize])]) {
    for axis in (0..index.len()).rev() {
        index[axis] += 1;
        for (offset, strides) in offsets.iter_mut() {
            **offset += strides[axis];
        }
        if index[axis] < shape[axis] {
            return;
        }
        for (offset, strides) in offsets.iter_mut() {
            **offset -= strides[axis] * shape[axis];
        }
        index[axis] = 0;
    }
}

/// Where an operand's values along a run are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offset {
    /// One after the other from here.
    Dense(usize),
    /// All the same one.
    Constant(usize),
}

/// A stretch of the result along which each operand is dense or constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Left operand.
    pub a: Offset,
    /// Right operand.
    pub b: Offset,
    /// First index of the result.
    pub out: usize,
    /// Length.
    pub len: usize,
}

/// Calls `f` for every run of the broadcast shape, in order. `lengths` are those of both operands and the result.
pub fn walk(a_shape: &[usize], b_shape: &[usize], lengths: [usize; 3], f: &mut dyn FnMut(Run)) -> Result<()> {
    let shape = broadcast_shape(a_shape, b_shape)?;
    let [a_len, b_len, out_len] = lengths;
    ensure(a_len == elements(a_shape)? && b_len == elements(b_shape)? && out_len == elements(&shape)?, || {
        format!("{a_len} and {b_len} values do not fit shapes {a_shape:?} and {b_shape:?}")
    })?;
    if out_len == 0 {
        return Ok(());
    }
    // The longest suffix along which each operand is either dense or constant makes a run.
    let (a_strides, b_strides) = (strides(a_shape, &shape), strides(b_shape, &shape));
    let mut inner = 1usize;
    let mut axis = shape.len();
    let mut dense: Option<(bool, bool)> = None;
    while axis > 0 {
        let d = shape[axis - 1];
        if d != 1 {
            let here = (a_strides[axis - 1] != 0, b_strides[axis - 1] != 0);
            if *dense.get_or_insert(here) != here {
                break;
            }
        }
        inner *= d;
        axis -= 1;
    }
    let (a_dense, b_dense) = dense.unwrap_or((true, true));
    let offset = |at: usize, dense: bool| if dense { Offset::Dense(at) } else { Offset::Constant(at) };
    let mut index = vec![0usize; axis];
    let (mut at_a, mut at_b) = (0usize, 0usize);
    for out in (0..out_len).step_by(inner) {
        f(Run { a: offset(at_a, a_dense), b: offset(at_b, b_dense), out, len: inner });
        step(&mut index, &shape[..axis], &mut [(&mut at_a, &a_strides[..axis]), (&mut at_b, &b_strides[..axis])]);
    }
    Ok(())
}

/// `out[i] = f(a[..], b[..])` over the broadcast shape.
pub fn zip_broadcast<A: Copy, B: Copy, O>(
    a_shape: &[usize],
    a: &[A],
    b_shape: &[usize],
    b: &[B],
    out: &mut [O],
    f: impl Fn(A, B) -> O,
) -> Result<()> {
    let lengths = [a.len(), b.len(), out.len()];
    walk(a_shape, b_shape, lengths, &mut |run| {
        let at = |offset: Offset, i: usize| match offset {
            Offset::Dense(at) => at + i,
            Offset::Constant(at) => at,
        };
        for (i, o) in out[run.out..run.out + run.len].iter_mut().enumerate() {
            *o = f(a[at(run.a, i)], b[at(run.b, i)]);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_is_numpys() {
        let cases: [(&[usize], &[usize]); 6] = [
            (&[2, 3], &[2, 3]),
            (&[2, 3], &[3]),
            (&[2, 1], &[1, 3]),
            (&[], &[2, 2]),
            (&[4, 1, 2], &[3, 1]),
            (&[1, 2, 1, 3], &[2, 2, 4, 1]),
        ];
        for (a_shape, b_shape) in cases {
            let shape = broadcast_shape(a_shape, b_shape).unwrap();
            let a: Vec<i32> = (0..a_shape.iter().product::<usize>() as i32).collect();
            let b: Vec<i32> = (0..b_shape.iter().product::<usize>() as i32).map(|x| 100 * x).collect();
            let mut got = vec![0; shape.iter().product()];
            zip_broadcast(a_shape, &a, b_shape, &b, &mut got, |a, b| a + b).unwrap();
            let (at_a, at_b) = (offsets(a_shape, &shape), offsets(b_shape, &shape));
            let want: Vec<i32> = at_a.iter().zip(&at_b).map(|(&i, &j)| a[i] + b[j]).collect();
            assert_eq!(got, want, "{a_shape:?} {b_shape:?}");
        }
        assert_eq!(offsets(&[2, 1], &[2, 3]), [0, 0, 0, 1, 1, 1]);
        assert_eq!(offsets(&[3], &[2, 3]), [0, 1, 2, 0, 1, 2]);
        assert!(broadcast_shape(&[2], &[3]).is_err());
    }
}
