//! From a graph to loops: what the backends that make code share.
//!
//! [`lower`] turns a module of static shapes into a [`Program`]: a list of calls of kernels on buffers and constants, everything that scales
//! decide (multipliers, tables, folded biases) computed. The kernels themselves are written once in the [loop language](lang); a backend
//! prints or encodes them. [`plan`] places the buffers in one arena.
//!
//! The integer arithmetic has the bits of the interpreter, whose own kernels make the tables. Nothing here writes code of a target, and
//! nothing decides about the model: what the kernels cannot do is refused, all of it at once.

pub mod lang;
mod lower;
pub mod order;
pub mod plan;
mod program;

pub use lower::{lower, lower_with_custom};
pub use program::{Arg, Buffer, BufferKind, Call, ConstantData, Control, CustomCall, Data, Overlap, Port, Program, Role, Step};
