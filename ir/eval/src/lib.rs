//! What every op computes, and the interpreter that runs a module.
//!
//! [`float`] and [`data`] hold kernels over plain slices; ops and graphs are the business of
//! the layers above them. Nothing here reads files or prints.

pub mod buffer;
pub mod float;
