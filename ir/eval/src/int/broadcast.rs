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

/// `out[i] = f(a[..], b[..])` over the broadcast shape.
pub fn zip_broadcast<A: Copy, B: Copy, O>(
    a_shape: &[usize],
    a: &[A],
    b_shape: &[usize],
    b: &[B],
    out: &mut [O],
    f: impl Fn(A, B) -> O,
) -> Result<()> {
    let shape = broadcast_shape(a_shape, b_shape)?;
    ensure(a.len() == elements(a_shape)? && b.len() == elements(b_shape)? && out.len() == elements(&shape)?, || {
        format!("{} and {} values do not fit shapes {a_shape:?} and {b_shape:?}", a.len(), b.len())
    })?;
    if out.is_empty() {
        return Ok(());
    }
    if a.len() == b.len() && a.len() == out.len() {
        for ((o, &a), &b) in out.iter_mut().zip(a).zip(b) {
            *o = f(a, b);
        }
        return Ok(());
    }
    // The longest suffix along which each operand is either dense or constant makes the inner loop.
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
    let mut index = vec![0usize; axis];
    let (mut at_a, mut at_b) = (0usize, 0usize);
    for out in out.chunks_mut(inner) {
        match (a_dense, b_dense) {
            (true, true) => {
                for ((o, &a), &b) in out.iter_mut().zip(&a[at_a..]).zip(&b[at_b..]) {
                    *o = f(a, b);
                }
            }
            (true, false) => {
                let b = b[at_b];
                for (o, &a) in out.iter_mut().zip(&a[at_a..]) {
                    *o = f(a, b);
                }
            }
            (false, _) => {
                let a = a[at_a];
                for (o, &b) in out.iter_mut().zip(&b[at_b..]) {
                    *o = f(a, b);
                }
            }
        }
        step(&mut index, &shape[..axis], &mut [(&mut at_a, &a_strides[..axis]), (&mut at_b, &b_strides[..axis])]);
    }
    Ok(())
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
