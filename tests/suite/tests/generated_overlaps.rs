//! Overlaps and orders of steps that the planner chooses, simulated byte by byte: no kernel reads what another value has written over.

use octet_eval::kernel::RoundingProfile;
use octet_graphgen::{Profile, Runtime, generate};
use octet_ir::Module;
use octet_loops::order::{Order, plan_in_best_order};
use octet_loops::plan::{PlanOptions, plan};
use octet_tests::batch::Wanted;
use octet_tests::generated::{holds, seeds};
use octet_tests::ours;
use octet_tests::simulate::Simulation;

/// What one simulated module told.
struct Told {
    shared: usize,
    order: Order,
}

/// Plans, simulates, and compares with the interpreter, byte by byte for integers.
fn simulate(module: &Module, exact: bool) -> Result<Told, String> {
    let mut interpreter = ours::interpreter(module, RoundingProfile::default(), Wanted::Outputs)?;
    let inputs = ours::random_inputs(&interpreter, 1, 5)?;
    let wanted = ours::run(&mut interpreter, &inputs, Wanted::Outputs)?;
    let mut program = octet_loops::lower(module).map_err(|e| e.to_string())?;
    let options = PlanOptions { stack: 64, ..PlanOptions::default() };
    let own = plan(&program, &options);
    let (plan, order) = plan_in_best_order(&mut program, &options);
    if plan.size > own.size || plan.size < plan.lower_bound || order.peak < order.bound {
        return Err(format!("{} bytes after {}, bounds {} and {order:?}", plan.size, own.size, plan.lower_bound));
    }
    let mut simulation = Simulation::new(&program, &plan);
    let given: Vec<Vec<u8>> = (0..inputs.len()).filter_map(|i| Some(inputs[&i.to_string()].sample(0)?.to_vec())).collect();
    let found = simulation.run(&given)?;
    for (i, found) in found.iter().enumerate() {
        let want = wanted[&format!("o{i}")].sample(0).unwrap_or_default();
        if exact && found != want {
            return Err(format!("output {i} differs"));
        }
    }
    Ok(Told { shared: simulation.shared(), order })
}

/// Kernels whose outputs may lie over their inputs.
const OVERLAPPING: [&str; 12] = [
    "conv_2d",
    "depthwise_conv_2d",
    "fully_connected",
    "average_pool_2d",
    "max_pool_2d",
    "add",
    "mul",
    "relu",
    "softmax",
    "quantize",
    "logistic",
    "reshape",
];

#[test]
fn no_kernel_reads_what_was_written_over() {
    let full = seeds(0).end > 0;
    let wanted = if full { 400 } else { 40 };
    let (mut shared, mut changed, mut ran, mut findings) = (0, 0, 0u64, Vec::new());
    let layers = |p: Profile| Profile { max_ops: 8, ..p.only(&OVERLAPPING) };
    let profiles = [
        ("int8", layers(Profile::int8()), true),
        ("int16x8", layers(Profile::int16x8()), true),
        ("float", layers(Profile::float()), false),
        ("any int8", Profile::int8(), true),
        ("any int16x8", Profile::int16x8(), true),
        ("int8 calls", Profile::int8(), true),
    ];
    for (name, profile, exact) in profiles {
        let calls = name.ends_with("calls");
        let profile = Profile { control_flow: calls, max_elements: 384, ..profile.on(Runtime::Tflm) };
        let (mut seed, mut here) = (10_000, 0);
        while here < wanted && seed < 10_000 + 20 * wanted {
            let module = generate(seed, &profile);
            if calls && module.graphs().count() < 2 {
                seed += 1;
                continue;
            }
            let told = std::cell::RefCell::new(None);
            let answer = holds(&module, &|module| {
                *told.borrow_mut() = Some(simulate(module, exact)?);
                Ok(())
            });
            match answer {
                Ok(()) => here += 1,
                // Operations without kernels, and inputs that are no numbers.
                Err(why) if ["LOP00", "EVL0", "is of type", "no inputs"].iter().any(|code| why.contains(code)) => {}
                Err(why) => findings.push(octet_graphgen::report(seed, name, &why, &module)),
            }
            if let Some(told) = told.into_inner() {
                shared += told.shared;
                changed += usize::from(told.order.changed);
            }
            seed += 1;
        }
        ran += here;
    }
    println!("{ran} graphs, {shared} overlaps, {changed} in another order");
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    assert!(shared > 20 && changed > 0, "too little was tried: {shared} overlaps, {changed} orders");
}

/// The overlaps of real networks.
#[test]
fn overlaps_of_the_zoo_are_safe() {
    let Some(zoo) = octet_tests::peers::zoo() else { return };
    for name in ["mnist_dw", "kws", "mnist_cnn", "resnet8", "vww96"] {
        let module = ours::read(&zoo.join(format!("peers/{name}.tf.int8io.tflite"))).expect("the zoo reads");
        let told = simulate(&module, true).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert!(told.shared > 0, "{name}: nothing overlaps");
        println!("{name}: {} overlaps", told.shared);
    }
}

/// What the simulation is for: an output one step too high over its input is found.
#[test]
fn a_wrong_overlap_is_found() {
    let Some(zoo) = octet_tests::peers::zoo() else { return };
    let module = ours::read(&zoo.join("peers/mnist_dw.tf.int8io.tflite")).expect("the zoo reads");
    let mut program = octet_loops::lower(&module).expect("kernels for all");
    let (good, _) = plan_in_best_order(&mut program, &PlanOptions::default());
    let input = vec![vec![7u8; program.inputs[0].shape.iter().product()]];
    Simulation::new(&program, &good).run(&input).expect("the plan is good");
    let mut found = 0;
    for buffer in 0..program.buffers.len() {
        let mut bad = good.clone();
        if let Some(offset) = &mut bad.offsets[buffer] {
            *offset += 16;
            bad.size += 16;
        }
        found += usize::from(Simulation::new(&program, &bad).run(&input).is_err());
    }
    assert!(found >= 3, "only {found} of the moved buffers were noticed");
}
