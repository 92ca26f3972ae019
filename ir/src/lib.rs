//! The intermediate representation of Octet: graphs of typed tensor operations.
//!
//! This crate holds what every other room of the house talks about: types with quantization in
//! them, constants, graphs, modules, the operations with their shape inference, patches (the only
//! way to change a finished graph), the verifier, and the text form.
//!
//! It never reads or writes files, starts threads, knows a file format, or uses `unsafe`.
//!
//! ```
//! use octet_ir::{Module, text};
//!
//! let source = r#"octet.ir 1
//! graph @main(%0: 1x4 f32 loc("x")) {
//!   %1 = relu(%0) : 1x4 f32 loc("y")
//!   return %1
//! }
//! "#;
//! let module: Module = text::parse(source, &Default::default()).expect("well formed");
//! assert_eq!(text::print(&module).text, source);
//! ```

pub mod arith;
mod attr;
mod constant;
mod diagnostic;
mod entity;
mod graph;
mod location;
mod module;
pub mod ops;
mod patch;
mod quant;
pub mod sparsity;
pub mod text;
mod types;
pub mod verify;
mod view;

pub use attr::{Attr, AttrError, from_attr, to_attr};
pub use constant::{Blob, Constant};
pub use diagnostic::{Diagnostic, Diagnostics, Severity, SourceLocation};
pub use entity::{Arena, ConstId, EntityId, GraphId, OpId, ValueId};
pub use graph::{Graph, GraphBuilder, Operation, Range, Use, Value, ValueDef};
pub use location::Loc;
pub use module::{Metadata, Module, Signature};
pub use ops::Op;
pub use patch::{Applied, Patch, PatchError};
pub use quant::{Granularity, Quantization};
pub use sparsity::{Sparsity, SparsityDim};
pub use types::{ElementType, Shape, Type};
pub use view::DataFlow;
