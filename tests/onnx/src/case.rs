//! One case: imported, run, compiled. This runs in a child process.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use octet::ir::{Diagnostic, Diagnostics, ElementType, verify};
use octet::plugin::{Import, ImportOptions};
use octet::{Compiler, Interpreter, Module, Tensor};
use octet_peers::{Array, Element, write_npz};

use crate::compare::same;
use crate::outcome::Outcome;

/// What one case came to.
pub(crate) struct Ran {
    pub(crate) executor: Outcome,
    /// Passed if a file was written that our interpreter runs correctly: LiteRT has the last word.
    pub(crate) compiled: Outcome,
    /// How many inputs became constants.
    pub(crate) baked: usize,
    /// A model and its inputs for LiteRT, and the folder of the expected outputs, for each data set.
    pub(crate) jobs: Vec<(PathBuf, PathBuf, PathBuf)>,
}

/// A data set: tensors in the order of the model's inputs and outputs.
struct Data {
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
}

/// The tensors `PREFIX_0.pb`, `PREFIX_1.pb`, ... of a folder.
pub(crate) fn tensors(folder: &Path, prefix: &str) -> Result<Vec<Tensor>, String> {
    let mut found = Vec::new();
    for index in 0.. {
        let path = folder.join(format!("{prefix}_{index}.pb"));
        if !path.is_file() {
            break;
        }
        found.push(tensor(&path)?);
    }
    Ok(found)
}

/// A file of one tensor.
pub(crate) fn tensor(path: &Path) -> Result<Tensor, String> {
    let bytes = fs::read(path).map_err(|e| e.to_string())?;
    octet_frontend_onnx::read_tensor(bytes.into()).map(|(_, t)| t).map_err(|d| d.message)
}

/// Expected outputs of a data set.
pub(crate) fn expected(data: &Path) -> Result<Vec<Tensor>, String> {
    if data.is_file() { Ok(vec![tensor(data)?]) } else { tensors(data, "output") }
}

fn data_set(data: &Path, inputs: &[octet_frontend_onnx::Port]) -> Result<Data, String> {
    let given = if data.is_file() {
        // The light networks take arange(n) / n.
        let shape = inputs.first().and_then(|p| p.shape.clone()).ok_or("the input has no shape")?;
        let n: usize = shape.iter().product();
        #[expect(clippy::cast_precision_loss, reason = "what the suite's generator does")]
        let bytes = (0..n).flat_map(|i| (i as f32 / n as f32).to_le_bytes()).collect();
        vec![Tensor { elem: ElementType::F32, shape, bytes }]
    } else {
        tensors(data, "input")?
    };
    Ok(Data { inputs: given, outputs: expected(data)? })
}

/// Runs a case; files for LiteRT go to `out`, without ending.
pub(crate) fn run(model: &Path, data: &[PathBuf], out: &Path) -> Ran {
    let mut ran = Ran { executor: Outcome::Passed, compiled: Outcome::Passed, baked: 0, jobs: Vec::new() };
    for (set, folder) in data.iter().enumerate() {
        let found = one(model, folder, &out.with_file_name(format!("{}-{set}", out.file_name().unwrap_or_default().to_string_lossy())));
        ran.executor = ran.executor.and(found.executor);
        ran.compiled = ran.compiled.and(found.compiled);
        ran.baked = ran.baked.max(found.baked);
        ran.jobs.extend(found.jobs);
    }
    ran
}

fn one(model: &Path, folder: &Path, out: &Path) -> Ran {
    let failed = |outcome: Outcome| Ran { executor: outcome.clone(), compiled: outcome, baked: 0, jobs: Vec::new() };
    let bytes = match fs::read(model) {
        Ok(bytes) => Bytes::from(bytes),
        Err(e) => return failed(Outcome::Refused(e.to_string())),
    };
    let ports = match octet_frontend_onnx::describe(bytes.clone()) {
        Ok(found) => found.inputs,
        Err(d) => return failed(Outcome::Refused(told(&d))),
    };
    let data = match data_set(folder, &ports) {
        Ok(data) => data,
        // Data of sequences and texts cannot be read: what counts is what the importer says of the model.
        Err(why) => {
            let why = import(&bytes, &ImportOptions::default()).err().unwrap_or_else(|| format!("the data: {why}"));
            return failed(Outcome::Refused(why));
        }
    };
    // What only fails as it runs may still be what a static compiler takes as constants: the first that runs counts.
    let mut last = None;
    for baked in choices(&data.inputs) {
        let attempt = attempt(&bytes, &ports, &data, &baked, folder, out);
        let refused = matches!(attempt.executor, Outcome::Refused(_));
        if !refused {
            return attempt;
        }
        last = Some(attempt);
    }
    last.unwrap_or_else(|| failed(Outcome::Refused("no attempt".into())))
}

/// Which inputs become constants: none; then small integers (axes, shapes); then all but the first; then small integers at the first place too;
/// then single numbers of any type.
fn choices(inputs: &[Tensor]) -> Vec<BTreeSet<usize>> {
    let is_small = |t: &Tensor| (t.elem.is_integer() || t.elem == ElementType::Bool) && t.shape.len() <= 1;
    let with = |keep: &dyn Fn(usize, &Tensor) -> bool| -> BTreeSet<usize> {
        inputs.iter().enumerate().filter(|(i, t)| keep(*i, t)).map(|(i, _)| i).collect()
    };
    let is_number = |t: &Tensor| t.shape.iter().product::<usize>() == 1;
    let all =
        [BTreeSet::new(), with(&|i, t| i > 0 && is_small(t)), with(&|i, _| i > 0), with(&|_, t| is_small(t)), with(&|_, t| is_number(t))];
    let mut distinct = Vec::new();
    for choice in all {
        if !distinct.contains(&choice) {
            distinct.push(choice);
        }
    }
    distinct
}

fn attempt(bytes: &Bytes, ports: &[octet_frontend_onnx::Port], data: &Data, baked: &BTreeSet<usize>, folder: &Path, out: &Path) -> Ran {
    let mut options = ImportOptions::default();
    for (index, (port, tensor)) in ports.iter().zip(&data.inputs).enumerate() {
        if baked.contains(&index) {
            options.constants.push((port.name.clone(), tensor.clone()));
        } else {
            options.shapes.push((port.name.clone(), tensor.shape.clone()));
        }
    }
    let mut ran = Ran { executor: Outcome::Passed, compiled: Outcome::Passed, baked: baked.len(), jobs: Vec::new() };
    let fed: Vec<&Tensor> = data.inputs.iter().enumerate().filter(|(i, _)| !baked.contains(i)).map(|(_, t)| t).collect();
    let module = match import(bytes, &options) {
        Ok(module) => module,
        Err(why) => {
            ran.executor = Outcome::Refused(why);
            ran.compiled = ran.executor.clone();
            return ran;
        }
    };
    ran.executor = judge(&module, &fed, &data.outputs);
    ran.compiled = compile(&module, &fed, &data.outputs, out);
    if ran.compiled == Outcome::Passed {
        ran.jobs.push((out.with_extension("tflite"), out.with_extension("npz"), folder.to_path_buf()));
    }
    ran
}

fn import(bytes: &Bytes, options: &ImportOptions) -> Result<Module, String> {
    let module = octet_frontend_onnx::read(bytes.clone(), &Import::alone(options), &mut Diagnostics::default())
        .map_err(|e| e.0.first().map(told).unwrap_or_default())?;
    verify::verify(&module).map_err(|e| format!("the verifier: {}", e.0.first().map(told).unwrap_or_default()))?;
    Ok(module)
}

fn told(diagnostic: &Diagnostic) -> String {
    format!("{}: {}", diagnostic.code, diagnostic.message)
}

fn judge(module: &Module, inputs: &[&Tensor], expected: &[Tensor]) -> Outcome {
    match execute(module, inputs) {
        Err(why) => Outcome::Refused(why),
        Ok(found) => verdict(expected, &found),
    }
}

/// Compares outputs in order.
pub(crate) fn verdict(expected: &[Tensor], found: &[Tensor]) -> Outcome {
    if expected.len() != found.len() {
        return Outcome::Wrong(format!("{} outputs, expected {}", found.len(), expected.len()));
    }
    for (index, (e, f)) in expected.iter().zip(found).enumerate() {
        if let Err(how) = same(e, f) {
            return Outcome::Wrong(format!("output {index}: {how}"));
        }
    }
    Outcome::Passed
}

fn execute(module: &Module, inputs: &[&Tensor]) -> Result<Vec<Tensor>, String> {
    let mut interpreter = Interpreter::new(module, octet::eval::Options::default()).map_err(|d| told(&d))?;
    interpreter.allocate_tensors().map_err(|e| e.0.first().map(told).unwrap_or_default())?;
    for (detail, tensor) in interpreter.input_details().into_iter().zip(inputs) {
        interpreter.set_tensor(detail.index, tensor).map_err(|d| told(&d))?;
    }
    interpreter.invoke().map_err(|d| told(&d))?;
    interpreter.output_details().into_iter().map(|d| interpreter.get_tensor(d.index).map_err(|d| told(&d))).collect()
}

/// Optimizes and writes `OUT.tflite` and `OUT.npz`; what was written is read back and run here first.
fn compile(module: &Module, inputs: &[&Tensor], expected: &[Tensor], out: &Path) -> Outcome {
    let first = |e: octet::Diagnostics| e.0.first().map(told).unwrap_or_default();
    let file = out.with_extension("tflite");
    let written = Compiler::new().threads(1).compile(module).and_then(|compiled| octet::save(&compiled.module, &file));
    let read = written.and_then(|()| octet::load(&file));
    match read {
        Err(e) => Outcome::Refused(first(e)),
        Ok(module) => match judge(&module, inputs, expected) {
            Outcome::Passed => match write_inputs(inputs, &out.with_extension("npz")) {
                Ok(()) => Outcome::Passed,
                Err(why) => Outcome::Refused(why),
            },
            Outcome::Wrong(how) => Outcome::Wrong(format!("after the passes: {how}")),
            other => other,
        },
    }
}

fn write_inputs(inputs: &[&Tensor], path: &Path) -> Result<(), String> {
    let mut arrays = BTreeMap::new();
    for (index, tensor) in inputs.iter().enumerate() {
        let shape: Vec<usize> = std::iter::once(1).chain(tensor.shape.iter().copied()).collect();
        arrays.insert(index.to_string(), Array { element: element(tensor.elem)?, shape, bytes: tensor.bytes.clone() });
    }
    write_npz(path, &arrays)
}

fn element(elem: ElementType) -> Result<Element, String> {
    Ok(match elem {
        ElementType::Bool => Element::Bool,
        ElementType::I8 => Element::I8,
        ElementType::U8 => Element::U8,
        ElementType::I16 => Element::I16,
        ElementType::U16 => Element::U16,
        ElementType::I32 => Element::I32,
        ElementType::U32 => Element::U32,
        ElementType::I64 => Element::I64,
        ElementType::U64 => Element::U64,
        ElementType::F32 => Element::F32,
        ElementType::F64 => Element::F64,
        other => return Err(format!("inputs of {} are not handed to LiteRT here", other.name())),
    })
}

/// An output as LiteRT gave it: one more axis in front.
pub(crate) fn from_array(array: &Array) -> Tensor {
    let elem = match array.element {
        Element::Bool => ElementType::Bool,
        Element::I8 => ElementType::I8,
        Element::U8 => ElementType::U8,
        Element::I16 => ElementType::I16,
        Element::U16 => ElementType::U16,
        Element::I32 => ElementType::I32,
        Element::U32 => ElementType::U32,
        Element::I64 => ElementType::I64,
        Element::U64 => ElementType::U64,
        Element::F16 => ElementType::F16,
        Element::F32 => ElementType::F32,
        Element::F64 => ElementType::F64,
    };
    Tensor { elem, shape: array.shape.get(1..).unwrap_or_default().to_vec(), bytes: array.bytes.clone() }
}
