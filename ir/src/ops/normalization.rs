//! Normalizations along the innermost axis.

use super::common::Activation;
use super::infer::same_as_first;

op! {
    /// `e^(beta x) / sum` along the innermost axis.
    Softmax = "softmax" [x] |_, cx| Ok(vec![(cx.result_elem(0, cx.elem(0)?), cx.shape(0)?.clone())]);
    {
        /// Factor of the exponent.
        beta: f32 = 1.0,
    }
}

op! {
    /// Logarithm of softmax along the innermost axis.
    LogSoftmax = "log_softmax" [x] |_, cx| same_as_first(cx);
    {}
}

op! {
    /// Each innermost vector divided by its Euclidean length.
    L2Normalization = "l2_normalization" [x] |_, cx| same_as_first(cx);
    {
        /// Fused activation.
        activation: Activation = Activation::None,
    }
}

op! {
    /// Each channel divided by `(bias + alpha * sum of squares of neighbouring channels) ^ beta`.
    LocalResponseNormalization = "local_response_normalization" [x] |_, cx| same_as_first(cx);
    {
        /// Neighbours on each side.
        radius: i32 = 0,
        /// Offset.
        bias: f32 = 0.0,
        /// Factor.
        alpha: f32 = 0.0,
        /// Exponent.
        beta: f32 = 0.0,
    }
}
