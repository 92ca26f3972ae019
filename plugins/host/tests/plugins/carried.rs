//! Kernels as parts of the modules that the WebAssembly backend writes: what the sandbox computes, they compute, and where it traps, they trap.

use octet_backend_wasm::{Simd, WasmOptions, write};
use octet_ir::{Diagnostic, Diagnostics, Op, Type};
use octet_plugin::{Kernel, KernelCall, KernelEntry, Registry, Tensor, install};
use octet_plugin_host::{Limits, Model};

use crate::kernels::{General, NEXT, SECTION, fixed, kernel};
use crate::read;

/// Inputs of a model that differ from call to call: f32 for `f32` inputs, and bytes for others.
pub(crate) type Pieces<'a> = dyn Fn(usize, &Type) -> Vec<u8> + 'a;

/// Numbers from `first` on, `step` apart; of stored integers, their bytes.
pub(crate) fn pieces(first: f32, step: f32) -> Box<Pieces<'static>> {
    Box::new(move |call, ty| {
        let count = ty.shape.dims().iter().product::<usize>();
        let number = |i: usize| first + step * f32::from(u8::try_from((i + 5 * call) % 200).unwrap_or(0));
        if ty.elem == octet_ir::ElementType::F32 {
            return (0..count).flat_map(|i| number(i).to_le_bytes()).collect();
        }
        (0..ty.byte_len().unwrap_or(0)).map(|i| u8::try_from((37 * i + 91 * call) % 256).unwrap_or(0)).collect()
    })
}

/// The interpreter's outputs, or its fault.
fn wanted(source: &str, inputs: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, String> {
    let module = read(source);
    let mut interpreter = octet_eval::Interpreter::new(&module, Default::default()).map_err(|e| e.to_string())?;
    interpreter.allocate_tensors().map_err(|e| e.to_string())?;
    for (detail, bytes) in interpreter.input_details().iter().zip(inputs) {
        let tensor = Tensor { elem: detail.dtype, shape: detail.shape.clone(), bytes: bytes.clone() };
        interpreter.set_tensor(detail.index, &tensor).map_err(|e| e.to_string())?;
    }
    interpreter.invoke().map_err(|e| e.to_string())?;
    let outputs = interpreter.output_details();
    outputs.iter().map(|o| interpreter.get_tensor(o.index).map(|t| t.bytes).map_err(|e| e.to_string())).collect()
}

fn build(source: &str, simd: Simd) -> Result<Vec<u8>, Diagnostics> {
    write(&read(source), &WasmOptions { simd, ..WasmOptions::default() }, &mut Diagnostics::default())
}

/// One module that is called again and again, with the interpreter beside it. Answers how often both failed.
fn compared(source: &str, simd: Simd, calls: impl Iterator<Item = Vec<Vec<u8>>>) -> (usize, usize) {
    let bytes = build(source, simd).unwrap_or_else(|e| panic!("{e}\n{source}"));
    let mut model = Model::load(&bytes).unwrap_or_else(|e| panic!("{e}\n{source}"));
    let (mut good, mut bad) = (0, 0);
    for (call, inputs) in calls.enumerate() {
        for (index, bytes) in inputs.iter().enumerate() {
            model.set_input(index, bytes).expect("an input");
        }
        match (wanted(source, &inputs), model.invoke()) {
            (Ok(wanted), Ok(())) => {
                let found: Vec<Vec<u8>> = (0..wanted.len()).map(|i| model.output(i).expect("an output").to_vec()).collect();
                assert_eq!(found, wanted, "call {call}, {}: {source}", simd.name());
                good += 1;
            }
            (Err(_), Err(_)) => bad += 1,
            (wanted, found) => panic!("call {call}, {}, {inputs:?}: {wanted:?}, and in the module {found:?}\n{source}", simd.name()),
        }
    }
    (good, bad)
}

/// Every build of a model gives the interpreter's bytes in several calls.
pub(crate) fn same(source: &str, inputs: &Pieces<'_>) {
    let module = read(source);
    let types: Vec<Type> = module.main().inputs().iter().map(|&v| module.main().ty(v).clone()).collect();
    for simd in [Simd::None, Simd::Strict] {
        let calls = (0..4).map(|call| types.iter().map(|ty| inputs(call, ty)).collect());
        assert_eq!(compared(source, simd, calls), (4, 0));
    }
}

/// Loads a kernel and makes it known. Its name must be no other's.
fn known(bytes: &[u8]) -> &'static KernelEntry {
    let entry = kernel(bytes, &Limits::default()).unwrap_or_else(|e| panic!("{e}"));
    install(entry).unwrap_or_else(|e| panic!("{e}"));
    entry
}

/// A kernel of four 32-bit numbers to four, under a name of its own.
fn guest(name: &str, general: &General) -> &'static KernelEntry {
    let about = format!("{name}\\0a1.0.0\\0aA guest.\\00").leak();
    known(&General { about, ..*general }.build())
}

/// A model of one operation.
fn alone(name: &str) -> String {
    format!(
        "octet.ir 1\ngraph @main(%0: 4 i32 loc(\"x\")) {{\n  %1 = custom(%0) {{name = \"{name}\"}} : 4 f32 loc(\"y\")\n  return %1\n}}\n"
    )
}

/// A model of two, the second of which has a larger memory.
fn beside(name: &str, other: &str) -> String {
    format!(
        "octet.ir 1\ngraph @main(%0: 4 i32 loc(\"x\")) {{\n  %1 = custom(%0) {{name = \"{name}\"}} : 4 f32 loc(\"y\")\n  \
         %2 = custom(%0) {{name = \"{other}\"}} : 4 f32 loc(\"z\")\n  return %1, %2\n}}\n"
    )
}

fn words(words: [u32; 4]) -> Vec<Vec<u8>> {
    vec![words.iter().flat_map(|w| w.to_le_bytes()).collect()]
}

/// Where data of operand and result lie, as locals of `run`.
const IN: &str = "(local $in i32) (local $out i32) (local $at i32)
  (local.set $in (i32.load offset=16 (i32.load (local.get $call))))
  (local.set $out (i32.load offset=16 (i32.load offset=8 (local.get $call))))
  (local.set $at (i32.load (local.get $in)))";

/// Instructions that read: what stores the value that they leave, and their bytes.
const LOADS: &[(&str, &str, u32)] = &[
    ("i32.load8_s", "i32.store", 1),
    ("i32.load8_u", "i32.store", 1),
    ("i32.load16_s", "i32.store", 2),
    ("i32.load16_u", "i32.store", 2),
    ("i32.load", "i32.store", 4),
    ("f32.load", "f32.store", 4),
    ("i64.load8_s", "i64.store", 1),
    ("i64.load8_u", "i64.store", 1),
    ("i64.load16_s", "i64.store", 2),
    ("i64.load16_u", "i64.store", 2),
    ("i64.load32_s", "i64.store", 4),
    ("i64.load32_u", "i64.store", 4),
    ("i64.load", "i64.store", 8),
    ("f64.load", "f64.store", 8),
    ("v128.load", "v128.store", 16),
    ("v128.load8_splat", "v128.store", 1),
    ("v128.load16_splat", "v128.store", 2),
    ("v128.load32_splat", "v128.store", 4),
    ("v128.load64_splat", "v128.store", 8),
    ("v128.load32_zero", "v128.store", 4),
    ("v128.load64_zero", "v128.store", 8),
    ("v128.load8x8_s", "v128.store", 8),
    ("v128.load8x8_u", "v128.store", 8),
    ("v128.load16x4_s", "v128.store", 8),
    ("v128.load16x4_u", "v128.store", 8),
    ("v128.load32x2_s", "v128.store", 8),
    ("v128.load32x2_u", "v128.store", 8),
];
const VECTOR: &str = "(v128.const i32x4 0x04030201 0x08070605 0x0c0b0a09 0x100f0e0d)";
/// Instructions that write: a value, and their bytes.
const STORES: &[(&str, &str, u32)] = &[
    ("i32.store8", "(i32.const 0x12345678)", 1),
    ("i32.store16", "(i32.const 0x12345678)", 2),
    ("i32.store", "(i32.const 0x12345678)", 4),
    ("f32.store", "(f32.const 1.5)", 4),
    ("i64.store8", "(i64.const 0x123456789abcdef)", 1),
    ("i64.store16", "(i64.const 0x123456789abcdef)", 2),
    ("i64.store32", "(i64.const 0x123456789abcdef)", 4),
    ("i64.store", "(i64.const 0x123456789abcdef)", 8),
    ("f64.store", "(f64.const -2.25)", 8),
    ("v128.store", VECTOR, 16),
];
/// Instructions on one lane: their bytes.
const LANES: &[(&str, u32)] = &[("8", 1), ("16", 2), ("32", 4), ("64", 8)];

/// Every access with its bytes, as code on `$at` with an offset, that leaves what it found in the result.
fn accesses(offset: u32) -> Vec<(u32, String)> {
    let at = format!("offset={offset}");
    let back = |bytes: u32| {
        // Reading back by the byte, since what lies behind may not be there.
        format!(
            "(i32.store8 (local.get $out) (i32.load8_u {at} (local.get $at))) (i32.store8 offset=1 (local.get $out) (i32.const {bytes}))"
        )
    };
    let mut all = Vec::new();
    for (load, store, bytes) in LOADS {
        all.push((*bytes, format!("({store} (local.get $out) ({load} {at} (local.get $at)))")));
    }
    for (store, value, bytes) in STORES {
        all.push((*bytes, format!("({store} {at} (local.get $at) {value}) {}", back(*bytes))));
    }
    for (lane, bytes) in LANES {
        all.push((*bytes, format!("(v128.store (local.get $out) (v128.load{lane}_lane {at} 1 (local.get $at) {VECTOR}))")));
        all.push((*bytes, format!("(v128.store{lane}_lane {at} 1 (local.get $at) {VECTOR}) {}", back(*bytes))));
    }
    all
}

/// Pages of the guests.
const PAGES: u32 = 4;
const END: u32 = PAGES << 16;

/// Each instruction at each edge of memory, in the three ways in which memory is guarded. The second number of the input chooses the offset.
#[test]
fn accesses_trap_where_the_sandbox_traps() {
    guest("Larger", &General { memory: "(memory (export \"memory\") 9)", ..General::default() });
    let offsets = [0, 24, 2 << 16, u32::MAX - 8];
    let table: Vec<Vec<(u32, String)>> = offsets.iter().map(|o| accesses(*o)).collect();
    for index in 0..table[0].len() {
        let bytes = table[0][index].0;
        let arms: String = (0..offsets.len())
            .map(|o| format!("(if (i32.eq (i32.load offset=4 (local.get $in)) (i32.const {o})) (then {}))", table[o][index].1))
            .collect();
        let fill = "(i64.store offset=2048 (i32.const 0) (i64.const 0x8899aabbccddeeff))";
        let fixed = format!("{IN} {fill} {arms} (i32.const 0)").leak();
        let grown = format!("{IN} {fill} (drop (memory.grow (i32.load offset=8 (local.get $in)))) {arms} (i32.const 0)").leak();
        let (exact, growing) = (format!("Exact{index}"), format!("Growing{index}"));
        guest(&exact, &General { run: fixed, ..General::default() });
        guest(&growing, &General { run: grown, ..General::default() });
        for (model, grows) in [(alone(&exact), &[0][..]), (beside(&exact, "Larger"), &[0]), (alone(&growing), &[0, 1, 3])] {
            let mut calls = Vec::new();
            for (choice, offset) in (0u32..).zip(offsets) {
                for &pages in grows {
                    let end = END + (pages << 16);
                    let last = end.wrapping_sub(offset).wrapping_sub(bytes);
                    for at in [0, 2048, last, last.wrapping_add(1), end, end - 1, 1 << 31, u32::MAX, u32::MAX - 15] {
                        calls.push(words([at, choice, pages, 0]));
                    }
                }
            }
            let (good, bad) = compared(&model, Simd::Strict, calls.into_iter());
            assert!(good >= 6 && bad >= 6, "{model}: {good} and {bad}");
        }
    }
}

/// `memory.copy`, `memory.fill`, `memory.size` and `memory.grow`, whose addresses are computed.
#[test]
fn bulk_instructions_keep_to_the_kernels_memory() {
    guest("LargerStill", &General { memory: "(memory (export \"memory\") 11)", ..General::default() });
    let at = |offset: u32| format!("(i32.load offset={offset} (local.get $in))");
    let size = "(i32.store (local.get $out) (memory.size))";
    for (name, body, grows) in [
        ("GrowBounded", format!("(i32.store offset=4 (local.get $out) (memory.grow {})) {size}", at(12)), true),
        ("Copy", format!("(memory.copy {} {} {}) {size}", at(0), at(4), at(8)), false),
        ("Fill", format!("(memory.fill {} {} {}) {size}", at(0), at(4), at(8)), false),
        (
            "Grow",
            format!("(i32.store offset=4 (local.get $out) (memory.grow {})) (memory.copy {} {} {}) {size}", at(12), at(0), at(4), at(8)),
            true,
        ),
    ] {
        let memory = if name == "GrowBounded" { "(memory (export \"memory\") 4 6)" } else { General::default().memory };
        guest(name, &General { memory, run: format!("{IN} {body} (i32.const 0)").leak(), ..General::default() });
        for model in [alone(name), beside(name, "LargerStill")] {
            let edges = [0, 1, 5000, END - 1, END, END + 1, END + (2 << 16), 1 << 31, u32::MAX];
            let mut calls = Vec::new();
            for to in edges {
                for from in edges {
                    for length in [0, 1, 700, END, u32::MAX] {
                        let pages: &[u32] = if grows { &[0, 2, 3, 65533, u32::MAX] } else { &[0] };
                        calls.extend(pages.iter().map(|pages| words([to, from, length, *pages])));
                    }
                }
            }
            // Every seventh is enough, and meets all.
            let (good, bad) = compared(&model, Simd::None, calls.into_iter().step_by(7));
            assert!(good >= 5 && bad >= 5, "{model}: {good} and {bad}");
        }
    }
}

/// A kernel with everything that a call could leave behind, and everything that has a number: each call begins anew.
#[test]
fn nothing_is_left_behind_and_all_numbers_are_right() {
    let items = r#"(type $t (func (param i32 i32) (result i32 i32)))
      (global $f (mut i32) (i32.const 7)) (global $g (mut i64) (i64.const -9)) (global $h (mut f32) (f32.const 1.5))
      (global $k (mut f64) (f64.const 2.5)) (global $fixed i32 (i32.const 100))
      (table $other 2 funcref) (table $first 4 funcref)
      (elem (table $first) (i32.const 1) func $swap $twice) (elem declare func $alone)
      (data (i32.const 3000) "\01\02\03\04")
      (func $swap (type $t) (local.get 1) (local.get 0))
      (func $twice (type $t) (i32.mul (local.get 0) (i32.const 2)) (i32.add (local.get 1) (global.get $fixed)))
      (func $alone (result i32) (i32.const 5))
      (func $count (param i32) (result i32) (if (result i32) (local.get 0)
        (then (return_call $count (i32.sub (local.get 0) (i32.const 1)))) (else (i32.const 11))))
      (func $never (result i32) (i32.load offset=5000 (i32.const 1)))
      (func $s (i32.store (i32.const 3100) (i32.add (i32.load (i32.const 3100)) (i32.const 21)))) (start $s)
      (func (export "_initialize") (global.set $f (i32.add (global.get $f) (i32.load (i32.const 3100)))))"#;
    let run = format!(
        r#"{IN}
      (i32.store (i32.const 3000) (i32.add (i32.load (i32.const 3000)) (i32.const 1)))
      (global.set $f (i32.add (global.get $f) (i32.load (i32.const 3000))))
      (global.set $g (i64.add (global.get $g) (i64.extend_i32_s (global.get $f))))
      (global.set $h (f32.mul (global.get $h) (f32.const 3)))
      (global.set $k (f64.mul (global.get $k) (f64.promote_f32 (global.get $h))))
      (i32.store (local.get $out) (global.get $f))
      (i32.store offset=4 (local.get $out) (i32.wrap_i64 (global.get $g)))
      (f32.store offset=8 (local.get $out) (f32.demote_f64 (global.get $k)))
      (call_indirect $first (type $t) (i32.const 3) (local.get $at) (i32.add (i32.const 1) (i32.and (local.get $at) (i32.const 1))))
      (i32.sub) (local.set $at)
      (drop (ref.is_null (ref.func $alone)))
      (i32.store offset=12 (local.get $out) (i32.add (local.get $at) (call $count (table.size $first))))
      (i32.const 0)"#
    );
    guest("Everything", &General { items, run: run.leak(), ..General::default() });
    guest("Neighbour", &General::default());
    for model in [alone("Everything"), beside("Everything", "Neighbour"), beside("Neighbour", "Everything")] {
        for simd in [Simd::None, Simd::Strict] {
            assert_eq!(compared(&model, simd, (0..6).map(|n| words([n, 0, 0, 0]))), (6, 0));
        }
    }
    // A call of a table's element that is not there.
    let run = format!("{IN} (i32.store (local.get $out) (call_indirect (result i32) (local.get $at))) (i32.const 0)");
    let items = "(func $five (result i32) (i32.const 5)) (table 3 funcref) (elem (i32.const 1) $five)";
    guest("Indirect", &General { items, run: run.leak(), ..General::default() });
    assert_eq!(compared(&alone("Indirect"), Simd::Strict, (0..4).map(|n| words([n, 0, 0, 0]))), (1, 3));
}

/// A kernel for one list of types, whose addresses hang on its data.
#[test]
fn kernels_in_the_fixed_form_are_carried() {
    known(&fixed(SECTION, NEXT));
    let model = r#"octet.ir 1
graph @main(%0: 4 !q<i8, 0.5:-3> loc("x")) {
  %1 = custom(%0) {name = "AcmeNext"} : 4 i8 loc("y")
  return %1
}
"#;
    same(model, &pieces(0.0, 0.0));
    let section = "octet.kernel 1\nname: AcmeMoves\nversion: 1.0.0\nsummary: Moves.\noperand: 4 i32\nresult: 4 f32\n";
    let moves = r#"(memory (export "memory") 1)
      (func (export "_initialize") (i32.store (i32.const 8) (i32.const 101)))
      (func (export "input_ptr") (param i32) (result i32) (i32.load (i32.const 8)))
      (func (export "output_ptr") (param i32) (result i32) (i32.load (i32.load (i32.const 8))))
      (func (export "invoke"))"#;
    known(&fixed(section, moves));
    let places = [101, 0, 65520, 65521, u32::MAX, 1 << 31];
    assert_eq!(compared(&alone("AcmeMoves"), Simd::None, places.into_iter().map(|at| words([at, 2, 3, 4]))), (3, 3));
}

/// What a kernel says is told, and the next call is as good as the first.
#[test]
fn messages_of_kernels_are_told() {
    let run = format!("{IN} (if (result i32) (local.get $at) (then (i32.const 2048)) (else (i32.const 0)))");
    guest("Says", &General { run: run.leak(), ..General::default() });
    let bytes = build(&alone("Says"), Simd::None).expect("writes");
    let mut model = Model::load(&bytes).expect("loads");
    for at in [0, 1, 0, 1] {
        model.set_input(0, &words([at, 0, 0, 0])[0]).expect("an input");
        let told = model.invoke().map_err(|d| (d.code, d.message));
        assert_eq!(told, if at == 0 { Ok(()) } else { Err(("PLG022", "no such luck".into())) });
    }
    assert!(model.description().contains(r#""kernels":[{"name":"Says","origin":"kernel.wasm 1.0.0"}]"#), "{}", model.description());
}

struct Native;

impl Kernel for Native {
    fn infer(&self, operands: &[Option<Type>], _: &[u8]) -> Result<Vec<Type>, Diagnostic> {
        Ok(operands.iter().flatten().map(|_| Type::f32(vec![4])).collect())
    }

    fn run(&self, _: &[Option<&Tensor>], _: &[u8]) -> Result<Vec<Tensor>, Diagnostic> {
        Err(Diagnostic::error("ACME", "is not run"))
    }
}

static NATIVE: KernelEntry = KernelEntry { name: "Native", summary: "Is linked.", origin: "acme 1.0.0", kernel: &Native };

/// What cannot be carried is refused, with the operation, the kernel and the reason.
#[test]
fn what_cannot_be_carried_is_refused() {
    install(&NATIVE).expect("the only one");
    let in_run = |code: &str| format!("{code} (i32.const 0)").leak() as &'static str;
    let d = General::default;
    guest("Vectors", &General { run: in_run("(drop (i32x4.splat (i32.const 1)))"), ..d() });
    let relaxed = "(drop (i32x4.relaxed_trunc_f32x4_s (v128.const i32x4 0 0 0 0)))";
    guest("Relaxed", &General { run: in_run(relaxed), ..d() });
    let table = General { items: "(table $t 1 funcref)", run: in_run("(table.set $t (i32.const 0) (ref.null func))"), ..d() };
    guest("Tables", &table);
    let dropped = General { items: "(data $d \"abc\")", run: in_run("(data.drop $d)"), ..d() };
    guest("Segments", &dropped);
    guest("NoRoom", &General { alloc: "(i32.const 0)", ..d() });
    let simd = Simd::Strict;
    for (name, simd, code, why) in [
        ("Nobody", simd, "WGN007", "no kernel is registered for the custom op 'Nobody'"),
        ("Native", simd, "WGN007", "is native code"),
        ("Vectors", Simd::None, "WGN007", "SIMD support is not enabled"),
        ("Relaxed", Simd::Relaxed, "WGN007", "relaxed SIMD support is not enabled"),
        ("Tables", simd, "WGN007", "table.set"),
        ("Segments", simd, "WGN007", "data.drop"),
        ("NoRoom", simd, "PLG018", "no room"),
    ] {
        let refused = build(&alone(name), simd).expect_err(name);
        let told = refused.to_string();
        assert!(refused.0.len() == 1 && refused.0[0].code == code && told.contains(why) && told.contains(name), "{told}");
    }
    // The declared result is not what the kernel computes.
    let wrong = alone("Vectors").replace("4 f32", "5 f32");
    let told = build(&wrong, simd).expect_err("another shape").to_string();
    assert!(told.contains("WGN007") && told.contains("(5 f32)") && told.contains("(4 f32)"), "{told}");
    assert_eq!(compared(&alone("Vectors"), simd, std::iter::once(words([0; 4]))), (1, 0));
}

/// The host's call and the module's are one: what is carried is what `compute` runs.
#[test]
fn a_kernel_gives_its_module() {
    let entry = kernel(&General::default().build(), &Limits::default()).expect("loads");
    let (operands, results) = ([Some(Type::f32(vec![4])), None], [Type::f32(vec![4])]);
    let module = entry.kernel.module(&operands, &results, b"abc").expect("lays out").expect("is a module");
    assert_eq!((module.memory, module.most_memory), (4 << 16, Limits::default().memory));
    assert_eq!(&module.wasm[..4], b"\0asm");
    let x = Tensor { elem: octet_ir::ElementType::F32, shape: vec![4], bytes: vec![1; 16] };
    let call = KernelCall { operands: &[Some(&x), None], operand_types: &operands, results: &results, options: b"abc" };
    assert_eq!(entry.kernel.compute(&call).expect("runs")[0].bytes, x.bytes);
    assert!(Registry::<KernelEntry>::collect().expect("names").iter().all(|k| k.name != "Guest"));
    assert!(!matches!(read(&alone("Guest")).main().ops().next().expect("one").1.op(), Op::Opaque(_)));
}
