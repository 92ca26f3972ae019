//! Permutations of axes, and what they do to shapes, types and constants.

use std::fmt;

use octet_ir::{Constant, Granularity, Quantization, Shape, Type};

/// A permutation as TRANSPOSE takes it: axis *i* of the result is axis `axes[i]` of the operand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Permutation {
    axes: Vec<usize>,
}

impl Permutation {
    /// `None` when the axes are no permutation.
    pub(crate) fn new(axes: Vec<usize>) -> Option<Self> {
        let mut sorted = axes.clone();
        sorted.sort_unstable();
        sorted.iter().copied().eq(0..axes.len()).then_some(Self { axes })
    }

    pub(crate) fn axes(&self) -> &[usize] {
        &self.axes
    }

    pub(crate) fn rank(&self) -> usize {
        self.axes.len()
    }

    pub(crate) fn is_identity(&self) -> bool {
        self.axes.iter().copied().eq(0..self.axes.len())
    }

    pub(crate) fn inverse(&self) -> Self {
        let mut axes = vec![0; self.axes.len()];
        for (to, &from) in self.axes.iter().enumerate() {
            axes[from] = to;
        }
        Self { axes }
    }

    /// Where axis `axis` goes.
    pub(crate) fn position(&self, axis: usize) -> usize {
        self.axes.iter().position(|&a| a == axis).unwrap_or(axis)
    }

    /// The permutation that does `self` and then `next`.
    pub(crate) fn then(&self, next: &Self) -> Self {
        Self { axes: next.axes.iter().map(|&a| self.axes[a]).collect() }
    }

    /// Entries per axis in their new order.
    pub(crate) fn permute<T: Clone>(&self, entries: &[T]) -> Vec<T> {
        self.axes.iter().map(|&a| entries[a].clone()).collect()
    }

    /// Whether permuting a tensor of these sizes moves no element: only axes of size 1 change place.
    pub(crate) fn is_trivial_on(&self, dims: &[usize]) -> bool {
        let moved: Vec<usize> = self.axes.iter().copied().filter(|&a| dims[a] != 1).collect();
        moved.is_sorted()
    }

    /// The operand of TRANSPOSE.
    pub(crate) fn constant(&self) -> (Constant, Type) {
        let axes: Vec<i32> = self.axes.iter().map(|&a| i32::try_from(a).unwrap_or(i32::MAX)).collect();
        (Constant::from_i32(&axes), Type::i32([axes.len()]))
    }

    /// The type of a permuted value.
    pub(crate) fn apply(&self, ty: &Type) -> Type {
        let mut shape = Shape::new(self.permute(ty.shape.dims()));
        for (to, &from) in self.axes.iter().enumerate() {
            if let Some(name) = ty.shape.dynamic(from) {
                shape = shape.with_dynamic(to, name);
            }
        }
        let quant = ty.quant.as_ref().map(|quant| match quant.granularity() {
            Granularity::PerAxis(axis) => {
                let granularity = Granularity::PerAxis(self.position(axis));
                let moved = Quantization::with_granularity(granularity, quant.scales().to_vec(), quant.zero_points().to_vec());
                moved.map_or_else(|| quant.clone(), Into::into)
            }
            Granularity::PerTensor | Granularity::Blockwise { .. } => quant.clone(),
        });
        ty.clone().with_shape(shape).with_quant(quant)
    }

    /// The bytes of a permuted tensor with sizes `dims` and elements of `width` bytes.
    pub(crate) fn permute_bytes(&self, bytes: &[u8], dims: &[usize], width: usize) -> Vec<u8> {
        let strides = Shape::new(dims).strides();
        let (sizes, steps) = (self.permute(dims), self.permute(&strides));
        let mut result = Vec::with_capacity(bytes.len());
        let mut index = vec![0usize; sizes.len()];
        let count: usize = sizes.iter().product();
        for _ in 0..count {
            let at: usize = index.iter().zip(&steps).map(|(i, s)| i * s).sum::<usize>() * width;
            result.extend_from_slice(&bytes[at..at + width]);
            for axis in (0..sizes.len()).rev() {
                index[axis] += 1;
                if index[axis] < sizes[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
        result
    }
}

impl fmt::Display for Permutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.axes)
    }
}
