//! The patch that carries an assignment out.

use std::collections::BTreeMap;

use octet_ir::ops::Transpose;
use octet_ir::{Graph, Module, OpId, Operation, Patch, Type, ValueId};

use super::adapt::{Adapted, Operand, adapt};
use super::cut::Assignment;
use super::{Permutation, transpose_of};

/// Rewrites the operations of the assignment, drops transposes that are no longer wanted, and puts new ones where the layouts meet.
pub(super) fn patch(module: &Module, graph: &Graph, p: &Permutation, assignment: &Assignment) -> Patch {
    let mut writer = Writer {
        module,
        graph,
        p,
        inverse: p.inverse(),
        patch: Patch::at_end(graph),
        natural: BTreeMap::new(),
        permuted: BTreeMap::new(),
        renamed: BTreeMap::new(),
    };
    for (id, operation) in graph.ops() {
        writer.patch.move_before(id);
        writer.operation(id, operation, assignment.permuted.contains(&id));
    }
    writer.outputs();
    writer.patch
}

struct Writer<'a> {
    module: &'a Module,
    graph: &'a Graph,
    p: &'a Permutation,
    inverse: Permutation,
    patch: Patch,
    /// Natural forms of values that are now made permuted.
    natural: BTreeMap<ValueId, Option<ValueId>>,
    /// Permuted forms that exist.
    permuted: BTreeMap<ValueId, ValueId>,
    /// Values that another one replaces.
    renamed: BTreeMap<ValueId, ValueId>,
}

impl Writer<'_> {
    fn current(&self, value: ValueId) -> ValueId {
        self.renamed.get(&value).copied().unwrap_or(value)
    }

    fn transpose(&mut self, of: ValueId, like: ValueId, p: &Permutation, to: octet_ir::Type) -> ValueId {
        let (constant, ty) = p.constant();
        let axes = self.patch.constant(constant, ty, octet_ir::Loc::unknown());
        let source = self.graph.value(like);
        let result = self.patch.op1(Transpose {}, &[of, axes], to, source.loc().clone());
        self.patch.set_range(result, source.range().cloned());
        result
    }

    /// The permuted form of a value, made here if there is none.
    fn permuted(&mut self, value: ValueId) -> ValueId {
        if let Some(&known) = self.permuted.get(&value) {
            return known;
        }
        let to = self.p.apply(self.graph.ty(value));
        let made = self.transpose(self.current(value), value, &self.p.clone(), to);
        self.permuted.insert(value, made);
        made
    }

    /// The natural form of a value, made here if it is now made permuted.
    fn natural(&mut self, value: ValueId) -> ValueId {
        match self.natural.get(&value) {
            None => self.current(value),
            Some(Some(made)) => *made,
            Some(None) => {
                let permuted = self.permuted[&value];
                let made = self.transpose(permuted, value, &self.inverse.clone(), self.graph.ty(value).clone());
                self.natural.insert(value, Some(made));
                made
            }
        }
    }

    fn operation(&mut self, id: OpId, operation: &Operation, chosen: bool) {
        let own = transpose_of(self.module, self.graph, operation);
        let (Some(&first), Some(&result)) = (operation.operands().first().and_then(Option::as_ref), operation.results().first()) else {
            return self.bound(id, operation);
        };
        if own.as_ref() == Some(self.p) && self.permuted.contains_key(&first) {
            // The permuted form exists already.
            let form = self.permuted[&first];
            self.patch.replace(result, form);
            self.renamed.insert(result, form);
            self.patch.erase(id);
            return;
        }
        if own.as_ref() == Some(&self.inverse) {
            self.bound(id, operation);
            let form = self.natural(first);
            self.permuted.insert(result, form);
            return;
        }
        let adapted = adapt(self.module, self.graph, operation, self.p);
        match adapted {
            Some(adapted) if chosen => self.follow(id, operation, &adapted),
            Some(adapted) if !adapted.results_follow && self.gains(&adapted) => self.sink(id, operation, &adapted),
            _ => {
                self.bound(id, operation);
                if own.as_ref() == Some(self.p) {
                    self.permuted.insert(first, result);
                }
            }
        }
    }

    /// Whether an operation that takes either form should take the permuted one: the natural one would have to be made.
    fn gains(&self, adapted: &Adapted) -> bool {
        adapted.operands.iter().any(|o| match o {
            Operand::Permuted(value) => {
                let is_undone = self
                    .graph
                    .producer(*value)
                    .is_some_and(|(_, op)| transpose_of(self.module, self.graph, op).as_ref() == Some(&self.inverse));
                self.permuted.contains_key(value) && (is_undone || self.natural.get(value) == Some(&None))
            }
            Operand::Same(_) | Operand::Constant(..) => false,
        })
    }

    fn operands(&mut self, adapted: &Adapted) -> Vec<Option<ValueId>> {
        adapted
            .operands
            .iter()
            .map(|operand| match operand {
                Operand::Permuted(value) => Some(self.permuted(*value)),
                Operand::Same(value) => value.map(|v| self.natural(v)),
                Operand::Constant(constant, ty) => Some(self.patch.constant(constant.clone(), ty.clone(), octet_ir::Loc::unknown())),
            })
            .collect()
    }

    /// The operation works on permuted operands and gives permuted results.
    fn follow(&mut self, id: OpId, operation: &Operation, adapted: &Adapted) {
        for (old, new) in self.rebuild(id, operation, adapted, Permutation::apply) {
            self.permuted.insert(old, new);
            self.natural.insert(old, None);
        }
    }

    /// The operation works on permuted operands and gives the same results as before.
    fn sink(&mut self, id: OpId, operation: &Operation, adapted: &Adapted) {
        for (old, new) in self.rebuild(id, operation, adapted, |_, ty| ty.clone()) {
            self.patch.replace(old, new);
            self.renamed.insert(old, new);
        }
    }

    /// The adapted operation in place of the other, each result's type made from the old one; pairs of old and new results.
    fn rebuild(
        &mut self,
        id: OpId,
        operation: &Operation,
        adapted: &Adapted,
        result_type: fn(&Permutation, &Type) -> Type,
    ) -> Vec<(ValueId, ValueId)> {
        let operands = self.operands(adapted);
        let old = |r: &ValueId| (result_type(self.p, self.graph.ty(*r)), self.graph.value(*r).loc().clone());
        let made = self.patch.op(adapted.op.clone(), operands, operation.results().iter().map(old).collect());
        let pairs: Vec<(ValueId, ValueId)> = operation.results().iter().copied().zip(made).collect();
        for &(old, new) in &pairs {
            self.patch.set_range(new, self.graph.value(old).range().cloned());
        }
        self.patch.erase(id);
        pairs
    }

    /// The operation stays; what it reads must be there in its natural form.
    fn bound(&mut self, id: OpId, operation: &Operation) {
        for (index, value) in operation.operands().iter().enumerate() {
            if let Some(value) = value
                && self.natural.contains_key(value)
            {
                let form = self.natural(*value);
                self.patch.set_operand(id, index, Some(form));
            }
        }
    }

    fn outputs(&mut self) {
        for &output in self.graph.outputs() {
            if self.natural.contains_key(&output) {
                // The last operation is the only place after which every permuted form exists.
                self.patch.move_to_end();
                let form = self.natural(output);
                self.patch.replace(output, form);
            }
        }
    }
}
