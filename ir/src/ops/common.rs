//! Attributes that several operations share.

use serde::{Deserialize, Serialize};

use super::infer::{InferError, invalid};

/// How a window operation treats the border.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// Output size is input size divided by stride, rounded up; zeros are added evenly, the odd one at the end.
    #[default]
    Same,
    /// Only windows that lie inside the input.
    Valid,
}

/// An activation fused into an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// None.
    #[default]
    None,
    /// `max(x, 0)`.
    Relu,
    /// Clamp to [-1, 1].
    #[serde(rename = "relu_n1_to_1")]
    ReluN1To1,
    /// Clamp to [0, 6].
    Relu6,
    /// Hyperbolic tangent (recurrent operations only).
    Tanh,
    /// The sign bit (legacy).
    SignBit,
}

impl Activation {
    /// The interval of reals that a clamping activation keeps; `None` for one that is no clamp.
    pub fn bounds(self) -> Option<(f32, f32)> {
        match self {
            Self::None => Some((f32::NEG_INFINITY, f32::INFINITY)),
            Self::Relu => Some((0.0, f32::INFINITY)),
            Self::ReluN1To1 => Some((-1.0, 1.0)),
            Self::Relu6 => Some((0.0, 6.0)),
            Self::Tanh | Self::SignBit => None,
        }
    }
}

/// Output size of a window along one axis.
pub(super) fn window_output(padding: Padding, input: usize, filter: usize, stride: usize, dilation: usize) -> Result<usize, InferError> {
    if stride == 0 || dilation == 0 || filter == 0 {
        return Err(invalid("stride, dilation and filter size must be positive"));
    }
    let effective =
        (filter - 1).checked_mul(dilation).and_then(|f| f.checked_add(1)).ok_or_else(|| invalid("the dilated filter size overflows"))?;
    match padding {
        Padding::Same => Ok(input.div_ceil(stride)),
        Padding::Valid if input < effective => Ok(0),
        Padding::Valid => Ok((input - effective) / stride + 1),
    }
}

/// Zeros before and after the input along one axis (TFLite's rule: the odd one goes after).
pub fn conv_padding(padding: Padding, input: usize, output: usize, filter: usize, stride: usize, dilation: usize) -> (usize, usize) {
    match padding {
        Padding::Valid => (0, 0),
        Padding::Same => {
            let effective = filter.saturating_sub(1).saturating_mul(dilation).saturating_add(1);
            let needed = output.saturating_sub(1).saturating_mul(stride).saturating_add(effective);
            let total = needed.saturating_sub(input);
            (total / 2, total - total / 2)
        }
    }
}
