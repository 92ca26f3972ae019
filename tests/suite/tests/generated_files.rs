//! Generated graphs through TFLite files: what is written reads back as the same module in the format's normal form, and files that are damaged
//! give modules that verify, print and run, or diagnostics.
//!
//! The normal form: a tensor has one name, the last one; a dynamic axis has no name of its own; ranges stay out unless asked for; a RESHAPE
//! whose operand gives the shape does not repeat it; a bias that is left out is not listed; one scale is one scale, along whatever axis; scales of
//! blocks are constants of their own.

use std::panic::{AssertUnwindSafe, catch_unwind};

use octet_backend_tflite::{WriteOptions, write};
use octet_frontend_tflite::read;
use octet_graphgen::{Profile, Runtime, generate};
use octet_ir::ops::{Op, Reshape};
use octet_ir::verify::verify;
use octet_ir::{ElementType, Granularity, Loc, Module, Patch, Quantization, Shape, ValueId, text};
use octet_tests::generated::{feed, interpret, run, seeds, walk, walk_all};
use octet_tests::mutate::mutate;

/// What the format keeps of a module.
fn normal(module: &Module) -> Module {
    let mut result = module.clone();
    for id in module.graph_ids() {
        let graph = module.graph(id);
        let mut patch = Patch::at_end(graph);
        for (value, known) in graph.values() {
            let name = known.loc().name().unwrap_or_default();
            patch.set_loc(value, Loc::named(name));
            patch.set_range(value, None);
            let mut ty = known.ty().clone();
            if ty.shape.is_ranked() && ty.shape.is_dynamic() {
                let dynamic = (0..ty.shape.rank()).filter(|&a| ty.shape.dynamic(a).is_some());
                let shape = dynamic.fold(Shape::new(ty.shape.dims()), |s, axis| s.with_dynamic(axis, "?"));
                ty = ty.with_shape(shape);
            }
            // One scale along an axis of one index is written as one scale.
            if let Some(quant) = ty.quant.as_deref()
                && let (Granularity::PerAxis(_), [scale]) = (quant.granularity(), quant.scales())
            {
                let quant = Quantization::new(*scale, quant.zero_points().first().copied().unwrap_or(0));
                ty = ty.with_quant(Some(quant.into()));
            }
            if ty != *known.ty() {
                patch.set_type(value, ty);
            }
        }
        for (id, operation) in graph.ops() {
            // Where the operand decides, the attribute only repeats it.
            let decides = |v: ValueId| graph.ty(v).elem == ElementType::I32 && graph.ty(v).shape.rank() == 1;
            if matches!(operation.op(), Op::Reshape(_)) && operation.operand(1).is_some_and(decides) {
                patch.set_op(id, Reshape { new_shape: None });
            }
        }
        patch.apply(&mut result, id).expect("a patch that keeps every operation");
    }
    // A signature names tensors: of one that comes out twice, the first output.
    for signature in &mut result.signatures {
        let outputs = module.graph(signature.graph).outputs();
        for (_, index) in &mut signature.outputs {
            *index = outputs.iter().position(|v| *v == outputs[*index]).unwrap_or(*index);
        }
    }
    result
}

fn file_of(module: &Module) -> Result<bytes::Bytes, String> {
    write(module, &WriteOptions::default()).map(octet_backend_tflite::Encoded::into_bytes).map_err(|found| found.to_string())
}

/// The module as a file gives it back.
fn through(module: &Module) -> Result<Module, String> {
    let again = read(&file_of(module)?).map_err(|found| found.to_string())?;
    verify(&again).map_err(|found| format!("not sound: {found}"))?;
    Ok(again)
}

/// The text with biases that are left out not listed.
fn without_bias(text: &str) -> String {
    let line = |line: &str| {
        let convolution = ["conv_2d(", "depthwise_conv_2d(", "conv_3d(", "transpose_conv(", "conv_3d_transpose("];
        if convolution.iter().any(|c| line.contains(&format!("= {c}"))) { line.replacen(", _)", ")", 1) } else { line.to_owned() }
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// A line without the place of its blob in the side file, which its length and hash follow.
fn without_place(line: &str) -> String {
    match line.split_once(" = const blob(").and_then(|(name, rest)| Some((name, rest.split_once(", ")?.1))) {
        Some((name, rest)) => format!("{name} = const blob({rest}"),
        None => line.to_owned(),
    }
}

/// The text without what holds the scales and zero points of blocks: constants without a name that nothing reads.
fn without_blocks(text: &str) -> String {
    let of_graph = |part: &str| {
        let words: Vec<&str> = part.split(|c: char| c != '%' && !c.is_ascii_digit()).collect();
        let holds = |line: &str| {
            let name = line.trim_start().split(" = const ").next().unwrap_or_default();
            line.contains(" = const ") && !line.contains(" loc(") && words.iter().filter(|word| **word == name).count() == 1
        };
        // What they take in the side file moves what follows: where a blob lies is left out too.
        let kept = part.lines().filter(|line| !part.contains(", block ") || !holds(line)).map(without_place);
        kept.collect::<Vec<_>>().join("\n")
    };
    text.split("\n}").map(of_graph).collect::<Vec<_>>().join("\n}")
}

fn round_trip(module: &Module) -> Result<(), String> {
    let mut module = module.clone();
    // Files number tensors without gaps.
    module.compact();
    let once = through(&module)?;
    let told = |module: &Module| without_bias(&without_blocks(&text::print(&normal(module)).text));
    let (expected, found) = (told(&module), told(&once));
    if expected != found {
        let line = expected.lines().zip(found.lines()).find(|(a, b)| a != b);
        return Err(format!("the module changed: {line:?}\nread back:\n{found}"));
    }
    let twice = through(&once)?;
    if twice == once { Ok(()) } else { Err("a second round trip changes the module".into()) }
}

#[test]
fn every_graph_survives_a_file() {
    walk_all(200, &round_trip);
    walk("dynamic", &Profile::float().dynamic(), 100, &round_trip);
}

#[test]
fn files_compute_what_graphs_compute() {
    walk_all(60, &|module| {
        let mut module = module.clone();
        module.compact();
        // A file keeps no ranges, which data are made from.
        let data = feed(&module, 1);
        let (before, after) = (run(&module, &data), run(&through(&module)?, &data));
        if before == after { Ok(()) } else { Err(format!("before: {before:?}\nafter: {after:?}")) }
    });
}

/// Whether running might not end: a loop whose condition the damage reaches.
fn may_not_end(module: &Module) -> bool {
    module.graphs().any(|(_, g)| g.ops().any(|(_, o)| matches!(o.op(), Op::While(_))))
}

/// Damages to each file. Most break it, which is for the reader to say; a few hundred do not.
const ROUNDS: u64 = 12;

#[test]
fn what_a_damaged_file_gives_never_panics() {
    let (mut sound, mut ran) = (0, 0);
    for seed in seeds(150) {
        for (name, profile) in Profile::all() {
            let profile = if seed % 2 == 0 { profile } else { profile.on(Runtime::LiteRt) };
            let mut module = generate(seed, &profile.ops(6));
            module.compact();
            let Ok(whole) = file_of(&module) else { continue };
            for round in 0..ROUNDS {
                let damaged = bytes::Bytes::from(mutate(&whole, seed * ROUNDS + round));
                let answer = catch_unwind(AssertUnwindSafe(|| {
                    let Ok(module) = read(&damaged) else { return (false, false) };
                    if verify(&module).is_err() {
                        return (false, false);
                    }
                    let printed = text::print(&module);
                    let parsed = text::parse(&printed.text, &printed.blobs).unwrap_or_else(|e| panic!("{e}\n{}", printed.text));
                    assert_eq!(text::print(&parsed), printed);
                    let ran = !may_not_end(&module) && interpret(&module, seed).is_ok();
                    let _ = file_of(&module);
                    (true, ran)
                }));
                match answer {
                    Ok((taken, done)) => {
                        sound += u64::from(taken);
                        ran += u64::from(done);
                    }
                    Err(_) => panic!(
                        "mutate(file, {}) of seed {seed} of {name} panicked; the file was of\n{}",
                        seed * ROUNDS + round,
                        text::print(&module).text
                    ),
                }
            }
        }
    }
    assert!(sound > 200 && ran > 100, "{sound} damaged files are sound, {ran} ran");
}
