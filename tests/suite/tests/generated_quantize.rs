//! Generated float graphs through the quantizer: in every mode the result verifies, becomes a file that reads back, runs, and computes in LiteRT what
//! it computes here: equal bytes for integer operations. Where a mode cannot, it says so for named operations.

use std::collections::BTreeMap;

use octet_backend_tflite::{WriteOptions, write};
use octet_graphgen::{Profile, Runtime as Target, generate};
use octet_ir::verify::verify;
use octet_ir::{Diagnostic, GraphId, Module, Patch};
use octet_passes::quantize::Mode;
use octet_passes::{Goal, Settings, Silent, default_pipeline};
use octet_plugin::{DataSource, Dataset, Samples};
use octet_tests::batch::Runtime;
use octet_tests::differential::{Case, has_arrays, judge_parts};
use octet_tests::generated::{feed, holds, interpret, seeds};

/// Seeds a mode.
const FEW: u64 = 50;

/// Samples to calibrate with.
const SAMPLES: u64 = 8;

/// Findings that a failure tells.
const MOST_TOLD: usize = 40;

/// Random data for the inputs of a module, one run a sample.
struct Random<'m>(&'m Module);

impl DataSource for Random<'_> {
    fn open(&self, name: &str) -> Result<Dataset, Diagnostic> {
        let runs: Vec<_> = (0..SAMPLES).map(|seed| feed(self.0, seed)).collect();
        let arrays = (0..self.0.main().inputs().len()).map(|input| {
            let mut tensor = runs[0][input].clone();
            tensor.shape.insert(0, runs.len());
            tensor.bytes = runs.iter().flat_map(|r| r[input].bytes.clone()).collect();
            Samples { input: None, tensor }
        });
        Ok(Dataset { arrays: arrays.collect(), origin: name.to_owned() })
    }
}

/// Codes with which a mode refuses a whole graph: an operation that cannot be integer, an input or output that cannot.
const REFUSALS: [&str; 2] = ["QNT003", "QNT005"];

/// Whether a mode makes integers of inputs and outputs, or nothing.
fn integer_io(mode: Mode) -> bool {
    matches!(mode, Mode::Int8Only | Mode::Int16x8)
}

/// The quantized module; `None` where the mode refuses it as it promised.
fn quantized(module: &Module, mode: Mode) -> Result<Option<Module>, String> {
    let goal = Goal { mode: Some(mode), data: Some("generated".into()), ..Goal::default() };
    let pipeline = default_pipeline(&goal);
    match octet_passes::run(module, &pipeline, &Settings::default(), &Random(module), &mut Silent::default()) {
        Ok(outcome) => Ok(Some(outcome.module)),
        Err(failure) if integer_io(mode) && failure.diagnostics.0.iter().all(|d| REFUSALS.contains(&d.code)) => Ok(None),
        Err(failure) => Err(failure.diagnostics.to_string()),
    }
}

/// What a file gives back, which must be sound and run. A file keeps no ranges, but indices must stay within theirs: they come from `origin`.
fn through_file(origin: &Module, module: &Module) -> Result<Module, String> {
    let bytes = write(module, &WriteOptions::default()).map_err(|e| e.to_string())?.into_bytes();
    let mut again = octet_frontend_tflite::read(&bytes).map_err(|e| e.to_string())?;
    let mut patch = Patch::at_end(again.main());
    for (&from, &to) in origin.main().inputs().iter().zip(again.main().inputs()) {
        if again.main().ty(to).elem == origin.main().ty(from).elem {
            patch.set_range(to, origin.main().value(from).range().cloned());
        }
    }
    patch.apply(&mut again, GraphId::MAIN).map_err(|e| e.to_string())?;
    verify(&again).map_err(|e| e.to_string())?;
    interpret(&again, 1)?;
    Ok(again)
}

fn walk(mode: Mode) {
    let profile = Profile::float().on(Target::LiteRt);
    let (mut cases, mut findings, mut refused, mut skipped) = (Vec::new(), Vec::new(), 0, 0);
    for seed in seeds(FEW) {
        let module = generate(seed, &profile);
        // There is nothing to calibrate where nothing goes in.
        if !has_arrays(&module) || module.main().inputs().is_empty() {
            continue;
        }
        // Data that the float graph itself cannot take teach nothing.
        if (0..SAMPLES).any(|s| interpret(&module, s).is_err()) {
            skipped += 1;
            continue;
        }
        let name = format!("seed {seed} in {}", mode.name());
        let found = holds(&module, &|m| quantized(m, mode).and_then(|q| q.as_ref().map_or(Ok(()), |q| through_file(m, q).map(drop))));
        if let Err(why) = found {
            findings.push(format!("{name}: {why}"));
            continue;
        }
        match quantized(&module, mode) {
            Ok(Some(done)) => cases.push(Case::new(name, through_file(&module, &done).expect("just done"), seed)),
            Ok(None) | Err(_) => refused += 1,
        }
    }
    eprintln!("{}: {} graphs quantized, {refused} refused, {skipped} do not run", mode.name(), cases.len());
    cases.retain(|case| has_arrays(&case.module));
    let verdict = judge_parts(&cases, Runtime::LiteRtReference);
    let mut integer: BTreeMap<&str, usize> = BTreeMap::new();
    for case in &cases {
        for (_, op) in case.module.main().ops() {
            let whole = op.results().iter().all(|&v| case.module.main().ty(v).is_quantized());
            *integer.entry(op.op().mnemonic()).or_default() += usize::from(whole);
        }
    }
    eprintln!("compared: {:?}\nwithout a kernel of ours: {:?}\nknown: {:#?}", verdict.compared, verdict.missing, verdict.known);
    eprintln!("integer operations: {integer:?}");
    findings.extend(verdict.refused.iter().map(|(_, why)| format!("refused: {why}")));
    findings.extend(verdict.differing.iter().map(|(_, why)| format!("differs: {why}")));
    assert!(
        findings.is_empty(),
        "{} findings\n{}",
        findings.len(),
        findings.iter().take(MOST_TOLD).cloned().collect::<Vec<_>>().join("\n")
    );
    assert!(verdict.missing.is_empty(), "operations that LiteRT computes and we do not: {:?}", verdict.missing);
    assert!(!cases.is_empty(), "no graph could be quantized");
}

#[test]
fn int8() {
    walk(Mode::Int8);
}

#[test]
fn int8_only() {
    walk(Mode::Int8Only);
}

#[test]
fn int16x8() {
    walk(Mode::Int16x8);
}

#[test]
fn dynamic_range() {
    walk(Mode::DynamicRange);
}

#[test]
fn float16() {
    walk(Mode::Float16);
}
