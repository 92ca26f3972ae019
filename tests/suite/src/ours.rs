//! Our interpreter, asked as [`batch`](crate::batch) asks the real runtimes: the same inputs, the same names of what
//! comes back.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use octet_eval::kernel::RoundingProfile;
use octet_eval::{Interpreter, Options};
use octet_ir::{ElementType, EntityId, Module, Op, verify};
use octet_peers::{Array, Element};
use octet_plugin::Tensor;

use crate::batch::Wanted;

/// Reads and verifies a `.tflite` file.
///
/// # Errors
/// Every finding, as text.
pub fn read(path: &Path) -> Result<Module, String> {
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    let module = octet_frontend_tflite::read(&Bytes::from(bytes)).map_err(|e| e.to_string())?;
    verify::verify(&module).map_err(|e| e.to_string())?;
    Ok(module)
}

/// An interpreter of a module, tensors allocated.
///
/// # Errors
/// Every op that cannot run, as text.
pub fn interpreter(module: &Module, profile: RoundingProfile, wanted: Wanted) -> Result<Interpreter, String> {
    let options = Options { preserve_all_tensors: wanted != Wanted::Outputs, profile, ..Options::default() };
    let mut interpreter = Interpreter::new(module, options).map_err(|e| e.to_string())?;
    interpreter.allocate_tensors().map_err(|e| e.to_string())?;
    Ok(interpreter)
}

/// Runs all samples of the inputs ("0", "1", ...) one after the other, state kept, and gives "o0", ... and "tN".
///
/// # Errors
/// What the interpreter says, or a type that the runtimes' arrays do not have.
pub fn run(interpreter: &mut Interpreter, inputs: &BTreeMap<String, Array>, wanted: Wanted) -> Result<BTreeMap<String, Array>, String> {
    let samples = inputs.values().next().and_then(|a| a.shape.first().copied()).unwrap_or(1);
    let given = interpreter.input_details();
    let mut names: Vec<(String, usize)> =
        interpreter.output_details().iter().enumerate().map(|(i, d)| (format!("o{i}"), d.index)).collect();
    if wanted != Wanted::Outputs {
        names.extend(written(interpreter.module()).into_iter().map(|index| (format!("t{index}"), index)));
    }
    let mut found = BTreeMap::new();
    for sample in 0..samples {
        for (i, detail) in given.iter().enumerate() {
            let array = inputs.get(&i.to_string()).ok_or_else(|| format!("no input {i}"))?;
            let bytes = array.sample(sample).ok_or("a sample is missing")?.to_vec();
            let tensor = Tensor { elem: detail.dtype, shape: array.shape.get(1..).unwrap_or_default().to_vec(), bytes };
            interpreter.set_tensor(detail.index, &tensor).map_err(|e| e.to_string())?;
        }
        interpreter.invoke().map_err(|e| e.to_string())?;
        for (name, index) in &names {
            let tensor = interpreter.get_tensor(*index).map_err(|e| format!("{name}: {e}"))?;
            add(&mut found, name, &tensor, wanted)?;
        }
    }
    Ok(found)
}

/// Numbers of the tensors of the main graph that an op writes.
fn written(module: &Module) -> Vec<usize> {
    let graph = module.main();
    let mut found: Vec<usize> = graph.ops().flat_map(|(_, op)| op.results().iter().map(|id| id.index())).collect();
    found.sort_unstable();
    found
}

/// Stacks one sample's tensor under its name.
fn add(found: &mut BTreeMap<String, Array>, name: &str, tensor: &Tensor, wanted: Wanted) -> Result<(), String> {
    let (element, shape, bytes) = match wanted {
        Wanted::Sums => (Element::U32, Vec::new(), crc32fast::hash(&tensor.bytes).to_le_bytes().to_vec()),
        Wanted::Outputs | Wanted::Tensors => (element(tensor.elem)?, tensor.shape.clone(), tensor.bytes.clone()),
    };
    let stacked = found.entry(name.to_owned()).or_insert_with(|| Array {
        element,
        shape: std::iter::once(0).chain(shape.iter().copied()).collect(),
        bytes: Vec::new(),
    });
    if stacked.element != element || stacked.shape.get(1..) != Some(&shape) {
        return Err(format!("{name}: its type or shape differs between samples"));
    }
    stacked.bytes.extend(bytes);
    if let Some(count) = stacked.shape.first_mut() {
        *count += 1;
    }
    Ok(())
}

/// The runtimes' name of an element type.
///
/// # Errors
/// If they have none.
pub fn element(elem: ElementType) -> Result<Element, String> {
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
        other => return Err(format!("a tensor of type {}", other.name())),
    })
}

/// Whether a model computes with integers alone: it has quantized results of 8 or 16 bits, and its only floats are what
/// quantize ops read and dequantize ops write.
#[must_use]
pub fn is_integer(module: &Module) -> bool {
    let graph = module.main();
    let small = [ElementType::I8, ElementType::U8, ElementType::I16];
    let mut found = false;
    for (_, op) in graph.ops() {
        for id in op.results() {
            let ty = graph.value(*id).ty();
            found |= ty.is_quantized() && small.contains(&ty.elem);
            if ty.elem.is_float() && !matches!(op.op(), Op::Dequantize(_)) {
                return false;
            }
        }
        let reads_float = op.operands().iter().flatten().any(|id| graph.value(*id).ty().elem.is_float());
        if reads_float && !matches!(op.op(), Op::Quantize(_)) {
            return false;
        }
    }
    found
}

/// Whether a module has an op that only its own runtime knows.
#[must_use]
pub fn has_custom_op(module: &Module) -> bool {
    module.graphs().any(|(_, graph)| graph.ops().any(|(_, op)| matches!(op.op(), Op::Custom(_))))
}

/// `samples` random inputs of a module: floats about normal, integers over their whole range.
///
/// # Errors
/// If an input has a type that no test makes numbers of.
pub fn random_inputs(interpreter: &Interpreter, samples: usize, seed: u64) -> Result<BTreeMap<String, Array>, String> {
    let inputs: Vec<serde_json::Value> =
        interpreter.input_details().iter().map(|d| serde_json::json!({"shape": d.shape, "dtype": d.dtype.numpy_name()})).collect();
    crate::inputs::random(&serde_json::json!({"inputs": inputs}), samples, seed)
}
