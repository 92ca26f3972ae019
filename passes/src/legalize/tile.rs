//! Makes CONCATENATIONs of a TILE of int8: compilers of 2021 know no version of TILE for it, and TFLite Micro has no TILE.
//!
//! Exact. Axes are repeated one after the other, the innermost first; no CONCATENATION has more than ten inputs, which is what TFLite Micro takes.
//!
//! ```ir
//! graph @main(%0: 1x4 !q<i8, 0.05> loc("x")) {
//!   %1 = const [1, 3] : 2 i32
//!   %2 = tile(%0, %1) : 1x12 !q<i8, 0.05> loc("y")
//!   return %2
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 1x4 !q<i8, 0.05> loc("x")) {
//!   %1 = concatenation(%0, %0, %0) {axis = 1} : 1x12 !q<i8, 0.05> loc("y")
//!   return %1
//! }
//! ```

use octet_ir::ops::Concatenation;
use octet_ir::{ElementType, Graph, Module, Op, OpId, Patch, Type, ValueId};

use super::build::{Chain, sizes};
use crate::rewrite::pattern::{ints, operand, result};
use crate::rewrite::{Refusal, rewrite};

rewrite!(TileCopies = "tile", tile);

/// Most inputs of a CONCATENATION.
const MOST_INPUTS: usize = 10;
/// Most copies along an axis; more would make a long graph of a small one.
const MOST_COPIES: usize = 1000;

fn tile(module: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let operation = graph.op(root);
    let Op::Tile(_) = operation.op() else { return Err(Refusal::NoMatch) };
    let (x, old) = (operand(operation, 0)?, result(operation)?);
    let ty = graph.ty(x);
    if ty.elem != ElementType::I8 || ty.quant != graph.ty(old).quant {
        return Err(Refusal::NoMatch);
    }
    let copies = ints(module, graph, operand(operation, 1)?).ok_or_else(|| Refusal::check("the multiples are computed"))?;
    let copies: Option<Vec<usize>> =
        copies.into_iter().map(|n| usize::try_from(n).ok().filter(|n| (1..=MOST_COPIES).contains(n))).collect();
    let copies = copies.ok_or_else(|| Refusal::check("a multiple is 0 or very large"))?;
    if copies.len() != sizes(ty)?.len() || copies.iter().all(|n| *n == 1) {
        return Err(Refusal::NoMatch);
    }
    let mut chain = Chain::of(graph, root)?;
    let mut made = (x, ty.clone());
    for (axis, &count) in copies.iter().enumerate().rev() {
        made = repeat(&mut chain, made, axis, count)?;
    }
    chain.replace(old, made.0);
    Ok(chain.patch)
}

/// So many copies of a tensor along an axis.
fn repeat(chain: &mut Chain<'_>, one: (ValueId, Type), axis: usize, count: usize) -> Result<(ValueId, Type), Refusal> {
    if count <= MOST_INPUTS {
        return if count == 1 { Ok(one) } else { join(chain, &vec![one; count], axis) };
    }
    let ten = join(chain, &vec![one.clone(); MOST_INPUTS], axis)?;
    let mut parts = vec![repeat(chain, ten, axis, count / MOST_INPUTS)?];
    parts.extend(std::iter::repeat_n(one, count % MOST_INPUTS));
    if parts.len() == 1 { parts.pop().ok_or(Refusal::NoMatch) } else { join(chain, &parts, axis) }
}

/// Tensors one behind the other along an axis.
fn join(chain: &mut Chain<'_>, parts: &[(ValueId, Type)], axis: usize) -> Result<(ValueId, Type), Refusal> {
    let (_, first) = parts.first().ok_or(Refusal::NoMatch)?;
    let mut dims = first.shape.dims().to_vec();
    let along = parts.iter().map(|(_, ty)| ty.shape.dims().get(axis).copied().unwrap_or(0)).sum();
    *dims.get_mut(axis).ok_or(Refusal::NoMatch)? = along;
    let (ty, values) = (first.clone().with_shape(dims), parts.iter().map(|(value, _)| *value).collect::<Vec<_>>());
    let axis = i32::try_from(axis).map_err(|_| Refusal::NoMatch)?;
    let joined = chain.op(Concatenation { axis, ..Concatenation::default() }, &values, ty.clone());
    Ok((joined, ty))
}
