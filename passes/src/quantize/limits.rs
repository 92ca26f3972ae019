//! What fixed-point kernels ask of scales: an operation outside these limits is one that the kernels refuse to prepare, or compute wrongly.
//! Pure arithmetic: no graphs, no policy.

use octet_ir::Op;
use octet_ir::ops::{BinaryKind, UnaryKind};

use super::params::{Bounds, Width};

/// Which tensor of an operation a limit is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// Operand of this number.
    Operand(usize),
    /// The first result.
    Result,
}

/// Scales that a tensor may have: from `least` on, and less than `below`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Limit {
    pub(super) of: Slot,
    pub(super) least: f64,
    pub(super) below: f64,
}

impl Limit {
    pub(super) fn least(of: Slot, least: f64) -> Self {
        // Some kernels compare in single precision, and some take no equality.
        Self { of, least: least * (1.0 + f64::from(f32::EPSILON) * 4.0), below: f64::INFINITY }
    }

    /// Whether the scale is too fine.
    pub(super) fn is_too_fine(&self, scale: f32) -> bool {
        f64::from(scale) < self.least
    }

    /// A range whose scale is coarse enough; `None` when single precision holds none.
    pub(super) fn raised(&self, width: Width) -> Option<Bounds> {
        let (low, high) = width.limits();
        let reach = self.least * 1.01 * (high - low) as f64;
        #[expect(clippy::cast_possible_truncation, reason = "no larger than the largest f32")]
        (reach <= f64::from(f32::MAX)).then_some(Bounds { lo: 0.0, hi: reach as f32 })
    }

    /// Why this scale of tensor `name` does not do, if it does not.
    pub(super) fn refuse(&self, op: &Op, name: &str, scale: f32) -> Option<String> {
        let op = op.mnemonic().to_uppercase();
        if self.is_too_fine(scale) {
            return Some(if self.least <= f64::from(f32::MAX) {
                format!(
                    "scale {scale:?} of tensor '{name}' is finer than {:?}, the finest that the {op} kernel takes here",
                    self.least as f32
                )
            } else {
                format!("no scale of tensor '{name}' is coarse enough for the {op} kernel")
            });
        }
        (f64::from(scale) >= self.below)
            .then(|| format!("scale {scale:?} of tensor '{name}' is not below {}, as the {op} kernel needs", self.below))
    }
}

/// The limits of an operation, given the numbers and scales of its real operands.
///
/// Kernels abort where ADD and SUB shrink by more than their headroom (20 bits, 15 in int16), SQUARED_DIFFERENCE by more than 14, HARD_SWISH
/// by more than 7, and where an exponential's input is finer than 2^-26. Comparisons rescale to 1/256, by less than 1.
pub(super) fn limits(op: &Op, width: Width, operands: &[(usize, f32)]) -> Vec<Limit> {
    const EXPONENTIAL: f64 = 1.0 / (1 << 25) as f64;
    let largest = operands.iter().map(|(_, scale)| f64::from(*scale)).fold(0.0, f64::max);
    match op {
        Op::Binary(o) if matches!(o.kind, BinaryKind::Add | BinaryKind::Sub) => {
            let headroom = match width {
                Width::I8 => f64::from(1u32 << 20),
                Width::I16 => f64::from(1u32 << 15),
            };
            vec![Limit::least(Slot::Result, 2.0 * largest / headroom)]
        }
        Op::Binary(o) if o.kind == BinaryKind::SquaredDifference => {
            vec![Limit::least(Slot::Result, 4.0 * largest * largest / f64::from(1u32 << 14))]
        }
        Op::Compare(_) if width == Width::I8 => {
            operands.iter().map(|&(index, _)| Limit { of: Slot::Operand(index), least: 0.0, below: 1.0 }).collect()
        }
        Op::Softmax(o) if width == Width::I8 => {
            let least = if o.beta > 0.0 { EXPONENTIAL / f64::from(o.beta) } else { f64::INFINITY };
            vec![Limit::least(Slot::Operand(0), least)]
        }
        Op::Softmax(_) | Op::LogSoftmax(_) => vec![Limit::least(Slot::Operand(0), EXPONENTIAL)],
        Op::Unary(o) if matches!(o.kind, UnaryKind::Logistic | UnaryKind::Tanh) => vec![Limit::least(Slot::Operand(0), EXPONENTIAL)],
        Op::Unary(o) if o.kind == UnaryKind::HardSwish => vec![Limit::least(Slot::Result, largest / 128.0)],
        _ => Vec::new(),
    }
}
