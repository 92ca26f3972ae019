//! The pass manager: what it hands back when a pass fails, how patches are counted, and how large graphs fare.

use octet_ir::ops::{Activation, Binary, BinaryKind, Reshape, Unary, UnaryKind};
use octet_ir::{Constant, Diagnostic, Diagnostics, Graph, GraphBuilder, Loc, Module, Op, OpId, Patch, Type, text, verify};
use octet_passes::rewrite::{Refusal, Rewrite, rewrite_module};
use octet_passes::{Failure, Pipeline, Settings, Silent};
use octet_plugin::{Options, Pass, PassContext, register_pass};

use crate::common::{NoData, Quiet, printed, read};

/// Fails in the way that its option names.
struct Faulty(String);

impl Pass for Faulty {
    fn run(&self, module: &mut Module, _: &mut PassContext<'_>) -> Result<bool, Diagnostics> {
        match self.0.as_str() {
            "panic" => panic!("out of {}", "luck"),
            "error" => Err(Diagnostic::error("TST001", "no").into()),
            _ => {
                let value = module.main().outputs()[0];
                let mut patch = Patch::at_end(module.main());
                patch.set_type(value, Type::i32([7]));
                patch.apply(module, octet_ir::GraphId::MAIN).expect("applies");
                Ok(true)
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the registry's signature")]
fn faulty(options: Options) -> Result<Box<dyn Pass>, Diagnostic> {
    let [(_, octet_ir::Attr::Str(how))] = options.as_slice() else { return Err(Diagnostic::error("TST002", "options")) };
    Ok(Box::new(Faulty(how.clone())))
}

register_pass!("test_faulty", "Fails.", faulty);

const SOURCE: &str = "octet.ir 1\n\
    graph @main(%0: 1x4 f32 loc(\"x\")) {\n\
      %1 = add(%0, %0) {pot_scale_int16 = false} : 1x4 f32 loc(\"a\")\n\
      %2 = relu(%1) : 1x4 f32 loc(\"b\")\n\
      %3 = mul(%2, %0) : 1x4 f32 loc(\"c\")\n\
      %4 = relu6(%3) : 1x4 f32 loc(\"d\")\n\
      return %4\n\
    }\n";

fn run(pipeline: &str, settings: Settings) -> (Result<Module, Failure>, Silent) {
    let mut monitor = Silent::default();
    let pipeline: Pipeline = pipeline.parse().expect("a pipeline");
    let outcome = octet_passes::run(&read(SOURCE), &pipeline, &settings, &NoData, &mut monitor);
    (outcome.map(|o| o.module), monitor)
}

#[test]
fn a_failing_pass_is_reproduced() {
    for (how, code) in [("panic", "PAS004"), ("error", "TST001"), ("unsound", "PAS003")] {
        let pipeline = format!("fuse,test_faulty{{how = \"{how}\"}},dce");
        let failure = run(&pipeline, Settings::default()).0.expect_err("fails");
        assert_eq!(failure.diagnostics.0[0].code, code);
        if how == "error" {
            assert!(failure.reproducer.is_none(), "a refusal is no bug of the pass");
            continue;
        }
        let reproducer = failure.reproducer.expect("a pass is at fault");
        // The module as it was after the passes that worked, and the pipeline from the failing one on.
        let fused = run("fuse", Settings::default()).0.expect("works");
        assert_eq!(printed(text::parse(&reproducer.text, &reproducer.blobs).expect("parses")), printed(fused));
        assert_eq!(reproducer.pipeline, format!("test_faulty{{how = \"{how}\"}},dce"));
        assert!(reproducer.text.starts_with(&format!("// run: {}\n", reproducer.pipeline)));
        let again = octet_passes::run(
            &text::parse(&reproducer.text, &reproducer.blobs).expect("parses"),
            &reproducer.pipeline.parse().expect("a pipeline"),
            &Settings::default(),
            &NoData,
            &mut Silent::default(),
        );
        assert_eq!(again.expect_err("fails again").diagnostics.0[0].code, code);
    }
}

#[test]
fn wrong_options_cost_no_work() {
    for (pipeline, code) in [
        ("fuse{only = [\"no_such_rewrite\"]}", "PAS002"),
        ("fuse{unknown = 1}", "PAS002"),
        ("fold{max_growth = \"much\"}", "PAS002"),
        ("dce{x = 1}", "PAS002"),
        ("test_faulty{how = \"panic\"},no_such_pass", "PLG002"),
    ] {
        let failure = run(pipeline, Settings::default()).0.expect_err("wrong");
        assert_eq!(failure.diagnostics.0[0].code, code, "{pipeline}");
        assert!(failure.reproducer.is_none());
    }
}

#[test]
fn patches_are_counted() {
    let relus = |module: &Module| module.main().ops().filter(|(_, o)| matches!(o.op(), Op::Unary(_))).count();
    for (limit, left) in [(0, 2), (1, 1), (2, 0), (3, 0)] {
        let (result, monitor) = run("fuse,canonicalize", Settings { max_patches: Some(limit), ..Settings::default() });
        assert_eq!(relus(&result.expect("works")), left, "after {limit} patches");
        let told = monitor.0.0.iter().filter(|d| d.code == "PAS005").count();
        assert_eq!(told, [1, 2, 1, 0][limit], "{}", monitor.0);
    }
}

#[test]
fn the_module_of_the_caller_stays() {
    let module = read(SOURCE);
    let copy = module.clone();
    octet_passes::run(&module, &"fuse".parse().expect("ok"), &Settings::default(), &NoData, &mut Silent::default()).expect("works");
    assert_eq!(module, copy);
}

/// Turns RELU into RELU6 and back for ever.
struct FlipFlop;

impl Rewrite for FlipFlop {
    fn name(&self) -> &'static str {
        "flip_flop"
    }
    fn source(&self) -> &'static str {
        ""
    }
    fn rewrite(&self, _: &Module, graph: &Graph, op: OpId) -> Result<Patch, Refusal> {
        let kind = match graph.op(op).op() {
            Op::Unary(u) if u.kind == UnaryKind::Relu => UnaryKind::Relu6,
            Op::Unary(u) if u.kind == UnaryKind::Relu6 => UnaryKind::Relu,
            _ => return Err(Refusal::NoMatch),
        };
        let mut patch = Patch::before(graph, op);
        patch.set_op(op, Unary::new(kind));
        Ok(patch)
    }
}

#[test]
fn rewriting_that_does_not_settle_is_told() {
    struct Collect(Vec<Diagnostic>);
    impl octet_plugin::Observer for Collect {
        fn report(&mut self, diagnostic: Diagnostic) {
            self.0.push(diagnostic);
        }
        fn progress(&mut self, _: usize, _: usize, _: &'static str) {}
        fn may_patch(&mut self, _: &str, _: &str) -> bool {
            true
        }
    }
    let mut module = read(SOURCE);
    let mut observer = Collect(Vec::new());
    assert!(rewrite_module("test", &mut module, &[&FlipFlop], &mut observer).expect("patches fit"));
    verify::verify(&module).expect("sound");
    assert_eq!(observer.0.iter().map(|d| d.code).collect::<Vec<_>>(), ["PAS007"]);
}

/// `count` times what `step` appends.
fn chain(count: usize, mut step: impl FnMut(&mut GraphBuilder<'_>, octet_ir::ValueId, usize) -> octet_ir::ValueId) -> Module {
    let mut module = Module::new();
    let mut builder = GraphBuilder::new(&mut module, "main");
    let mut value = builder.input(Type::f32([2, 6]), Loc::named("x"));
    for index in 0..count {
        value = step(&mut builder, value, index);
    }
    builder.output(value);
    builder.finish();
    module
}

fn settle(mut module: Module, passes: &str) -> Module {
    verify::verify(&module).expect("sound");
    let begun = std::time::Instant::now();
    let outcome = octet_passes::run(&module, &passes.parse().expect("ok"), &Settings::default(), &NoData, &mut Silent::default());
    module = outcome.unwrap_or_else(|f| panic!("{}", f.diagnostics)).module;
    assert!(begun.elapsed().as_secs() < 20, "10,000 operations took {:?}", begun.elapsed());
    module
}

#[test]
fn ten_thousand_operations() {
    let f32s = || Type::f32([2, 6]);
    // Every second operation is fused into the one before.
    let pairs = chain(10_000, |b, v, i| {
        if i % 2 == 0 {
            b.op1(Binary::new(BinaryKind::Add), &[v, v], f32s(), Loc::unknown())
        } else {
            b.op1(Unary::new(UnaryKind::Relu), &[v], f32s(), Loc::unknown())
        }
    });
    let fused = settle(pairs, "fuse");
    assert_eq!(fused.main().op_count(), 5_000);
    assert!(fused.main().ops().all(|(_, o)| o.op().activation() == Some(Activation::Relu)));
    // One chain becomes one operation.
    let reshapes = chain(10_000, |b, v, i| {
        let dims = [[2i32, 6], [3, 4]][usize::from(i % 2 == 0)];
        let shape = b.constant(Constant::from_i32(&dims), Type::i32([2]), Loc::unknown());
        let ty = Type::f32(dims.map(|d| usize::try_from(d).expect("small")));
        b.op1(Reshape { new_shape: None }, &[v, shape], ty, Loc::unknown())
    });
    assert_eq!(settle(reshapes, "canonicalize").main().op_count(), 1);
    // One value has many readers, all equal.
    let mut module = Module::new();
    let mut builder = GraphBuilder::new(&mut module, "main");
    let x = builder.input(f32s(), Loc::named("x"));
    let mut sum = x;
    for _ in 0..5_000 {
        let tanh = builder.op1(Unary::new(UnaryKind::Tanh), &[x], f32s(), Loc::unknown());
        sum = builder.op1(Binary::new(BinaryKind::Add), &[sum, tanh], f32s(), Loc::unknown());
    }
    builder.output(sum);
    builder.finish();
    assert_eq!(settle(module, "fuse,canonicalize,cse,dce").main().op_count(), 5_001);
}

#[test]
fn a_rewrite_may_say_nothing() {
    let mut module = read(SOURCE);
    assert!(!rewrite_module("test", &mut module, &[], &mut Quiet).expect("nothing to do"));
}

#[test]
fn metadata_that_numbers_what_changed_is_dropped() {
    let mut module = read(SOURCE);
    for name in ["model_control_dependencies", "OfflineMemoryAllocation", "other"] {
        module.metadata.push(octet_ir::Metadata { name: name.into(), bytes: vec![1, 2, 3].into() });
    }
    let left = |pipeline: &str| {
        let mut monitor = Silent::default();
        let pipeline: Pipeline = pipeline.parse().expect("a pipeline");
        let outcome = octet_passes::run(&module, &pipeline, &Settings::default(), &NoData, &mut monitor).expect("works");
        let names: Vec<String> = outcome.module.metadata.iter().map(|m| m.name.clone()).collect();
        (names, monitor.0.0.iter().filter(|d| d.code == "PAS008").count())
    };
    assert_eq!(left("fuse"), (vec!["other".to_owned()], 2));
    assert_eq!(left("dce").1, 0, "nothing changed");
}
