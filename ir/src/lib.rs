//! Placeholder.

pub mod arith;
