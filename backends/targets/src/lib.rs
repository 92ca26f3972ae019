//! Target profiles as data: which operation a runtime's kernels take, with which element types, under which constraints.
//!
//! A profile is a TOML file. The built-in ones state what the `Prepare` and `Eval` functions of the runtimes' kernels accept; a user's own, for a
//! runtime that has fewer kernels linked say, is read by [`Profile::parse`].
//!
//! ```toml
//! name = "mini"
//! title = "A runtime with two kernels"
//! source = "its kernel list"
//! static_shapes = true
//!
//! [[op]]
//! ops = ["fully_connected"]
//! types = ["i8, i8, i32? -> i8"]
//! rules = [{ kind = "constant", operand = "weights" }]
//!
//! [[op]]
//! ops = ["relu", "relu6"]
//! types = ["T -> T where T = f32|i8"]
//! ```
//!
//! # Type rows
//!
//! A row lists the element types of operands and results in order, separated by commas: alternatives `i8|i16`, anything `*`, left out `_`, may be
//! left out `i32?`, any number from here on `i8..`. A capital letter stands for one type throughout the row; `where` says which it may be.
//!
//! # Conditions
//!
//! What element types cannot say is a condition with the sentence that says it: `{ kind = "holds", expr = "all(stride <= 3)", text = "..." }`.
//! Names are operands, results and attributes; `dims`, `rank`, `size`, `elem`, `bits`, `constant`, `given`, `count`, `data`, `scale`, `scales` and
//! `zero_points` ask of tensors, `axes`, `len`, `min`, `max`, `sum`, `product`, `all`, `any`, `abs` and `same` of lists. `[[every]]` holds constraints on all
//! operations, `each = "activations"` asks for one tensor after the other.
//!
//! This crate never changes a module and knows no file format of models: layer 3 of the verifier, nothing else.

mod check;
mod condition;
mod docs;
mod parse;
mod profile;
mod row;
mod rules;

pub use check::{Context, Finding, op_name};
pub use condition::Condition;
pub use docs::docs;
pub use profile::{Accelerator, Every, Layout, OpRule, Profile, Runtime, profile, profiles};
pub use row::Row;
pub use rules::{Each, Rule, Status, place};
