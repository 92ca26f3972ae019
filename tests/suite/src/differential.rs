//! Generated graphs through a real runtime, judged operation by operation: each one computes from what the runtime computed before it, so
//! that a difference is the operation's own and bounds stay those of one operation.

use std::collections::BTreeMap;

use octet_backend_tflite::{WriteOptions, write};
use octet_eval::kernel::RoundingProfile;
use octet_eval::{Interpreter, Options};
use octet_graphgen::{isolate, isolated_inputs, random_inputs};
use octet_ir::{ElementType, EntityId, GraphId, Module, Op, OpId, Use, ValueDef, ValueId};
use octet_peers::Array;
use octet_plugin::Tensor;

use crate::batch::{Batch, Ran, Runtime, Wanted};
use crate::compare::ulps;
use crate::ours::element;
use crate::tolerance::tolerance;

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
    /// Graphs that the runtime did not take, and its words.
    pub refused: Vec<(String, String)>,
    /// Operations that our interpreter does not compute, by name.
    pub missing: BTreeMap<String, usize>,
    /// Where both differ: the case's number and what differs.
    pub differing: Vec<(usize, String)>,
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
            Ran::Refused(why) => verdict.refused.push((case.name.clone(), why)),
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
    if matches!(operation.op(), Op::CallOnce(_) | Op::VarHandle(_) | Op::ReadVariable(_) | Op::AssignVariable(_)) {
        return;
    }
    let sources: Option<Vec<&Array>> = isolated_inputs(graph, op).into_iter().map(|v| seen(case, arrays, v)).collect();
    let Some(sources) = sources else { return };
    let alone = isolate(&case.module, GraphId::MAIN, op);
    let mnemonic = operation.op().mnemonic();
    let found = match run(&alone, &sources, runtime) {
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
    let went_in = largest(&mut sources.iter().copied());
    for (&result, found) in operation.results().iter().zip(&found) {
        let Some(expected) = seen(case, arrays, result) else { continue };
        *verdict.compared.entry(mnemonic).or_default() += 1;
        let came_out = largest(&mut std::iter::once(expected));
        if let Err(why) = compare(operation.op(), expected, found, went_in.max(came_out)) {
            verdict.differing.push((index, format!("{}: {mnemonic} of {}: {why}", case.name, graph.value_name(result))));
        }
    }
}

/// What our interpreter gives for all samples, state kept from one to the next.
fn run(module: &Module, sources: &[&Array], runtime: Runtime) -> Result<Vec<Vec<u8>>, String> {
    let told = |d: octet_ir::Diagnostic| format!("{}: {}", d.code, d.message);
    let profile = if runtime == Runtime::Tflm { RoundingProfile::Tflm } else { RoundingProfile::LitertReference };
    let mut interpreter = Interpreter::new(module, Options { profile, ..Options::default() }).map_err(told)?;
    interpreter.allocate_tensors().map_err(|all| all.0.into_iter().next().map_or_else(String::new, told))?;
    let graph = module.main();
    let mut found = vec![Vec::new(); graph.outputs().len()];
    for sample in 0..SAMPLES {
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

/// Whether one result of an operation is what the runtime gave.
fn compare(op: &Op, expected: &Array, found: &[u8], magnitude: f32) -> Result<(), String> {
    if expected.bytes == found {
        return Ok(());
    }
    let found = Array { bytes: found.to_vec(), ..expected.clone() };
    let (Some(a), Some(b)) = (expected.to_f32(), found.to_f32()) else {
        return Err(crate::compare::difference(expected, &found).unwrap_or_default());
    };
    if a.len() != b.len() {
        return Err(format!("{} elements instead of {}", b.len(), a.len()));
    }
    let bound = tolerance(op);
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
