//! Gives a RESHAPE a constant shape where the shape is put together from sizes that are known, or from all but one: the SHAPE, STRIDED_SLICE,
//! PACK and RESHAPE that Keras' Flatten becomes.
//!
//! The shape operand is followed through SHAPE, STRIDED_SLICE, SLICE, GATHER, PACK, CONCATENATION, RESHAPE, SQUEEZE, EXPAND_DIMS, CAST, MUL and
//! REDUCE_PROD, entry by entry; sizes of dynamic axes stay symbols. One symbol may stand in the result: it becomes -1.
//!
//! Legal because a RESHAPE keeps the number of elements: if all entries of its shape but one are known, that one follows, which is what -1
//! says. Where the shape holds a -1 already, the symbol must be a size of the reshaped tensor itself, so that the size behind the -1 can be
//! computed. Types do not matter: elements are moved, not computed.
//!
//! ```ir
//! graph @main(%0: ?:1x4x4x16 f32 loc("x")) {
//!   %1 = shape(%0) : 4 i32
//!   %2 = const [0] : 1 i32
//!   %3 = const [1] : 1 i32
//!   %4 = strided_slice(%1, %2, %3, %3) {shrink_axis_mask = 1} : i32
//!   %5 = const [256] : i32
//!   %6 = pack(%4, %5) {values_count = 2} : 2 i32
//!   %7 = reshape(%0, %6) : ?:1x256 f32 loc("flat")
//!   return %7
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: ?:1x4x4x16 f32 loc("x")) {
//!   %1 = const [-1, 256] : 2 i32
//!   %2 = reshape(%0, %1) : ?:1x256 f32 loc("flat")
//!   return %2
//! }
//! ```

use octet_ir::ops::{Numbers, Reshape};
use octet_ir::{Graph, Module, Op, OpId, Patch};

use super::sizes::{Size, sizes_of};
use crate::rewrite::pattern::{Replacement, check_declared, is_constant, operand};
use crate::rewrite::{Refusal, rewrite};

rewrite!(StaticShape = "static_shape", static_shape);

fn static_shape(module: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let Op::Reshape(_) = graph.op(root).op() else { return Err(Refusal::NoMatch) };
    let (value, shape) = (operand(graph.op(root), 0)?, operand(graph.op(root), 1)?);
    if is_constant(graph, shape) || graph.ty(shape).shape.rank() != 1 {
        return Err(Refusal::NoMatch);
    }
    let sizes = sizes_of(module, graph, shape).ok_or_else(|| Refusal::check("its shape is not put together from sizes and constants"))?;
    let holes = sizes.iter().filter(|s| s.known() == Some(-1)).count();
    let open = sizes.iter().filter(|s| s.known().is_none()).count();
    let mut entries: Vec<i64> = sizes.iter().map(|s| s.known().unwrap_or(-1)).collect();
    if open > 1 || holes > 1 {
        return Err(Refusal::check(format!("{open} entries of its shape are known only when the model runs")));
    }
    if open == 1 && holes == 1 {
        let rest = behind_hole(graph, value, &sizes)
            .ok_or_else(|| Refusal::check("its shape holds a -1 beside a size that is known only when the model runs"))?;
        for (entry, size) in entries.iter_mut().zip(&sizes) {
            if size.known() == Some(-1) {
                *entry = rest;
            }
        }
    }
    check_declared(module, graph, graph.op(root), &|index| (index == 1).then(|| Numbers::Ints(entries.clone())))?;
    let entries: Option<Vec<i32>> = entries.into_iter().map(|e| i32::try_from(e).ok()).collect();
    let entries = entries.ok_or_else(|| Refusal::check("an entry of its shape does not fit i32"))?;
    let mut new = Replacement::of(graph, root, &[])?;
    let shape = new.ints(&entries);
    new.with(Reshape { new_shape: None }, vec![Some(value), Some(shape)])
}

/// The size that -1 stands for, when the symbolic entries cancel against the sizes of the reshaped tensor.
fn behind_hole(graph: &Graph, value: octet_ir::ValueId, sizes: &[Size]) -> Option<i64> {
    let shape = &graph.ty(value).shape;
    let all = (0..shape.rank()).map(|axis| Size::of_axis(graph, value, axis)).try_fold(Size::one(), |a, b| a.times(&b?))?;
    let others = sizes.iter().filter(|s| s.known() != Some(-1)).try_fold(Size::one(), |a, b| a.times(b))?;
    all.divided_by(&others)
}
