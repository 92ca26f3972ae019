//! Generated graphs through a real runtime, judged operation by operation: each one computes from what the runtime computed before it, so
//! that a difference is the operation's own and bounds stay those of one operation.

use std::collections::{BTreeMap, BTreeSet};

use octet_backend_tflite::{WriteOptions, write};
use octet_eval::kernel::RoundingProfile;
use octet_eval::{Interpreter, Options};
use octet_graphgen::{isolate, isolated_inputs, random_inputs};
use octet_ir::{ElementType, EntityId, GraphId, Module, Op, OpId, Operation, Use, ValueDef, ValueId};
use octet_peers::Array;
use octet_plugin::Tensor;

use crate::batch::{Batch, Ran, Runtime, Wanted};
use crate::compare::ulps;
use crate::known;
use crate::ours::element;
use crate::tolerance::{Tolerance, tolerance};

/// Samples that each graph is fed with.
pub const SAMPLES: usize = 3;

/// One graph and its data.
pub struct Case {
    /// What it is made from, for messages.
    pub name: String,
    /// The graph.
    pub module: Module,
    /// Its inputs: "0", "1", ..., samples first.
    pub inputs: BTreeMap<String, Array>,
}

impl Case {
    /// A case with random inputs.
    ///
    /// # Panics
    /// If an input has a type that NumPy has no name for, which no profile of a runtime gives.
    #[must_use]
    pub fn new(name: String, module: Module, seed: u64) -> Self {
        let mut inputs = BTreeMap::new();
        let samples: Vec<Vec<octet_ir::Constant>> = (0..SAMPLES as u64).map(|i| random_inputs(&module, seed * 1000 + i)).collect();
        for (index, &input) in module.main().inputs().iter().enumerate() {
            let ty = module.main().ty(input);
            let shape = std::iter::once(SAMPLES).chain(ty.shape.dims().iter().copied()).collect();
            let bytes = samples.iter().flat_map(|s| s[index].bytes().to_vec()).collect();
            let element = element(ty.elem).unwrap_or_else(|why| panic!("{name}: {why}"));
            inputs.insert(index.to_string(), Array { element, shape, bytes });
        }
        Self { name, module, inputs }
    }
}

/// What became of the cases.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Graphs that the runtime ran.
    pub ran: usize,
    /// Operations compared, by mnemonic.
    pub compared: BTreeMap<&'static str, usize>,
    /// Graphs that the runtime did not take: the case's number, and its words.
    pub refused: Vec<(usize, String)>,
    /// Operations that our interpreter does not compute, by name.
    pub missing: BTreeMap<String, usize>,
    /// Differences of the runtime that are known, by their reason, and how often they were met.
    pub known: BTreeMap<&'static str, usize>,
    /// Operations with a known difference, by the case's number: to be judged by another runtime.
    pub elsewhere: BTreeSet<(usize, OpId)>,
    /// Where both differ: the case's number and what differs.
    pub differing: Vec<(usize, String)>,
}

impl Verdict {
    /// Adds what came of other cases, whose numbers are told by `number`.
    pub fn merge(&mut self, other: Self, number: &dyn Fn(usize) -> usize) {
        self.ran += other.ran;
        for (mnemonic, count) in other.compared {
            *self.compared.entry(mnemonic).or_default() += count;
        }
        for (name, count) in other.missing {
            *self.missing.entry(name).or_default() += count;
        }
        for (why, count) in other.known {
            *self.known.entry(why).or_default() += count;
        }
        self.refused.extend(other.refused.into_iter().map(|(index, why)| (number(index), why)));
        self.differing.extend(other.differing.into_iter().map(|(index, why)| (number(index), why)));
    }
}

/// Runs all cases in a runtime and judges them. A graph that the runtime refuses is taken apart, so that one operation does not hide the others;
/// an operation that LiteRT's reference kernels do not have goes to its optimized ones. `refused` then holds single operations that have no
/// reason in [`known`], by the number of their graph.
///
/// # Panics
/// As [`judge`].
pub fn judge_parts(cases: &[Case], runtime: Runtime) -> Verdict {
    let mut verdict = judge(cases, runtime);
    let mut parts: Vec<(usize, Case)> = Vec::new();
    let whole = std::mem::take(&mut verdict.refused);
    for &(index, _) in &whole {
        let graph = cases[index].module.main();
        parts.extend(graph.op_ids().into_iter().filter(|&op| !has_variable(graph.op(op).op())).map(|op| (index, alone(&cases[index], op))));
    }
    let has_data = |case: &Case| has_arrays(&case.module) && !case.module.main().outputs().is_empty();
    parts.retain(|(_, case)| has_data(case));
    let mut elsewhere: Vec<(usize, Case)> =
        std::mem::take(&mut verdict.elsewhere).into_iter().map(|(index, op)| (index, alone(&cases[index], op))).collect();
    elsewhere.retain(|(_, case)| has_data(case));
    let targets: &[Runtime] = if runtime == Runtime::LiteRtReference { &[runtime, Runtime::LiteRtBuiltin] } else { &[runtime] };
    for &target in targets {
        if target == Runtime::LiteRtBuiltin {
            parts.append(&mut elsewhere);
        }
        let (numbers, alone): (Vec<usize>, Vec<Case>) = std::mem::take(&mut parts).into_iter().unzip();
        let mut found = judge(&alone, target);
        found.elsewhere.clear();
        for (index, why) in std::mem::take(&mut found.refused) {
            let case = &alone[index];
            if why.contains("Didn't find op for builtin opcode") && target == Runtime::LiteRtReference {
                parts.push((numbers[index], Case { name: case.name.clone(), module: case.module.clone(), inputs: case.inputs.clone() }));
            } else if let Some(reason) = known::refusal(target, &case.module, &why) {
                *found.known.entry(reason).or_default() += 1;
            } else if !we_refuse(case) {
                let printed = octet_ir::text::print(&case.module).text;
                found.refused.push((index, format!("{}: {why}\n{printed:.1500}", case.name)));
            }
        }
        verdict.merge(found, &|index| numbers[index]);
    }
    verdict
}

/// One operation of a case, with data of its own.
fn alone(case: &Case, op: OpId) -> Case {
    let name = format!("{} alone from {}", case.module.main().op(op).op().mnemonic(), case.name);
    Case::new(name, isolate(&case.module, GraphId::MAIN, op), 0)
}

fn has_variable(op: &Op) -> bool {
    matches!(op, Op::CallOnce(_) | Op::VarHandle(_) | Op::ReadVariable(_) | Op::AssignVariable(_))
}

/// Whether our interpreter refuses the same data: an index out of bounds, a division by zero.
fn we_refuse(case: &Case) -> bool {
    let inputs: Vec<&Array> = (0..case.inputs.len()).filter_map(|i| case.inputs.get(&i.to_string())).collect();
    run(&case.module, &inputs, samples(case), Runtime::LiteRtReference).is_err_and(|why| !why.starts_with("EVL001"))
}

/// Runs all cases in a runtime and judges them.
///
/// # Panics
/// If a graph cannot be written as a file, which every graph of a runtime's profile can.
pub fn judge(cases: &[Case], runtime: Runtime) -> Verdict {
    let mut batch = Batch::new();
    for (index, case) in cases.iter().enumerate() {
        let written = write(&case.module, &WriteOptions::default()).unwrap_or_else(|why| panic!("{}: {why}", case.name));
        let model = batch.model(&format!("m{index}"), &written.into_bytes());
        let inputs = batch.inputs(&format!("i{index}"), &case.inputs);
        batch.add(runtime, &model, &inputs, Wanted::Tensors);
    }
    let mut verdict = Verdict::default();
    for (index, (case, ran)) in cases.iter().zip(batch.run(&crate::judges())).enumerate() {
        match ran {
            Ran::Refused(why) => verdict.refused.push((index, why)),
            Ran::Done(arrays) => {
                verdict.ran += 1;
                for op in case.module.main().op_ids() {
                    judge_op(case, index, op, &arrays, runtime, &mut verdict);
                }
            }
        }
    }
    verdict
}

/// The samples of a value as the runtime saw it, where it told.
fn seen<'a>(case: &'a Case, arrays: &'a BTreeMap<String, Array>, value: ValueId) -> Option<&'a Array> {
    let known = case.module.main().value(value);
    match known.def() {
        ValueDef::Input(index) => case.inputs.get(&index.to_string()),
        ValueDef::Result { .. } => {
            let output = known.uses().iter().find_map(|u| match u {
                Use::Output(index) => arrays.get(&format!("o{index}")),
                Use::Operand { .. } => None,
            });
            output.or_else(|| arrays.get(&format!("t{}", value.index())))
        }
        ValueDef::Constant(_) | ValueDef::Variable | ValueDef::Unbound => None,
    }
}

fn judge_op(case: &Case, index: usize, op: OpId, arrays: &BTreeMap<String, Array>, runtime: Runtime, verdict: &mut Verdict) {
    let graph = case.module.main();
    let operation = graph.op(op);
    // Variables live in the whole graph, not in one operation.
    if has_variable(operation.op()) {
        return;
    }
    let sources: Option<Vec<&Array>> = isolated_inputs(graph, op).into_iter().map(|v| seen(case, arrays, v)).collect();
    let Some(sources) = sources else { return };
    let alone = isolate(&case.module, GraphId::MAIN, op);
    let mnemonic = operation.op().mnemonic();
    let found = match run(&alone, &sources, samples(case), runtime) {
        Ok(found) => found,
        Err(why) if why.starts_with("EVL001") => {
            let types: Vec<String> = operation.operands().iter().flatten().map(|&v| graph.ty(v).elem.to_string()).collect();
            *verdict.missing.entry(format!("{mnemonic}({})", types.join(", "))).or_default() += 1;
            return;
        }
        Err(why) => {
            verdict.differing.push((index, format!("{}: {mnemonic}: {why}", case.name)));
            return;
        }
    };
    let largest = |arrays: &mut dyn Iterator<Item = &Array>| {
        let all = arrays.filter_map(Array::to_f32).flatten().filter(|v| v.is_finite());
        all.fold(0.0f32, |most, v| most.max(v.abs()))
    };
    let went_in = largest(&mut sources.iter().copied()).max(largest_constant(&case.module, operation));
    let hybrid = operation.operands().iter().flatten().any(|v| graph.ty(*v).is_quantized());
    let bound = tolerance(operation.op(), hybrid);
    for (&result, found) in operation.results().iter().zip(&found) {
        let Some(expected) = seen(case, arrays, result) else { continue };
        *verdict.compared.entry(mnemonic).or_default() += 1;
        let came_out = largest(&mut std::iter::once(expected));
        if let Err(why) = compare(bound, expected, found, went_in.max(came_out)) {
            let finite = sources.iter().filter_map(|a| a.to_f32()).flatten().all(|v| v.is_finite() && v.abs() < f32::MAX);
            let gap = gap(expected, found);
            if let Some(reason) = known::difference(runtime, &alone, known::Found { finite, gap }) {
                verdict.elsewhere.insert((index, op));
                *verdict.known.entry(reason).or_default() += 1;
                continue;
            }
            let printed = octet_ir::text::print(&alone).text;
            verdict.differing.push((index, format!("{}: {mnemonic} of {}: {why}\n{printed:.1500}", case.name, graph.value_name(result))));
        }
    }
}

/// The largest magnitude in an operation's float constants.
fn largest_constant(module: &Module, operation: &Operation) -> f32 {
    let graph = module.main();
    let floats = operation.operands().iter().flatten().filter(|v| graph.ty(**v).elem == ElementType::F32);
    let constants = floats.filter_map(|&v| module.constant_of(graph, v)).flat_map(octet_ir::Constant::to_f32);
    constants.filter(|v| v.is_finite()).fold(0.0f32, |most, v| most.max(v.abs()))
}

/// How often a case runs: once where nothing goes in.
fn samples(case: &Case) -> usize {
    if case.inputs.is_empty() { 1 } else { SAMPLES }
}

/// What our interpreter gives for all samples, state kept from one to the next.
fn run(module: &Module, sources: &[&Array], samples: usize, runtime: Runtime) -> Result<Vec<Vec<u8>>, String> {
    let told = |d: octet_ir::Diagnostic| format!("{}: {}", d.code, d.message);
    let profile = if runtime == Runtime::Tflm { RoundingProfile::Tflm } else { RoundingProfile::LitertReference };
    let mut interpreter = Interpreter::new(module, Options { profile, ..Options::default() }).map_err(told)?;
    interpreter.allocate_tensors().map_err(|all| all.0.into_iter().next().map_or_else(String::new, told))?;
    let graph = module.main();
    let mut found = vec![Vec::new(); graph.outputs().len()];
    for sample in 0..samples {
        for (&input, source) in graph.inputs().iter().zip(sources) {
            let bytes = source.sample(sample).unwrap_or_default().to_vec();
            let tensor = Tensor { elem: graph.ty(input).elem, shape: source.shape.get(1..).unwrap_or_default().to_vec(), bytes };
            interpreter.set_tensor(input.index(), &tensor).map_err(told)?;
        }
        interpreter.invoke().map_err(told)?;
        for (all, &output) in found.iter_mut().zip(graph.outputs()) {
            all.extend(interpreter.get_tensor(output.index()).map_err(told)?.bytes);
        }
    }
    Ok(found)
}

/// The largest distance of two elements; infinite where they cannot be compared.
fn gap(expected: &Array, found: &[u8]) -> f64 {
    let found = Array { bytes: found.to_vec(), ..expected.clone() };
    match (expected.to_real(), found.to_real()) {
        (Some(a), Some(b)) if a.len() == b.len() => a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max),
        _ => f64::INFINITY,
    }
}

/// Whether one result of an operation is what the runtime gave.
fn compare(bound: Tolerance, expected: &Array, found: &[u8], magnitude: f32) -> Result<(), String> {
    if expected.bytes == found {
        return Ok(());
    }
    if expected.bytes.len() != found.len() {
        return Err(format!("{} bytes instead of {} of {:?} {:?}", found.len(), expected.bytes.len(), expected.element, expected.shape));
    }
    let found = Array { bytes: found.to_vec(), ..expected.clone() };
    let (Some(a), Some(b)) = (expected.to_f32(), found.to_f32()) else {
        return Err(crate::compare::difference(expected, &found).unwrap_or_default());
    };
    let most = magnitude * bound.share;
    let far = |x: f32, y: f32| x != y && ulps(x, y) > bound.ulps && (x - y).abs().partial_cmp(&most).is_none_or(std::cmp::Ordering::is_gt);
    match a.iter().zip(&b).enumerate().find(|(_, (x, y))| far(**x, **y)) {
        Some((at, (x, y))) => Err(format!("at {at}: expected {x:e}, found {y:e}, {} ULPs apart; {bound:?} of {magnitude:e}", ulps(*x, *y))),
        None => Ok(()),
    }
}

/// Whether the runtime's arrays can hold everything that goes in and out of a module.
#[must_use]
pub fn has_arrays(module: &Module) -> bool {
    let graph = module.main();
    let ends = graph.inputs().iter().chain(graph.outputs());
    ends.map(|&v| graph.ty(v).elem).all(|elem| element(elem).is_ok() && elem != ElementType::String)
}
