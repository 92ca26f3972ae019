//! Checking a module against a profile.

use octet_ir::{Diagnostic, ElementType, Graph, Module, Op, Operation, ValueId};

use crate::profile::{OpRule, Profile, Runtime};
use crate::rules::{Status, place};

/// What is known beside the graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The runtime version that the graph must run on; without one, the newest.
    pub runtime: Option<Runtime>,
    /// The operator's version in the file, where there is a file.
    pub version: Option<i32>,
}

/// Why a target does not take an operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What kind of trouble it is.
    pub status: Status,
    /// What is said of it, without a location.
    pub diagnostic: Diagnostic,
}

impl Profile {
    /// Everything in the module that the target does not take; empty if it takes all. The codes:
    ///
    /// - `TGT003`: the target has no kernel for the operation;
    /// - `TGT004`: the kernel does not take these element types;
    /// - `TGT005`: a constraint does not hold;
    /// - `TGT006`: a shape is known only when the model runs;
    /// - `TGT007`: the operator's version is too high;
    /// - `TGT008`: the runtime version is too low.
    pub fn check(&self, module: &Module) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for (_, graph) in module.graphs() {
            if self.static_shapes {
                found.extend(self.dynamic(graph));
            }
            for (index, (_, operation)) in graph.ops().enumerate() {
                let findings = self.operation(module, graph, operation, Context::default()).into_iter();
                found.extend(findings.map(|f| f.diagnostic.at(place(graph, index, operation))));
            }
        }
        found
    }

    /// Why the target does not take an operation; empty if it does. The most telling reason comes first.
    pub fn operation(&self, module: &Module, graph: &Graph, operation: &Operation, context: Context) -> Vec<Finding> {
        let (name, shown) = op_name(operation.op());
        let title = &self.title;
        let finding = |status, code, message: String| Finding { status, diagnostic: Diagnostic::error(code, message) };
        let Some(rule) = self.op(&name) else {
            let status = if has_floats(graph, operation) { Status::DataType } else { Status::Unsupported };
            let mut none = finding(status, "TGT003", format!("{title} has no kernel for {shown}"));
            if self.rewritten.contains(&name) && has_bytes(graph, operation) {
                none.diagnostic =
                    none.diagnostic.with_help(format!("octet compile --target {} computes it with operations that it has", self.name));
            }
            if matches!(operation.op(), Op::Dequantize(_)) {
                none.diagnostic = self.integers(none.diagnostic);
            }
            return vec![none];
        };
        let mut found = Vec::new();
        let runtime = context.runtime.or(self.accelerator.as_ref().and_then(|a| a.runtime));
        if let (Some(since), Some(runtime)) = (rule.since, runtime)
            && runtime < since
        {
            let mut old = finding(Status::Unsupported, "TGT008", format!("{shown} on {title} needs runtime {since}, not {runtime}"));
            old.diagnostic = old.diagnostic.with_help(format!("raise --min-runtime-version to {since}"));
            return vec![old];
        }
        if !rule.types.is_empty() && !rule.types.iter().any(|row| row.matches(graph, operation)) {
            found.push(Finding { status: Status::DataType, diagnostic: self.types(&shown, rule, graph, operation) });
        }
        if let (Some(most), Some(version)) = (rule.version, context.version)
            && version > most
        {
            let message = format!("{shown} on {title}: the file has version {version} of the operator, at most {most} is taken");
            let mut version = finding(Status::Version, "TGT007", message);
            version.diagnostic = version.diagnostic.with_help(format!("octet compile --target {} rewrites the file", self.name));
            found.push(version);
        }
        let every = self.every.iter().filter(|e| e.covers(&name)).flat_map(|e| &e.rules);
        for constraint in every.chain(&rule.rules).filter(|c| c.counts(runtime)) {
            if let Some(what) = constraint.broken(module, graph, operation) {
                let mut broken = finding(constraint.status(), "TGT005", format!("{shown} on {title}: {what}"));
                broken.diagnostic = broken.diagnostic.with_note(constraint.sentence());
                if let Some(fix) = constraint.fix() {
                    broken.diagnostic = broken.diagnostic.with_help(fix);
                }
                found.push(broken);
            }
        }
        found.sort_by_key(|f| f.status);
        found
    }

    fn types(&self, shown: &str, rule: &OpRule, graph: &Graph, operation: &Operation) -> Diagnostic {
        let elem = |v: &ValueId| graph.ty(*v).elem.name();
        let operands: Vec<&str> = operation.operands().iter().map(|o| o.as_ref().map_or("_", elem)).collect();
        let results: Vec<&str> = operation.results().iter().map(elem).collect();
        let message = format!("{shown} on {} does not take {} -> {}", self.title, operands.join(", "), results.join(", "));
        let rows: Vec<String> = rule.types.iter().map(ToString::to_string).collect();
        let found = Diagnostic::error("TGT004", message).with_note(format!("it takes {}", rows.join("; ")));
        if has_floats(graph, operation) { self.integers(found) } else { found }
    }

    /// Adds what helps against floats on an accelerator, which computes in integers.
    fn integers(&self, found: Diagnostic) -> Diagnostic {
        if self.accelerator.is_none() {
            return found;
        }
        found.with_help("compile the float model with --quantize int8-only --data SAMPLES: integers from input to output")
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

/// Whether an operation reads or computes floats.
fn has_floats(graph: &Graph, operation: &Operation) -> bool {
    operation.operands().iter().flatten().chain(operation.results()).any(|v| graph.ty(*v).elem.is_float())
}

/// Whether an operation computes bytes, which is what compiling for a target rewrites.
fn has_bytes(graph: &Graph, operation: &Operation) -> bool {
    operation.results().iter().all(|v| matches!(graph.ty(*v).elem, ElementType::I8 | ElementType::U8))
}

/// The name under which profiles know an operation, and the one that users know.
pub fn op_name(op: &Op) -> (String, String) {
    match op {
        Op::Custom(custom) => (format!("custom:{}", custom.name), format!("the custom operation {}", custom.name)),
        Op::Opaque(opaque) => (opaque.name.to_lowercase(), opaque.name.to_uppercase()),
        other => (other.mnemonic().to_owned(), other.mnemonic().to_uppercase()),
    }
}
