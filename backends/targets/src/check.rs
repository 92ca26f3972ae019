//! Checking a module against a profile.

use octet_ir::{Diagnostic, Graph, Module, Op, Operation, ValueId};

use crate::profile::{OpRule, Profile};
use crate::rules::place;

impl Profile {
    /// Everything in the module that the target does not take; empty if it takes all. The codes:
    ///
    /// - `TGT003`: the target has no kernel for the operation;
    /// - `TGT004`: the kernel does not take these element types;
    /// - `TGT005`: a constraint does not hold;
    /// - `TGT006`: a shape is known only when the model runs.
    pub fn check(&self, module: &Module) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for (_, graph) in module.graphs() {
            if self.static_shapes {
                found.extend(self.dynamic(graph));
            }
            for (index, (_, operation)) in graph.ops().enumerate() {
                found.extend(self.operation(graph, operation).into_iter().map(|d| d.at(place(graph, index, operation))));
            }
        }
        found
    }

    /// Why the target does not take an operation, without a location; empty if it does.
    pub fn operation(&self, graph: &Graph, operation: &Operation) -> Vec<Diagnostic> {
        let (name, shown) = name(operation.op());
        let Some(rule) = self.op(&name) else {
            return vec![Diagnostic::error("TGT003", format!("{} has no kernel for {shown}", self.title))];
        };
        let mut found = Vec::new();
        if !rule.types.is_empty() && !rule.types.iter().any(|row| row.matches(graph, operation)) {
            found.push(self.types(&shown, rule, graph, operation));
        }
        for constraint in &rule.rules {
            if let Some(what) = constraint.broken(graph, operation) {
                let message = format!("{shown} on {}: {what}", self.title);
                found.push(Diagnostic::error("TGT005", message).with_note(constraint.sentence()));
            }
        }
        found
    }

    fn types(&self, shown: &str, rule: &OpRule, graph: &Graph, operation: &Operation) -> Diagnostic {
        let elem = |v: &ValueId| graph.ty(*v).elem.name();
        let operands: Vec<&str> = operation.operands().iter().map(|o| o.as_ref().map_or("_", elem)).collect();
        let results: Vec<&str> = operation.results().iter().map(elem).collect();
        let message = format!("{shown} on {} does not take {} -> {}", self.title, operands.join(", "), results.join(", "));
        let rows: Vec<String> = rule.types.iter().map(ToString::to_string).collect();
        Diagnostic::error("TGT004", message).with_note(format!("it takes {}", rows.join("; ")))
    }

    fn dynamic<'g>(&'g self, graph: &'g Graph) -> impl Iterator<Item = Diagnostic> + 'g {
        // A batch that may vary runs at its nominal size; what is not known at all cannot be planned.
        graph.values().filter(|(_, v)| !v.ty().shape.is_ranked()).map(|(id, _)| {
            let location = octet_ir::SourceLocation { graph: Some(graph.name().to_owned()), ..Default::default() };
            Diagnostic::error("TGT006", format!("{} plans memory before it runs, and this shape is known only then", self.title))
                .at(location)
                .on_tensor(graph.value_name(id))
        })
    }
}

/// The name under which profiles know an operation, and the one that users know.
fn name(op: &Op) -> (String, String) {
    match op {
        Op::Custom(custom) => (format!("custom:{}", custom.name), format!("the custom operation {}", custom.name)),
        Op::Opaque(opaque) => (opaque.name.to_lowercase(), opaque.name.to_uppercase()),
        other => (other.mnemonic().to_owned(), other.mnemonic().to_uppercase()),
    }
}
