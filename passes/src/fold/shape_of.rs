//! Turns SHAPE and RANK of a tensor whose sizes are known into a constant.
//!
//! Legal for a SHAPE when no axis is dynamic, and for a RANK when the number of axes is known: then every run gives the same numbers, whatever the
//! tensor holds.
//!
//! ```ir
//! graph @main(%0: 2x3 f32 loc("x")) {
//!   %1 = shape(%0) : 2 i32 loc("s")
//!   %2 = add(%1, %1) {pot_scale_int16 = false} : 2 i32 loc("y")
//!   return %2
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 2x3 f32 loc("x")) {
//!   %1 = const [2, 3] : 2 i32 loc("s")
//!   %2 = add(%1, %1) {pot_scale_int16 = false} : 2 i32 loc("y")
//!   return %2
//! }
//! ```

use octet_ir::ops::Numbers;
use octet_ir::{Constant, ElementType, Graph, Module, Op, OpId, Patch};

use super::constants::replace_by_constant;
use crate::rewrite::pattern::{check_readers, operand, result};
use crate::rewrite::{Refusal, rewrite};

rewrite!(FoldShape = "shape_of", shape_of);

fn shape_of(module: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let operation = graph.op(root);
    let (Op::ShapeOf(_) | Op::Rank(_)) = operation.op() else { return Err(Refusal::NoMatch) };
    let shape = &graph.ty(operand(operation, 0)?).shape;
    let to = result(operation)?;
    if !shape.is_ranked() {
        return Err(Refusal::check("the number of axes is known only when the model runs"));
    }
    let numbers: Vec<i64> = match operation.op() {
        Op::Rank(_) => i64::try_from(shape.rank()).into_iter().collect(),
        _ => shape.dims().iter().filter_map(|&d| i64::try_from(d).ok()).collect(),
    };
    if shape.is_dynamic() && matches!(operation.op(), Op::ShapeOf(_)) {
        return Err(Refusal::check("the tensor has a dynamic axis"));
    }
    let constant = match graph.ty(to).elem {
        ElementType::I64 => Constant::from_i64(&numbers),
        _ => {
            let narrow: Option<Vec<i32>> = numbers.iter().map(|&n| i32::try_from(n).ok()).collect();
            Constant::from_i32(&narrow.ok_or_else(|| Refusal::check("a size does not fit i32"))?)
        }
    };
    check_readers(module, graph, to, Some(&Numbers::Ints(numbers)))?;
    replace_by_constant(graph, root, vec![constant])
}
