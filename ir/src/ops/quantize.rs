//! Conversions between reals and the integers that stand for them.

use super::infer::same_as_first;

op! {
    /// Real to quantized, or quantized to quantized with other parameters; the result's type says which.
    Quantize = "quantize" [input] |_, cx| Ok(vec![(cx.result_elem(0, cx.elem(0)?), cx.shape(0)?.clone())]);
    {}
}

op! {
    /// Quantized (or half-precision) to real.
    Dequantize = "dequantize" [input] |_, cx| Ok(vec![(cx.result_elem(0, crate::types::ElementType::F32), cx.shape(0)?.clone())]);
    {}
}

op! {
    /// Rounds reals to the nearest of `2^num_bits` steps between `min` and `max`: what quantization-aware training inserts.
    FakeQuant = "fake_quant" [input] |_, cx| same_as_first(cx);
    {
        /// Lower end of the range.
        min: f32 = 0.0,
        /// Upper end of the range.
        max: f32 = 0.0,
        /// Bits of the integers.
        num_bits: u32 = 0,
        /// Leave out the smallest integer.
        narrow_range: bool = false,
    }
}

op! {
    /// A sparse constant as a dense tensor.
    Densify = "densify" [input] |_, cx| same_as_first(cx);
    {}
}
