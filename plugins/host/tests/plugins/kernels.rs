//! Kernels written as text: one in each form, and what holds for every call.

use std::time::{Duration, Instant};

use octet_ir::{Diagnostic, ElementType, Quantization, Type};
use octet_plugin::{KernelCall, KernelEntry, Registry, Tensor};
use octet_plugin_host::{Limits, Plugin, load_bytes};

/// What a test changes of an innocent kernel in the general form: it copies four floats.
pub(crate) struct General {
    pub(crate) items: &'static str,
    pub(crate) memory: &'static str,
    pub(crate) marker: &'static str,
    pub(crate) about: &'static str,
    pub(crate) describe: &'static str,
    pub(crate) alloc: &'static str,
    pub(crate) infer: &'static str,
    pub(crate) run: &'static str,
}

const INFER: &str = "(i32.store offset=12 (local.get $call) (i32.const 1))
  (local.set $i (i32.load offset=8 (local.get $call)))
  (i32.store offset=4 (local.get $i) (i32.const 0))
  (i32.store offset=8 (local.get $i) (i32.const 1))
  (i32.store (i32.load offset=12 (local.get $i)) (i32.const 4))
  (i32.const 0)";

const RUN: &str = "(memory.copy (i32.load offset=16 (i32.load offset=8 (local.get $call))) (i32.load offset=16 (i32.load (local.get $call))) (i32.const 16))
  (i32.const 0)";

impl Default for General {
    fn default() -> Self {
        Self {
            items: "",
            memory: "(memory (export \"memory\") 4)",
            marker: "octet_kernel_abi_1",
            about: "Guest\\0a1.0.0\\0aA guest.\\00",
            describe: "(i32.const 1024)",
            alloc: "(i32.const 4096)",
            infer: INFER,
            run: RUN,
        }
    }
}

impl General {
    pub(crate) fn build(&self) -> Vec<u8> {
        let Self { items, memory, marker, about, describe, alloc, infer, run } = self;
        let text = format!(
            r#"(module {items} {memory}
  (data (i32.const 1024) "{about}")
  (data (i32.const 2048) "no such luck\00")
  (data (i32.const 2304) "\ff\fe\00")
  (func (export "{marker}"))
  (func $describe (export "octet_kernel_describe") (result i32) {describe})
  (func (export "octet_kernel_alloc") (param $size i32) (result i32) {alloc})
  (func (export "octet_kernel_infer") (param $call i32) (result i32) (local $i i32) {infer})
  (func (export "octet_kernel_run") (param $call i32) (result i32) (local $i i32) {run}))"#
        );
        wat::parse_str(&text).unwrap_or_else(|e| panic!("{e}\n{text}"))
    }
}

/// A kernel in the fixed form: adds one to four bytes.
pub(crate) fn fixed(section: &str, items: &str) -> Vec<u8> {
    let section: String = section.bytes().map(|b| format!("\\{b:02x}")).collect();
    let text = format!(r#"(module (@custom "octet.kernel" "{section}") {items})"#);
    wat::parse_str(&text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

pub(crate) const SECTION: &str =
    "octet.kernel 1\nname: AcmeNext\nversion: 2.1.0\nsummary: Adds one.\noperand: 4 !q<i8, 0.5:-3>\nresult: 4 i8\n";

pub(crate) const NEXT: &str = r#"(memory (export "memory") 1)
  (func (export "input_ptr") (param i32) (result i32) (i32.const 64))
  (func (export "output_ptr") (param i32) (result i32) (i32.const 99))
  (func (export "invoke") (i32.store (i32.const 99) (i32.add (i32.load (i32.const 64)) (i32.const 0x01010101))))"#;

pub(crate) fn kernel(bytes: &[u8], limits: &Limits) -> Result<&'static KernelEntry, Diagnostic> {
    load_bytes(bytes, "kernel.wasm", limits, None).map(|plugin: Plugin| plugin.kernel().expect("a kernel"))
}

pub(crate) fn floats(values: &[f32]) -> Tensor {
    Tensor { elem: ElementType::F32, shape: vec![values.len()], bytes: values.iter().flat_map(|v| v.to_le_bytes()).collect() }
}

#[test]
fn a_kernel_in_the_general_form_infers_and_runs() {
    let entry = kernel(&General::default().build(), &Limits::default()).expect("loads");
    assert_eq!((entry.name, entry.origin, entry.summary), ("Guest", "kernel.wasm 1.0.0", "A guest."));
    let x = floats(&[1.0, -2.0, 3.5, 0.0]);
    assert_eq!(entry.kernel.infer(&[Some(Type::f32(vec![4]))], &[]).expect("infers"), [Type::f32(vec![4])]);
    assert_eq!(entry.kernel.run(&[Some(&x)], &[]).expect("runs"), std::slice::from_ref(&x));
    assert!(entry.kernel.is_pure());
}

#[test]
fn a_kernel_in_the_fixed_form_runs_for_its_types_alone() {
    let entry = kernel(&fixed(SECTION, NEXT), &Limits::default()).expect("loads");
    assert_eq!((entry.name, entry.origin), ("AcmeNext", "kernel.wasm 2.1.0"));
    let ty = Type::quantized(ElementType::I8, vec![4], Quantization::new(0.5, -3));
    let x = Tensor { elem: ElementType::I8, shape: vec![4], bytes: vec![1, 2, 3, 4] };
    let results = entry.kernel.infer(&[Some(ty.clone())], &[]).expect("infers");
    let call = KernelCall { operands: &[Some(&x)], operand_types: &[Some(ty.clone())], results: &results, options: &[] };
    assert_eq!(entry.kernel.compute(&call).expect("runs")[0].bytes, [2, 3, 4, 5]);
    let other = Type::quantized(ElementType::I8, vec![4], Quantization::new(0.25, -3));
    for (operands, options) in
        [(vec![Some(other)], &[][..]), (vec![None], &[]), (vec![Some(ty.clone()), Some(ty.clone())], &[]), (vec![Some(ty)], &[1])]
    {
        let refused = entry.kernel.infer(&operands, options).expect_err("not its types");
        assert_eq!(refused.code, "PLG025", "{refused}");
    }
}

/// Memory does not carry over from one call to the next: a kernel that counts its calls always counts one.
#[test]
fn every_call_of_a_kernel_has_an_instance_of_its_own() {
    let run = "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (i32.store (i32.load offset=16 (i32.load offset=8 (local.get $call))) (global.get $calls)) (i32.const 0)";
    let guest = General { items: "(global $calls (mut i32) (i32.const 0))", run, ..General::default() };
    let entry = kernel(&guest.build(), &Limits::default()).expect("loads");
    for _ in 0..3 {
        let answer = entry.kernel.run(&[], &[]).expect("runs");
        assert_eq!(answer[0].bytes[..4], [1, 0, 0, 0]);
    }
}

/// What a kernel writes over the addresses in its records leads nowhere.
#[test]
fn addresses_in_records_are_not_followed() {
    let run = "(i32.store offset=16 (i32.load offset=8 (local.get $call)) (i32.const 1024)) (i32.const 0)";
    let entry = kernel(&General { run, ..General::default() }.build(), &Limits::default()).expect("loads");
    assert_eq!(entry.kernel.run(&[], &[]).expect("runs")[0].bytes, [0; 16]);
}

#[test]
fn nans_are_canonical() {
    let run = "(f32.store (i32.load offset=16 (i32.load offset=8 (local.get $call)))
        (f32.div (f32.load (i32.load offset=16 (i32.load (local.get $call)))) (f32.const 0))) (i32.const 0)";
    let entry = kernel(&General { run, ..General::default() }.build(), &Limits::default()).expect("loads");
    let x = floats(&[f32::from_bits(0xffc1_2345), 0.0, 0.0, 0.0]);
    assert_eq!(entry.kernel.run(&[Some(&x)], &[]).expect("runs")[0].bytes[..4], 0x7fc0_0000u32.to_le_bytes());
}

#[test]
fn initialize_is_called_first() {
    let items = r#"(global $ready (mut i32) (i32.const 0)) (func (export "_initialize") (global.set $ready (i32.const 1)))"#;
    let run = "(i32.store (i32.load offset=16 (i32.load offset=8 (local.get $call))) (global.get $ready)) (i32.const 0)";
    let entry = kernel(&General { items, run, ..General::default() }.build(), &Limits::default()).expect("loads");
    assert_eq!(entry.kernel.run(&[], &[]).expect("runs")[0].bytes[..4], [1, 0, 0, 0]);
}

/// When the time of one call is over, calls on other threads go on.
#[test]
fn the_clock_of_one_call_stops_no_other() {
    // Loops for ever when the first operand is not zero, and for a while when it is.
    let run = "(if (i32.load (i32.load offset=16 (i32.load (local.get $call)))) (then (loop $l (br $l))))
        (local.set $i (i32.const 200000000))
        (loop $w (br_if $w (local.tee $i (i32.sub (local.get $i) (i32.const 1))))) (i32.const 0)";
    let limits = Limits { fuel: u64::MAX, time: Duration::from_millis(300), ..Limits::default() };
    let slow = kernel(&General { run, ..General::default() }.build(), &limits).expect("loads");
    let stuck = std::thread::spawn(move || slow.kernel.run(&[Some(&floats(&[1.0]))], &[]).expect_err("stuck").code);
    std::thread::sleep(Duration::from_millis(200));
    // Begins before the other one's time is over, and takes longer than what is left of that. On a slow machine its own time may be over first.
    let begun = Instant::now();
    if let Err(why) = slow.kernel.run(&[Some(&floats(&[0.0]))], &[]) {
        assert_eq!(why.code, "PLG017");
        assert!(begun.elapsed() >= limits.time, "stopped after {:?}", begun.elapsed());
    }
    assert_eq!(stuck.join().expect("ends"), "PLG017");
}

#[test]
fn two_kernels_of_one_name_are_refused_with_both_origins() {
    let bytes = General::default().build();
    let load = |file| load_bytes(&bytes, file, &Limits::default(), None).expect("loads").kernel().expect("a kernel");
    let refused = Registry::<KernelEntry>::collect_with(&[load("a.wasm"), load("b.wasm")]).expect_err("one name");
    assert_eq!(refused.code, "PLG001");
    assert!(refused.message.contains("a.wasm 1.0.0") && refused.message.contains("b.wasm 1.0.0"), "{refused}");
}
