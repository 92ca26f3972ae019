//! Walking over generated graphs: every seed of every profile, and a failing one made small and told.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use octet_eval::{Interpreter, Options};
use octet_graphgen::{Profile, generate, random_inputs, report, shrink};
use octet_ir::{EntityId, Module};
use octet_plugin::Tensor;

/// Seeds of a full run (`OCTET_FULL=1`).
const FULL: u64 = 2_000;

/// Seeds to walk: `few` of them, or 2,000 in a full run.
#[must_use]
pub fn seeds(few: u64) -> std::ops::Range<u64> {
    let full = std::env::var_os("OCTET_FULL").is_some_and(|v| v == "1");
    0..if full { FULL } else { few }
}

/// Whether the test holds for one module; a panic is an answer.
///
/// # Errors
/// Why it does not.
pub fn holds(module: &Module, test: &dyn Fn(&Module) -> Result<(), String>) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| test(module))).unwrap_or_else(|panic| {
        let told = panic.downcast_ref::<String>().cloned();
        let told = told.or_else(|| panic.downcast_ref::<&str>().map(|&s| s.to_owned()));
        Err(format!("panicked: {}", told.unwrap_or_default()))
    })
}

/// Failures that one walk tells, each of another cause.
const TOLD: usize = 4;

/// A cause without what differs from case to case: numbers.
fn kind_of(why: &str) -> String {
    why.chars().filter(|c| !c.is_ascii_digit()).take(60).collect()
}

/// Tests the module of every seed.
///
/// # Panics
/// When some fail: with the seed of one of each kind of failure, and the smallest module that still fails in the same way.
pub fn walk(name: &str, profile: &Profile, few: u64, test: &dyn Fn(&Module) -> Result<(), String>) {
    let mut failed: BTreeMap<String, (u64, String, Module)> = BTreeMap::new();
    let mut count = 0;
    for seed in seeds(few) {
        let module = generate(seed, profile);
        if let Err(why) = holds(&module, test) {
            count += 1;
            failed.entry(kind_of(&why)).or_insert((seed, why, module));
        }
    }
    let told = failed.iter().take(TOLD).map(|(kind, (seed, why, module))| {
        let same = |candidate: &Module| holds(candidate, test).is_err_and(|why| kind_of(&why) == *kind);
        let small = shrink(module, &mut |candidate| same(candidate));
        let small_why = holds(&small, test).err().unwrap_or_default();
        report(*seed, name, &format!("{why:.2000}\nshrunk: {small_why:.2000}"), &small)
    });
    let told: Vec<String> = told.collect();
    assert!(count == 0, "{count} graphs fail, in {} ways\n{}", failed.len(), told.join("\n"));
}

/// Tests the module of every seed of every profile.
///
/// # Panics
/// As [`walk`].
pub fn walk_all(few: u64, test: &dyn Fn(&Module) -> Result<(), String>) {
    for (name, profile) in Profile::all() {
        walk(name, &profile, few, test);
    }
}

/// Random data for the inputs of a module.
#[must_use]
pub fn feed(module: &Module, seed: u64) -> Vec<Tensor> {
    let inputs = random_inputs(module, seed);
    let graph = module.main();
    let tensors = graph.inputs().iter().zip(&inputs).map(|(&input, data)| {
        let ty = graph.ty(input);
        Tensor { elem: ty.elem, shape: ty.shape.dims().to_vec(), bytes: data.bytes().to_vec() }
    });
    tensors.collect()
}

/// What the interpreter computes from random inputs: the main graph's outputs.
///
/// # Errors
/// The first diagnostic, as text: its code and message.
pub fn interpret(module: &Module, seed: u64) -> Result<Vec<Tensor>, String> {
    run(module, &feed(module, seed))
}

/// What the interpreter computes from these inputs.
///
/// # Errors
/// The first diagnostic, as text: its code and message.
pub fn run(module: &Module, inputs: &[Tensor]) -> Result<Vec<Tensor>, String> {
    let told = |d: octet_ir::Diagnostic| format!("{}: {} ({})", d.code, d.message, d.location);
    let mut interpreter = Interpreter::new(module, Options { memory_limit: 1 << 28, ..Options::default() }).map_err(told)?;
    interpreter.allocate_tensors().map_err(|all| all.0.into_iter().next().map_or_else(|| "no reason".to_owned(), told))?;
    for (input, tensor) in module.main().inputs().iter().zip(inputs) {
        interpreter.set_tensor(input.index(), tensor).map_err(told)?;
    }
    interpreter.invoke().map_err(told)?;
    module.main().outputs().iter().map(|o| interpreter.get_tensor(o.index()).map_err(told)).collect()
}
