//! Hostile plugins. Each ends in the diagnostic of its fault, within its limits, and the model stays as it was.

use std::time::{Duration, Instant};

use octet_plugin_host::{Limits, load_bytes};

use crate::guest::{Guest, Memory, Ref, erase, replace, set_operand, unknown_edit};
use crate::{limits, load, read, run};

/// `op0` makes %1 from %0, `op1` makes %2 from %1.
const MODEL: &str = r#"octet.ir 1
graph @main(%0: 1x4 f32 loc("x")) {
  %1 = tanh(%0) : 1x4 f32 loc("a")
  %2 = abs(%1) : 1x4 f32 loc("y")
  %3 = const [1.0, 2.0] : 2 f32
  %4 = neg(%3) : 2 f32 loc("z")
  return %2, %4
}
"#;

fn code_of(bytes: &[u8], limits: &Limits) -> String {
    let plugin = match load_bytes(bytes, "guest.wasm", limits, None) {
        Ok(plugin) => plugin,
        Err(refused) => {
            assert_eq!(refused.location.file.as_deref(), Some("guest.wasm"), "{refused}");
            return format!("{} {}", refused.code, refused.message);
        }
    };
    let module = read(MODEL);
    let failed = run(&plugin, "guest", &module).expect_err("the plugin is hostile");
    assert_eq!(module, read(MODEL));
    let first = failed.0.first().expect("a diagnostic");
    assert!(first.notes.iter().any(|n| n.contains("plugin 'guest' of guest.wasm")), "{first}");
    format!("{} {}", first.code, first.message)
}

pub(crate) fn refused(name: &str, bytes: &[u8], code: &str) {
    let begun = Instant::now();
    let got = code_of(bytes, &limits());
    assert!(got.starts_with(code), "{name}: {got} instead of {code}");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "{name} took {took:?}");
    println!("attack: {name}: {code}, {} ms", took.as_millis());
}

#[test]
fn runaways_are_stopped() {
    let forever = "(loop $l (br $l)) (unreachable)";
    let start = Guest { items: "(func $s (loop $l (br $l))) (start $s)".into(), ..Guest::default() };
    let describe = Guest { describe: forever.into(), ..Guest::default() };
    let recursion = Guest { items: "(func $r (call $r))".into(), run: "(call $r) (i32.const 2000)".into(), ..Guest::default() };
    let memory = Guest::running("(loop $l (drop (memory.grow (i32.const 16))) (br $l)) (unreachable)");
    let declared = Guest { memory: "4096".into(), ..Guest::default() };
    let table = Guest { items: "(table 1000000 funcref)".into(), ..Guest::default() };
    let growing = Guest {
        items: "(table $t 1 funcref)".into(),
        run: "(loop $l (drop (table.grow $t (ref.null func) (i32.const 1000))) (br $l)) (unreachable)".into(),
        ..Guest::default()
    };
    let talking = Guest::running("(loop $l (call $log (i32.const 1000) (i32.const 8)) (br $l)) (unreachable)");
    let shouting = Guest { memory: "200".into(), ..Guest::running("(call $log (i32.const 0) (i32.const 10000000)) (unreachable)") };
    for (name, guest, code) in [
        ("endless run", Guest::running(forever), "PLG016"),
        ("endless describe", describe, "PLG016"),
        ("endless start", start, "PLG016"),
        ("recursion", recursion, "PLG019"),
        ("memory bomb", memory, "PLG018"),
        ("declared memory", declared, "PLG018"),
        ("declared table", table, "PLG018"),
        ("table bomb", growing, "PLG018"),
        ("endless talk", talking, "PLG018"),
        ("one long message", shouting, "PLG018"),
    ] {
        refused(name, &guest.build(), code);
    }
}

#[test]
fn the_clock_is_the_last_resort() {
    let limits = Limits { fuel: u64::MAX, time: Duration::from_millis(200), ..limits() };
    let got = code_of(&Guest::running("(loop $l (br $l)) (unreachable)").build(), &limits);
    assert!(got.starts_with("PLG017"), "{got}");
}

#[test]
fn traps_are_named() {
    let null = Guest {
        items: "(table 1 funcref) (type $f (func))".into(),
        run: "(call_indirect (type $f) (i32.const 0)) (unreachable)".into(),
        ..Guest::default()
    };
    for (name, guest) in [
        ("unreachable", Guest::running("(unreachable)")),
        ("out of bounds", Guest::running("(i32.load (i32.const -4))")),
        ("division by zero", Guest::running("(i32.div_s (i32.const 1) (i32.const 0))")),
        ("null function", null),
    ] {
        refused(name, &guest.build(), "PLG019");
    }
}

#[test]
fn lies_to_the_interface_are_named() {
    let drop = "(call $drop (local.get $graph))";
    let store = |at: u32, value: u32| format!("(i32.store (i32.const {at}) (i32.const {value}))");
    let answer = |list: u32, length: u32| format!("{drop} {} {} (i32.const 2000)", store(2004, list), store(2008, length));
    let about = |index: usize, text: &[u8]| {
        let mut guest = Guest::default();
        guest.about[index] = text.to_vec();
        guest
    };
    let unknown = Guest::editing(Memory::default(), &[unknown_edit()]);
    for (name, guest, code) in [
        ("answer out of bounds", Guest::running(&format!("{drop} (i32.const -8)")), "PLG019"),
        ("answer misaligned", Guest::running(&format!("{drop} (i32.const 2001)")), "PLG019"),
        ("list out of bounds", Guest::running(&answer(4096, 10_000_000)), "PLG019"),
        ("list of overflowing length", Guest::running(&answer(4096, u32::MAX)), "PLG019"),
        ("list misaligned", Guest::running(&answer(4097, 1)), "PLG019"),
        ("unknown kind of edit", unknown, "PLG019"),
        ("answer of no kind", Guest::running(&format!("{drop} {} (i32.const 2000)", store(2000, 7))), "PLG019"),
        ("handle kept", Guest::running("(i32.const 2000)"), "PLG019"),
        ("handle dropped twice", Guest::running(&format!("{drop} {drop} (i32.const 2000)")), "PLG019"),
        ("handle forged", Guest::running("(call $ops (i32.const 77) (i32.const 3000)) (unreachable)"), "PLG019"),
        ("name not UTF-8", about(0, b"\xff\xfe"), "PLG019"),
        ("name of a path", about(0, b"../fold"), "PLG015"),
        ("name empty", about(0, b""), "PLG015"),
        ("name of controls", about(0, b"a\x1b[31m"), "PLG015"),
        ("name of the empty pipeline", about(0, b"none"), "PLG015"),
        ("version empty", about(1, b""), "PLG015"),
        ("summary of lines", about(2, b"a\nb"), "PLG015"),
    ] {
        refused(name, &guest.build(), code);
    }
}

/// While the host hands something over, the plugin allocates: neither that nor what comes after an answer is a way out.
#[test]
fn allocations_are_no_way_out() {
    let asks = "(call $ops (local.get $graph) (i32.const 3000)) (call $drop (local.get $graph)) (i32.const 2000)";
    let allocating = |realloc: &str| Guest { realloc: realloc.into(), ..Guest::running(asks) }.build();
    let after = |does: &str| Guest {
        items: format!("(func (export \"cabi_post_octet:plugin/pass@0.1.0#run\") (param i32) {does})"),
        ..Guest::default()
    };
    for (name, bytes, code) in [
        ("endless allocation", allocating("(loop $l (br $l))"), "PLG016"),
        ("talk while allocating", allocating("(call $log (i32.const 1100) (i32.const 5))"), "PLG019"),
        ("questions while allocating", allocating("(call $ops (i32.const 1) (i32.const 3000))"), "PLG019"),
        ("allocation out of bounds", allocating("(return (i32.const -8))"), "PLG019"),
        ("allocation at the end", allocating("(return (i32.const 262140))"), "PLG019"),
        ("allocation misaligned", allocating("(return (i32.const 4097))"), "PLG019"),
        ("memory bomb while allocating", allocating("(loop $l (drop (memory.grow (i32.const 16))) (br $l))"), "PLG018"),
        ("endless end", after("(loop $l (br $l))").build(), "PLG016"),
        ("trap at the end", after("(unreachable)").build(), "PLG019"),
        ("talk at the end", after("(loop $l (call $log (i32.const 1100) (i32.const 5)) (br $l))").build(), "PLG019"),
    ] {
        refused(name, &bytes, code);
    }
}

/// What a plugin says stays one line of its own, and draws nothing.
#[test]
fn words_are_only_words() {
    let said = "\x1b[2J\u{202e}fine\nerror[QNT001]: lost";
    let hex: String = said.bytes().map(|b| format!("\\{b:02x}")).collect();
    let log = format!("(call $log (i32.const 3000) (i32.const {}))", said.len());
    let items = format!("(data (i32.const 3000) \"{hex}\")");
    let guest = Guest { items, ..Guest::running(&format!("{log} (call $drop (local.get $graph)) (i32.const 2000)")) };
    let (_, said) = run(&load(&guest.build()).expect("loads"), "guest", &read(MODEL)).expect("runs");
    assert_eq!(said.0[0].message, "\\u{1b}[2J\\u{202e}fine\\nerror[QNT001]: lost");
    // As much as one call may hand over is not what the user has to read.
    let long = Guest::running(&format!(
        "(memory.fill (i32.const 4096) (i32.const 97) (i32.const 900000)) {} (unreachable)",
        "(call $log (i32.const 4096) (i32.const 900000))"
    ));
    let failed = run(&load(&Guest { memory: "20".into(), ..long }.build()).expect("loads"), "guest", &read(MODEL)).expect_err("traps");
    assert!(failed.to_string().len() < 10_000);
    // Words in an edit, which the message about it repeats.
    let mut memory = Memory::default();
    let edit = memory.set_op(0, "abs\x1b[31m", "");
    let failed = run(&load(&Guest::editing(memory, &[edit]).build()).expect("loads"), "guest", &read(MODEL)).expect_err("no operation");
    assert!(!failed.to_string().contains('\x1b') && failed.to_string().contains("\\u{1b}"), "{failed}");
}

#[test]
fn files_are_screened() {
    let good = Guest::default().build();
    let component = |text: &str| wat::parse_str(text).unwrap_or_else(|e| panic!("{e}"));
    let nops = |count: usize| "nop ".repeat(count);
    let large = Guest::running(&format!("{} (unreachable)", nops(300_000)));
    let many = Guest { items: "(func)".repeat(60_000), ..Guest::default() };
    let mut flipped = good.clone();
    for byte in flipped.iter_mut().skip(200).step_by(37) {
        *byte ^= 0x55;
    }
    for (name, bytes, code) in [
        ("empty file", Vec::new(), "PLG011"),
        ("no WebAssembly", b"\x7fELF and more".to_vec(), "PLG011"),
        ("truncated", good[..good.len() / 2].to_vec(), "PLG011"),
        ("flipped bytes", flipped, "PLG011"),
        ("core module", component("(module)"), "PLG011"),
        ("large file", vec![0; (8 << 20) + 1], "PLG024"),
        ("large function", large.build(), "PLG024"),
        ("many functions", many.build(), "PLG024"),
        ("imports WASI", component(r#"(component (import "wasi:clocks/wall-clock@0.2.0" (instance)))"#), "PLG012"),
        ("imports an unknown interface", component(r#"(component (import "octet:plugin/files@0.1.0" (instance)))"#), "PLG012"),
        ("imports a function", component(r#"(component (import "steal" (func)))"#), "PLG012"),
        ("imports another version", component(r#"(component (import "octet:plugin/host@0.2.0" (instance)))"#), "PLG013"),
        ("exports another version", component(r#"(component (instance $i) (export "octet:plugin/pass@0.2.0" (instance $i)))"#), "PLG013"),
        ("exports nothing", component("(component)"), "PLG014"),
        ("exports no functions", component(r#"(component (instance $i) (export "octet:plugin/pass@0.1.0" (instance $i)))"#), "PLG014"),
    ] {
        refused(name, &bytes, code);
    }
    let lying = r#"(component
        (import "octet:plugin/host@0.1.0" (instance (export "log" (func (param "message" u64)))))
        (instance $i) (export "octet:plugin/pass@0.1.0" (instance $i)))"#;
    refused("imports with other types", &component(lying), "PLG012");
}

#[test]
fn wrong_edits_are_named() {
    type Make = fn(&mut Memory) -> Vec<Vec<u8>>;
    let cases: [(&str, Make, &str); 22] = [
        ("no such operation", |_| vec![erase(99)], "PLG020"),
        ("no such anchor", |m| vec![m.op(99, "abs", "", &[Ref::Old(0)], &["1x4 f32"])], "PLG020"),
        ("no such value", |m| vec![m.op(1, "abs", "", &[Ref::Old(99)], &["1x4 f32"])], "PLG020"),
        ("largest number", |_| vec![replace(u32::MAX, Ref::Old(u32::MAX))], "PLG020"),
        ("new value from nowhere", |_| vec![replace(2, Ref::New(0))], "PLG020"),
        ("new value before it is made", |m| vec![m.op(1, "abs", "", &[Ref::New(0)], &["1x4 f32"])], "PLG020"),
        ("no such mnemonic", |m| vec![m.op(1, "rm_rf", "", &[Ref::Old(0)], &["1x4 f32"])], "PLG020"),
        ("two mnemonics", |m| vec![m.op(1, "abs,abs", "", &[Ref::Old(0)], &["1x4 f32"])], "PLG020"),
        ("no such attribute", |m| vec![m.op(1, "abs", "{speed = 3}", &[Ref::Old(0)], &["1x4 f32"])], "PLG020"),
        ("malformed attributes", |m| vec![m.set_op(0, "abs", "{{{{")], "PLG020"),
        ("nested attributes", |m| vec![m.set_op(0, "abs", &format!("{{a = {}", "[".repeat(100_000)))], "PLG020"),
        ("malformed type", |m| vec![m.constant("1x4 f33", &[0; 16])], "PLG020"),
        ("type and more", |m| vec![m.constant("1 f32) { return", &[0; 4])], "PLG020"),
        ("constant too short", |m| vec![m.constant("4 f32", &[0; 15])], "PLG020"),
        ("constant of overflowing size", |m| vec![m.constant("4294967296x4294967296x4294967296 f32", &[0; 4])], "PLG020"),
        ("no such operand", |_| vec![set_operand(0, 7, Some(Ref::Old(0)))], "PLG020"),
        ("read before it is made", |_| vec![set_operand(0, 0, Some(Ref::Old(2)))], "PLG020"),
        ("replaced by another shape", |_| vec![replace(2, Ref::Old(3))], "PLG020"),
        ("erased but read", |_| vec![erase(0)], "PLG020"),
        ("required operand left out", |_| vec![set_operand(1, 0, None)], "PLG021"),
        (
            "result of another type",
            |m| vec![m.op(1, "abs", "", &[Ref::Old(0)], &["2x2 f32"]), set_operand(1, 0, Some(Ref::New(0)))],
            "PLG021",
        ),
        ("graph that calls itself", |m| vec![m.set_op(0, "while", "{cond_graph = 0, body_graph = 0}")], "PLG021"),
    ];
    for (name, make, code) in cases {
        let mut memory = Memory::default();
        let edits = make(&mut memory);
        refused(name, &Guest::editing(memory, &edits).build(), code);
    }
}

#[test]
fn answers_are_bounded() {
    let flood = Guest::editing(Memory::default(), &vec![erase(0); 50_001]);
    refused("too many edits", &flood.build(), "PLG018");
    // Many edits whose long mnemonics are all the same bytes.
    let mut memory = Memory::default();
    let shared = memory.set_op(0, &"a".repeat(100_000), "");
    refused("strings that overlap", &Guest::editing(memory, &vec![shared; 10_000]).build(), "PLG018");
}

#[test]
fn names_that_are_taken_are_refused() {
    let mut guest = Guest::default();
    guest.about[0] = b"fold".to_vec();
    let plugin = load(&guest.build()).expect("sound but for its name");
    let refused = run(&plugin, "fold", &read(MODEL)).expect_err("two passes of one name");
    let first = refused.0.first().expect("a diagnostic");
    assert_eq!(first.code, "PLG001");
    assert!(first.message.contains("octet-passes") && first.message.contains("guest.wasm"), "{first}");
}
