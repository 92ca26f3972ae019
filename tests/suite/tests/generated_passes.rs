//! Generated graphs through the passes: each pass alone, each rewrite alone, and the whole pipeline leave what a graph computes as it was.

use std::cell::RefCell;
use std::collections::BTreeMap;

use octet_graphgen::{Profile, Random, Runtime};
use octet_ir::{Constant, Diagnostic, GraphId, Module, Op, Patch, ValueDef};
use octet_passes::{Pipeline, Settings, Silent};
use octet_plugin::{DataSource, Dataset};
use octet_tests::generated::{feed, run, walk};
use octet_tests::perturb;

/// Seeds a profile.
const FEW: u64 = 120;

/// Whether a pass keeps every bit, or reals up to the rounding of what it moves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Promise {
    Bits,
    Reals,
}

/// What each pass promises. Folding, sharing and dropping use the kernels that would have run. The others merge constants (one rounding instead of
/// two) or change the order of a sum; on integers they too keep every bit.
const PASSES: &[(&str, Promise)] = &[
    ("fold", Promise::Bits),
    ("cse", Promise::Bits),
    ("dce", Promise::Bits),
    ("canonicalize", Promise::Reals),
    ("fuse", Promise::Reals),
    ("layout", Promise::Reals),
    ("fold,canonicalize,fuse,cse,dce", Promise::Reals),
    ("fold,canonicalize,layout,fuse,canonicalize,cse,dce", Promise::Reals),
];

struct NoData;

impl DataSource for NoData {
    fn open(&self, name: &str) -> Result<Dataset, Diagnostic> {
        Err(Diagnostic::error("TST001", format!("no pass here opens data, '{name}' neither")))
    }
}

fn after(module: &Module, pipeline: &Pipeline) -> Result<(Module, usize), String> {
    let outcome = octet_passes::run(module, pipeline, &Settings::default(), &NoData, &mut Silent::default());
    let outcome = outcome.map_err(|failure| failure.diagnostics.to_string())?;
    let patches = outcome.passes.iter().map(|p| p.patches).sum();
    Ok((outcome.module, patches))
}

/// Whether the module computes the same after a pipeline. Answers how many patches it took.
fn kept(module: &Module, pipeline: &Pipeline, promise: Promise) -> Result<usize, String> {
    let (changed, patches) = after(module, pipeline)?;
    if changed == *module {
        return Ok(0);
    }
    let integer = module.graphs().all(|(_, g)| g.values().all(|(_, v)| !v.ty().elem.is_float()));
    for seed in 0..2 {
        let data = feed(module, seed);
        // What a graph cannot compute, a pass need not keep: it may be gone.
        let Ok(expected) = run(module, &data) else { return Ok(patches) };
        let found = run(&changed, &data).map_err(|why| format!("{pipeline}: no longer runs: {why}"))?;
        if expected == found {
            continue;
        }
        if promise == Promise::Bits || integer {
            return Err(format!("{pipeline}: before: {expected:?}\nafter: {found:?}"));
        }
        perturb::close(module, &data, &expected, &found).map_err(|why| format!("{pipeline}: {why}"))?;
    }
    Ok(patches)
}

fn pipeline(text: &str) -> Pipeline {
    text.parse().expect("a pipeline")
}

fn walk_pass(name: &str, profile: &Profile, few: u64) {
    let passes: Vec<(Pipeline, Promise)> = PASSES.iter().map(|(text, promise)| (pipeline(text), *promise)).collect();
    walk(name, profile, few, &|module| passes.iter().try_for_each(|(pipeline, promise)| kept(module, pipeline, *promise).map(drop)));
}

#[test]
fn passes_keep_float_graphs() {
    walk_pass("float", &Profile::float(), FEW);
}

#[test]
fn passes_keep_int8_graphs() {
    walk_pass("int8", &Profile::int8(), FEW);
}

#[test]
fn passes_keep_int16x8_graphs() {
    walk_pass("int16x8", &Profile::int16x8(), FEW);
}

#[test]
fn passes_keep_uint8_graphs() {
    walk_pass("uint8", &Profile::uint8(), FEW);
}

#[test]
fn passes_keep_integer_graphs() {
    walk_pass("integer", &Profile::integer(), FEW);
}

#[test]
fn passes_keep_mixed_graphs() {
    walk_pass("mixed", &Profile::mixed(), FEW);
    walk_pass("dynamic", &Profile::float().dynamic(), FEW / 2);
}

/// Rewrites that no generated graph has a pattern for, each with the reason.
const NEVER_MET: &[(&str, &str)] = &[
    ("pad", "wants a PAD of height and width alone before a convolution without padding"),
    ("static_shape", "wants a RESHAPE to a shape that the graph computes"),
];

/// Every rewrite alone, on graphs of the operations that its own pattern is about.
#[test]
fn each_rewrite_keeps_what_graphs_compute() {
    let met: RefCell<BTreeMap<&str, usize>> = RefCell::default();
    let rewrites: Vec<(&str, Pipeline)> = (octet_passes::rewrites())
        // What legalisation may be off by, its pages state and its own suite, `edgetpu`, allows for.
        .filter(|(pass, _)| !matches!(*pass, "fold" | "legalize"))
        .map(|(pass, rewrite)| (rewrite.name(), pipeline(&format!("{pass}{{only = [\"{}\"]}}", rewrite.name()))))
        .collect();
    let chains: [&[&str]; 8] = [
        &["conv_2d", "depthwise_conv_2d", "fully_connected", "transpose_conv", "add", "sub", "mul", "relu", "relu6", "pad", "pad_v2"],
        &["reshape", "squeeze", "expand_dims", "transpose", "shape", "pack", "strided_slice", "concatenation"],
        &["add", "sub", "mul", "div", "minimum", "maximum", "relu", "relu6", "relu_n1_to_1", "relu_0_to_1", "neg"],
        &["quantize", "dequantize", "relu", "max_pool_2d", "reshape", "cast"],
        &["mean", "pad", "average_pool_2d", "conv_2d", "mirror_pad", "tile", "slice", "reverse_v2", "fill"],
        &["mul", "div", "conv_2d", "fully_connected"],
        &["pad", "conv_2d"],
        &["reshape", "shape", "strided_slice", "pack"],
    ];
    for ops in chains {
        let profiles = [("float", Profile::float()), ("int8", Profile::int8()), ("dynamic", Profile::float().dynamic())];
        for (name, profile) in profiles {
            // Chains of operations on constants are what patterns are made of.
            let profile = Profile { input_percent: 10, extra_outputs: 0, ..profile.only(ops).on(Runtime::LiteRt).ops(8) };
            walk(name, &profile, FEW * 4, &|module| {
                for (rewrite, pipeline) in &rewrites {
                    let patches = kept(module, pipeline, Promise::Reals)?;
                    *met.borrow_mut().entry(rewrite).or_default() += patches;
                }
                Ok(())
            });
        }
    }
    let met = met.into_inner();
    eprintln!("patches: {met:?}");
    let never: Vec<_> = met.iter().filter(|(name, n)| **n == 0 && !NEVER_MET.iter().any(|(known, _)| known == *name)).collect();
    assert!(never.is_empty(), "rewrites that no graph had a pattern for: {never:?}");
}

/// The module with zeros in the filters of some output and input channels, as training leaves them.
fn with_dead_channels(module: &Module, random: &mut Random) -> Module {
    let mut dead = module.clone();
    let graph = module.main();
    let mut patch = Patch::at_start(graph);
    for (_, operation) in graph.ops() {
        let (Op::Conv2d(_) | Op::DepthwiseConv2d(_) | Op::FullyConnected(_)) = operation.op() else { continue };
        let Some((filter, ValueDef::Constant(_))) = operation.operand(1).map(|v| (v, graph.value(v).def())) else { continue };
        let (shape, strides) = (&graph.ty(filter).shape, graph.ty(filter).shape.strides());
        let mut bytes = module.constant_of(graph, filter).expect("a constant").bytes().to_vec();
        if bytes.len() != shape.elements() {
            continue;
        }
        for axis in [0, shape.rank() - 1] {
            let gone: Vec<bool> = (0..shape.dims()[axis]).map(|_| random.chance(40)).collect();
            let zero = random.chance(70);
            for (index, byte) in bytes.iter_mut().enumerate().filter(|_| zero) {
                if gone[index / strides[axis] % gone.len()] {
                    *byte = 0;
                }
            }
        }
        patch.set_constant(filter, Constant::new(bytes));
    }
    patch.apply(&mut dead, GraphId::MAIN).expect("constants of the same types");
    dead
}

/// Channels that nothing reaches or nothing reads go away, and every bit stays.
#[test]
fn dead_channels_leave_no_trace() {
    let fired = RefCell::new([0usize; 2]);
    let alone = pipeline("canonicalize{only = [\"constant_channels\"]}");
    let all = pipeline("fold,canonicalize,layout,fuse,canonicalize,cse,dce");
    let (layers, between) = (
        ["conv_2d", "depthwise_conv_2d", "fully_connected", "conv_2d", "fully_connected"],
        ["relu", "relu6", "leaky_relu", "average_pool_2d", "max_pool_2d", "mean", "reshape", "quantize", "tanh", "pad", "add"],
    );
    for (at, (name, profile)) in [("int8", Profile::int8()), ("int16x8", Profile::int16x8())].into_iter().enumerate() {
        for ops in [&layers[..], &[&layers[..], &between[..]].concat()] {
            let profile = Profile { input_percent: 5, extra_outputs: 0, ..profile.clone().only(ops).ops(7) };
            walk(name, &profile, FEW * 6, &|module| {
                let printed = octet_ir::text::print(module).text;
                let seed = printed.bytes().fold(7u64, |h, b| h.wrapping_mul(31).wrapping_add(b.into()));
                let dead = with_dead_channels(module, &mut Random::new(seed));
                fired.borrow_mut()[at] += kept(&dead, &alone, Promise::Bits)?;
                kept(&dead, &all, Promise::Bits).map(drop)
            });
        }
    }
    let fired = fired.into_inner();
    eprintln!("patches: {fired:?}");
    assert!(fired.iter().all(|n| *n > 100), "too few channels were dead: {fired:?}");
}
