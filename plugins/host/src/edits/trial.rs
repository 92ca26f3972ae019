//! Random edit lists: whatever they say, nothing panics, and what the verifier accepts the text form can carry. For the tests of this crate, and for fuzzing.

use octet_ir::{GraphId, Module, text, verify};

use super::{Edit, NewConstant, NewOp, NewValue, OpChange, OperandChange, Replacement, TypeRef, ValueRef, patch};

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

/// How far a list of edits came.
#[derive(Clone, Debug)]
pub enum Trial {
    /// An edit is wrong, or they do not fit the graph.
    Refused,
    /// They fit, and the verifier refuses what they make.
    Unsound,
    /// What they make is sound.
    Sound(Box<Module>),
}

/// Makes a list of edits and tries it on a small model.
///
/// # Panics
/// When a refused list leaves a trace, or when the text form cannot carry a sound module, or when renumbering it makes it unsound: what a trial is to find.
pub fn trial(choices: &mut dyn Choices) -> Trial {
    let module: Module = text::parse(MODEL, &Default::default()).unwrap_or_else(|e| panic!("{e}"));
    verify::verify(&module).unwrap_or_else(|e| panic!("{e}"));
    let mut random = Random(choices);
    let edits: Vec<Edit> = (0..=random.below(5)).map(|_| random.edit()).collect();
    let Ok(patch) = patch(module.main(), edits) else { return Trial::Refused };
    let mut after = module.clone();
    if patch.apply(&mut after, GraphId::MAIN).is_err() {
        assert_eq!(after, module, "a refused patch left a trace");
        return Trial::Refused;
    }
    if verify::verify(&after).is_err() {
        return Trial::Unsound;
    }
    let printed = text::print(&after);
    let again = text::parse(&printed.text, &printed.blobs).unwrap_or_else(|e| panic!("{e}\n{}", printed.text));
    assert_eq!(text::print(&again).text, printed.text);
    after.compact();
    verify::verify(&after).unwrap_or_else(|e| panic!("{e}"));
    Trial::Sound(Box::new(after))
}

/// Where a trial takes its choices from.
pub trait Choices {
    /// A number below `n`, which is not 0.
    fn below(&mut self, n: u32) -> u32;
}

/// Choices from a seed: SplitMix64.
#[derive(Clone, Debug)]
pub struct Seed(pub u64);

impl Choices for Seed {
    fn below(&mut self, n: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((z ^ (z >> 31)) % u64::from(n)).unwrap_or(0)
    }
}

/// Choices from bytes, one each; 0 when there are none left.
impl Choices for &[u8] {
    fn below(&mut self, n: u32) -> u32 {
        let Some((first, rest)) = self.split_first() else { return 0 };
        *self = rest;
        u32::from(*first) % n
    }
}

struct Random<'c>(&'c mut dyn Choices);

impl Random<'_> {
    fn below(&mut self, n: u32) -> u32 {
        self.0.below(n)
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(u32::try_from(of.len()).expect("few")) as usize]
    }

    fn value(&mut self) -> ValueRef {
        if self.below(3) == 0 { ValueRef::New(self.below(4)) } else { ValueRef::Old(self.below(12)) }
    }

    fn new_value(&mut self) -> NewValue {
        let ty = match self.below(4) {
            0 => {
                TypeRef::Text(self.pick(&["1x4 f32", "4 f32", "1x2 f32", "i32", "* f32", "?:1x4 f32", "1x4 !q<i8, 0.5:-3>", "4 i8"]).into())
            }
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

#[cfg(test)]
mod tests {
    use super::{Seed, Trial, trial};

    #[test]
    fn random_edits_break_nothing() {
        let rounds = std::env::var("OCTET_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(30_000u64);
        let (mut fit, mut sound) = (0, 0);
        for seed in 0..rounds {
            match trial(&mut Seed(seed)) {
                Trial::Refused => {}
                Trial::Unsound => fit += 1,
                Trial::Sound(_) => {
                    fit += 1;
                    sound += 1;
                }
            }
        }
        assert!(fit > rounds / 50 && sound > rounds / 200, "{fit} of {rounds} patches fit, {sound} are sound: the test tests little");
    }
}
