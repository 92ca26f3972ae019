//! Real models compute the same before and after the passes that do not quantize.

use octet_ir::{Diagnostic, ElementType, Module};
use octet_passes::{Pipeline, Settings, Silent};
use octet_plugin::{DataSource, Dataset, Tensor};
use octet_tests::models::{is_for_edgetpu, zoo_models};

const PIPELINE: &str = "fold,canonicalize,fuse,cse,dce";

struct NoData;

impl DataSource for NoData {
    fn open(&self, name: &str) -> Result<Dataset, Diagnostic> {
        Err(Diagnostic::error("TST001", format!("no pass here opens data, '{name}' neither")))
    }
}

/// Outputs for seeded inputs; `None` when the interpreter lacks a kernel (custom operations).
fn outputs(module: &Module, seed: u64) -> Option<Vec<Tensor>> {
    let mut interpreter = octet_eval::Interpreter::new(module, octet_eval::Options::default()).expect("an interpreter");
    interpreter.allocate_tensors().ok()?;
    let mut state = seed;
    for detail in interpreter.input_details() {
        let mut tensor = interpreter.get_tensor(detail.index).expect("an input");
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32
        };
        if tensor.elem == ElementType::F32 {
            tensor.bytes.chunks_exact_mut(4).for_each(|c| c.copy_from_slice(&(next() as f32 / 2_147_483_648.0).to_le_bytes()));
        } else {
            tensor.bytes.iter_mut().for_each(|b| *b = next() as u8);
        }
        interpreter.set_tensor(detail.index, &tensor).expect("fits");
    }
    interpreter.invoke().ok()?;
    Some(interpreter.output_details().iter().map(|o| interpreter.get_tensor(o.index).expect("an output")).collect())
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    tensor.bytes.as_chunks().0.iter().map(|c| f32::from_le_bytes(*c)).collect()
}

fn assert_same(name: &str, a: &Tensor, b: &Tensor) {
    assert_eq!((a.elem, &a.shape), (b.elem, &b.shape), "{name}");
    if a.elem != ElementType::F32 {
        assert_eq!(a.bytes, b.bytes, "{name}");
        return;
    }
    let (a, b) = (floats(a), floats(b));
    let largest = a.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    for (x, y) in a.iter().zip(&b) {
        assert!((x - y).abs() <= 1e-5 * largest, "{name}: {x} became {y}, the largest element is {largest}");
    }
}

#[test]
fn zoo_models_compute_the_same_after_passes() {
    let Some(models) = zoo_models() else { return };
    let pipeline: Pipeline = PIPELINE.parse().expect("a pipeline");
    let mut compared = 0;
    for path in models.iter().filter(|p| !is_for_edgetpu(p)) {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let bytes = std::fs::read(path).expect("readable").into();
        let module = octet_frontend_tflite::read(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        let outcome = octet_passes::run(&module, &pipeline, &Settings::default(), &NoData, &mut Silent::default());
        let outcome = outcome.unwrap_or_else(|f| panic!("{name}: {}", f.diagnostics));
        let (before, after) = (module.main().op_count(), outcome.module.main().op_count());
        assert!(after <= before, "{name}: {before} operations became {after}");
        for seed in 0..4 {
            let (Some(a), Some(b)) = (outputs(&module, seed), outputs(&outcome.module, seed)) else { continue };
            assert_eq!(a.len(), b.len(), "{name}");
            a.iter().zip(&b).for_each(|(a, b)| assert_same(&name, a, b));
            compared += 1;
        }
        println!("{name}: {before} operations, {after} after {PIPELINE}");
    }
    assert!(compared > 0, "no model could be run");
}
