//! Hostile kernels. Each ends in the diagnostic of its fault, within its limits.

use std::time::{Duration, Instant};

use crate::kernels::{General, NEXT, SECTION, fixed, floats, kernel};
use crate::limits;

fn code_of(bytes: &[u8]) -> String {
    let entry = match kernel(bytes, &limits()) {
        Ok(entry) => entry,
        Err(refused) => {
            assert_eq!(refused.location.file.as_deref(), Some("kernel.wasm"), "{refused}");
            return format!("{} {}", refused.code, refused.message);
        }
    };
    let x = floats(&[1.0, 2.0, 3.0, 4.0]);
    let failed = entry.kernel.run(&[Some(&x)], &[]).expect_err("the kernel is hostile");
    assert!(failed.notes.iter().any(|n| n.contains("of kernel.wasm")), "{failed}");
    format!("{} {}", failed.code, failed.message)
}

fn refused(name: &str, bytes: &[u8], code: &str) {
    let begun = Instant::now();
    let got = code_of(bytes);
    assert!(got.starts_with(code), "{name}: {got} instead of {code}");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "{name} took {took:?}");
    println!("attack: {name}: {code}, {} ms", took.as_millis());
}

const FOREVER: &str = "(loop $l (br $l)) (unreachable)";

#[test]
fn runaway_kernels_are_stopped() {
    let d = General::default;
    let bomb = "(loop $l (drop (memory.grow (i32.const 16))) (br $l)) (unreachable)";
    for (name, guest, code) in [
        ("endless describe", General { describe: FOREVER, ..d() }, "PLG016"),
        ("endless alloc", General { alloc: FOREVER, ..d() }, "PLG016"),
        ("endless infer", General { infer: FOREVER, ..d() }, "PLG016"),
        ("endless run", General { run: FOREVER, ..d() }, "PLG016"),
        ("endless start", General { items: "(func $s (loop $l (br $l))) (start $s)", ..d() }, "PLG016"),
        ("endless initialize", General { items: "(func (export \"_initialize\") (loop $l (br $l)))", ..d() }, "PLG016"),
        ("recursion", General { items: "(func $r (call $r))", run: "(call $r) (i32.const 0)", ..d() }, "PLG019"),
        ("memory bomb", General { run: bomb, ..d() }, "PLG018"),
        ("declared memory", General { memory: "(memory (export \"memory\") 4096)", ..d() }, "PLG018"),
        ("declared table", General { items: "(table 1000000 funcref)", ..d() }, "PLG018"),
        ("no room", General { alloc: "(i32.const 0)", ..d() }, "PLG018"),
        ("unreachable", General { run: "(unreachable)", ..d() }, "PLG019"),
        ("out of bounds", General { run: "(i32.load (i32.const -4))", ..d() }, "PLG019"),
        ("division by zero", General { run: "(i32.div_s (i32.const 1) (i32.const 0))", ..d() }, "PLG019"),
        ("initialize of another type", General { items: "(func (export \"_initialize\") (param i32))", ..d() }, "PLG014"),
    ] {
        refused(name, &guest.build(), code);
    }
}

#[test]
fn lies_of_kernels_are_named() {
    let d = General::default;
    let endless = "(memory.fill (i32.const 0) (i32.const 97) (i32.const 262144)) (i32.const 4096)";
    let many = "(i32.store offset=12 (local.get $call) (i32.const 1000)) (i32.const 0)";
    let result = |stores: &str| -> &'static str {
        String::leak(format!(
            "(i32.store offset=12 (local.get $call) (i32.const 1)) (local.set $i (i32.load offset=8 (local.get $call))) {stores} (i32.const 0)"
        ))
    };
    let element = result("(i32.store offset=4 (local.get $i) (i32.const 99))");
    let string = result("(i32.store offset=4 (local.get $i) (i32.const 5))");
    let axes = result("(i32.store offset=8 (local.get $i) (i32.const 9))");
    let all = result("(i32.store offset=8 (local.get $i) (i32.const -1))");
    let huge = result(
        "(i32.store offset=8 (local.get $i) (i32.const 8)) (memory.fill (i32.load offset=12 (local.get $i)) (i32.const 255) (i32.const 32))",
    );
    let large =
        result("(i32.store offset=8 (local.get $i) (i32.const 1)) (i32.store (i32.load offset=12 (local.get $i)) (i32.const 100000000))");
    for (name, guest, code) in [
        ("alloc misaligned", General { alloc: "(i32.const 4097)", ..d() }, "PLG019"),
        ("alloc out of bounds", General { alloc: "(i32.const 262144)", ..d() }, "PLG019"),
        ("alloc at the end", General { alloc: "(i32.const -16)", ..d() }, "PLG018"),
        ("description out of bounds", General { describe: "(i32.const -8)", ..d() }, "PLG019"),
        ("description without an end", General { describe: endless, ..d() }, "PLG019"),
        ("description not UTF-8", General { describe: "(i32.const 2304)", ..d() }, "PLG019"),
        ("no name", General { about: "\\00", ..d() }, "PLG015"),
        ("name of controls", General { about: "a\\1b[31m\\0a1\\0as\\00", ..d() }, "PLG015"),
        ("name with a space", General { about: " a\\0a1\\0as\\00", ..d() }, "PLG015"),
        ("no version", General { about: "a\\00", ..d() }, "PLG015"),
        ("no summary", General { about: "a\\0a1.0.0\\00", ..d() }, "PLG015"),
        ("a thousand results", General { infer: many, ..d() }, "PLG019"),
        ("unknown element type", General { infer: element, ..d() }, "PLG019"),
        ("strings", General { infer: string, ..d() }, "PLG019"),
        ("nine axes", General { infer: axes, ..d() }, "PLG019"),
        ("four billion axes", General { infer: all, ..d() }, "PLG019"),
        ("overflowing size", General { infer: huge, ..d() }, "PLG018"),
        ("large result", General { infer: large, ..d() }, "PLG018"),
        ("refuses to infer", General { infer: "(i32.const 2048)", ..d() }, "PLG022 no such luck"),
        ("refuses to run", General { run: "(i32.const 2048)", ..d() }, "PLG022 no such luck"),
        ("message out of bounds", General { run: "(i32.const -1)", ..d() }, "PLG019"),
        ("message not UTF-8", General { run: "(i32.const 2304)", ..d() }, "PLG019"),
        ("message without an end", General { run: endless, ..d() }, "PLG019"),
    ] {
        refused(name, &guest.build(), code);
    }
}

#[test]
fn files_of_kernels_are_screened() {
    let d = General::default;
    let good = d().build();
    let nops: &'static str = String::leak(format!("{}(i32.const 0)", "nop ".repeat(300_000)));
    let clock = r#"(import "wasi_snapshot_preview1" "clock_time_get" (func (param i32 i64 i32) (result i32)))"#;
    let mut truncated = good.clone();
    truncated.truncate(good.len() - 3);
    for (name, bytes, code) in [
        ("imports WASI", General { items: clock, ..d() }.build(), "PLG012"),
        ("imports a memory", General { memory: r#"(memory (export "memory") (import "env" "m") 4)"#, ..d() }.build(), "PLG012"),
        ("another version", General { marker: "octet_kernel_abi_2", ..d() }.build(), "PLG013"),
        ("no marker", General { marker: "other", ..d() }.build(), "PLG011"),
        ("no memory", General { memory: "(memory 4)", ..d() }.build(), "PLG014"),
        ("memory of 64 bits", General { memory: "(memory (export \"memory\") i64 4)", ..d() }.build(), "PLG011"),
        ("shared memory", General { memory: "(memory (export \"memory\") 4 4 shared)", ..d() }.build(), "PLG011"),
        ("nothing but a marker", wat::parse_str(r#"(module (func (export "octet_kernel_abi_1")))"#).expect("a module"), "PLG014"),
        ("a global as memory", General { memory: r#"(memory 4) (global (export "memory") i32 (i32.const 0))"#, ..d() }.build(), "PLG014"),
        ("large function", General { run: nops, ..d() }.build(), "PLG024"),
        ("truncated", truncated, "PLG011"),
        ("section of another version", fixed(&SECTION.replace("kernel 1", "kernel 9"), NEXT), "PLG013"),
        ("section without results", fixed(&SECTION.replace("result: 4 i8\n", ""), NEXT), "PLG015"),
        ("section with a path as a type", fixed(&SECTION.replace("4 i8", "/etc"), NEXT), "PLG015"),
        ("section and no invoke", fixed(SECTION, &NEXT.replace("\"invoke\"", "\"revoke\"")), "PLG014"),
        ("section for other types", fixed(SECTION, NEXT), "PLG025"),
        (
            "input out of bounds",
            fixed(&SECTION.replace("4 !q<i8, 0.5:-3>", "4 f32"), &NEXT.replace("(i32.const 64))", "(i32.const 65533))")),
            "PLG019",
        ),
        (
            "output out of bounds",
            fixed(
                &SECTION.replace("4 !q<i8, 0.5:-3>", "4 f32"),
                &NEXT.replace("(result i32) (i32.const 99)", "(result i32) (i32.const -1)"),
            ),
            "PLG019",
        ),
    ] {
        refused(name, &bytes, code);
    }
}
