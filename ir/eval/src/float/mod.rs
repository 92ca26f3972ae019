//! f32 kernels over slices: what each op computes, without the graph.
//!
//! Every function takes shapes and slices whose lengths agree (the op layer derives both from
//! verified types) and never allocates per element. Layouts are TFLite's: data `[N, H, W, C]`,
//! filters `[O, H, W, I]`. Sums run in an order that depends only on shapes and on the vector
//! unit, never on threads.

pub mod activation;
pub mod broadcast;
pub mod conv;
pub mod depthwise;
pub mod gemm;
pub mod hybrid;
pub mod normalize;
pub mod number;
pub mod pool;
pub mod recurrent;
pub mod reduce;
pub mod resize;
#[cfg(test)]
pub(crate) mod testing;
pub mod transposed;
pub mod vector;
