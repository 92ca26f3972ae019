//! Profiles: parsing them, and finding the built-in ones.

use std::sync::LazyLock;

use octet_ir::{Diagnostic, Op};
use serde::Deserialize;

use crate::row::Row;
use crate::rules::Rule;

/// What a target takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// The name under which users ask for it.
    pub name: String,
    /// Other names for it.
    pub aliases: Vec<String>,
    /// What it is.
    pub title: String,
    /// Where its facts come from.
    pub source: String,
    /// Whether every shape must be known before the model runs.
    pub static_shapes: bool,
    /// How operations are mapped, if the target is an accelerator with a CPU beside it.
    pub accelerator: Option<Accelerator>,
    /// Operations without a kernel that compiling for it computes with others.
    pub rewritten: Vec<String>,
    /// Constraints on every operation.
    pub every: Vec<Every>,
    /// Its operations, sorted by the name of the first.
    pub ops: Vec<OpRule>,
}

/// A version of a target's runtime.
pub type Runtime = u32;

/// How an accelerator and the CPU beside it share a graph.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accelerator {
    /// Only one cluster of operations is mapped: what follows a CPU operation that follows a mapped one stays on the CPU.
    #[serde(default)]
    pub one_cluster: bool,
    /// The newest runtime version; by default, constraints are those of this one.
    pub runtime: Option<Runtime>,
    /// The oldest runtime version that a graph can be made for.
    pub oldest_runtime: Option<Runtime>,
    /// Bytes of memory for parameters on the chip.
    pub parameter_memory: Option<usize>,
    /// The custom operation that models carry which are compiled for it already.
    pub compiled: Option<String>,
    /// Operations whose results only tell RESHAPE a shape that is known do not run.
    #[serde(default)]
    pub drops_shapes: bool,
    /// How reports are laid out.
    #[serde(default)]
    pub layout: Layout,
}

/// How a report on an accelerator is laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// A sentence, and a row for each operation.
    #[default]
    Plain,
    /// As edgetpu_compiler prints it, with memory for parameters.
    EdgetpuCompiler,
}

/// Constraints on all operations, or some.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Every {
    /// Only for these; empty means all.
    #[serde(default)]
    pub only: Vec<String>,
    /// Not for these.
    #[serde(default)]
    pub except: Vec<String>,
    /// The constraints.
    pub rules: Vec<Rule>,
}

impl Every {
    /// Whether they count for an operation of this name.
    pub fn covers(&self, name: &str) -> bool {
        (self.only.is_empty() || self.only.iter().any(|o| o == name)) && !self.except.iter().any(|o| o == name)
    }
}

/// What a target takes of some operations.
#[derive(Clone, Debug, PartialEq)]
pub struct OpRule {
    /// Names of operations: the IR's mnemonics, `custom:NAME`, or a builtin's TFLite name in lower case.
    pub ops: Vec<String>,
    /// Allowed element types, a row each; none means any.
    pub types: Vec<Row>,
    /// Further constraints.
    pub rules: Vec<Rule>,
    /// The highest operator version that is taken.
    pub version: Option<i32>,
    /// The first runtime version that has it.
    pub since: Option<Runtime>,
    /// What else there is to say.
    pub note: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileText {
    name: String,
    #[serde(default)]
    aliases: Vec<String>,
    title: String,
    source: String,
    /// A built-in profile whose rules count where this one has none of its own.
    base: Option<String>,
    static_shapes: Option<bool>,
    accelerator: Option<Accelerator>,
    /// The highest operator version where an operation does not say.
    version: Option<i32>,
    #[serde(default)]
    rewritten: Vec<String>,
    #[serde(default)]
    every: Vec<Every>,
    #[serde(default)]
    op: Vec<OpText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpText {
    ops: Vec<String>,
    #[serde(default)]
    types: Vec<String>,
    #[serde(default)]
    rules: Vec<Rule>,
    version: Option<i32>,
    since: Option<Runtime>,
    note: Option<String>,
}

impl Profile {
    /// Reads a profile; the error (`TGT001`) says what is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, Diagnostic> {
        let wrong = |what: String| Diagnostic::error("TGT001", format!("the target profile is malformed: {what}"));
        let raw: ProfileText = toml::from_str(text).map_err(|e| wrong(e.to_string().trim_end().to_owned()))?;
        let mut seen: Vec<String> = Vec::new();
        let mut ops = Vec::new();
        for op in raw.op {
            for name in &op.ops {
                if seen.contains(name) {
                    return Err(wrong(format!("'{name}' stands twice")));
                }
                seen.push(name.clone());
            }
            check_names(&op).map_err(wrong)?;
            let types = op.types.iter().map(|t| Row::parse(t)).collect::<Result<_, _>>().map_err(wrong)?;
            ops.push(OpRule { ops: op.ops, types, rules: op.rules, version: op.version.or(raw.version), since: op.since, note: op.note });
        }
        ops.sort_by(|a, b| a.ops.cmp(&b.ops));
        let ProfileText { name, aliases, title, source, base, static_shapes, accelerator, rewritten, every, .. } = raw;
        let static_shapes_here = static_shapes.unwrap_or(false);
        let mut profile = Self { name, aliases, title, source, static_shapes: static_shapes_here, accelerator, rewritten, every, ops };
        if let Some(base) = base {
            // Built-in profiles have no base that has a base, so this ends.
            let base = built_in(&base).ok_or_else(|| wrong(format!("its base '{base}' is no built-in profile")))?;
            profile.static_shapes = static_shapes.unwrap_or(base.static_shapes);
            profile.accelerator = profile.accelerator.or(base.accelerator);
            profile.every.extend(base.every);
            for mut inherited in base.ops {
                inherited.ops.retain(|name| profile.op(name).is_none());
                if !inherited.ops.is_empty() {
                    profile.ops.push(inherited);
                }
            }
            profile.ops.sort_by(|a, b| a.ops.cmp(&b.ops));
        }
        Ok(profile)
    }

    /// What the target takes of an operation of this name.
    pub fn op(&self, name: &str) -> Option<&OpRule> {
        self.ops.iter().find(|rule| rule.ops.iter().any(|o| o == name))
    }
}

/// Names of modelled operations must exist, and so must the operands and attributes that rules name.
fn check_names(op: &OpText) -> Result<(), String> {
    for name in &op.ops {
        let Ok(known) = Op::from_attributes(name, Vec::new()) else { continue };
        let attributes = known.all_attributes().unwrap_or_default();
        for rule in &op.rules {
            let Rule::Holds { expr, each, .. } = rule else { continue };
            for word in expr.names() {
                let there = known.operand_spec().iter().any(|o| o.name == word) || attributes.iter().any(|(n, _)| n == word);
                let known = there || word.starts_with("result") || (word == "it" && each.is_some());
                if !known {
                    return Err(format!("{name} has no operand or attribute '{word}', which the condition \"{expr}\" names"));
                }
            }
        }
        for operand in op.rules.iter().flat_map(Rule::names) {
            if !operand.starts_with("result") && !known.operand_spec().iter().any(|o| o.name == operand) {
                return Err(format!("{name} has no operand '{operand}'"));
            }
        }
    }
    Ok(())
}

const TEXTS: [&str; 7] = [
    include_str!("../profiles/cmsis-nn.toml"),
    include_str!("../profiles/edgetpu.toml"),
    include_str!("../profiles/ethos-u55.toml"),
    include_str!("../profiles/ethos-u65.toml"),
    include_str!("../profiles/tflite.toml"),
    include_str!("../profiles/tflm.toml"),
    include_str!("../profiles/xnnpack-int8.toml"),
];

/// A built-in profile without a base of its own, by name.
fn built_in(name: &str) -> Option<Profile> {
    let line = format!("\nname = \"{name}\"\n");
    let text = TEXTS.into_iter().find(|text| text.contains(&line) && !text.contains("\nbase = "))?;
    Profile::parse(text).ok()
}

static BUILT_IN: LazyLock<Vec<Profile>> = LazyLock::new(|| {
    // A test parses each; one that did not parse would be missing from `octet list targets`.
    TEXTS.iter().filter_map(|text| Profile::parse(text).ok()).collect()
});

/// The built-in profiles, sorted by name.
pub fn profiles() -> &'static [Profile] {
    &BUILT_IN
}

/// The built-in profile of this name, or of this other name; the error (`TGT002`) lists what there is.
pub fn profile(name: &str) -> Result<&'static Profile, Diagnostic> {
    profiles().iter().find(|p| p.name == name || p.aliases.iter().any(|a| a == name)).ok_or_else(|| {
        let known: Vec<&str> = profiles().iter().flat_map(|p| std::iter::once(&p.name).chain(&p.aliases)).map(String::as_str).collect();
        Diagnostic::error("TGT002", format!("there is no target '{name}'"))
            .with_note(format!("there are: {}", known.join(", ")))
            .with_help("a file that ends in .toml is read as a profile of your own")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_profiles_parse() {
        for text in TEXTS {
            let profile = Profile::parse(text).unwrap_or_else(|e| panic!("{e}"));
            let names: usize = profile.ops.iter().map(|rule| rule.ops.len()).sum();
            assert!(names > 10, "{} knows {names} operations", profile.name);
        }
        let names: Vec<&str> = profiles().iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["cmsis-nn", "edgetpu", "ethos-u55", "ethos-u65", "tflite", "tflm", "xnnpack-int8"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let head = "name = 'x'\ntitle = 'x'\nsource = 'x'\n";
        for (text, needle) in [
            ("name = 3", "expected a string"),
            ("[[op]]\nops = ['relu']\ntypes = ['f32']", "no '->'"),
            ("[[op]]\nops = ['relu']\ntypes = ['T -> T']", "does not say what T is"),
            ("[[op]]\nops = ['relu']\ntypes = ['f31 -> f32']", "no element type 'f31'"),
            ("[[op]]\nops = ['relu']\nrules = [{kind = 'constant', operand = 'filter'}]", "no operand 'filter'"),
            ("[[op]]\nops = ['relu', 'relu']", "twice"),
            ("[[op]]\nops = ['relu']\nrules = [{kind = 'holds', expr = 'rank(y) == 1', text = ''}]", "no operand or attribute 'y'"),
            ("[[op]]\nops = ['relu']\nrules = [{kind = 'holds', expr = 'rank(x', text = ''}]", "is missing"),
        ] {
            let error = Profile::parse(&format!("{}{text}", if text.starts_with("name") { "" } else { head })).unwrap_err();
            assert!(error.message.contains(needle), "{}", error.message);
        }
    }
}
