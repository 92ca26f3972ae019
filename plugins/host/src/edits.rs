//! Edits of a plugin become one patch, or a diagnostic that says which edit is wrong. Nothing is believed: every id, type, attribute and order is
//! checked, here or by the patch or by the verifier.

use octet_ir::{Constant, Diagnostic, EntityId, Graph, Loc, Op, OpId, Patch, SourceLocation, Type, ValueId, text};

use crate::bindings::octet::plugin::types::{Edit, NewValue, TypeRef, ValueRef};
use crate::view::op_location;

/// Values whose names one new value may take over: uniting names compares each with each.
const NAMES: usize = 64;

/// The patch that makes these edits.
pub(crate) fn patch(graph: &Graph, edits: Vec<Edit>) -> Result<Patch, Diagnostic> {
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

#[cfg(test)]
mod tests {
    //! Random edit lists: whatever they say, nothing panics, and what the verifier accepts the text form can carry.

    use octet_ir::{GraphId, Module, text, verify};

    use super::patch;
    use crate::bindings::octet::plugin::types::{
        Edit, NewConstant, NewOp, NewValue, OpChange, OperandChange, Replacement, TypeRef, ValueRef,
    };

    const MODEL: &str = "octet.ir 1
graph @main(%0: 1x4 f32, %1: 1x4 f32) {
  %2 = add(%0, %1) : 1x4 f32
  %3 = tanh(%2) : 1x4 f32
  %4 = const [1.0, 2.0, 3.0, 4.0] : 4 f32
  %5 = mul(%3, %4) : 1x4 f32
  %6 = variable : 1x4 f32
  %7 = abs(%6) : 1x4 f32
  %10 = const [1] : i32
  %8, %9 = split(%10, %5) {num_splits = 2} : 1x2 f32, 1x2 f32
  return %7, %9, %3
}
";

    /// SplitMix64.
    struct Random(u64);

    impl Random {
        fn below(&mut self, n: u32) -> u32 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            u32::try_from((z ^ (z >> 31)) % u64::from(n)).expect("below n")
        }

        fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
            of[self.below(u32::try_from(of.len()).expect("few")) as usize]
        }

        fn value(&mut self) -> ValueRef {
            if self.below(3) == 0 { ValueRef::New(self.below(4)) } else { ValueRef::Old(self.below(12)) }
        }

        fn new_value(&mut self) -> NewValue {
            let ty = match self.below(4) {
                0 => TypeRef::Text(
                    self.pick(&["1x4 f32", "4 f32", "1x2 f32", "i32", "* f32", "?:1x4 f32", "1x4 !q<i8, 0.5:-3>", "4 i8"]).into(),
                ),
                _ => TypeRef::SameAs(self.below(11)),
            };
            NewValue { ty, stands_for: (0..self.below(3)).map(|_| self.below(11)).collect() }
        }

        fn operation(&mut self) -> (String, String) {
            let name = self.pick(&[
                "abs",
                "neg",
                "tanh",
                "add",
                "mul",
                "split",
                "reshape",
                "custom",
                "opaque",
                "concatenation",
                "svdf",
                "if",
                "quantize",
            ]);
            (name.into(), self.pick(&["", "", "", "{}", "{activation = relu}", "{axis = 1}", "{num_splits = 2}", "{name = \"x\"}"]).into())
        }

        fn edit(&mut self) -> Edit {
            match self.below(7) {
                0 => {
                    let value = self.new_value();
                    let length = [0, 1, 4, 8, 16][self.below(5) as usize];
                    Edit::Constant(NewConstant { value, bytes: vec![1; length] })
                }
                1 | 2 => {
                    let (mnemonic, attributes) = self.operation();
                    let operands = (0..self.below(4)).map(|_| (self.below(8) > 0).then(|| self.value())).collect();
                    let results = (0..self.below(3)).map(|_| self.new_value()).collect();
                    Edit::Op(NewOp { before: self.below(6), mnemonic, attributes, operands, results })
                }
                3 => Edit::Replace(Replacement { old: self.below(12), new: self.value() }),
                4 => {
                    let value = (self.below(6) > 0).then(|| self.value());
                    Edit::SetOperand(OperandChange { op: self.below(6), operand: self.below(3), value })
                }
                5 => {
                    let (mnemonic, attributes) = self.operation();
                    Edit::SetOp(OpChange { op: self.below(6), mnemonic, attributes })
                }
                _ => Edit::Erase(self.below(6)),
            }
        }
    }

    #[test]
    fn random_edits_break_nothing() {
        let module: Module = text::parse(MODEL, &Default::default()).unwrap_or_else(|e| panic!("{e}"));
        verify::verify(&module).unwrap_or_else(|e| panic!("{e}"));
        let rounds = std::env::var("OCTET_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(30_000u64);
        let (mut fit, mut sound) = (0, 0);
        for seed in 0..rounds {
            let mut random = Random(seed);
            let edits: Vec<Edit> = (0..=random.below(5)).map(|_| random.edit()).collect();
            let Ok(patch) = patch(module.main(), edits) else { continue };
            let mut after = module.clone();
            if patch.apply(&mut after, GraphId::MAIN).is_err() {
                assert_eq!(after, module, "seed {seed}: a refused patch left a trace");
                continue;
            }
            fit += 1;
            if verify::verify(&after).is_ok() {
                sound += 1;
                let printed = text::print(&after);
                let again = text::parse(&printed.text, &printed.blobs).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{}", printed.text));
                assert_eq!(text::print(&again).text, printed.text, "seed {seed}");
                after.compact();
                verify::verify(&after).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            }
        }
        assert!(fit > rounds / 50 && sound > rounds / 200, "{fit} of {rounds} patches fit, {sound} are sound: the test tests little");
    }
}
