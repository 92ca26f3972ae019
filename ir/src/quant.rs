//! How integers stand for real numbers: `real = (q - zero_point) * scale`.

use std::fmt;

use crate::types::ElementType;

/// Which elements share a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Granularity {
    /// One scale for the tensor.
    PerTensor,
    /// One scale per index along this axis ("per channel").
    PerAxis(usize),
    /// One scale per block of `block` consecutive elements of the innermost axis: scales have the tensor's shape with
    /// that axis divided by `block`, flattened in row-major order.
    Blockwise {
        /// Elements that share one scale.
        block: usize,
    },
}

/// Affine quantization parameters of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantization {
    granularity: Granularity,
    scales: Vec<f32>,
    zero_points: Vec<i64>,
}

impl Quantization {
    /// One scale and zero point for the whole tensor.
    pub fn new(scale: f32, zero_point: i64) -> Self {
        Self { granularity: Granularity::PerTensor, scales: vec![scale], zero_points: vec![zero_point] }
    }

    /// Symmetric per-axis quantization: all zero points are 0.
    pub fn per_axis(axis: usize, scales: Vec<f32>) -> Self {
        let zero_points = vec![0; scales.len()];
        Self { granularity: Granularity::PerAxis(axis), scales, zero_points }
    }

    /// Any granularity. `zero_points` is either as long as `scales` or empty, which means all zero.
    /// `None` when the lengths differ, or there is no scale, or a per-tensor one has several.
    pub fn with_granularity(granularity: Granularity, scales: Vec<f32>, zero_points: Vec<i64>) -> Option<Self> {
        let zero_points = if zero_points.is_empty() { vec![0; scales.len()] } else { zero_points };
        let fits = scales.len() == zero_points.len() && !scales.is_empty() && (granularity != Granularity::PerTensor || scales.len() == 1);
        fits.then_some(Self { granularity, scales, zero_points })
    }

    /// Which elements share a scale.
    pub fn granularity(&self) -> Granularity {
        self.granularity
    }

    /// The axis of per-axis quantization.
    pub fn axis(&self) -> Option<usize> {
        match self.granularity {
            Granularity::PerAxis(axis) => Some(axis),
            Granularity::PerTensor | Granularity::Blockwise { .. } => None,
        }
    }

    /// Scales, at least one.
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// Zero points, as many as scales.
    pub fn zero_points(&self) -> &[i64] {
        &self.zero_points
    }

    /// How many consecutive elements of a tensor with these sizes, in row-major order, share a scale; at least 1. The runs take
    /// [`parameters`](Self::parameters) in turn, over and over: element *i* has the scale numbered `(i / run) % scales.len()`.
    pub fn run(&self, dims: &[usize]) -> usize {
        let run = match self.granularity {
            Granularity::PerTensor => dims.iter().product(),
            Granularity::PerAxis(axis) => dims.iter().skip(axis + 1).product(),
            Granularity::Blockwise { block } => block,
        };
        run.max(1)
    }

    /// Scale and zero point, pair by pair.
    pub fn parameters(&self) -> impl Iterator<Item = (f32, i64)> + Clone {
        self.scales.iter().copied().zip(self.zero_points.iter().copied())
    }

    /// Whether every zero point is 0.
    pub fn is_symmetric(&self) -> bool {
        self.zero_points.iter().all(|&z| z == 0)
    }

    /// Scale and zero point, when the whole tensor shares them.
    pub fn per_tensor(&self) -> Option<(f32, i64)> {
        match (self.granularity, self.scales.as_slice(), self.zero_points.as_slice()) {
            (Granularity::PerTensor, [scale], [zero_point]) => Some((*scale, *zero_point)),
            _ => None,
        }
    }

    /// Prints the type form `!q<i8, 0.5:-3>`, `!q<i8, axis 0, [0.5, 0.25:1]>` or `!q<i4, block 32, [...]>`.
    pub(crate) fn fmt_with(&self, elem: ElementType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "!q<{elem}, ")?;
        match self.granularity {
            Granularity::PerTensor => {}
            Granularity::PerAxis(axis) => write!(f, "axis {axis}, ")?,
            Granularity::Blockwise { block } => write!(f, "block {block}, ")?,
        }
        let list = self.granularity != Granularity::PerTensor;
        if list {
            f.write_str("[")?;
        }
        for (i, (scale, zero_point)) in self.scales.iter().zip(&self.zero_points).enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{scale:?}")?;
            if *zero_point != 0 || !list {
                write!(f, ":{zero_point}")?;
            }
        }
        f.write_str(if list { "]>" } else { ">" })
    }
}
