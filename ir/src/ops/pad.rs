//! Padding.

use serde::{Deserialize, Serialize};

use super::infer::{InferCx, InferError, Inferred, invalid, keep_dynamic};

op! {
    /// Zeros (or the zero point) before and after each axis; `paddings [rank, 2]`.
    Pad = "pad" [input, paddings] |_, cx| padded(cx);
    {}
}

op! {
    /// `value` before and after each axis; `paddings [rank, 2]`.
    PadV2 = "pad_v2" [input, paddings, value] |_, cx| padded(cx);
    {}
}

/// What a mirror pad repeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MirrorMode {
    /// The border element is not repeated.
    #[default]
    Reflect,
    /// The border element is repeated.
    Symmetric,
}

op! {
    /// Mirror images of the input before and after each axis; `paddings [rank, 2]`.
    MirrorPad = "mirror_pad" [input, paddings] |_, cx| padded(cx);
    {
        /// Whether the border element is repeated.
        mode: MirrorMode = MirrorMode::Reflect,
    }
}

fn padded(cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let (input, paddings) = (cx.shape(0)?, cx.sizes(1)?);
    if paddings.len() != 2 * input.rank() {
        return Err(invalid(format!("{} paddings for {} axes", paddings.len(), input.rank())));
    }
    let grown = |(&dim, pad): (&usize, &[usize])| pad.iter().try_fold(dim, |d, &p| d.checked_add(p));
    let dims: Option<Vec<usize>> = input.dims().iter().zip(paddings.chunks(2)).map(grown).collect();
    let dims = dims.ok_or_else(|| invalid("a padded size overflows"))?;
    let keep: Vec<usize> = (0..input.rank()).collect();
    Ok(vec![(cx.elem(0)?, keep_dynamic(input, dims, &keep))])
}
