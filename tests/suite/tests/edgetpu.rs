//! Accelerators: predictions against compiled models, legalised graphs against what they were, segments against the whole.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use octet_edgetpu::{FileFacts, Options, packages};
use octet_graphgen::{Profile, generate};
use octet_ir::{Diagnostic, EntityId, Graph, Module};
use octet_passes::{Pipeline, Settings, Silent};
use octet_peers::zoo;
use octet_plugin::{DataSource, Dataset, Tensor};
use octet_tests::generated::{feed, run, walk};

const FEW: u64 = 60;

struct NoData;

impl DataSource for NoData {
    fn open(&self, name: &str) -> Result<Dataset, Diagnostic> {
        Err(Diagnostic::error("TST001", format!("no pass here opens data, '{name}' neither")))
    }
}

fn first_results(graph: &Graph) -> Vec<String> {
    graph.ops().map(|(_, o)| o.results().first().map_or_else(String::new, |v| graph.value_name(*v))).collect()
}

/// Operations that compiled models still compute on the CPU are those that are predicted to stay there.
#[test]
fn zoo_compiled_models_are_predicted() {
    let Some(folder) = zoo().map(|z| z.join("coral")) else { return };
    let profile = octet_targets::profile("edgetpu").expect("built in");
    let mut pairs = 0;
    for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
        let compiled = entry.path();
        let Some(name) = compiled.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix("_edgetpu.tflite")) else { continue };
        let read = |path: &std::path::Path| {
            let bytes: bytes::Bytes = std::fs::read(path).expect("readable").into();
            let facts = FileFacts::read(&bytes).expect("a model");
            (octet_frontend_tflite::read(&bytes).expect("a model"), facts)
        };
        let (original, facts) = read(&folder.join(format!("{name}.tflite")));
        let (after, _) = read(&compiled);
        assert!(!packages(&after).is_empty(), "{name} has no package");
        let compiled_here: BTreeSet<String> = (after.main().ops())
            .filter(|(_, o)| octet_edgetpu::Package::of(o).is_some())
            .flat_map(|(_, o)| o.results().iter().map(|v| after.main().value_name(*v)))
            .collect();
        let cpu: BTreeSet<String> = first_results(after.main()).into_iter().filter(|n| !compiled_here.contains(n)).collect();
        let truth: Vec<bool> = first_results(original.main()).iter().map(|n| !cpu.contains(n)).collect();
        let mapping = octet_edgetpu::map(&original, profile, Some(&facts), &Options::default());
        let predicted: Vec<bool> = mapping.rows.iter().map(|r| r.mapped).collect();
        assert_eq!(predicted, truth, "{name}");
        // Of the compiled file itself, what is compiled is mapped, with the bytes that it carries, and nothing else.
        let again = octet_edgetpu::map(&after, profile, None, &Options::default());
        assert!(again.compiled && !mapping.compiled, "{name}");
        for row in &again.rows {
            let package = packages(&after).into_iter().find(|(index, _)| *index == row.index).map(|(_, package)| package);
            assert_eq!(row.mapped, package.is_some(), "{name}: {}", row.index);
            let Some(package) = package else { continue };
            assert_eq!(row.parameters.stored, package.cached_bytes() + package.streamed_bytes(), "{name}");
        }
        pairs += 1;
    }
    assert!(pairs >= 4, "{pairs} pairs");
}

fn findings(source: &str) -> Vec<Diagnostic> {
    let module = octet_ir::text::parse(source, &Default::default()).expect("IR");
    let profile = octet_targets::profile("edgetpu").expect("built in");
    octet_edgetpu::map(&module, profile, None, &Options::default()).rows.into_iter().flat_map(|r| r.findings).collect()
}

/// A constant is concatenated only as padding with zeros.
#[test]
fn constants_are_concatenated_as_zeros() {
    let concatenation = |constant: &str, more: &str| {
        let source = format!(
            "octet.ir 1\ngraph @main(%0: 1x2 !q<i8, 0.5:3> loc(\"x\")) {{\n  %1 = const {constant} : 1x2 !q<i8, 0.5:3>\n  \
             %2 = concatenation(%0, %1{more}) {{axis = 1}} : 1x{} !q<i8, 0.5:3> loc(\"y\")\n  return %2\n}}\n",
            if more.is_empty() { 4 } else { 6 }
        );
        findings(&source).len()
    };
    assert_eq!([concatenation("[3, 3]", ""), concatenation("[3, 0]", ""), concatenation("[3, 3]", ", %0")], [0, 1, 1]);
}

/// A float in the way is answered with quantization, not with what else is wrong.
#[test]
fn floats_are_to_be_quantized() {
    let found =
        findings("octet.ir 1\ngraph @main(%0: 2x4x4x2 f32 loc(\"x\")) {\n  %1 = relu(%0) : 2x4x4x2 f32 loc(\"y\")\n  return %1\n}\n");
    let help = found.first().and_then(|d| d.help.clone()).unwrap_or_default();
    assert!(help.contains("--quantize int8-only"), "{help}");
}

/// What compiling for the target would rewrite is said to be so, of the types for which it is.
#[test]
fn what_is_rewritten_is_told() {
    let help = |elem: &str| {
        let source = format!(
            "octet.ir 1\ngraph @main(%0: 1x8 !q<{elem}, 0.05> loc(\"x\")) {{\n  %1 = leaky_relu(%0) {{alpha = 0.1}} : 1x8 !q<{elem}, 0.05> \
             loc(\"y\")\n  return %1\n}}\n"
        );
        findings(&source).first().and_then(|d| d.help.clone())
    };
    assert!(help("i8").is_some_and(|h| h.contains("octet compile --target edgetpu")));
    assert_eq!(help("i16"), None);
}

/// Rewrites whose results may be off by one level; each page says why.
const INEXACT: &[&str] = &["leaky_relu", "absolute", "negate", "mean"];

/// By how many levels a rewrite's results may be off, as its page states.
fn stated(rewrite: &str, module: &Module) -> i32 {
    // |x| divided by this, more, and half a level, in levels of the result that is finest.
    let (divisor, more) = match rewrite {
        "hard_swish" => (510.0, 0.0),
        "gelu" => (256.0, 0.0005),
        "elu" => (f32::INFINITY, 0.02),
        _ => return i32::from(INEXACT.contains(&rewrite)),
    };
    let graph = module.main();
    let levels = graph.ops().filter(|(_, o)| o.op().mnemonic() == rewrite).filter_map(|(_, o)| {
        let (scale, zero_point) = graph.ty(o.operand(0)?).scale_zero_point()?;
        let (fine, _) = graph.ty(*o.results().first()?).scale_zero_point()?;
        let reach = [-128.0, 255.0].map(|q: f32| (q - zero_point as f32).abs() * scale).into_iter().fold(0.0, f32::max);
        Some(((reach / divisor + more) / fine + 1.0).ceil() as i32)
    });
    levels.max().unwrap_or(0)
}

/// Rewrites that no generated graph has a pattern for, each with the reason.
const NEVER_MET: &[(&str, &str)] = &[("negate", "generated graphs negate no quantized numbers; the example on its page runs")];

fn after(module: &Module, pipeline: &Pipeline) -> Result<(Module, usize), String> {
    let outcome = octet_passes::run(module, pipeline, &Settings::default(), &NoData, &mut Silent::default());
    let outcome = outcome.map_err(|failure| failure.diagnostics.to_string())?;
    let patches = outcome.passes.iter().map(|p| p.patches).sum();
    Ok((outcome.module, patches))
}

/// By how many levels two results differ at most; an error where they are no integers and differ.
fn apart(a: &Tensor, b: &Tensor) -> Result<i32, String> {
    if a == b {
        return Ok(0);
    }
    if (a.elem, &a.shape) != (b.elem, &b.shape) {
        return Err(format!("{} {:?} became {} {:?}", a.elem, a.shape, b.elem, b.shape));
    }
    let level = |byte: u8| match a.elem {
        octet_ir::ElementType::I8 => Some(i32::from(byte.cast_signed())),
        octet_ir::ElementType::U8 => Some(i32::from(byte)),
        _ => None,
    };
    let differences = a.bytes.iter().zip(&b.bytes).map(|(x, y)| Some((level(*x)? - level(*y)?).abs()));
    differences.max().flatten().ok_or_else(|| format!("{} differ", a.elem))
}

/// Every rewrite of the pass alone, on graphs of one operation each: what it changes computes the same, up to what its page states.
#[test]
fn legalised_graphs_compute_the_same() {
    let met: RefCell<BTreeMap<&str, usize>> = RefCell::default();
    let rewrites: Vec<(&str, Pipeline)> = (octet_passes::rewrites())
        .filter(|(pass, _)| *pass == "legalize")
        .map(|(_, rewrite)| (rewrite.name(), format!("legalize{{only = [\"{}\"]}}", rewrite.name()).parse().expect("a pipeline")))
        .collect();
    let alone: [&[&str]; 7] = [
        &["average_pool_2d", "max_pool_2d", "concatenation", "transpose_conv", "relu_0_to_1"],
        &["hard_swish", "leaky_relu", "abs", "neg"],
        &["elu", "gelu"],
        &["strided_slice", "split_v", "unpack"],
        &["fully_connected", "mean"],
        &["resize_nearest_neighbor", "resize_bilinear", "depth_to_space"],
        &["squeeze", "expand_dims", "tile"],
    ];
    for ops in alone {
        for (name, profile) in [("int8", Profile::int8()), ("uint8", Profile::uint8())] {
            let profile = Profile { extra_outputs: 0, ..profile.only(ops).on(octet_graphgen::Runtime::LiteRt).ops(1) };
            walk(name, &profile, FEW * 4, &|module| {
                for (rewrite, pipeline) in &rewrites {
                    let (changed, patches) = after(module, pipeline)?;
                    *met.borrow_mut().entry(rewrite).or_default() += patches;
                    if patches == 0 {
                        continue;
                    }
                    let data = feed(module, 1);
                    let Ok(expected) = run(module, &data) else { continue };
                    let found = run(&changed, &data).map_err(|why| format!("{rewrite}: no longer runs: {why}"))?;
                    let levels = stated(rewrite, module);
                    for (a, b) in expected.iter().zip(&found) {
                        let apart = apart(a, b).map_err(|why| format!("{rewrite}: {why}"))?;
                        if apart > levels {
                            return Err(format!("{rewrite}: off by {apart} levels, its page states {levels}"));
                        }
                    }
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

/// A batch that is computed sample by sample gives the bytes of the whole.
#[test]
fn a_batch_is_computed_sample_by_sample() {
    let source = "octet.ir 1
graph @main(%0: 3x4x4x2 !q<i8, 0.05> loc(\"x\")) {
  %1 = const [1, 2, 3, 4, 5, 6, 7, -8] : 2x1x2x2 !q<i8, axis 0, [0.01, 0.02]>
  %2 = const [100, -200] : 2 !q<i32, axis 0, [0.0005, 0.001]>
  %3 = conv_2d(%0, %1, %2) {activation = relu} : 3x4x4x2 !q<i8, 0.1:-128>
  %4 = max_pool_2d(%3) {filter = [2, 2], stride = [2, 2], padding = valid} : 3x2x2x2 !q<i8, 0.1:-128>
  %5 = add(%4, %4) : 3x2x2x2 !q<i8, 0.2:-128>
  %6 = const [3, 8] : 2 i32
  %7 = reshape(%5, %6) : 3x8 !q<i8, 0.2:-128> loc(\"y\")
  return %7
}
";
    let module = octet_ir::text::parse(source, &Default::default()).expect("IR");
    let (split, patches) = after(&module, &"legalize".parse().expect("a pipeline")).expect("runs");
    assert!(patches > 0);
    for seed in 0..4 {
        let data = feed(&module, seed);
        assert_eq!(run(&module, &data), run(&split, &data));
    }
    let profile = octet_targets::profile("edgetpu").expect("built in");
    let mapping = octet_edgetpu::map(&split, profile, None, &Options::default());
    let cpu: Vec<&str> = mapping.rows.iter().filter(|r| !r.mapped).map(|r| r.name.as_str()).collect();
    assert_eq!(cpu, ["SPLIT"], "only the SPLIT of the batch stays");
}

/// Segments in a chain give what the whole gives.
#[test]
fn segments_chain() {
    let profile = Profile { extra_outputs: 1, ..Profile::int8().on(octet_graphgen::Runtime::LiteRt).ops(8) };
    let mut cut = 0;
    for seed in 0..FEW {
        let module = generate(seed, &profile);
        let count = module.main().op_count().min(3);
        let Ok(segments) = octet_edgetpu::segments(&module, count, &vec![1; module.main().op_count()]) else { continue };
        let data = feed(&module, seed);
        let Ok(whole) = run(&module, &data) else { continue };
        let main = module.main();
        let mut tensors: BTreeMap<String, Tensor> =
            main.inputs().iter().zip(&data).map(|(v, t)| (main.value_name(*v), t.clone())).collect();
        for segment in &segments.modules {
            octet_ir::verify::verify(segment).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            let graph = segment.main();
            let inputs: Vec<Tensor> = graph.inputs().iter().map(|v| tensors[&graph.value_name(*v)].clone()).collect();
            let outputs = run(segment, &inputs).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
            tensors.extend(graph.outputs().iter().map(|v| graph.value_name(*v)).zip(outputs));
        }
        for (output, expected) in main.outputs().iter().zip(&whole) {
            let name = main.value_name(*output);
            if let Some(found) = tensors.get(&name) {
                assert_eq!(found, expected, "seed {seed}, {name} (%{})", output.index());
                cut += 1;
            }
        }
    }
    assert!(cut > 10, "{cut} outputs compared");
}

/// Writes random int8 graphs for other compilers, `$OCTET_RANDOM_COUNT` of each kind into `$OCTET_RANDOM_GRAPHS`:
/// of all operations, and of those that an NPU has.
#[test]
#[ignore = "writes files for cargo xtask edgetpu"]
fn write_random_graphs() {
    let Some(folder) = std::env::var_os("OCTET_RANDOM_GRAPHS").map(std::path::PathBuf::from) else { return };
    let count: u64 = std::env::var("OCTET_RANDOM_COUNT").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    let profile = Profile::int8().on(octet_graphgen::Runtime::LiteRt).ops(6);
    let any = Profile { state: false, control_flow: false, exotic: false, ..profile };
    let known = &octet_targets::profile("ethos-u55").expect("built in").ops;
    let names: Vec<&'static str> = known.iter().flat_map(|rule| &rule.ops).map(String::as_str).collect();
    let npu = Profile { kinds: vec![octet_graphgen::Kind::I8], ..any.clone().only(&names).ops(4) };
    for (kind, profile) in [("random", any), ("npu", npu)] {
        for seed in 0..count {
            let module = generate(seed, &profile);
            let file = octet_backend_tflite::write(&module, &Default::default()).expect("writable").into_bytes();
            std::fs::write(folder.join(format!("{kind}{seed:03}.tflite")), file).expect("a file");
        }
    }
}
