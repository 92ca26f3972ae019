//! Generated graphs in the real runtimes: they take what the table of kinds says, and every operation gives what theirs gives: equal
//! integers, and floats within the bounds of `octet_tests::tolerance`.

use octet_graphgen::{Profile, Runtime as Target, generate, report, shrink};
use octet_tests::batch::Runtime;
use octet_tests::differential::{Case, Verdict, has_arrays, judge};
use octet_tests::generated::seeds;

/// Seeds a profile.
const FEW: u64 = 60;

fn walk(name: &str, profile: &Profile, runtime: Runtime) {
    let mut cases = Vec::new();
    for seed in seeds(FEW) {
        let mut module = generate(seed, profile);
        module.compact();
        if has_arrays(&module) {
            cases.push(Case::new(format!("seed {seed} of {name}"), module, seed));
        }
    }
    let verdict = judge(&cases, runtime);
    eprintln!("{name} on {runtime:?}: {} of {} graphs ran, {} refused", verdict.ran, cases.len(), verdict.refused.len());
    eprintln!("compared: {:?}\nmissing: {:#?}", verdict.compared, verdict.missing);
    for (case, why) in &verdict.refused {
        eprintln!("refused {case}: {}", why.lines().filter(|l| !l.trim().is_empty()).take(6).collect::<Vec<_>>().join(" | "));
    }
    for (_, why) in &verdict.differing {
        eprintln!("differs: {why}");
    }
    if let Some((index, why)) = verdict.differing.first() {
        let seed = cases[*index].name.clone();
        let again = |m: &octet_ir::Module| {
            has_arrays(m) && {
                let case = Case::new(seed.clone(), m.clone(), 0);
                let Verdict { differing, .. } = judge(&[case], runtime);
                !differing.is_empty()
            }
        };
        let small = shrink(&cases[*index].module, &mut |m| again(m));
        panic!("{} differ\n{}", verdict.differing.len(), report(0, name, why, &small));
    }
    assert!(verdict.refused.is_empty(), "{} graphs are refused", verdict.refused.len());
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
