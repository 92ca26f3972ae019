//! Plugins that do what they should: the pass in C, built by its own instructions, and answers made by hand.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use octet_ir::text;
use octet_plugin_host::{Limits, load_bytes, pack};

use crate::guest::{Guest, Memory, Ref, replace};
use crate::{load, read, run};

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/c-pass")
}

/// A linker for WebAssembly: `wasm-ld` of the system, or the one that comes with Rust.
fn linker() -> Vec<String> {
    let version = Command::new("wasm-ld").arg("--version").output();
    if version.is_ok_and(|v| v.status.success()) {
        return vec!["wasm-ld".into()];
    }
    let rustup = Command::new("rustup").args(["show", "home"]).output().expect("wasm-ld (apt install lld) or rustup");
    let home = PathBuf::from(String::from_utf8(rustup.stdout).expect("a path").trim());
    let toolchains = std::fs::read_dir(home.join("toolchains")).expect("toolchains").filter_map(Result::ok);
    let hosts = toolchains.filter_map(|t| std::fs::read_dir(t.path().join("lib/rustlib")).ok()).flatten().filter_map(Result::ok);
    let found = hosts.map(|h| h.path().join("bin/rust-lld")).find(|l| l.is_file()).expect("wasm-ld (apt install lld) or rust-lld");
    vec![found.display().to_string(), "-flavor".into(), "wasm".into()]
}

/// What `build.sh` does, its last step without the command.
fn built() -> Vec<u8> {
    let folder = std::env::temp_dir().join(format!("octet-c-pass-{}-{:?}", std::process::id(), std::thread::current().id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    for file in ["octet_plugin.h", "log_softmax.c", "build.sh"] {
        std::fs::copy(example().join(file), folder.join(file)).expect("copies");
    }
    // The module is kept instead of what the command would make of it.
    let keep = folder.join("octet");
    std::fs::write(&keep, "#!/bin/sh\ncp \"$3\" \"$5\"\n").expect("writes");
    let build = Command::new("sh")
        .arg(folder.join("build.sh"))
        .env("LD", linker().join(" "))
        .env("OCTET", format!("sh {}", keep.display()))
        .output()
        .expect("sh");
    assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
    let core = std::fs::read(folder.join("pass.wasm")).expect("the module");
    std::fs::remove_dir_all(&folder).expect("removes");
    pack(&core).unwrap_or_else(|e| panic!("{e}"))
}

/// Each case's first line is its pipeline; its snapshot stands beside it.
#[test]
fn the_c_pass_runs_like_a_built_in_one() {
    let plugin = load_bytes(&built(), "pass.wasm", &Limits::default()).expect("loads");
    assert_eq!((plugin.entry.name, plugin.version.as_str()), ("fuse-log-softmax", "1.0.0"));
    let folder = example().join("cases");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).expect("cases").map(|f| f.expect("an entry").path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "ir"));
    files.sort();
    assert_eq!(files.len(), 3);
    for file in files {
        let source = std::fs::read_to_string(&file).expect("a case");
        let pipeline = source.lines().next().and_then(|l| l.strip_prefix("// run: ")).expect("the first line names the pipeline");
        let shown = match run(&plugin, pipeline, &read(&source)) {
            Ok((module, _)) => text::print(&module).text,
            Err(found) => found.to_string(),
        };
        let expected = file.with_extension("expected");
        if std::env::var_os("OCTET_UPDATE").is_some() {
            std::fs::write(&expected, &shown).expect("writes");
        }
        assert_eq!(std::fs::read_to_string(&expected).unwrap_or_default(), shown, "{}", file.display());
    }
}

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
