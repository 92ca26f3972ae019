//! What every op computes, and the interpreter that runs a module.
//!
//! Three layers: [`float`], [`data`] and [`int`] hold kernels over plain slices; [`ops`] turns
//! an op with its types into a prepared [`kernel::Kernel`]; the [`Interpreter`] runs graphs of
//! them. Nothing here reads files or prints.

pub mod buffer;
pub mod data;
pub mod float;
pub mod int;
pub mod interpreter;
pub mod kernel;
pub mod ops;

pub use interpreter::{Event, Interpreter, Observer, Options, SignatureRunner, TensorDetails, evaluate};
