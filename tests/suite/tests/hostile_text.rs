//! The text form and the verifier under texts and modules that are broken by accident or on purpose: diagnostics, never a panic, and no more
//! memory than the text's size allows.

use std::panic::{AssertUnwindSafe, catch_unwind};

use octet_graphgen::{Profile, Random, generate};
use octet_ir::ops::Op;
use octet_ir::verify::verify;
use octet_ir::{Constant, ElementType, EntityId, Granularity, GraphBuilder, Loc, Module, Patch, Quantization, Shape, Type, ValueId, text};
use octet_tests::generated::seeds;
use octet_tests::mutate::mutate;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes of memory for each byte of text, 512 of them splat constants and their copies in the side file that is printed, and what parsing takes at any
/// rate: the room of 2^18 value numbers that are named by nothing, and of 2^24 bytes of splat constants, printed and copied.
const MEMORY_FACTOR: usize = 600 + 4 * 512;
const MEMORY_BASE: usize = (1 << 18) * 256 + 4 * (1 << 24) + (8 << 20);

/// Parses, verifies, and prints what parses; the print must parse to the same print. Answers whether the text parsed.
fn survive(text: &str) -> bool {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let answer = catch_unwind(AssertUnwindSafe(|| {
        let Ok(module) = text::parse(text, &bytes::Bytes::new()) else { return false };
        let sound = verify(&module).is_ok();
        let printed = text::print(&module);
        let again =
            text::parse(&printed.text, &printed.blobs).unwrap_or_else(|e| panic!("the print does not parse: {e}\n{}", printed.text));
        assert_eq!(text::print(&again), printed, "the print prints differently");
        if sound {
            let mut compact = module;
            compact.compact();
            verify(&compact).unwrap_or_else(|e| panic!("not sound once compacted: {e}"));
        }
        true
    }));
    let peak = MEMORY.peak_usage().saturating_sub(before);
    let allowed = text.len() * MEMORY_FACTOR + MEMORY_BASE;
    assert!(peak <= allowed, "{} bytes of text took {peak} bytes of memory, {allowed} are allowed:\n{text:.2000}", text.len());
    answer.unwrap_or_else(|_| panic!("panicked on:\n{text:.8000}"))
}

/// Pieces that the grammar is sensitive to.
const PIECES: [&str; 44] = [
    "%0",
    "%1",
    "%65535",
    "%4294967295",
    "%4294967296",
    "%18446744073709551616",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "<",
    ">",
    ",",
    ":",
    "=",
    "\"",
    "\\",
    "\\u{",
    "\\u{110000}",
    "x\"",
    "blob(0, 4294967295, 0)",
    "splat(0)",
    "splat(nan:7fc00001)",
    "1073741824x1073741824 f32",
    "0x0x0 f32",
    "999999999999999999999",
    "-1",
    "-9223372036854775808",
    "nan",
    "nan:00000000",
    "inf",
    "-inf",
    "1e400",
    "* f32",
    "?:1",
    "!q<i8, axis 99, [1.0]>",
    "!q<i8, 0.0:0>",
    "!q<i4, block 0, [1.0]>",
    "unbound",
    "variable",
    "const",
    "return",
];

/// A text with a few pieces cut, doubled, swapped or put in.
fn damage(text: &str, random: &mut Random) -> String {
    let mut text = text.to_owned();
    for _ in 0..random.between(1, 4) {
        let boundary = |random: &mut Random, text: &str| {
            let mut at = random.below(text.len() + 1);
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let (a, b) = (boundary(random, &text), boundary(random, &text));
        let (from, to) = (a.min(b), a.max(b).min(a.min(b) + 200));
        let to = (from..=to).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(from);
        match random.below(6) {
            0 => text.replace_range(from..to, ""),
            1 => {
                let copy = text[from..to].to_owned();
                text.insert_str(from, &copy);
            }
            2 | 3 => text.insert_str(from, random.pick::<&str>(&PIECES)),
            4 => text.truncate(from),
            _ => {
                // One line at another place: used before it is defined, defined twice.
                let lines: Vec<&str> = text.lines().collect();
                let mut lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
                if lines.len() > 1 {
                    let (i, j) = (random.below(lines.len()), random.below(lines.len()));
                    lines.swap(i, j);
                }
                text = lines.join("\n");
            }
        }
    }
    text
}

#[test]
fn damaged_texts_give_diagnostics() {
    let (mut taken, mut refused) = (0, 0);
    for seed in seeds(300) {
        let text = text::print(&generate(seed, &Profile::mixed().ops(6))).text;
        let mut random = Random::new(seed);
        for _ in 0..20 {
            let parsed = survive(&damage(&text, &mut random));
            *(if parsed { &mut taken } else { &mut refused }) += 1;
        }
    }
    assert!(taken > 100 && refused > 1000, "{taken} damaged texts parsed, {refused} did not");
}

#[test]
fn bytes_that_are_damaged_give_diagnostics() {
    for seed in seeds(300) {
        let text = text::print(&generate(seed, &Profile::mixed().ops(4))).text;
        survive(&String::from_utf8_lossy(&mutate(text.as_bytes(), seed)));
    }
}

#[test]
fn texts_made_to_hurt_give_diagnostics() {
    let deep = |open: &str, close: &str| {
        format!("octet.ir 1\ngraph @g(%0: f32) {{ %1 = relu(%0) {{a = {}{}}} : f32 return }}", open.repeat(50_000), close.repeat(50_000))
    };
    let many = |line: &dyn Fn(usize) -> String| {
        let lines: String = (0..20_000).map(line).collect();
        format!("octet.ir 1\ngraph @g(%0: 2 f32) {{\n{lines}return %0\n}}")
    };
    let gaps: String = (0..2_000).map(|i| format!("graph @g{i}(%60000: f32) {{ return }}\n")).collect();
    let splats: String = (0..50).map(|i| format!("%{} = const splat(1) : 16777216x4 f32\n", i + 1)).collect();
    let cases = [
        ("deep lists", deep("[", "]")),
        ("deep maps", deep("{a = ", "}")),
        ("unbalanced lists", deep("[", "")),
        ("one reader after another of one value", many(&|i| format!("%{} = add(%0, %0) : 2 f32\n", i + 1))),
        ("one line after another of escapes", many(&|_| "\"\\u{\n".into())),
        ("a number with many digits", format!("octet.ir 1\ngraph @g(%{}: f32) {{ return }}", "9".repeat(100_000))),
        ("a huge number in every graph", format!("octet.ir 1\n{gaps}")),
        ("splats without end", format!("octet.ir 1\ngraph @g(%0: f32) {{\n{splats}return %0\n}}")),
        ("a string without end", format!("octet.ir 1\ndescription \"{}", "\\u{41".repeat(50_000))),
        ("a comment without end", format!("octet.ir 1 //{}", "/".repeat(100_000))),
        ("bytes without end", format!("octet.ir 1\nmetadata \"a\" = x\"{}", "00".repeat(100_000))),
        ("a rank without end", format!("octet.ir 1\ngraph @g(%0: {}1 f32) {{ return }}", "1x".repeat(100_000))),
        ("graphs that call each other in a row", calls(20_000)),
        (
            "graphs that call each other in a ring",
            calls(20_000).replace(
                "graph @g19999(%0: 1 bool) {\n",
                "graph @g19999(%0: 1 bool) {\n%9 = if(%0) {then_graph = 0, else_graph = 0} : 1 bool\n",
            ),
        ),
    ];
    for (name, text) in cases {
        let begun = std::time::Instant::now();
        survive(&text);
        // Not a benchmark: time that grows with the square of the text would take minutes.
        assert!(begun.elapsed().as_secs() < 30, "{name}: {:?} for {} bytes", begun.elapsed(), text.len());
    }
}

/// `count` graphs, each of which calls the next one.
fn calls(count: usize) -> String {
    let mut text = "octet.ir 1\n".to_owned();
    for i in 0..count {
        let call =
            if i + 1 < count { format!("%1 = if(%0) {{then_graph = {0}, else_graph = {0}}} : 1 bool\n", i + 1) } else { String::new() };
        text += &format!("graph @g{i}(%0: 1 bool) {{\n{call}return %0\n}}\n");
    }
    text
}

/// Any type that a careless caller might build.
fn odd_type(random: &mut Random) -> Type {
    let sizes = [0, 1, 2, 3, 7, 1 << 31, 1 << 62, usize::MAX];
    let rank = random.below(5);
    let dims: Vec<usize> = (0..rank).map(|_| if random.chance(80) { random.below(5) } else { *random.pick(&sizes) }).collect();
    let mut shape = if random.chance(5) { Shape::unranked() } else { Shape::new(dims) };
    if random.chance(10) {
        shape = shape.with_dynamic(random.below(5), "n");
    }
    let elem = *random.pick(&ElementType::ALL);
    let quant = random.chance(40).then(|| {
        let count = random.below(5);
        let scales = [1.0, 0.0, -1.0, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE, 0.5, 0.25];
        let scales: Vec<f32> = (0..count).map(|_| *random.pick(&scales)).collect();
        let zero_points: Vec<i64> = (0..count).map(|_| *random.pick(&[0, 0, 0, -128, 255, i64::MIN, i64::MAX])).collect();
        let granularity = *random.pick(&[
            Granularity::PerTensor,
            Granularity::PerAxis(0),
            Granularity::PerAxis(usize::MAX),
            Granularity::Blockwise { block: 0 },
            Granularity::Blockwise { block: 2 },
        ]);
        Quantization::with_granularity(granularity, scales, zero_points)
    });
    Type::new(elem, shape).with_quant(quant.flatten().map(Into::into))
}

/// A module that no frontend would build: operands of other operations, types that contradict, constants of any length.
fn corrupt(seed: u64) -> Module {
    let mut random = Random::new(seed);
    let r = &mut random;
    // Attributes as a generator makes them, everything else by chance.
    let pattern = generate(seed, &Profile::mixed().ops(8));
    let mut module = Module::new();
    for (_, graph) in pattern.graphs() {
        let mut b = GraphBuilder::new(&mut module, graph.name());
        let count = graph.value_capacity();
        let any = |r: &mut Random| {
            let beyond = usize::from(r.chance(3));
            ValueId::from_index(r.below(count + beyond))
        };
        for index in 0..count {
            let known = graph.get_value(ValueId::from_index(index));
            let ty = match known {
                Some(value) if r.chance(85) => value.ty().clone(),
                _ => odd_type(r),
            };
            b.declare(ty, Loc::unknown());
        }
        for index in 0..count {
            let id = ValueId::from_index(index);
            match graph.get_value(id).map(octet_ir::Value::def) {
                Some(octet_ir::ValueDef::Constant(constant)) if r.chance(90) => {
                    let mut bytes = pattern.constant(constant).bytes().to_vec();
                    if r.chance(15) {
                        bytes.resize(r.below(40), 0x7f);
                    } else if !bytes.is_empty() && r.chance(30) {
                        let at = r.below(bytes.len());
                        bytes[at] = u8::try_from(r.below(256)).unwrap_or(0);
                    }
                    let id_of_bytes = b.add_constant(Constant::new(bytes));
                    b.bind_constant(id, id_of_bytes);
                }
                Some(octet_ir::ValueDef::Input(_)) => {
                    b.bind_input(id);
                }
                Some(octet_ir::ValueDef::Variable) if r.chance(90) => {
                    b.bind_variable(id);
                }
                _ => {}
            }
        }
        let ops: Vec<Op> = pattern.graphs().flat_map(|(_, g)| g.ops().map(|(_, o)| o.op().clone())).collect();
        for (_, operation) in graph.ops() {
            let op = if r.chance(90) { operation.op().clone() } else { r.pick(&ops).clone() };
            let mut operands = operation.operands().to_vec();
            for operand in &mut operands {
                if r.chance(8) {
                    *operand = r.chance(80).then(|| any(r));
                }
            }
            if r.chance(5) {
                operands.push(Some(any(r)));
            } else if r.chance(5) {
                operands.pop();
            }
            let mut results = operation.results().to_vec();
            if r.chance(4) {
                results.push(any(r));
            } else if r.chance(4) {
                results.pop();
            }
            b.bind_op(op, operands, results, operation.intermediates().to_vec());
        }
        for &output in graph.outputs() {
            b.output(if r.chance(5) { any(r) } else { output });
        }
        b.finish();
    }
    module
}

#[test]
fn the_verifier_judges_any_module() {
    let (mut sound, mut broken) = (0, 0);
    for seed in seeds(2_000) {
        let module = corrupt(seed);
        let answer = catch_unwind(AssertUnwindSafe(|| {
            let found = verify(&module);
            // What is judged sound must print, read back and compact.
            if found.is_ok() {
                let printed = text::print(&module);
                let parsed = text::parse(&printed.text, &printed.blobs).unwrap_or_else(|e| panic!("{e}\n{}", printed.text));
                verify(&parsed).unwrap_or_else(|e| panic!("{e}"));
                let mut compact = module.clone();
                compact.compact();
                verify(&compact).unwrap_or_else(|e| panic!("{e}"));
            }
            found.is_ok()
        }));
        match answer {
            Ok(true) => sound += 1,
            Ok(false) => broken += 1,
            Err(_) => panic!("corrupt({seed}) panicked:\n{}", text::print(&module).text),
        }
    }
    assert!(sound > 20 && broken > 500, "{sound} of the corrupted modules are sound, {broken} are not");
}

#[test]
fn patches_that_are_refused_leave_no_trace() {
    let (mut applied, mut refused) = (0, 0);
    for seed in seeds(1_000) {
        let mut module = generate(seed, &Profile::mixed().ops(8));
        let mut random = Random::new(seed);
        for _ in 0..4 {
            let before = module.clone();
            let graph = module.main();
            let ops = graph.op_ids();
            let values: Vec<ValueId> = graph.values().map(|(id, _)| id).collect();
            if ops.is_empty() {
                break;
            }
            let r = &mut random;
            let mut patch = Patch::before(graph, *r.pick(&ops));
            for _ in 0..r.between(1, 3) {
                match r.below(6) {
                    0 => patch.replace(*r.pick(&values), *r.pick(&values)),
                    1 => patch.erase(*r.pick(&ops)),
                    2 => patch.set_operand(*r.pick(&ops), r.below(3), r.chance(80).then(|| *r.pick(&values))),
                    3 => {
                        let x = *r.pick(&values);
                        let ty = graph.ty(x).clone();
                        let made = patch.op1(octet_ir::ops::Unary::new(octet_ir::ops::UnaryKind::Relu), &[x], ty, Loc::unknown());
                        if r.chance(60) {
                            patch.replace(x, made);
                        }
                    }
                    4 => patch.set_op(*r.pick(&ops), graph.op(*r.pick(&ops)).op().clone()),
                    _ => patch.set_constant(*r.pick(&values), Constant::from_i32(&[1])),
                }
            }
            match catch_unwind(AssertUnwindSafe(|| patch.clone().apply(&mut module, octet_ir::GraphId::MAIN))) {
                Ok(Ok(_)) => {
                    applied += 1;
                    // Types may be wrong now, which is for the second layer to say; structure never is, but for operands
                    // that were left out and operations that take others.
                    if let Err(found) = octet_ir::verify::structure::verify(&module) {
                        let arity = found.0.iter().all(|d| matches!(d.code, "IRV011" | "IRV002" | "IRV010" | "IRV006"));
                        assert!(arity, "seed {seed}: {found}\n{patch:#?}\nbefore:\n{}", text::print(&before).text);
                    }
                }
                Ok(Err(_)) => {
                    refused += 1;
                    assert_eq!(module, before, "seed {seed}: a refused patch left a trace");
                }
                Err(_) => panic!("seed {seed}: {patch:#?}\nbefore:\n{}", text::print(&before).text),
            }
            if verify(&module).is_err() {
                break;
            }
        }
    }
    assert!(applied > 100 && refused > 100, "{applied} patches applied, {refused} did not");
}
