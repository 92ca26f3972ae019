//! Generated C gives the interpreter's bytes: every integer network of the zoo, and generated graphs, built with sanitizers.

use octet_backend_c::COptions;
use octet_eval::kernel::RoundingProfile;
use octet_ir::Module;
use octet_tests::batch::Wanted;
use octet_tests::{models, native, ours};

/// The module as the compiler hands it to a backend.
fn optimized(module: &Module) -> Module {
    octet::Compiler::new().threads(1).compile(module).map(|c| c.module).unwrap_or_else(|_| module.clone())
}

/// Random samples through the interpreter and through C: what differs.
fn compare(module: &Module, options: &COptions, compiler: &str, flags: &[&str], count: usize, exact: bool) -> Result<(), String> {
    let mut interpreter = ours::interpreter(module, RoundingProfile::default(), Wanted::Outputs)?;
    let inputs = ours::random_inputs(&interpreter, count, 7)?;
    compare_on(&mut interpreter, &inputs, module, options, compiler, flags, count, exact)
}

/// The same on given inputs.
#[expect(clippy::too_many_arguments, reason = "what to build, how, and what to run it on")]
fn compare_on(
    interpreter: &mut octet_eval::Interpreter,
    inputs: &std::collections::BTreeMap<String, octet_tests::peers::Array>,
    module: &Module,
    options: &COptions,
    compiler: &str,
    flags: &[&str],
    count: usize,
    exact: bool,
) -> Result<(), String> {
    let wanted = ours::run(interpreter, inputs, Wanted::Outputs)?;
    // What has no inputs runs once.
    let count = if inputs.is_empty() { 1 } else { count };
    let sample = |at: usize| (0..inputs.len()).filter_map(|i| inputs[&i.to_string()].sample(at)).flatten().copied().collect::<Vec<u8>>();
    let samples: Vec<Vec<u8>> = (0..count).map(sample).collect();
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let found = native::run(module, options, compiler, flags, folder.path(), &samples)?;
    let outputs = |at: usize| (0..wanted.len()).map(|i| (&wanted[&format!("o{i}")], at)).collect::<Vec<_>>();
    let expected: Vec<u8> = (0..count).flat_map(outputs).filter_map(|(array, at)| array.sample(at)).flatten().copied().collect();
    if found == expected {
        return Ok(());
    }
    if found.len() == expected.len() && !exact {
        let real = |bytes: &[u8]| bytes.as_chunks::<4>().0.iter().map(|c| f32::from_le_bytes(*c)).collect::<Vec<_>>();
        let far = |(a, b): (&f32, &f32)| (a - b).abs() > 1e-5 * (1.0 + b.abs());
        let mut rest = found.as_slice();
        for (array, at) in (0..count).flat_map(outputs) {
            let want = array.sample(at).unwrap_or_default();
            let (got, after) = rest.split_at(want.len());
            rest = after;
            if array.element != octet_tests::peers::Element::F32 {
                if got != want {
                    return Err("an output of integers differs".into());
                }
            } else if let Some((a, b)) = real(got).iter().zip(&real(want)).find(|&p| far(p)) {
                return Err(format!("{a} where the interpreter has {b}"));
            }
        }
        return Ok(());
    }
    let different = found.iter().zip(&expected).filter(|(a, b)| a != b).count();
    Err(format!("{different} of {} bytes differ, {} came", expected.len(), found.len()))
}

#[test]
fn zoo_integer_networks_have_the_interpreters_bytes() {
    let Some(networks) = models::zoo_integer_networks() else { return };
    let (mut findings, mut refused, mut done) = (Vec::new(), Vec::new(), 0);
    for (name, module) in networks {
        let module = optimized(&module);
        match compare(&module, &COptions::default(), "gcc", native::STRICT, 3, true) {
            Ok(()) => done += 1,
            Err(why) if why.contains("LOP001") => refused.push(format!("{name}: {}", why.lines().next().unwrap_or_default())),
            Err(why) => findings.push(format!("{name}: {why}")),
        }
    }
    println!("{done} networks, refused: {refused:#?}");
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

/// FLOOR_MOD of numbers of every size, subnormal ones too, has the interpreter's bits.
#[test]
fn remainders_are_exact_for_all_finite_numbers() {
    const COUNT: usize = 2048;
    let source = format!(
        "octet.ir 1\ngraph @main(%0: {COUNT} f32 loc(\"a\"), %1: {COUNT} f32 loc(\"b\")) {{\n  \
         %2 = floor_mod(%0, %1) : {COUNT} f32 loc(\"y\")\n  return %2\n}}\n"
    );
    let module = octet_ir::text::parse(&source, &bytes::Bytes::new()).expect("it reads");
    octet_ir::verify::verify(&module).expect("it is sound");
    let mut interpreter = ours::interpreter(&module, RoundingProfile::default(), Wanted::Outputs).expect("it runs");
    let mut inputs = ours::random_inputs(&interpreter, 2, 3).expect("inputs");
    let mut state = 1u64;
    let mut any = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut bits = u32::try_from(state >> 32).unwrap_or(0);
        // Every fourth number is subnormal or small, every other one near the others.
        match state >> 20 & 3 {
            0 => bits &= 0x80ff_ffff,
            1 => bits = bits & 0x83ff_ffff | 0x3c00_0000,
            _ => {}
        }
        // Neither infinite nor none, nor 0 to divide by.
        let finite = if bits >> 23 & 0xff == 0xff { bits & !0x0080_0000 } else { bits };
        f32::from_bits(finite | 1)
    };
    for array in inputs.values_mut() {
        array.bytes = (0..array.bytes.len() / 4).flat_map(|_| any().to_le_bytes()).collect();
    }
    // Remainders of nothing, in both signs.
    if let Some(array) = inputs.get_mut("0") {
        array.bytes[..4].copy_from_slice(&0.0f32.to_le_bytes());
        array.bytes[4..8].copy_from_slice(&(-0.0f32).to_le_bytes());
    }
    compare_on(&mut interpreter, &inputs, &module, &COptions::default(), "gcc", native::STRICT, 2, true).expect("the same bits");
}

/// Loops that swap what they carry, inside a branch, with what every turn passes on; none, one and several turns.
#[test]
fn loops_and_branches_have_the_interpreters_bytes() {
    const SOURCE: &str = "octet.ir 1
graph @main(%0: 1 f32 loc(\"c\"), %1: 1 f32 loc(\"n\"), %2: 3 f32 loc(\"a\"), %3: 3 f32 loc(\"b\")) {
  %7 = const [0.0] : 1 f32
  %8 = greater(%0, %7) : 1 bool
  %9 = cast(%1) : 1 i32
  %4, %5 = if(%8, %9, %2, %3) {then_graph = 1, else_graph = 2} : 3 f32 loc(\"y\"), 3 f32 loc(\"z\")
  %6 = add(%4, %2) : 3 f32 loc(\"s\")
  return %5, %6
}
graph @then(%0: 1 i32, %1: 3 f32, %2: 3 f32) {
  %3, %4, %5, %6 = while(%0, %1, %2, %1) {cond_graph = 3, body_graph = 4} : 1 i32, 3 f32, 3 f32, 3 f32
  %7 = add(%6, %5) : 3 f32
  return %4, %7
}
graph @else(%0: 1 i32, %1: 3 f32, %2: 3 f32) {
  return %2, %2
}
graph @cond(%0: 1 i32, %1: 3 f32, %2: 3 f32, %3: 3 f32) {
  %4 = const [3] : 1 i32
  %5 = less(%0, %4) : 1 bool
  return %5
}
graph @body(%0: 1 i32, %1: 3 f32, %2: 3 f32, %3: 3 f32) {
  %4 = const [1] : 1 i32
  %5 = add(%0, %4) : 1 i32
  %6 = sub(%1, %3) : 3 f32
  return %5, %2, %6, %3
}
";
    let module = octet_ir::text::parse(SOURCE, &bytes::Bytes::new()).expect("it reads");
    octet_ir::verify::verify(&module).expect("it is sound");
    let mut interpreter = ours::interpreter(&module, RoundingProfile::default(), Wanted::Outputs).expect("it runs");
    let mut inputs = ours::random_inputs(&interpreter, 8, 3).expect("inputs");
    let (conditions, starts) = ([1.0f32, 2.0, 3.0, 1.0, 1.0, 1.0, 0.0, -1.0], [-2.0f32, 0.0, 1.0, 2.0, 3.0, 4.0, 0.0, 4.0]);
    for (key, values) in [("0", conditions), ("1", starts)] {
        inputs.get_mut(key).expect("an input").bytes = values.iter().flat_map(|n| n.to_le_bytes()).collect();
    }
    for overlap in [true, false] {
        let options = COptions { overlap, ..COptions::default() };
        compare_on(&mut interpreter, &inputs, &module, &options, "gcc", native::STRICT, 8, true).expect("the same bytes");
    }
}

/// What target `tflm` writes computes the same in unmodified TFLite Micro, in an arena of the size that `c-array` prints.
#[test]
fn zoo_planned_files_run_in_tflite_micro() {
    use octet_tests::{judges, peers::Answer};
    use serde_json::json;

    let Some(zoo) = octet_tests::peers::zoo() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut jobs, mut names) = (Vec::new(), Vec::new());
    for name in [
        "peers/sine.tf.int8io",
        "peers/kws.tf.int8io",
        "peers/resnet8.tf.int8io",
        "peers/vww96.tf.int8io",
        "peers/mnist_cnn.tf.int8io",
        "peers/mnist_cnn.lq.int8",
        "peers/mnist_dw.tf.int8io",
        "peers/kws.tf.i16x8io",
        "peers/mnist_qat.tfmot.io8",
        "coral/keras_lstm_mnist_ptq",
        "tflm/trained_lstm",
    ] {
        let source = zoo.join(format!("{name}.tflite"));
        let name = name.replace('/', "-");
        let module = ours::read(&source).expect("the zoo reads");
        let mut interpreter = ours::interpreter(&module, RoundingProfile::default(), Wanted::Outputs).expect("it runs");
        let inputs = ours::random_inputs(&interpreter, 3, 11).expect("inputs");
        let wanted = ours::run(&mut interpreter, &inputs, Wanted::Outputs).expect("outputs");
        let data = folder.path().join(format!("{name}.in.npz"));
        octet_tests::peers::write_npz(&data, &inputs).expect("inputs are written");
        let out = folder.path().join(&name);
        let arguments = [
            source.as_os_str(),
            "-o".as_ref(),
            out.as_os_str(),
            "--target".as_ref(),
            "c-array".as_ref(),
            "--pipeline".as_ref(),
            "none".as_ref(),
        ];
        octet_tests::cli::octet_ok(&[&["compile".as_ref()], arguments.as_slice()].concat());
        let header = std::fs::read_to_string(out.join("model_data.h")).expect("a header");
        let size = |key: &str| -> usize {
            let line = header.lines().find_map(|l| l.strip_prefix(&format!("#define {key} "))).expect("a size");
            line.parse().expect("a number")
        };
        let answer = folder.path().join(format!("{name}.out.npz"));
        let job = |arena: usize| json!({"op": "tflm", "model": out.join("model.tflite"), "inputs": data, "out": answer, "arena": arena});
        // Not a byte more than it needs.
        let least = size("MODEL_ARENA_SIZE_PYTHON");
        jobs.push(job(least));
        jobs.push(job(least - 1));
        names.push((name, wanted, answer));
    }
    let answers = judges().run(&jobs[..]).expect("the judges answer");
    let mut findings = Vec::new();
    for ((name, wanted, out), pair) in names.iter().zip(answers.chunks(2)) {
        let [enough, little]: &[Answer; 2] = pair.try_into().expect("two answers");
        if !enough.ok {
            findings.push(format!("{name}: {}", enough.error));
            continue;
        }
        if little.ok {
            findings.push(format!("{name}: it starts in an arena of a byte less"));
        }
        let found = octet_tests::peers::read_npz(out).expect("outputs");
        // What floats come to is compared elsewhere.
        let mut integers = wanted.iter().filter(|(_, array)| array.element != octet_tests::peers::Element::F32);
        if integers.any(|(key, array)| found.get(key).is_none_or(|f| f.bytes != array.bytes)) {
            findings.push(format!("{name}: other bytes than the interpreter's"));
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

/// Reasons why generated code may refuse a graph: an operation without a kernel, a shape that the data decide.
const REFUSALS: [&str; 3] = ["LOP001", "LOP002", "LOP003"];

/// Generated graphs of 8 and 16 bits, of floats and of plain integers, built with sanitizers. 600 of them in a full run.
#[test]
fn generated_graphs_have_the_interpreters_bytes() {
    use octet_graphgen::{Profile, Runtime, generate};
    use octet_tests::generated::{holds, seeds};

    let full = seeds(0).end > 0;
    let (mut ran, mut refused, mut findings) = (0u64, std::collections::BTreeMap::<String, u64>::new(), Vec::new());
    let profiles = [
        ("int8", Profile::int8(), true),
        ("int16x8", Profile::int16x8(), true),
        ("float", Profile::float(), false),
        ("integer", Profile::integer(), true),
        ("uint8", Profile::uint8(), true),
        ("uint8 resizes", Profile::uint8().only(&["resize_bilinear"]), true),
        ("float remainders", Profile::float().only(&["floor_mod"]), true),
        ("int8 calls", Profile::int8(), true),
        ("int16x8 calls", Profile::int16x8(), true),
        ("float calls", Profile::float(), false),
    ];
    for (name, profile, exact) in profiles {
        let calls = name.ends_with("calls");
        let profile = Profile { control_flow: calls, state: profile.state && !calls, max_ops: 6, max_elements: 256, ..profile };
        // TFLite Micro has no kernels for unsigned bytes.
        let profile = if name.starts_with("uint8") { profile.on(Runtime::LiteRt) } else { profile.on(Runtime::Tflm) };
        let (mut seed, mut here) = (0, 0);
        let wanted = if full { 120 } else { 10 };
        while here < wanted && seed < 40 * wanted {
            let module = generate(seed, &profile);
            if calls && module.graphs().count() < 2 {
                seed += 1;
                continue;
            }
            let answer = holds(&module, &|module| compare(module, &COptions::default(), "gcc", native::STRICT, 2, exact));
            match answer {
                Ok(()) => here += 1,
                Err(why) if REFUSALS.iter().any(|code| why.contains(code)) => {
                    for line in why.lines() {
                        *refused.entry(line.chars().filter(|c| !c.is_ascii_digit()).take(110).collect()).or_default() += 1;
                    }
                }
                // No kernel of the interpreter's, or inputs that are no numbers.
                Err(why) if why.contains("EVL0") || why.contains("is of type") || why.contains("no inputs") => {}
                Err(why) => findings.push(octet_graphgen::report(seed, name, &format!("{why:.600}"), &module)),
            }
            seed += 1;
        }
        if here == 0 {
            findings.push(format!("{name}: nothing ran"));
        }
        println!("{name}: {here} graphs");
        ran += here;
    }
    let mut refused: Vec<(u64, String)> = refused.into_iter().map(|(why, n)| (n, why)).collect();
    refused.sort_by(|a, b| b.cmp(a));
    println!("{ran} graphs ran; refused: {refused:#?}");
    assert!(findings.is_empty() && ran > 0, "{} of {ran}:\n{}", findings.len(), findings.join("\n"));
}

/// Builds and runs the program that `--emit-test` writes, after `change` has had its way with the text.
fn emitted_test(module: &Module, flags: &[&str], change: impl Fn(&str) -> String) -> Result<bool, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    native::write(module, &COptions { test: true, ..COptions::default() }, folder.path())?;
    let path = folder.path().join("model_test.c");
    let text = std::fs::read_to_string(&path).map_err(|e| e.to_string())?;
    std::fs::write(&path, change(&text)).map_err(|e| e.to_string())?;
    let mut build = std::process::Command::new("gcc");
    build.args(flags).current_dir(folder.path()).args(["model_test.c", "model.c", "-o", "run", "-lm"]);
    let built = build.output().map_err(|e| e.to_string())?;
    if !built.status.success() {
        return Err(String::from_utf8_lossy(&built.stderr).into_owned());
    }
    let ran = std::process::Command::new(folder.path().join("run")).output().map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&ran.stdout);
    match (ran.status.success(), said.lines().last()) {
        (true, Some("passed")) => Ok(true),
        (false, Some("FAILED")) => Ok(false),
        _ => Err(format!("{}: {said}{}", ran.status, String::from_utf8_lossy(&ran.stderr))),
    }
}

/// The emitted program passes, also where reals are rounded on their way and where outputs are no numbers; another expected value is found.
#[test]
fn emitted_tests_pass_and_can_fail() {
    use octet_graphgen::{Profile, Runtime, generate};

    let rounding = "octet.ir 1
graph @main(%0: 4x256 f32 loc(\"x\"), %1: 4x256 bool loc(\"b\")) {
  %2 = exp(%0) : 4x256 f32
  %3 = softmax(%2) {beta = 1.0} : 4x256 f32
  %4 = quantize(%3) : 4x256 !q<i8, 0.000001:0> loc(\"q\")
  %5 = dequantize(%4) : 4x256 f32 loc(\"y\")
  %6 = log(%0) : 4x256 f32 loc(\"none\")
  %7 = logical_not(%1) : 4x256 bool loc(\"not\")
  return %4, %5, %6, %7
}
";
    let rounding = octet_ir::text::parse(rounding, &bytes::Bytes::new()).expect("it reads");
    octet_ir::verify::verify(&rounding).expect("it is sound");
    assert_eq!(emitted_test(&rounding, native::STRICT, str::to_owned), Ok(true));
    let off = |text: &str| {
        let at = text.find("output_0_0[").and_then(|at| Some(at + text[at..].find("{\n    ")? + 6)).expect("an array");
        format!("{}9 * {}", &text[..at], &text[at..])
    };
    let sine = ours::read(&octet_tests::peers::workspace_root().join("docs/examples/sine.tflite")).expect("the example reads");
    assert_eq!(emitted_test(&sine, &["-std=c99"], str::to_owned), Ok(true));
    assert_eq!(emitted_test(&sine, &["-std=c99"], off), Ok(false));
    let (mut findings, mut ran) = (Vec::new(), 0);
    for (name, profile) in [("mixed", Profile::mixed()), ("int8", Profile::int8()), ("float", Profile::float())] {
        let profile = Profile { control_flow: false, max_ops: 6, max_elements: 256, ..profile }.on(Runtime::Tflm);
        for seed in 0..12 {
            let module = generate(seed, &profile);
            match emitted_test(&module, native::STRICT, str::to_owned) {
                Ok(true) => ran += 1,
                Err(why) if REFUSALS.iter().any(|code| why.contains(code)) || why.contains("EVL0") => {}
                other => findings.push(octet_graphgen::report(seed, name, &format!("{other:?}"), &module)),
            }
        }
    }
    assert!(findings.is_empty() && ran > 0, "of {ran}:\n{}", findings.join("\n"));
}

/// Sums that leave 32 bits wrap as the interpreter's do, in defined C: biases at the end of their range, and pools over more cells than a sum holds.
#[test]
fn sums_wrap() {
    let layer = |input: &str, filter: &str, scales: &str, operation: &str, output: &str| {
        let count: usize = filter.split('x').map(|d| d.parse::<usize>().expect("a size")).product();
        format!(
            "octet.ir 1\ngraph @main(%0: {input} !q<i8, 0.01:-7> loc(\"x\")) {{\n  %1 = const [{}] : {filter} !q<i8, {scales}> loc(\"w\")\n  \
             %2 = const [2147483647, -2147483647, 2147483000, 2147483647, -2147480000] : 5 i32 loc(\"b\")\n  \
             %3 = {operation} : {output} !q<i8, 0.1:5> loc(\"y\")\n  return %3\n}}\n",
            vec!["127"; count].join(", ")
        )
    };
    let single = "axis 0, [0.01, 0.01, 0.02, 0.01, 0.01]";
    let sources = [
        layer("3x7", "5x7", "0.01:0", "fully_connected(%0, %1, %2)", "3x5"),
        layer("1x3x3x2", "5x2x2x2", single, "conv_2d(%0, %1, %2)", "1x3x3x5"),
        layer("1x3x3x5", "1x2x2x5", "axis 3, [0.01, 0.01, 0.02, 0.01, 0.01]", "depthwise_conv_2d(%0, %1, %2)", "1x3x3x5"),
        layer("1x3x3x1", "1x2x2x5", "axis 3, [0.01, 0.01, 0.02, 0.01, 0.01]", "depthwise_conv_2d(%0, %1, %2)", "1x3x3x5"),
        "octet.ir 1\ngraph @main(%0: 1x300x300x1 !q<i16, 0.01:0> loc(\"x\")) {\n  %1 = add(%0, %0) : 1x300x300x1 !q<i16, 0.00001:0>\n  \
         %2 = relu(%1) : 1x300x300x1 !q<i16, 0.0000001:0>\n  \
         %3 = average_pool_2d(%2) {padding = valid, filter = [300, 300]} : 1x1x1x1 !q<i16, 0.0000001:0> loc(\"y\")\n  return %3\n}\n"
            .to_owned(),
    ];
    for source in sources {
        let module = octet_ir::text::parse(&source, &bytes::Bytes::new()).unwrap_or_else(|e| panic!("{source}: {e}"));
        octet_ir::verify::verify(&module).expect("it is sound");
        compare(&module, &COptions::default(), "gcc", native::STRICT, 3, true).unwrap_or_else(|why| panic!("{source}: {why}"));
    }
}
