//! Quantization: annotate, solve, materialise.
