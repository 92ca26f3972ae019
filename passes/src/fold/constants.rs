//! Replaces a pure operation on constants by its results.
//!
//! Legal because a pure operation gives equal results for equal operands; the kernels that compute it are the interpreter's, for
//! quantized types too. A custom operation is pure where its kernel says so. Left alone are operations whose results would take more room
//! than the constants that go away and `max_growth` bytes; FAKE_QUANT and the DEQUANTIZE of integers, which say how a model was trained to be
//! quantized; the DEQUANTIZE of half-precision constants unless `float16 = true` asks for it; and results that are graph outputs.
//!
//! ```ir
//! graph @main(%0: 2x2 f32 loc("x")) {
//!   %1 = const [1.0, 2.0, 3.0, 4.0] : 2x2 f32 loc("w")
//!   %2 = const [1, 0] : 2 i32
//!   %3 = transpose(%1, %2) : 2x2 f32 loc("t")
//!   %4 = fully_connected(%0, %3) : 2x2 f32 loc("y")
//!   return %4
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 2x2 f32 loc("x")) {
//!   %1 = const [1.0, 3.0, 2.0, 4.0] : 2x2 f32 loc("t")
//!   %2 = fully_connected(%0, %1) : 2x2 f32 loc("y")
//!   return %2
//! }
//! ```

use octet_ir::verify::types::numbers;
use octet_ir::{Constant, ElementType, Graph, Module, Op, OpId, Operation, Patch, Type, Use};
use octet_plugin::{KernelEntry, Registry};
use serde::Deserialize;

use crate::rewrite::pattern::check_readers;
use crate::rewrite::{Refusal, Rewrite};

/// Folding of constants with its options.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Constants {
    /// Bytes that folding one operation may add to the model.
    max_growth: usize,
    /// Fold the DEQUANTIZE of half-precision constants whatever it adds.
    float16: bool,
}

impl Constants {
    pub(super) const DEFAULT: Self = Self { max_growth: 256, float16: false };
}

impl Default for Constants {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Rewrite for Constants {
    fn name(&self) -> &'static str {
        "constants"
    }

    fn source(&self) -> &'static str {
        include_str!("constants.rs")
    }

    fn rewrite(&self, module: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
        let operation = graph.op(root);
        if !is_pure(operation.op()) || operation.results().is_empty() {
            return Err(Refusal::NoMatch);
        }
        let constant = |value| module.constant_of(graph, value).map(|c| (graph.ty(value), c));
        let operands: Option<Vec<Option<(&Type, &Constant)>>> =
            operation.operands().iter().map(|v| v.map_or(Some(None), |v| constant(v).map(Some))).collect();
        let operands = operands.filter(|o| o.iter().any(Option::is_some)).ok_or(Refusal::NoMatch)?;
        self.check_worth(graph, operation)?;
        let declared: Vec<Type> = operation.results().iter().map(|v| graph.ty(*v).clone()).collect();
        let results = octet_eval::evaluate(operation.op(), &operands, &declared).map_err(|d| Refusal::check(d.message))?;
        for ((&result, ty), (found, constant)) in operation.results().iter().zip(&declared).zip(&results) {
            if found.shape.dims() != ty.shape.dims() || ty.byte_len() != Some(constant.bytes().len()) {
                return Err(Refusal::check(format!("it computes {found}, the model declares {ty}")));
            }
            check_readers(module, graph, result, numbers(ty.elem, constant).as_ref())?;
        }
        replace_by_constant(graph, root, results.into_iter().map(|(_, constant)| constant).collect())
    }
}

/// Whether an operation may be computed once: the IR says it of all but custom ones, whose kernels say it.
fn is_pure(op: &Op) -> bool {
    match op {
        Op::Custom(custom) => {
            Registry::<KernelEntry>::collect().and_then(|kernels| kernels.get(&custom.name)).is_ok_and(|entry| entry.kernel.is_pure())
        }
        op => op.is_pure(),
    }
}

impl Constants {
    fn check_worth(&self, graph: &Graph, operation: &Operation) -> Result<(), Refusal> {
        if operation.results().iter().any(|r| graph.value(*r).is_output()) {
            return Err(Refusal::check("its result is an output of the graph"));
        }
        let half = |elem| matches!(elem, ElementType::F16 | ElementType::BF16);
        let source = operation.operand(0).map(|v| graph.ty(v).elem);
        match operation.op() {
            Op::Dequantize(_) if source.is_some_and(half) => {
                return if self.float16 {
                    Ok(())
                } else {
                    Err(Refusal::check("half-precision constants take half the room; `float16 = true` folds them"))
                };
            }
            // No runtime has a kernel for these: the biases of quantized ONNX models.
            Op::Dequantize(_) if source == Some(ElementType::I32) => return Ok(()),
            Op::Dequantize(_) => return Err(Refusal::check("the integers' scale says how the model was trained to be quantized")),
            Op::FakeQuant(_) => return Err(Refusal::check("its range says how the model was trained to be quantized")),
            _ => {}
        }
        let size = |value: &octet_ir::ValueId| graph.ty(*value).byte_len();
        let made = operation.results().iter().map(size).try_fold(0usize, |sum, bytes| sum.checked_add(bytes?));
        let made = made.ok_or_else(|| Refusal::check("its result has no fixed size"))?;
        let mut distinct: Vec<_> = operation.operands().iter().flatten().collect();
        distinct.sort_unstable();
        distinct.dedup();
        // An operand goes away when nothing but this operation reads it.
        let goes = |v: &&&octet_ir::ValueId| {
            let mine = |user: &Use| matches!(user, Use::Operand { op, .. } if graph.get_op(*op).is_some_and(|o| o.results() == operation.results()));
            graph.value(***v).uses().iter().all(mine)
        };
        let freed: usize = distinct.iter().filter(goes).filter_map(|v| size(v)).fold(0, usize::saturating_add);
        if made > freed.saturating_add(self.max_growth) {
            return Err(Refusal::check(format!("the model would grow: {made} bytes take the place of {freed}")));
        }
        Ok(())
    }
}

/// Replaces the results of an operation by constants of their types.
pub(super) fn replace_by_constant(graph: &Graph, op: OpId, constants: Vec<Constant>) -> Result<Patch, Refusal> {
    let operation = graph.op(op);
    if operation.results().iter().any(|r| graph.value(*r).is_output()) {
        return Err(Refusal::check("its result is an output of the graph"));
    }
    let mut patch = Patch::before(graph, op);
    for (&result, constant) in operation.results().iter().zip(constants) {
        let value = graph.value(result);
        let new = patch.constant(constant, value.ty().clone(), value.loc().clone());
        patch.set_range(new, value.range().cloned());
        patch.replace(result, new);
    }
    if operation.op().has_side_effects() {
        // It does not go away by itself.
        patch.erase(op);
    }
    Ok(patch)
}
