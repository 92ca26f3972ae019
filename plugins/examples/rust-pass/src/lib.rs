//! Fuses `1 / sqrt(x)`, as exporters write it, into one `rsqrt`.
//!
//! Legal for `f32` when nothing else reads the square root; the last bit of the result may differ.

wit_bindgen::generate!({ path: "plugin.wit", world: "pass-plugin" });

use exports::octet::plugin::pass::{Description, Diagnostic, Edit, Graph, Guest, Setting};
use octet::plugin::types::{NewOp, NewValue, OpId, Origin, Replacement, Severity, TypeRef, ValueId, ValueRef};

struct Rsqrt;

impl Guest for Rsqrt {
    fn describe() -> Description {
        Description { name: "fuse-rsqrt".into(), version: "1.0.0".into(), summary: "Fuses 1 / sqrt(x) into one RSQRT.".into() }
    }

    fn run(graph: &Graph, options: Vec<(String, Setting)>) -> Result<Vec<Edit>, Vec<Diagnostic>> {
        if let Some((name, _)) = options.first() {
            let message = format!("fuse-rsqrt has no option '{name}'");
            return Err(vec![Diagnostic { severity: Severity::Error, message, op: None, value: None, help: None }]);
        }
        let mut edits = Vec::new();
        for (made, (before, x, result)) in (0..).zip(graph.ops().into_iter().filter_map(|op| matched(graph, op))) {
            edits.push(Edit::Op(NewOp {
                before,
                mnemonic: "rsqrt".into(),
                attributes: String::new(),
                operands: vec![Some(ValueRef::Old(x))],
                results: vec![NewValue { ty: TypeRef::SameAs(result), stands_for: vec![result] }],
            }));
            edits.push(Edit::Replace(Replacement { old: result, new: ValueRef::New(made) }));
        }
        Ok(edits)
    }
}

/// The division, what is under the root, and the result.
fn matched(graph: &Graph, op: OpId) -> Option<(OpId, ValueId, ValueId)> {
    let division = graph.op(op).filter(|o| o.mnemonic == "div" && o.attributes.is_empty())?;
    let [Some(one), Some(root)] = division.operands[..] else { return None };
    let (numerator, between, result) = (graph.value(one)?, graph.value(root)?, *division.results.first()?);
    let is_one = numerator.origin == Origin::Constant && graph.constant_bytes(one, 0, 8)? == 1f32.to_le_bytes();
    let same = graph.value(result).is_some_and(|r| r.ty == between.ty);
    if !is_one || !same || between.element != "f32" || between.readers.len() != 1 || between.is_output {
        return None;
    }
    let root = graph.op(between.producer?).filter(|o| o.mnemonic == "sqrt")?;
    Some((op, root.operands.first().copied()??, result))
}

export!(Rsqrt);
