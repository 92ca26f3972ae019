//! Kernels that move elements and never look into them.
//!
//! They know elements only by their width in bytes (1, 2, 4, 8 or 16), so one routine serves
//! every type. Types of less than a byte are not moved: unpack them first.

pub mod index;
pub mod sparse;
pub mod strided;
