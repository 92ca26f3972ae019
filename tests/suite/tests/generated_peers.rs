//! Generated graphs in the real runtimes: they take what the table of kinds says, and every operation gives what theirs gives: equal
//! integers, and floats within the bounds of `octet_tests::tolerance`.

use octet_graphgen::{Profile, Runtime as Target, generate};
use octet_tests::batch::Runtime;
use octet_tests::differential::{Case, has_arrays, judge_parts};
use octet_tests::generated::seeds;

/// Seeds a profile.
const FEW: u64 = 60;

/// Findings that a failure tells.
const MOST_TOLD: usize = 200;

fn walk(name: &str, profile: &Profile, runtime: Runtime) {
    let mut cases = Vec::new();
    for seed in seeds(FEW) {
        let mut module = generate(seed, profile);
        module.compact();
        if has_arrays(&module) {
            cases.push(Case::new(format!("seed {seed} of {name}"), module, seed));
        }
    }
    let verdict = judge_parts(&cases, runtime);
    eprintln!("{name} on {runtime:?}: {} models of {} graphs ran", verdict.ran, cases.len());
    eprintln!("compared: {:?}\nwithout a kernel of ours: {:#?}\nknown: {:#?}", verdict.compared, verdict.missing, verdict.known);
    let told = verdict.refused.iter().map(|(_, why)| ("refused", why)).chain(verdict.differing.iter().map(|(_, why)| ("differs", why)));
    let told: Vec<String> = told.map(|(what, why)| format!("{what}: {why}")).collect();
    assert!(told.is_empty(), "{} findings\n{}", told.len(), told.iter().take(MOST_TOLD).cloned().collect::<Vec<_>>().join("\n"));
    assert!(verdict.missing.is_empty(), "operations that the runtime computes and we do not: {:?}", verdict.missing);
}

#[test]
fn float_graphs_in_litert() {
    walk("float", &Profile::float().on(Target::LiteRt), Runtime::LiteRtReference);
}

#[test]
fn int8_graphs_in_litert() {
    walk("int8", &Profile::int8().on(Target::LiteRt), Runtime::LiteRtReference);
}

#[test]
fn int16x8_graphs_in_litert() {
    walk("int16x8", &Profile::int16x8().on(Target::LiteRt), Runtime::LiteRtReference);
}

#[test]
fn uint8_graphs_in_litert() {
    walk("uint8", &Profile::uint8().on(Target::LiteRt), Runtime::LiteRtReference);
}

#[test]
fn integer_graphs_in_litert() {
    walk("integer", &Profile::integer().on(Target::LiteRt), Runtime::LiteRtReference);
}

#[test]
fn float_graphs_in_tflm() {
    walk("float", &Profile::float().on(Target::Tflm), Runtime::Tflm);
}

#[test]
fn int8_graphs_in_tflm() {
    walk("int8", &Profile::int8().on(Target::Tflm), Runtime::Tflm);
}

#[test]
fn int16x8_graphs_in_tflm() {
    walk("int16x8", &Profile::int16x8().on(Target::Tflm), Runtime::Tflm);
}
