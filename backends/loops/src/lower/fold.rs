//! Operations whose operands are known: they are computed now, and what reads them reads constants.

use octet_ir::{Constant, Op, Operation, Type, ValueId};

use super::{Cx, Result, operand, result};
use crate::lang::Elem;

/// Results that are larger than their operands by more than this factor and so many bytes are computed when the model runs.
const GROWTH: usize = 4;
const SMALL: usize = 4096;

impl Cx<'_> {
    /// The values of a constant, or of what was computed from constants.
    pub(super) fn constant_of(&self, id: ValueId) -> Option<&Constant> {
        self.module.constant_of(self.graph, id).or_else(|| self.folded.get(&id))
    }

    /// Computes the operation if everything that it reads is known. Says whether it did.
    pub(super) fn fold(&mut self, operation: &Operation) -> Result<bool> {
        if let Op::ShapeOf(_) | Op::Rank(_) = operation.op() {
            let shape = self.ty(operation, 0)?.shape.dims();
            let numbers: Vec<i64> = shape.iter().filter_map(|&d| i64::try_from(d).ok()).collect();
            let numbers = if matches!(operation.op(), Op::Rank(_)) { vec![i64::try_from(shape.len()).unwrap_or(0)] } else { numbers };
            let id = result(operation)?;
            let narrow: Vec<i32> = numbers.iter().filter_map(|&n| i32::try_from(n).ok()).collect();
            let constant = match self.elem(id)? {
                Elem::I64 => Constant::from_i64(&numbers),
                _ => Constant::from_i32(&narrow),
            };
            self.folded.insert(id, constant);
            return Ok(true);
        }
        let known = operation.operands().iter().flatten().all(|&id| self.constant_of(id).is_some());
        let calls = matches!(operation.op(), Op::If(_) | Op::While(_) | Op::CallOnce(_) | Op::Custom(_) | Op::Opaque(_));
        if !known || operation.operands().is_empty() || calls || operation.op().has_side_effects() {
            return Ok(false);
        }
        let operands: Vec<Option<(&Type, &Constant)>> =
            operation.operands().iter().map(|o| o.and_then(|id| Some((self.graph.ty(id), self.constant_of(id)?)))).collect();
        let read: usize = operands.iter().flatten().map(|(_, c)| c.bytes().len()).sum();
        let results: Vec<Type> = operation.results().iter().map(|&id| self.graph.ty(id).clone()).collect();
        let written: usize = results.iter().filter_map(Type::byte_len).sum();
        if written > GROWTH * read + SMALL {
            return Ok(false);
        }
        // What the interpreter cannot compute either is refused where kernels are looked for.
        let Ok(answers) = octet_eval::evaluate(operation.op(), &operands, &results) else { return Ok(false) };
        if answers.iter().zip(&results).any(|((ty, _), declared)| ty.shape != declared.shape) {
            return Ok(false);
        }
        for (&id, (_, constant)) in operation.results().iter().zip(answers) {
            self.folded.insert(id, constant);
        }
        Ok(true)
    }

    /// Whether an operand is known.
    pub(super) fn known(&self, operation: &Operation, index: usize) -> bool {
        operand(operation, index).is_ok_and(|id| self.constant_of(id).is_some())
    }
}
