//! Files that are small and would take minutes or gigabytes to compile: compiling is not metered, so that they are refused before.

use std::fmt::Write as _;

use octet_plugin_host::{Limits, load_bytes};

use crate::attacks::refused;
use crate::guest::Guest;
use crate::limits;

/// A plugin with further functions.
fn with(items: String) -> Vec<u8> {
    Guest { items, ..Guest::default() }.build()
}

fn times(count: usize, text: &str) -> String {
    text.repeat(count)
}

/// Locals that are set, as many loops, and uses of all locals: all of them live through all loops.
fn locals(locals: usize, loops: usize) -> String {
    let mut body = String::new();
    for i in 1..=locals {
        let _ = write!(body, "local.get 0 local.set {i} ");
    }
    body += &times(loops, "loop local.get 0 br_if 0 end ");
    for i in 1..=locals {
        let _ = write!(body, "local.get {i} drop ");
    }
    format!("(func (param i32) (local {}) {body})", times(locals, "i32 "))
}

#[test]
fn attacks_by_values() {
    let many = times(1000, "i32 ");
    let zeros = times(1000, "(i32.const 0) ");
    let calls = format!("(func $many (result {many}) {zeros}) (func {} (unreachable))", times(60_000, "(call $many)"));
    let loops = format!(
        "(type $t (func (param {many}))) (func {zeros} {} {} (unreachable))",
        times(30_000, "loop (type $t) "),
        times(30_000, "unreachable end ")
    );
    let targets: String = (0..60_000).map(|i| format!("{} ", i % 200)).collect();
    let jumps = format!(
        "(func (param i32) {} {} local.get 0 br_table {targets} {})",
        times(200, "block "),
        times(300, "i32.const 0 "),
        times(200, "end ")
    );
    let mut nested = String::new();
    for i in 1..=10_000 {
        let _ = write!(nested, "loop local.get 0 local.set {i} local.get 0 br_if 0 ");
    }
    let nested = format!("(func (param i32) (local {}) {nested} {})", times(10_000, "i32 "), times(10_000, "end "));
    let operands = format!(
        "(func (param i32) {} {} {})",
        times(15_000, "local.get 0 i32.load "),
        times(15_000, "block local.get 0 br_if 0 end "),
        times(15_000, "drop ")
    );
    for (name, items) in [
        ("calls of a thousand results", calls),
        ("loops of a thousand values", loops),
        ("jump table over many operands", jumps),
        ("many locals through many loops", locals(15_000, 15_000)),
        ("many locals in nested loops", nested),
        ("many operands over many blocks", operands),
        ("many functions of many locals", times(20, &locals(1500, 1500))),
    ] {
        refused(name, &with(items), "PLG024");
    }
}

/// Two bytes far apart in each of many memories.
#[test]
fn attacks_by_holes() {
    let hole = "(memory 256) (data (i32.const 0) \"a\") (data (i32.const 16777000) \"a\")";
    let memories: String =
        (0..100).map(|i| hole.replace("(memory", &format!("(memory $m{i}")).replace("(data", &format!("(data (memory $m{i})"))).collect();
    let kernel = format!("(module {memories} (func (export \"octet_kernel_abi_1\")))");
    refused("memories with holes", &wat::parse_str(kernel).expect("a module"), "PLG011");
    let modules = format!("(component {})", times(40, &format!("(core module {hole})")));
    refused("modules with holes", &wat::parse_str(modules).expect("a component"), "PLG024");
}

#[test]
fn attacks_by_components() {
    let laughs: String = (1..22)
        .map(|i| {
            let outer = format!("(alias outer 1 $c{} (component $p))", i - 1);
            format!("(component $c{i} {outer} (instance (instantiate $p)) (instance (instantiate $p)))")
        })
        .collect();
    let own = |canon: &str| {
        format!(
            r#"(component (type $r (resource (rep i32))) (core func $new (canon {canon}))
                 (core module $m (import "a" "new" (func $new (param i32) (result i32)))
                   (func $s (loop $l (drop (call $new (i32.const 1))) (br $l))) (start $s))
                 (core instance $a (export "new" (func $new))) (core instance (instantiate $m (with "a" (instance $a)))))"#
        )
    };
    let drops: String = (0..65).map(|i| format!("(core func $d{i} (canon resource.drop $r))")).collect();
    for (name, text, code) in [
        ("components that double", format!("(component (component $c0) {laughs} (instance (instantiate $c21)))"), "PLG011"),
        ("a component in a component", "(component (component (core module)))".into(), "PLG011"),
        ("resources of its own", own("resource.new $r"), "PLG012"),
        ("handles turned into addresses", own("resource.rep $r"), "PLG012"),
        ("many functions at the border", format!("(component (type $r (resource (rep i32))) {drops})"), "PLG024"),
    ] {
        refused(name, &wat::parse_str(&text).unwrap_or_else(|e| panic!("{name}: {e}")), code);
    }
}

/// The bound is far above what compilers write, and a limit that users may raise.
#[test]
fn large_functions_are_let_through() {
    let plugin = with(locals(300, 300));
    assert!(load_bytes(&plugin, "guest.wasm", &limits(), None).is_ok());
    let refused =
        load_bytes(&plugin, "guest.wasm", &Limits { live: 100_000, ..limits() }, None).expect_err("180,000 values live at branches");
    assert!(refused.code == "PLG024" && refused.to_string().contains("--plugin-limit live="), "{refused}");
}
