//! Generated WebAssembly gives the interpreter's bytes in Node: every integer network of the zoo, and generated graphs.

use octet_backend_wasm::{Simd, WasmOptions};
use octet_eval::kernel::RoundingProfile;
use octet_ir::Module;
use octet_tests::batch::Wanted;
use octet_tests::generated::seeds;
use octet_tests::wasm::{Batch, Ran};
use octet_tests::{models, ours};

/// The module as the compiler hands it to a backend.
fn optimized(module: &Module) -> Module {
    octet::Compiler::new().threads(1).compile(module).map(|c| c.module).unwrap_or_else(|_| module.clone())
}

/// A model that is waiting for Node.
struct Case {
    name: String,
    exact: bool,
    wanted: Vec<u8>,
}

/// Modules in every build, with what the interpreter says.
#[derive(Default)]
struct Cases {
    batch: Batch,
    cases: Vec<Case>,
}

impl Cases {
    fn add(&mut self, name: &str, module: &Module, exact: bool, count: usize) -> Result<(), String> {
        let mut interpreter = ours::interpreter(module, RoundingProfile::default(), Wanted::Outputs)?;
        let inputs = ours::random_inputs(&interpreter, count, 7)?;
        let found = ours::run(&mut interpreter, &inputs, Wanted::Outputs)?;
        let sample =
            |at: usize| (0..inputs.len()).filter_map(|i| inputs[&i.to_string()].sample(at)).flatten().copied().collect::<Vec<u8>>();
        let samples: Vec<Vec<u8>> = (0..count).map(sample).collect();
        let outputs =
            |at: usize| (0..found.len()).filter_map(|i| found[&format!("o{i}")].sample(at)).flatten().copied().collect::<Vec<u8>>();
        let wanted: Vec<u8> = (0..count).flat_map(outputs).collect();
        for simd in Simd::ALL {
            self.batch.add(module, &WasmOptions { simd, ..WasmOptions::default() }, &samples)?;
            self.cases.push(Case { name: format!("{name} ({})", simd.name()), exact, wanted: wanted.clone() });
        }
        Ok(())
    }

    /// Runs all, and tells what differs and how many ran.
    fn judge(self) -> (usize, Vec<String>) {
        let answers = self.batch.run().expect("node runs");
        assert_eq!(answers.len(), self.cases.len(), "an answer for each");
        let (mut ran, mut findings) = (0, Vec::new());
        let mut builds: Vec<(&str, &Vec<u8>)> = Vec::new();
        for (case, answer) in self.cases.iter().zip(&answers) {
            match answer {
                Ran::Done(found) => {
                    ran += 1;
                    if let Err(why) = equal(found, &case.wanted, case.exact) {
                        findings.push(format!("{}: {why}", case.name));
                    }
                    let model = case.name.split(" (").next().unwrap_or_default();
                    if builds.last().is_some_and(|(name, bytes)| *name == model && *bytes != found) {
                        findings.push(format!("{}: other bytes than the build before it", case.name));
                    }
                    builds.push((model, found));
                }
                Ran::Refused(why) if case.name.ends_with("(relaxed)") => assert!(!why.is_empty()),
                Ran::Refused(why) | Ran::Failed(why) => findings.push(format!("{}: {why}", case.name)),
            }
        }
        (ran, findings)
    }
}

fn equal(found: &[u8], wanted: &[u8], exact: bool) -> Result<(), String> {
    if found == wanted {
        return Ok(());
    }
    if found.len() == wanted.len() && !exact {
        let real = |bytes: &[u8]| bytes.as_chunks::<4>().0.iter().map(|c| f32::from_le_bytes(*c)).collect::<Vec<_>>();
        let far = |(a, b): (&f32, &f32)| (a - b).abs() > 1e-5 * (1.0 + b.abs());
        return match real(found).iter().zip(&real(wanted)).find(|&p| far(p)) {
            None => Ok(()),
            Some((a, b)) => Err(format!("{a} where the interpreter has {b}")),
        };
    }
    let different = found.iter().zip(wanted).filter(|(a, b)| a != b).count();
    Err(format!("{different} of {} bytes differ, {} came", wanted.len(), found.len()))
}

#[test]
fn zoo_integer_networks_have_the_interpreters_bytes() {
    let Some(networks) = models::zoo_integer_networks() else { return };
    let (mut cases, mut refused, mut findings) = (Cases::default(), Vec::new(), Vec::new());
    for (name, module) in networks {
        match cases.add(&name, &optimized(&module), true, 3) {
            Ok(()) => {}
            Err(why) if why.contains("LOP001") => refused.push(format!("{name}: {}", why.lines().next().unwrap_or_default())),
            Err(why) => findings.push(format!("{name}: {why}")),
        }
    }
    let (ran, differing) = cases.judge();
    findings.extend(differing);
    println!("{ran} builds ran, refused: {refused:#?}");
    assert!(findings.is_empty() && ran > 0, "{}", findings.join("\n"));
}

/// Reasons why generated code may refuse a graph: an operation without a kernel, a shape that the data decide.
const REFUSALS: [&str; 3] = ["LOP001", "LOP002", "LOP003"];

/// Generated graphs of 8 and 16 bits, and of floats. 510 of them in a full run.
#[test]
fn generated_graphs_have_the_interpreters_bytes() {
    use octet_graphgen::{Profile, Runtime, generate};

    let full = seeds(0).end > 0;
    let (mut cases, mut refused, mut findings) = (Cases::default(), 0u64, Vec::new());
    let profiles = [
        ("int8", Profile::int8(), true),
        ("int16x8", Profile::int16x8(), true),
        ("float", Profile::float(), false),
        ("uint8 resizes", Profile::uint8().only(&["resize_bilinear"]), true),
        ("float remainders", Profile::float().only(&["floor_mod"]), true),
        ("int8 calls", Profile::int8(), true),
    ];
    for (name, profile, exact) in profiles {
        let calls = name.ends_with("calls");
        let profile = Profile { control_flow: calls, state: false, max_ops: 6, max_elements: 256, ..profile };
        // TFLite Micro has no kernels for unsigned bytes.
        let profile = profile.on(if name.starts_with("uint8") { Runtime::LiteRt } else { Runtime::Tflm });
        let (mut seed, mut here) = (0, 0);
        let wanted = if full { 170 } else { 24 };
        while here < wanted && seed < 40 * wanted {
            let module = generate(seed, &profile);
            if calls && module.graphs().count() < 2 {
                seed += 1;
                continue;
            }
            let before = cases.batch.len();
            match cases.add(&format!("{name} {seed}"), &module, exact, 2) {
                Ok(()) => here += 1,
                Err(why) if REFUSALS.iter().any(|code| why.contains(code)) => refused += 1,
                // No kernel of the interpreter's, or inputs that are no numbers.
                Err(why) if why.contains("EVL0") || why.contains("is of type") || why.contains("no inputs") => {}
                Err(why) => findings.push(format!("{name} {seed}: {}", why.chars().take(600).collect::<String>())),
            }
            assert!(cases.batch.len() == before || cases.batch.len() == before + Simd::ALL.len(), "a build is missing");
            seed += 1;
        }
    }
    let (ran, differing) = cases.judge();
    println!("{ran} builds ran, {refused} graphs were refused");
    findings.extend(differing);
    assert!(findings.is_empty() && ran > 0, "{} of {ran}:\n{}", findings.len(), findings.join("\n"));
}

/// A region compiled alone computes in Node what it computes in the whole model, and the graph that calls it is sound.
#[test]
fn zoo_regions_are_kernels() {
    use octet_ir::{EntityId, Op, verify};
    use octet_plugin::Tensor;

    let Some(zoo) = octet_tests::peers::zoo() else { return };
    let module = optimized(&ours::read(&zoo.join("peers/kws.tf.int8io.tflite")).expect("the zoo reads"));
    let mut whole = ours::interpreter(&module, RoundingProfile::default(), Wanted::Tensors).expect("it runs");
    let inputs = ours::random_inputs(&whole, 1, 5).expect("inputs");
    ours::run(&mut whole, &inputs, Wanted::Tensors).expect("outputs");
    let graph = module.main();
    // By name: what a value of a part is in the whole.
    let value_of = |part: &Module, value| -> Tensor {
        let name = part.main().value_name(value);
        let (id, _) = graph.values().find(|(id, _)| graph.value_name(*id) == name).expect("names are kept");
        whole.get_tensor(id.index()).expect("a tensor")
    };
    for (region, count) in [("average_pool_2d..softmax", 4), ("fully_connected", 1)] {
        let (kernel, rest) = octet_backend_wasm::split(&module, region).expect("a region");
        verify::verify(&kernel).expect("a sound kernel");
        verify::verify(&rest).expect("a sound graph");
        assert_eq!(kernel.main().op_count(), count);
        assert_eq!(rest.main().op_count(), graph.op_count() - count + 1);
        let bytes = octet_backend_wasm::write(&kernel, &WasmOptions::default(), &mut octet_ir::Diagnostics::default()).expect("a module");
        let custom = rest.main().ops().find_map(|(_, o)| if let Op::Custom(custom) = o.op() { Some(custom.name.clone()) } else { None });
        let line = format!("octet.kernel 1\nname: {}\n", custom.expect("a custom operation"));
        assert!(bytes.windows(line.len()).any(|w| w == line.as_bytes()), "the module has the operation's name");
        let sample: Vec<u8> = kernel.main().inputs().iter().flat_map(|&v| value_of(&kernel, v).bytes).collect();
        let wanted: Vec<u8> = kernel.main().outputs().iter().flat_map(|&v| value_of(&kernel, v).bytes).collect();
        let mut batch = Batch::new();
        batch.add(&kernel, &WasmOptions::default(), &[sample]).expect("a valid module");
        assert_eq!(batch.run().expect("node runs"), [Ran::Done(wanted)], "{region}");
    }
    for wrong in ["softmax..average_pool_2d", "conv_2d", "nothing"] {
        assert_eq!(octet_backend_wasm::split(&module, wrong).expect_err(wrong).code, "WGN005");
    }
}
