//! Edits of a plugin become one patch, or a diagnostic that says which edit is wrong. Nothing is believed: every id, type, attribute and order is
//! checked, here or by the patch or by the verifier.

#[cfg(any(test, feature = "trial"))]
pub mod trial;
mod types;

use octet_ir::{Constant, Diagnostic, EntityId, Graph, Loc, Op, OpId, Patch, SourceLocation, Type, ValueId, text};

pub use types::{Edit, NewConstant, NewOp, NewValue, OpChange, OperandChange, Replacement, TypeRef, ValueRef};

/// Values whose names one new value may take over: uniting names compares each with each.
const NAMES: usize = 64;

/// The patch that makes these edits.
///
/// # Errors
/// `PLG020` says which edit is wrong, and why.
pub fn patch(graph: &Graph, edits: Vec<Edit>) -> Result<Patch, Diagnostic> {
    let mut builder = Builder { graph, patch: Patch::at_end(graph), made: Vec::new() };
    for (index, edit) in edits.into_iter().enumerate() {
        let about = subject(&edit);
        builder.edit(edit).map_err(|why| {
            let mut location = SourceLocation { graph: Some(graph.name().to_owned()).filter(|n| !n.is_empty()), ..Default::default() };
            location.op = about.and_then(|op| op_location(graph, op));
            Diagnostic::error("PLG020", format!("edit {index} of the plugin is wrong: {why}")).at(location)
        })?;
    }
    Ok(builder.patch)
}

/// Index in execution order and mnemonic of an operation, if there is such a one.
pub(crate) fn op_location(graph: &Graph, op: u32) -> Option<(usize, String)> {
    let id = OpId::from_index(op as usize);
    let index = graph.ops().position(|(other, _)| other == id)?;
    Some((index, graph.get_op(id)?.op().mnemonic().to_owned()))
}

/// The operation that an edit names.
fn subject(edit: &Edit) -> Option<u32> {
    match edit {
        Edit::Op(new) => Some(new.before),
        Edit::SetOperand(change) => Some(change.op),
        Edit::SetOp(change) => Some(change.op),
        Edit::Erase(op) => Some(*op),
        Edit::Constant(_) | Edit::Replace(_) => None,
    }
}

struct Builder<'g> {
    graph: &'g Graph,
    patch: Patch,
    made: Vec<ValueId>,
}

impl Builder<'_> {
    fn edit(&mut self, edit: Edit) -> Result<(), String> {
        match edit {
            Edit::Constant(new) => {
                let (ty, loc) = self.new_value(&new.value)?;
                if ty.byte_len() != Some(new.bytes.len()) {
                    return Err(format!("a constant of type {ty} has {} bytes", new.bytes.len()));
                }
                let value = self.patch.constant(Constant::new(new.bytes), ty, loc);
                self.made.push(value);
            }
            Edit::Op(new) => {
                self.patch.move_before(self.op(new.before)?);
                let op = operation(&new.mnemonic, &new.attributes)?;
                let operands = new.operands.iter().map(|v| v.map(|v| self.value(v)).transpose()).collect::<Result<_, _>>()?;
                let results = new.results.iter().map(|v| self.new_value(v)).collect::<Result<_, _>>()?;
                let results = self.patch.op(op, operands, results);
                self.made.extend(results);
            }
            Edit::Replace(replacement) => {
                let (old, new) = (self.old(replacement.old)?, self.value(replacement.new)?);
                if let (ValueRef::New(_), Some(range)) = (replacement.new, self.graph.value(old).range()) {
                    self.patch.set_range(new, Some(range.clone()));
                }
                self.patch.replace(old, new);
            }
            Edit::SetOperand(change) => {
                let op = self.op(change.op)?;
                let value = change.value.map(|v| self.value(v)).transpose()?;
                self.patch.set_operand(op, change.operand as usize, value);
            }
            Edit::SetOp(change) => {
                let op = self.op(change.op)?;
                self.patch.set_op(op, operation(&change.mnemonic, &change.attributes)?);
            }
            Edit::Erase(op) => {
                let op = self.op(op)?;
                self.patch.erase(op);
            }
        }
        Ok(())
    }

    fn op(&self, op: u32) -> Result<OpId, String> {
        let id = OpId::from_index(op as usize);
        self.graph.get_op(id).map(|_| id).ok_or_else(|| format!("there is no operation {op}"))
    }

    fn old(&self, value: u32) -> Result<ValueId, String> {
        let id = ValueId::from_index(value as usize);
        self.graph.get_value(id).map(|_| id).ok_or_else(|| format!("there is no value %{value}"))
    }

    fn value(&self, value: ValueRef) -> Result<ValueId, String> {
        match value {
            ValueRef::Old(value) => self.old(value),
            ValueRef::New(index) => {
                self.made.get(index as usize).copied().ok_or_else(|| format!("no edit before it makes new value {index}"))
            }
        }
    }

    fn new_value(&self, new: &NewValue) -> Result<(Type, Loc), String> {
        let ty = match &new.ty {
            TypeRef::SameAs(value) => self.graph.ty(self.old(*value)?).clone(),
            TypeRef::Text(text) => text::parse_type(text).map_err(|e| format!("'{}' is no type: {}", clip(text), e.message))?,
        };
        if new.stands_for.len() > NAMES {
            return Err(format!("a value stands for {} others; it may for {NAMES}", new.stands_for.len()));
        }
        let loc =
            new.stands_for.iter().try_fold(Loc::unknown(), |loc, v| Ok::<_, String>(loc.union(self.graph.value(self.old(*v)?).loc())))?;
        Ok((ty, loc))
    }
}

/// The operation of a mnemonic and attributes in the text form.
fn operation(mnemonic: &str, attributes: &str) -> Result<Op, String> {
    let wrong = |why: &str| format!("'{}{}' is no operation: {why}", clip(mnemonic), clip(attributes));
    let calls = text::parse_calls(&format!("{mnemonic}{attributes}")).map_err(|e| wrong(&e.message))?;
    match <[_; 1]>::try_from(calls) {
        Ok([(name, attributes)]) if name == mnemonic => Op::from_attributes(&name, attributes).map_err(|e| wrong(&e.to_string())),
        _ => Err(wrong("there must be one mnemonic")),
    }
}

/// The beginning of a text, for messages.
fn clip(text: &str) -> String {
    if text.chars().count() <= 80 { text.to_owned() } else { text.chars().take(77).chain("...".chars()).collect() }
}
