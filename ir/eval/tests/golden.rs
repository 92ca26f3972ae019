//! Single quantized operations against results that the runtimes gave, byte for byte.
//!
//! `golden/*.golden` hold cases separated by `---`: the runtime that answered, a module with one operation, and lines `run INPUTS -> OUTPUTS`
//! in hexadecimal. `tests/peers/golden_ops.py` makes them. With `OCTET_GOLDEN` naming another directory, its files are read instead (to
//! run many more cases than are kept here).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use octet_eval::buffer::Buffer;
use octet_eval::kernel::{Io, OperandInfo, Output, PrepareCx, RoundingProfile};
use octet_eval::ops::prepare;
use octet_ir::{Module, Type, ValueDef, text};

fn golden_directory() -> PathBuf {
    std::env::var_os("OCTET_GOLDEN").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"), PathBuf::from)
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("two hexadecimal digits")).collect()
}

/// Bytes of a state before the first run: its zero point.
fn initial_state(ty: &Type) -> Buffer {
    let zero = ty.scale_zero_point().map_or(0, |(_, zero)| zero).to_le_bytes();
    let width = ty.elem.bits().expect("sized") / 8;
    let bytes: Vec<u8> = zero[..width].iter().copied().cycle().take(ty.byte_len().expect("sized")).collect();
    Buffer::copy_of(&bytes)
}

/// Runs a case; what differs, if anything.
fn check(case: &str) -> Result<(), String> {
    let (runtime, rest) = case.split_once('\n').ok_or("an empty case")?;
    let profile = if runtime == "runtime litert" { RoundingProfile::LitertReference } else { RoundingProfile::Tflm };
    let (source, runs) = rest.split_at(rest.find("\nrun ").ok_or("no run")? + 1);
    let module: Module = text::parse(source, &Default::default()).map_err(|e| e.to_string())?;
    octet_ir::verify::verify(&module).map_err(|e| e.to_string())?;
    let graph = module.main();
    let (_, operation) = graph.ops().next().ok_or("no operation")?;
    let types: Vec<Option<&Type>> = operation.operands().iter().map(|o| o.map(|v| graph.value(v).ty())).collect();
    let constant = |v| match graph.value(v).def() {
        ValueDef::Constant(id) => Some(module.constant(id).bytes().as_ref()),
        _ => None,
    };
    let infos: Vec<Option<OperandInfo<'_>>> = operation
        .operands()
        .iter()
        .zip(&types)
        .map(|(o, ty)| o.zip(*ty).map(|(v, ty)| OperandInfo { ty, constant: constant(v), value: None }))
        .collect();
    let results: Vec<Type> = operation.results().iter().map(|&v| graph.value(v).ty().clone()).collect();
    let cx = PrepareCx { op: operation.op(), operands: &infos, results: &results, intermediates: &[], profile };
    let kernel = prepare(&cx).map_err(|e| format!("{e:?}"))?;

    let is_variable = |v| matches!(graph.value(v).def(), ValueDef::Variable);
    let mut states: Vec<Buffer> =
        operation.operands().iter().flatten().filter(|&&v| is_variable(v)).map(|&v| initial_state(graph.value(v).ty())).collect();
    let mut scratch = Buffer::zeroed(kernel.scratch());
    for (number, run) in runs.lines().enumerate() {
        let (inputs, wanted) = run.strip_prefix("run ").and_then(|r| r.split_once("->")).ok_or("a line that is no run")?;
        let inputs: Vec<Buffer> = inputs.split_whitespace().map(|x| Buffer::copy_of(&unhex(x))).collect();
        let wanted: Vec<Vec<u8>> = wanted.split_whitespace().map(unhex).collect();
        let mut fed = inputs.iter();
        let buffers: Vec<Option<Buffer>> = operation
            .operands()
            .iter()
            .map(|o| {
                o.and_then(|v| match graph.value(v).def() {
                    ValueDef::Constant(id) => Some(Buffer::copy_of(module.constant(id).bytes())),
                    ValueDef::Input(_) => Some(fed.next()?.clone()),
                    _ => None,
                })
            })
            .collect();
        let given: Vec<Option<&[u8]>> = buffers.iter().map(|b| b.as_ref().map(Buffer::bytes)).collect();
        let sized = |ty: &Type| Output { data: Buffer::zeroed(ty.byte_len().unwrap_or(0)), dims: None };
        let mut outputs: Vec<Output> = results.iter().map(sized).collect();
        kernel.run(&mut Io::new(&given, &mut outputs, &mut states, &mut scratch)).map_err(|e| e.to_string())?;
        for (output, wanted) in outputs.iter().zip(&wanted) {
            let differing = output.data.bytes().iter().zip(wanted).filter(|(a, b)| a != b).count();
            if differing > 0 || output.data.len() != wanted.len() {
                let mut message = format!("run {number}: {differing} of {} bytes differ\n{source}", wanted.len());
                write!(message, "want {wanted:?}\n got {:?}", output.data.bytes()).expect("a string takes everything");
                return Err(message);
            }
        }
    }
    Ok(())
}

#[test]
fn single_operations_give_the_runtimes_bytes() {
    let directory = golden_directory();
    let mut files: Vec<PathBuf> = std::fs::read_dir(&directory).expect("golden cases").map(|e| e.expect("readable").path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "golden"));
    files.sort();
    let (mut total, mut failures) = (0, Vec::new());
    for path in &files {
        let text = std::fs::read_to_string(path).expect("readable");
        let cases: Vec<&str> = text.split("---\n").filter(|c| !c.trim().is_empty()).collect();
        let failed: Vec<String> = cases.iter().filter_map(|case| check(case).err()).collect();
        total += cases.len();
        if let Some(first) = failed.first() {
            failures.push(format!("{}: {} of {} cases; the first: {first}", path.display(), failed.len(), cases.len()));
        }
    }
    println!("{total} cases in {} files", files.len());
    assert!(total > 0, "no cases in {}", directory.display());
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
