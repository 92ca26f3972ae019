//! The generator makes valid graphs of everything, the same ones every time, and the shrinker keeps what fails.

use std::collections::{BTreeMap, BTreeSet};

use octet_graphgen::{Profile, Runtime, generate, generated_mnemonics, isolate, random_inputs, shrink, support};
use octet_ir::ops::Op;
use octet_ir::{GraphId, Module, text, verify};

/// Operations without a generator, each with the reason.
const EXEMPT: [(&str, &str); 0] = [];

#[test]
fn every_operation_has_a_generator() {
    let generated: BTreeSet<&str> = generated_mnemonics().into_iter().collect();
    let exempt: BTreeSet<&str> = EXEMPT.iter().map(|(name, _)| *name).collect();
    let declared: BTreeSet<&str> = Op::mnemonics().collect();
    let missing: Vec<_> = declared.iter().filter(|m| !generated.contains(*m) && !exempt.contains(*m)).collect();
    assert!(missing.is_empty(), "no generator for {missing:?}: add one in src/ops, or an exemption with its reason");
    assert!(generated.is_subset(&declared), "a generator for an operation that the IR does not have");
    assert_eq!(generated_mnemonics().len(), generated.len(), "two generators for one operation");
    // State that one generator makes together has one row.
    let together = ["var_handle", "read_variable", "assign_variable"];
    let rows: BTreeSet<&str> = support::TABLE.iter().map(|row| row.0).chain(together).collect();
    assert_eq!(rows, generated, "the table of kinds and the generators differ");
}

#[test]
fn every_operation_is_made_alone() {
    for mnemonic in Op::mnemonics() {
        let profile = Profile::mixed().only(&[mnemonic]).ops(2);
        let made = (0..40).any(|seed| holds(&generate(seed, &profile), mnemonic));
        assert!(made, "{mnemonic} is never made");
    }
}

fn holds(module: &Module, mnemonic: &str) -> bool {
    module.graphs().any(|(_, g)| g.ops().any(|(_, o)| o.op().mnemonic() == mnemonic))
}

#[test]
fn graphs_are_valid_and_rich() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, profile) in Profile::all() {
        for runtime in [Runtime::Any, Runtime::LiteRt, Runtime::Tflm] {
            let profile = profile.clone().on(runtime);
            let mut ops = 0;
            for seed in 0..60 {
                let module = generate(seed, &profile);
                if let Err(found) = verify::verify(&module) {
                    panic!("seed {seed} of {name} on {runtime:?}: {found}\n{}", text::print(&module).text);
                }
                ops += module.main().op_count();
                for (_, operation) in module.graphs().flat_map(|(_, g)| g.ops()) {
                    *counts.entry(operation.op().mnemonic()).or_default() += 1;
                }
            }
            // TFLM has hardly any kernel for unsigned bytes.
            let poor = runtime == Runtime::Tflm && name == "uint8";
            assert!(poor || ops > 60 * 4, "{name} on {runtime:?}: {ops} operations in 60 graphs");
        }
    }
    let rare: Vec<_> = Op::mnemonics().filter(|m| counts.get(m).copied().unwrap_or(0) < 3).collect();
    assert!(rare.is_empty(), "hardly ever made: {rare:?}");
}

/// A change of this hash means that every seed names another graph than before: known failures must be found anew.
#[test]
fn seeds_mean_the_same_on_every_platform() {
    let module = generate(42, &Profile::mixed());
    assert_eq!(module, generate(42, &Profile::mixed()));
    assert_ne!(module, generate(43, &Profile::mixed()));
    let printed: String = (0..20).map(|seed| text::print(&generate(seed, &Profile::int8())).text).collect();
    let again: String = (0..20).map(|seed| text::print(&generate(seed, &Profile::int8())).text).collect();
    assert_eq!(text::blob_hash(printed.as_bytes()), text::blob_hash(again.as_bytes()));
}

#[test]
fn inputs_fit_their_types() {
    for (name, profile) in Profile::all() {
        for seed in 0..60 {
            let module = generate(seed, &profile);
            let inputs = random_inputs(&module, seed);
            let graph = module.main();
            for (&input, constant) in graph.inputs().iter().zip(&inputs) {
                let ty = graph.ty(input);
                assert_eq!(ty.byte_len(), Some(constant.bytes().len()), "seed {seed} of {name}: {ty}");
                if ty.elem == octet_ir::ElementType::F32 {
                    assert!(constant.to_f32().iter().all(|v| v.is_finite() && !v.is_subnormal()));
                }
                if let (octet_ir::ElementType::I32, Some(range)) = (ty.elem, graph.value(input).range()) {
                    let (low, high) = range.bounds().expect("one entry");
                    let all = constant.to_i32();
                    assert!(all.iter().all(|&v| f64::from(v) >= f64::from(low) && f64::from(v) <= f64::from(high)), "{all:?}: {range:?}");
                }
            }
        }
    }
}

#[test]
fn the_shrinker_keeps_what_fails() {
    // "Fails" when it holds a mean after anything at all: two operations must remain at most.
    let mut shrunk_some = 0;
    for seed in 0..200 {
        let module = generate(seed, &Profile::float().ops(20));
        if !holds(&module, "mean") {
            continue;
        }
        let small = shrink(&module, &mut |m| holds(m, "mean"));
        verify::verify(&small).expect("valid");
        assert!(holds(&small, "mean"));
        let ops: usize = small.graphs().map(|(_, g)| g.op_count()).sum();
        assert!(ops <= 2, "seed {seed}: {ops} operations\n{}", text::print(&small).text);
        shrunk_some += 1;
    }
    assert!(shrunk_some > 3);
}

#[test]
fn an_operation_can_be_had_alone() {
    for seed in 0..60 {
        let module = generate(seed, &Profile::mixed());
        for id in module.graph_ids() {
            for op in module.graph(id).op_ids() {
                let alone = isolate(&module, id, op);
                if let Err(found) = verify::verify(&alone) {
                    panic!("seed {seed}: {found}\n{}", text::print(&alone).text);
                }
                assert!(holds(&alone, module.graph(id).op(op).op().mnemonic()));
            }
        }
        assert_eq!(isolate(&module, GraphId::MAIN, module.main().op_ids()[0]).main().op_count(), 1, "seed {seed}");
    }
}
