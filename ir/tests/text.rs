//! The text form reads back what it prints, and patches keep graphs sound.

use octet_ir::ops::{Activation, Binary, BinaryKind, Conv2d, Unary, UnaryKind};
use octet_ir::{Constant, GraphBuilder, GraphId, Loc, Module, Patch, PatchError, Quantization, Type, text, verify};

fn sample() -> Module {
    let mut module = Module::new();
    module.description = "a \"small\" net".into();
    let mut b = GraphBuilder::new(&mut module, "main");
    let x = b.input(Type::f32([1, 8, 8, 3]), Loc::named("image"));
    let weights: Vec<f32> = (0..2 * 3 * 3 * 3).map(|i| i as f32 * 0.1 - 2.5).collect();
    let w = b.constant(Constant::from_f32(&weights), Type::f32([2, 3, 3, 3]), Loc::named("w"));
    let bias = b.constant(Constant::from_f32(&[0.5, -1e-9]), Type::f32([2]), Loc::unknown());
    let conv = Conv2d { stride: [2, 2], activation: Activation::Relu6, ..Conv2d::default() };
    let y = b.op1(conv, &[x, w, bias], Type::f32([1, 4, 4, 2]), Loc::named("conv"));
    let q = b.op1(Unary::new(UnaryKind::Tanh), &[y], Type::f32([1, 4, 4, 2]), ["tanh", "act"].into_iter().collect());
    b.output(q);
    b.finish();
    module
}

#[test]
fn print_then_parse_is_the_same_module() {
    let module = sample();
    verify::verify(&module).expect("sound");
    let printed = text::print(&module);
    let parsed = text::parse(&printed.text, &printed.blobs).expect("parses");
    assert_eq!(parsed, module);
    assert_eq!(text::print(&parsed), printed);
}

#[test]
fn quantized_and_dynamic_types_read_back() {
    let source = "octet.ir 1\ngraph @main(%0: \"N\":1x4 !q<i8, 0.003921569:-128> range(0.0, 1.0) loc(\"x\")) {\n  \
                  %1 = const x\"01020304\" : 4x2 !q<i4, axis 1, [0.5, 0.25:1]>\n  \
                  %2 = unbound : * f32\n  \
                  %3 = relu(%0) : ?:1x4 !q<i8, 0.003921569:-128>\n  return %3\n}\n";
    let module = text::parse(source, &Default::default()).expect("parses");
    assert_eq!(text::print(&module).text, source);
}

#[test]
fn errors_point_at_line_and_column() {
    let error = text::parse("octet.ir 1\ngraph @m(%0: 4 f32) {\n  %1 = relu(%7) : 4 f32\n  return %1\n}", &Default::default()).unwrap_err();
    assert_eq!(error.location.line_column, Some((3, 12)));
}

#[test]
fn a_patch_replaces_and_sweeps() {
    let mut module = sample();
    let graph = module.main();
    let ids = graph.op_ids();
    let (conv, tanh) = (ids[0], ids[1]);
    let (y, q) = (graph.op(conv).results()[0], graph.op(tanh).results()[0]);
    let mut patch = Patch::before(graph, tanh);
    let relu = patch.op1(Unary::new(UnaryKind::Relu), &[y], graph.ty(q).clone(), graph.value(q).loc().clone());
    patch.replace(q, relu);
    let applied = patch.apply(&mut module, GraphId::MAIN).expect("applies");
    assert_eq!(applied.erased, [tanh]);
    assert_eq!(module.main().outputs(), [relu]);
    verify::verify(&module).expect("still sound");
    module.compact();
    verify::verify(&module).expect("sound after compaction");
    assert_eq!(module.main().values().count(), 5);
}

#[test]
fn a_bad_patch_changes_nothing() {
    let mut module = sample();
    let before = module.clone();
    let graph = module.main();
    let conv = graph.op_ids()[0];
    let q = graph.outputs()[0];
    let mut patch = Patch::before(graph, conv);
    // Reads a value that is computed only later.
    let sum = patch.op1(Binary::new(BinaryKind::Add), &[q, q], graph.ty(q).clone(), Loc::unknown());
    patch.replace(q, sum);
    assert!(matches!(patch.apply(&mut module, GraphId::MAIN), Err(PatchError::Order(_))));
    assert_eq!(module, before);
    let mut patch = Patch::at_end(module.main());
    patch.erase(conv);
    assert!(matches!(patch.apply(&mut module, GraphId::MAIN), Err(PatchError::InUse(_))));
    assert_eq!(module, before);
}

#[test]
fn wrong_types_are_found() {
    let mut module = sample();
    let q = module.main().outputs()[0];
    let mut patch = Patch::at_end(module.main());
    patch.set_type(q, Type::quantized(octet_ir::ElementType::I8, [1, 4, 4, 3], Quantization::new(f32::NAN, 0)));
    patch.apply(&mut module, GraphId::MAIN).expect("applies: types are the verifier's business");
    let found = verify::verify(&module).unwrap_err();
    assert_eq!(found.0[0].code, "IRV101");
}

#[test]
fn what_a_text_says_reads_back_bit_by_bit() {
    let source = "octet.ir 1\ngraph @main(%0: \"a\\u{0}\\\"b\\n\":2x4 f32) {\n  \
                  %1 = leaky_relu(%0) {alpha = -0.0} : \"a\\u{0}\\\"b\\n\":2x4 f32\n  return %1\n}\n";
    let module = text::parse(source, &Default::default()).expect("parses");
    assert_eq!(text::print(&module).text, source);
}

#[test]
fn intermediates_are_values_of_their_own() {
    let parse = |named: &str| {
        let source = format!(
            "octet.ir 1\ngraph @m(%0: 4 f32) {{\n  %1 = unbound : 4 f32\n  %2 = relu(%0) intermediates({named}) : 4 f32\n  return %2\n}}\n"
        );
        text::parse(&source, &Default::default())
    };
    verify::verify(&parse("%1").expect("parses")).expect("sound");
    assert!(parse("%7").is_err());
    for wrong in ["%0", "%1, %1"] {
        let found = verify::verify(&parse(wrong).expect("parses")).unwrap_err();
        assert_eq!(found.0[0].code, "IRV012");
    }
}

#[test]
fn value_numbers_cost_bounded_room() {
    let mut source = "octet.ir 1\n".to_owned();
    for _ in 0..10 {
        source += "graph @g(%65000: f32) { return }\n";
    }
    let error = text::parse(&source, &Default::default()).unwrap_err();
    assert!(error.message.contains("gaps"), "{error}");
}

#[test]
fn patches_may_come_again_and_again_before_one_operation() {
    let mut module = sample();
    let tanh = module.main().op_ids()[1];
    let mut x = module.main().op(tanh).operand(0).expect("one");
    for _ in 0..100 {
        let graph = module.main();
        let mut patch = Patch::before(graph, tanh);
        x = patch.op1(Unary::new(UnaryKind::Relu), &[x], graph.ty(x).clone(), Loc::unknown());
        patch.set_operand(tanh, 0, Some(x));
        patch.apply(&mut module, GraphId::MAIN).expect("what the patch reads stands before the anchor");
        verify::verify(&module).expect("sound");
    }
}

#[test]
fn calls_nest_only_so_deep() {
    let chain = |count: usize, last: &str| {
        let mut source = "octet.ir 1\n".to_owned();
        for i in 0..count {
            let next = if i + 1 < count { (i + 1).to_string() } else { last.to_owned() };
            let call = if next.is_empty() {
                String::new()
            } else {
                format!("  %1 = if(%0, %0) {{then_graph = {next}, else_graph = {next}}} : 1 bool\n")
            };
            source += &format!("graph @g{i}(%0: 1 bool) {{\n{call}  return %0\n}}\n");
        }
        verify::verify(&text::parse(&source, &Default::default()).expect("parses")).map_err(|found| found.0[0].code)
    };
    assert_eq!(chain(65, ""), Ok(()));
    assert_eq!(chain(66, ""), Err("IRV013"));
    assert_eq!(chain(20_000, ""), Err("IRV013"));
    assert_eq!(chain(3, "0"), Err("IRV002"));
    assert_eq!(chain(1, "0"), Err("IRV002"));
}

#[test]
fn the_verifier_checks_how_constants_are_stored() {
    use octet_ir::{ElementType, Sparsity, SparsityDim};
    let check = |dims: &[i32], bytes: usize| {
        let mut module = Module::new();
        let mut b = GraphBuilder::new(&mut module, "main");
        let constant = b.constant(Constant::new(vec![1u8; bytes]), Type::new(ElementType::I8, [4]), Loc::named("w"));
        let dense = dims.iter().map(|&size| SparsityDim::Dense { size }).collect();
        let order = (0..).take(dims.len()).collect();
        b.set_sparsity(constant, Some(Sparsity { traversal_order: order, block_map: vec![0; dims.len() - 1], dims: dense }.into()));
        b.output(constant);
        b.finish();
        verify::verify(&module).map_err(|found| found.0[0].code)
    };
    assert_eq!(check(&[4], 4), Ok(()));
    assert_eq!(check(&[2, 2], 4), Ok(()));
    assert_eq!(check(&[4], 3), Err("IRV101"), "fewer bytes than elements");
    assert_eq!(check(&[i32::MAX], 4), Err("IRV101"), "another size than the shape");
    assert_eq!(check(&[4, 1, 1, 1, 1, 1], 4), Err("IRV101"), "blocks pile up");
}

#[test]
fn calls_pass_whole_types() {
    let check = |inner: &str| {
        let text = format!(
            "octet.ir 1\ngraph @main(%0: bool, %1: 1x4 !q<i8, 0.5:0>) {{\n  \
             %2 = if(%0, %1) {{then_graph = 1, else_graph = 1}} : 1x4 !q<i8, 0.5:0>\n  return %2\n}}\n\
             graph @g(%0: {inner}) {{\n  %1 = relu(%0) : {inner}\n  return %1\n}}\n"
        );
        let module = text::parse(&text, &Default::default()).expect("parses");
        verify::verify(&module).map_err(|found| found.0[0].code)
    };
    assert_eq!(check("1x4 !q<i8, 0.5:0>"), Ok(()));
    assert_eq!(check("?:1x4 !q<i8, 0.5:0>"), Ok(()));
    assert_eq!(check("1x4 !q<i8, 0.25:0>"), Err("IRV102"), "another scale");
    assert_eq!(check("1x5 !q<i8, 0.5:0>"), Err("IRV102"), "another size");
    assert_eq!(check("4 !q<i8, 0.5:0>"), Err("IRV102"), "another rank");
}

#[test]
fn large_constants_print_without_a_copy_of_each_element() {
    let print = |values: &[f32]| {
        let mut module = Module::new();
        let mut b = GraphBuilder::new(&mut module, "main");
        let constant = b.constant(Constant::from_f32(values), Type::f32([values.len()]), Loc::named("w"));
        b.output(constant);
        b.finish();
        (text::print(&module), text::print_graph(&module, GraphId::MAIN))
    };
    let (equal, graph) = print(&[1.5; 1000]);
    assert!(equal.text.contains("splat(1.5)") && equal.blobs.is_empty() && equal.text.contains(&graph));
    let mut values = [0.0; 1000];
    values[999] = -0.0;
    let (differ, graph) = print(&values);
    assert_eq!(differ.blobs.len(), 4000, "0.0 and -0.0 are not the same bits");
    assert!(differ.text.contains("blob(0, 4000, ") && differ.text.contains(&graph));
}
