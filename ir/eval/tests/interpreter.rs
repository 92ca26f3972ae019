//! Whole graphs through the interpreter: control flow, variables, shapes that depend on data,
//! shared memory, clones on threads, and the diagnostics of graphs that cannot run.

use octet_eval::{Event, Interpreter, Observer, Options};
use octet_ir::{Diagnostics, ElementType, Module, text};
use octet_plugin::Tensor;

fn module(graphs: &str) -> Module {
    let module = text::parse(&format!("octet.ir 1\n{graphs}"), &Default::default()).expect("parses");
    octet_ir::verify::verify(&module).expect("sound");
    module
}

fn allocated(module: &Module, options: Options) -> Interpreter {
    let mut interpreter = Interpreter::new(module, options).expect("constants are sound");
    interpreter.allocate_tensors().expect("every op has a kernel");
    interpreter
}

fn floats(shape: &[usize], values: &[f32]) -> Tensor {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    Tensor { elem: ElementType::F32, shape: shape.to_vec(), bytes }
}

fn ints(shape: &[usize], values: &[i32]) -> Tensor {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    Tensor { elem: ElementType::I32, shape: shape.to_vec(), bytes }
}

fn truth(value: bool) -> Tensor {
    Tensor { elem: ElementType::Bool, shape: vec![], bytes: vec![value.into()] }
}

/// Sets the inputs in order (resizing where they differ), runs, and gives the outputs.
fn run(interpreter: &mut Interpreter, inputs: &[Tensor]) -> Result<Vec<Tensor>, Diagnostics> {
    let details = interpreter.input_details();
    for (input, tensor) in details.iter().zip(inputs) {
        interpreter.resize_tensor_input(input.index, &tensor.shape)?;
    }
    interpreter.allocate_tensors()?;
    for (input, tensor) in details.iter().zip(inputs) {
        interpreter.set_tensor(input.index, tensor)?;
    }
    interpreter.invoke()?;
    let outputs = interpreter.output_details();
    Ok(outputs.iter().map(|output| interpreter.get_tensor(output.index)).collect::<Result<_, _>>()?)
}

/// Runs a graph once on a fresh interpreter.
fn once(graphs: &str, inputs: &[Tensor]) -> Vec<Tensor> {
    run(&mut allocated(&module(graphs), Options::default()), inputs).expect("runs")
}

#[test]
fn if_takes_the_branch_that_the_condition_names() {
    let source = "graph @main(%0: bool, %1: 2 f32) {
  %2 = if(%0, %1) {then_graph = 1, else_graph = 2} : 2 f32
  %3 = neg(%2) : 2 f32
  return %3
}
graph @then(%0: 2 f32) {
  %1 = square(%0) : 2 f32
  return %1
}
graph @else(%0: 2 f32) {
  %1 = abs(%0) : 2 f32
  return %1
}
";
    let x = floats(&[2], &[-3.0, 2.0]);
    assert_eq!(once(source, &[truth(true), x.clone()]), [floats(&[2], &[-9.0, -4.0])]);
    assert_eq!(once(source, &[truth(false), x]), [floats(&[2], &[-3.0, -2.0])]);
}

#[test]
fn while_carries_tensors_that_grow() {
    // Doubles the vector by concatenation until it has more than four elements.
    let text = "graph @main(%0: ?:1 f32) {
  %1 = while(%0) {cond_graph = 1, body_graph = 2} : ?:1 f32
  return %1
}
graph @cond(%0: ?:1 f32) {
  %1 = shape(%0) {out_type = i32} : 1 i32
  %2 = const [0] : 1 i32
  %3 = reduce_max(%1, %2) : i32
  %4 = const [4] : i32
  %5 = less_equal(%3, %4) : bool
  return %5
}
graph @body(%0: ?:1 f32) {
  %1 = concatenation(%0, %0) : 2 f32
  return %1
}
";
    let out = once(text, &[floats(&[3], &[1.0, 2.0, 3.0])]);
    assert_eq!(out, [floats(&[6], &[1.0, 2.0, 3.0, 1.0, 2.0, 3.0])]);
    assert_eq!(once(text, &[floats(&[1], &[5.0])]), [floats(&[8], &[5.0; 8])]);
}

#[test]
fn variables_keep_their_state_until_they_are_reset() {
    let source = "graph @main(%0: 1x1 f32) {
  %1 = const [1.0] : 1x1 f32
  %2 = const [0.25, 0.5, 1.0] : 1x3 f32
  %3 = variable : 1x3 f32
  %4 = svdf(%0, %1, %2, _, %3) : 1x1 f32
  return %4
}
";
    let mut interpreter = allocated(&module(source), Options::default());
    let step = |interpreter: &mut Interpreter, x: f32| run(interpreter, &[floats(&[1, 1], &[x])]).expect("runs")[0].clone();
    assert_eq!(step(&mut interpreter, 4.0), floats(&[1, 1], &[4.0]));
    assert_eq!(step(&mut interpreter, 0.0), floats(&[1, 1], &[2.0]));
    let mut clone = interpreter.clone();
    assert_eq!(step(&mut interpreter, 0.0), floats(&[1, 1], &[1.0]));
    assert_eq!(step(&mut clone, 8.0), floats(&[1, 1], &[9.0]));
    interpreter.reset_variable_tensors();
    assert_eq!(step(&mut interpreter, 1.0), floats(&[1, 1], &[1.0]));
}

#[test]
fn resource_variables_are_initialized_once() {
    let source = "graph @main(%0: 2 f32) {
  call_once() {init_graph = 1}
  %1 = var_handle() {shared_name = \"sum\"} : resource
  %2 = read_variable(%1) : 2 f32
  %3 = add(%2, %0) : 2 f32
  assign_variable(%1, %3)
  return %3
}
graph @init() {
  %0 = var_handle() {shared_name = \"sum\"} : resource
  %1 = const [10.0, 20.0] : 2 f32
  assign_variable(%0, %1)
  return
}
";
    let mut interpreter = allocated(&module(source), Options::default());
    let x = [floats(&[2], &[1.0, 2.0])];
    assert_eq!(run(&mut interpreter, &x).expect("runs"), [floats(&[2], &[11.0, 22.0])]);
    assert_eq!(run(&mut interpreter, &x).expect("runs"), [floats(&[2], &[12.0, 24.0])]);
    interpreter.reset_variable_tensors();
    assert_eq!(run(&mut interpreter, &x).expect("runs"), [floats(&[2], &[11.0, 22.0])]);
}

#[test]
fn shapes_follow_data() {
    // The flattening that converters emit, for any batch; then a slice whose bounds are inputs.
    let source = "graph @main(%0: ?:1x2x3 f32, %1: 2 i32, %2: 2 i32) {
  %3 = shape(%0) {out_type = i32} : 3 i32
  %4 = const [0] : 1 i32
  %5 = const [1] : 1 i32
  %6 = strided_slice(%3, %4, %5, %5) {shrink_axis_mask = 1} : i32
  %7 = const [-1] : i32
  %8 = pack(%6, %7) {values_count = 2} : 2 i32
  %9 = reshape(%0, %8) : ?:1x6 f32
  %10 = slice(%9, %1, %2) : * f32
  %11 = neg(%10) : * f32
  return %11
}
";
    let mut interpreter = allocated(&module(source), Options::default());
    let x: Vec<f32> = (0..12).map(|i| i as f32).collect();
    let out = run(&mut interpreter, &[floats(&[2, 2, 3], &x), ints(&[2], &[0, 2]), ints(&[2], &[2, 2])]).expect("runs");
    assert_eq!(out, [floats(&[2, 2], &[-2.0, -3.0, -8.0, -9.0])]);
    let out = run(&mut interpreter, &[floats(&[1, 2, 3], &x[..6]), ints(&[2], &[0, 4]), ints(&[2], &[1, -1])]).expect("runs");
    assert_eq!(out, [floats(&[1, 2], &[-4.0, -5.0])]);
}

#[test]
fn results_of_unknown_count_reach_their_readers() {
    let source = "graph @main(%0: 5 bool, %1: 5 f32) {\n  %2 = where(%0) : ?:1x1 i64\n  %3 = gather_nd(%1, %2) : ?:1 f32\n  return %3\n}\n";
    let condition = Tensor { elem: ElementType::Bool, shape: vec![5], bytes: vec![0, 1, 1, 0, 1] };
    let x = floats(&[5], &[1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(once(source, &[condition, x]), [floats(&[3], &[2.0, 3.0, 5.0])]);
}

/// A chain with a branch that stays alive, reshapes and a reader of every kind.
const CHAIN: &str = "graph @main(%0: 2x6 f32 loc(\"x\")) {
  %1 = relu(%0) : 2x6 f32
  %2 = square(%1) : 2x6 f32
  %3 = const [3, 4] : 2 i32
  %4 = reshape(%2, %3) : 3x4 f32
  %5 = neg(%4) : 3x4 f32
  %6 = const [2, 6] : 2 i32
  %7 = reshape(%5, %6) : 2x6 f32
  %8 = add(%7, %1) : 2x6 f32
  %9 = tanh(%8) : 2x6 f32
  return %9, %4
}
";

fn chain_input() -> Tensor {
    floats(&[2, 6], &(0..12).map(|i| i as f32 / 6.0 - 0.5).collect::<Vec<_>>())
}

#[test]
fn shared_memory_changes_no_result() {
    let module = module(CHAIN);
    let mut shared = allocated(&module, Options::default());
    let mut preserved = allocated(&module, Options { preserve_all_tensors: true, ..Options::default() });
    let a = run(&mut shared, &[chain_input()]).expect("runs");
    assert_eq!(a, run(&mut preserved, &[chain_input()]).expect("runs"));
    assert!(shared.arena_bytes() < preserved.arena_bytes());
    for (i, y) in preserved.elements::<f32>(8).expect("kept").iter().enumerate() {
        let x = (i as f32 / 6.0 - 0.5).max(0.0);
        assert_eq!(*y, -(x * x) + x);
    }
}

#[test]
fn an_observer_sees_every_tensor_in_order() {
    struct Seen(Vec<(usize, f32)>);
    impl Observer for Seen {
        fn tensor(&mut self, event: &Event<'_>) {
            use octet_ir::EntityId;
            self.0.push((event.value.index(), event.elements::<f32>().iter().sum()));
        }
    }
    let mut interpreter = allocated(&module(CHAIN), Options::default());
    let index = interpreter.input_details()[0].index;
    interpreter.set_tensor(index, &chain_input()).expect("fits");
    let mut seen = Seen(Vec::new());
    interpreter.invoke_observed(&mut seen).expect("runs");
    let order: Vec<usize> = seen.0.iter().map(|(value, _)| *value).collect();
    assert_eq!(order, [0, 1, 2, 4, 5, 7, 8, 9]);
    assert_eq!(seen.0[2].1, seen.0[3].1);
    assert_eq!(seen.0[3].1, -seen.0[4].1);
}

#[test]
fn clones_on_threads_agree() {
    let base = allocated(&module(CHAIN), Options::default());
    let sample = |seed: usize| floats(&[2, 6], &(0..12).map(|i| ((i * 7 + seed) % 11) as f32 - 5.0).collect::<Vec<_>>());
    let mut alone = base.clone();
    let expected: Vec<_> = (0..64).map(|seed| run(&mut alone, &[sample(seed)]).expect("runs")).collect();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let mut own = base.clone();
                scope.spawn(move || {
                    (thread..64).step_by(4).map(|seed| (seed, run(&mut own, &[sample(seed)]).expect("runs"))).collect::<Vec<_>>()
                })
            })
            .collect();
        for thread in threads {
            for (seed, out) in thread.join().expect("no panic") {
                assert_eq!(out, expected[seed]);
            }
        }
    });
}

/// The first diagnostic of a graph that cannot run on these inputs.
fn refusal(graphs: &str, inputs: &[Tensor]) -> String {
    let mut interpreter = match Interpreter::new(&module(graphs), Options::default()) {
        Ok(interpreter) => interpreter,
        Err(error) => return error.to_string(),
    };
    run(&mut interpreter, inputs).expect_err("cannot run").to_string()
}

#[test]
fn refusals_name_the_op_its_types_and_its_place() {
    let text = refusal("graph @net(%0: 4 string loc(\"words\")) {\n  %1 = relu(%0) : 4 string loc(\"y\")\n  return %1\n}\n", &[]);
    for part in ["EVL001", "RELU has no kernel", "4 string", "graph 'net'", "op 0 RELU", "tensor 'y'"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let x = floats(&[4], &[0.0; 4]);
    let text = refusal("graph @net(%0: 4 f32) {\n  %1 = custom(%0) {name = \"Acme\"} : 4 f32\n  return %1\n}\n", std::slice::from_ref(&x));
    assert!(text.contains("EVL004") && text.contains("'Acme'"), "{text}");
    let text = refusal("graph @net(%0: 4 f32, %1: 2 i32) {\n  %2 = gather(%0, %1) : 2 f32\n  return %2\n}\n", &[x, ints(&[2], &[1, 9])]);
    assert!(text.contains("EVL010") && text.contains("index 9 is outside an axis of size 4"), "{text}");
    let zero = refusal("graph @net(%0: 1 i32) {\n  %1 = div(%0, %0) : 1 i32\n  return %1\n}\n", &[ints(&[1], &[0])]);
    assert!(zero.contains("EVL011"), "{zero}");
    let large = refusal("graph @net(%0: 100000x100000 f32) {\n  %1 = relu(%0) : 100000x100000 f32\n  return %1\n}\n", &[]);
    assert!(large.contains("EVL006"), "{large}");
    let calls = "graph @main(%0: bool, %1: 1 f32) {
  %2 = if(%0, %1) {then_graph = 1, else_graph = 1} : 1 f32
  return %2
}
graph @again(%0: 1 f32) {
  %1 = abs(%0) : 1 f32
  return %1
}
";
    assert_eq!(once(calls, &[truth(true), floats(&[1], &[-1.0])]), [floats(&[1], &[1.0])]);
}

#[test]
fn unallocated_or_misfed_interpreters_say_so() {
    let module = module(CHAIN);
    let mut interpreter = Interpreter::new(&module, Options::default()).expect("sound");
    assert_eq!(interpreter.invoke().expect_err("not allocated").code, "EVL007");
    interpreter.allocate_tensors().expect("runs");
    assert_eq!(interpreter.set_tensor(0, &floats(&[6, 2], &[0.0; 12])).expect_err("wrong shape").code, "EVL016");
    assert_eq!(interpreter.set_tensor(3, &ints(&[2], &[1, 1])).expect_err("a constant").code, "EVL015");
    assert_eq!(interpreter.elements::<f64>(0).expect_err("wrong width").code, "EVL016");
    assert_eq!(interpreter.get_tensor(99).expect_err("no such tensor").code, "EVL015");
}
