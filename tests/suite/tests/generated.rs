//! Generated graphs through what needs no peer: verifier, text form, compaction, interpreter.

use std::collections::BTreeMap;

use octet_graphgen::{Profile, Runtime, generate};
use octet_ir::verify::verify;
use octet_ir::{Module, Patch, text};
use octet_tests::generated::{interpret, seeds, walk, walk_all};

/// Seeds a profile where a test is quick.
const FEW: u64 = 300;

fn sound(module: &Module) -> Result<(), String> {
    verify(module).map_err(|found| found.to_string())
}

#[test]
fn every_graph_verifies_and_reads_back_from_its_text() {
    walk_all(FEW, &|module| {
        sound(module)?;
        let printed = text::print(module);
        let parsed = text::parse(&printed.text, &printed.blobs).map_err(|e| e.to_string())?;
        if parsed != *module {
            return Err("what was printed parses to another module".into());
        }
        let again = text::print(&parsed);
        if again == printed { Ok(()) } else { Err("what was parsed prints differently".into()) }
    });
}

#[test]
fn compaction_keeps_the_text_of_what_it_renumbers() {
    walk("mixed", &Profile::mixed(), FEW, &|module| {
        let mut once = module.clone();
        once.compact();
        sound(&once)?;
        let mut twice = once.clone();
        twice.compact();
        if twice != once {
            return Err("compacting again changes the module".into());
        }
        if once.main().op_count() != module.main().op_count() || once.main().inputs().len() != module.main().inputs().len() {
            return Err("compacting lost operations or inputs".into());
        }
        let dense = once.graphs().all(|(_, g)| g.value_capacity() == g.values().count() && g.op_capacity() == g.op_count());
        if dense { Ok(()) } else { Err("compacting leaves gaps".into()) }
    });
}

/// Outputs of two modules, or the same reason why there are none.
fn same_results(a: &Module, b: &Module) -> Result<(), String> {
    // Where it went wrong may have another number now.
    let placeless = |found: Result<_, String>| found.map_err(|why| why.split(" (graph").next().unwrap_or_default().to_owned());
    let (a, b) = (placeless(interpret(a, 1)), placeless(interpret(b, 1)));
    if a == b { Ok(()) } else { Err(format!("before: {a:?}\nafter: {b:?}")) }
}

#[test]
fn compaction_keeps_what_a_graph_computes() {
    walk_all(100, &|module| {
        let mut compact = module.clone();
        compact.compact();
        same_results(module, &compact)
    });
}

#[test]
fn the_text_form_keeps_what_a_graph_computes() {
    walk_all(60, &|module| {
        let printed = text::print(module);
        let parsed = text::parse(&printed.text, &printed.blobs).map_err(|e| e.to_string())?;
        same_results(module, &parsed)
    });
}

#[test]
fn an_empty_patch_changes_nothing() {
    walk("mixed", &Profile::mixed(), 100, &|module| {
        let mut patched = module.clone();
        for id in module.graph_ids() {
            Patch::at_end(module.graph(id)).apply(&mut patched, id).map_err(|e| e.to_string())?;
        }
        if patched == *module { Ok(()) } else { Err("it did".into()) }
    });
}

/// Reasons why the interpreter may refuse a valid graph, by code: a type or an operation that it does not compute, a custom operation
/// without a kernel, a shape that is known only when the model runs, an index or a divisor that the data get wrong.
const REFUSALS: [&str; 2] = ["EVL001", "EVL004"];

#[test]
fn the_interpreter_runs_every_graph_or_says_why_not() {
    for (name, profile) in Profile::all() {
        walk(name, &profile, 150, &|module| match interpret(module, 1) {
            Ok(outputs) if outputs.len() == module.main().outputs().len() => Ok(()),
            Ok(_) => Err("outputs are missing".into()),
            Err(why) if REFUSALS.iter().any(|code| why.starts_with(code)) => Ok(()),
            Err(why) => Err(why),
        });
    }
}

/// Operations on kinds that LiteRT's kernels take and the interpreter has no kernel for: this list only shrinks.
const WITHOUT_KERNEL: [&str; 0] = [];

#[test]
fn the_interpreter_has_a_kernel_for_what_litert_takes() {
    let mut refused: BTreeMap<String, u64> = BTreeMap::new();
    let mut ran = 0;
    for (name, profile) in Profile::all() {
        for seed in seeds(150) {
            match interpret(&generate(seed, &profile.clone().on(Runtime::LiteRt)), 1) {
                Ok(_) => ran += 1,
                Err(why) => *refused.entry(format!("{name}: {}", why.split(" (graph").next().unwrap_or_default())).or_default() += 1,
            }
        }
    }
    refused.retain(|why, _| !WITHOUT_KERNEL.iter().any(|known| why.contains(known)));
    assert!(refused.is_empty(), "{ran} graphs ran, these did not: {refused:#?}");
}
