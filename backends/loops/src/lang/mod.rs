//! The loop language: kernels are written once, as text, and every backend that makes code reads them from here.
//!
//! It is the part of C (in Rust's spelling) that kernels on static shapes need: functions over pointers to `i8`, `u8`, `i16`, `u16`, `i32`, `i64` and
//! `f32`, `for`, `while` and `if`, 32- and 64-bit integers and single precision. A load of fewer than 32 bits widens; a store keeps the low
//! bits. `+%`, `-%` and `*%` wrap; `+`, `-` and `*` must not overflow. There is no recursion, no allocation, no global state.
//!
//! `fn name<T, P>(...)` is a template over element types. `primitive fn` marks the few inner products for which a target may have
//! instructions of its own; the body in this language says what they compute, bit for bit.

mod ast;
mod lexer;
mod library;
mod parser;

pub use ast::{BinOp, Builtin, Elem, Expr, ExprKind, Function, Stmt, Ty};
pub use library::Library;
