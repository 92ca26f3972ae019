//! Passes that do what they should: answers made by hand.

use std::time::Instant;

use octet_ir::text;

use crate::guest::{Guest, Memory, Ref, replace};
use crate::{load, read, run};

#[test]
fn edits_by_hand_become_one_patch() {
    let mut memory = Memory::default();
    let edits = [
        memory.constant("1 f32", &2.0f32.to_le_bytes()),
        memory.op(1, "mul", "{activation = relu}", &[Ref::Old(1), Ref::New(0)], &["1x4 f32"]),
        replace(2, Ref::New(1)),
    ];
    let plugin = load(&Guest::editing(memory, &edits).build()).expect("loads");
    let source = "octet.ir 1\ngraph @main(%0: 1x4 f32 loc(\"x\")) {\n  %1 = tanh(%0) : 1x4 f32\n  %2 = abs(%1) : 1x4 f32\n  return %2\n}\n";
    let (module, _) = run(&plugin, "guest", &read(source)).unwrap_or_else(|e| panic!("{e}"));
    let printed = text::print(&module).text;
    assert!(printed.contains("mul(%1, %2) {activation = relu}") && !printed.contains("abs"), "{printed}");
}

#[test]
fn what_a_plugin_says_is_passed_on() {
    let guest = Guest::running("(call $log (i32.const 1100) (i32.const 5)) (call $drop (local.get $graph)) (i32.const 2000)");
    let plugin = load(&guest.build()).expect("loads");
    let (_, said) = run(&plugin, "guest", &read("octet.ir 1\ngraph @main(%0: 1 f32) {\n  return %0\n}\n")).expect("runs");
    assert_eq!(said.0.iter().map(|d| (d.code, d.message.as_str())).collect::<Vec<_>>(), [("PLG023", "guest")]);
}

/// Memory does not carry over from one call to the next: a plugin that counts its calls always counts one.
#[test]
fn every_call_has_an_instance_of_its_own() {
    let guest = Guest {
        items: "(global $calls (mut i32) (i32.const 0))".into(),
        ..Guest::running(
            "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
             (if (i32.ne (global.get $calls) (i32.const 1)) (then unreachable))
             (call $drop (local.get $graph)) (i32.const 2000)",
        )
    };
    let plugin = load(&guest.build()).expect("loads");
    let module = read("octet.ir 1\ngraph @main(%0: 1 f32) {\n  return %0\n}\n");
    for _ in 0..3 {
        run(&plugin, "guest,guest", &module).expect("runs");
    }
}

/// A plugin that asks for every one of 10,000 operations.
#[test]
fn a_large_graph_is_walked() {
    let guest = Guest {
        memory: "64".into(),
        ..Guest::running(
            "(loop $l
               (global.set $heap (i32.const 4096))
               (call $op (local.get $graph) (local.get $i) (i32.const 3000))
               (if (i32.eqz (i32.load8_u (i32.const 3000))) (then unreachable))
               (local.set $i (i32.add (local.get $i) (i32.const 1)))
               (br_if $l (i32.lt_u (local.get $i) (i32.const 10000))))
             (call $drop (local.get $graph)) (i32.const 2000)",
        )
    };
    let plugin = load(&guest.build()).expect("loads");
    let ops: String = (0..10_000).map(|i| format!("  %{} = abs(%{i}) : 4 f32\n", i + 1)).collect();
    let module = read(&format!("octet.ir 1\ngraph @main(%0: 4 f32) {{\n{ops}  return %10000\n}}\n"));
    let begun = Instant::now();
    run(&plugin, "guest", &module).unwrap_or_else(|e| panic!("{e}"));
    println!("10,000 operations walked, module copied and verified: {:?}", begun.elapsed());
}
