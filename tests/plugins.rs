//! The command with WebAssembly plugins: lists, names that are taken, the folder of plugins, the cache, kernels in `run`, projects to begin with.
//!
//! The plugins are the frozen ones of `plugins/host/tests/fixtures`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PASS: &str = "plugins/host/tests/fixtures/pass-0.1.0.wasm";
const KERNEL: &str = "plugins/host/tests/fixtures/kernel-1.wasm";

/// A folder of one test.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("octet-command-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(folder.join("plugins")).expect("a folder");
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn copy(&self, from: &str, to: &str) -> String {
        std::fs::copy(root().join(from), self.0.join(to)).expect("copies");
        self.path(to)
    }

    /// The command, with a cache and a folder of plugins of its own.
    fn octet(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_octet"));
        command.args(arguments).env("OCTET_CACHE", self.0.join("cache")).env("OCTET_PLUGINS", self.0.join("plugins"));
        command.current_dir(root()).output().expect("the command runs")
    }

    fn cached(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.0.join("cache/plugins")).into_iter().flatten();
        entries.map(|e| e.expect("an entry").path()).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn rows(output: &Output, name: &str) -> Vec<Vec<String>> {
    assert!(output.status.success(), "{}", text(&output.stderr));
    let rows = text(&output.stdout);
    rows.lines().filter(|l| l.starts_with(name)).map(|l| l.split_whitespace().map(str::to_owned).collect()).collect()
}

#[test]
fn lists_name_plugins() {
    let place = Place::new("lists");
    let listed = place.octet(&["list", "plugins", "--plugin", PASS, "--plugin", KERNEL]);
    assert_eq!(rows(&listed, "fuse-log-softmax"), [["fuse-log-softmax", "1.0.0", "pass", PASS, "octet:plugin@0.1.0"]]);
    assert_eq!(rows(&listed, "AcmeSquaredRelu"), [["AcmeSquaredRelu", "1.0.0", "kernel", KERNEL, "octet.kernel", "1"]]);
    assert_eq!(rows(&place.octet(&["list", "kernels", "--plugin", KERNEL]), "AcmeSquaredRelu").len(), 1);
    assert_eq!(rows(&place.octet(&["list", "passes", "--plugin", PASS]), "fuse-log-softmax").len(), 1);
}

#[test]
fn one_name_for_two_plugins_is_refused_with_both_origins() {
    let place = Place::new("names");
    for fixture in [PASS, KERNEL] {
        let (a, b) = (place.copy(fixture, "a.wasm"), place.copy(fixture, "b.wasm"));
        let refused = place.octet(&["list", "plugins", "--plugin", &a, "--plugin", &b]);
        let said = text(&refused.stderr);
        assert!(!refused.status.success() && said.contains("PLG001"), "{said}");
        assert!(said.contains("a.wasm 1.0.0") && said.contains("b.wasm 1.0.0"), "{said}");
    }
}

#[test]
fn the_folder_of_plugins_is_loaded() {
    let place = Place::new("folder");
    place.copy(KERNEL, "plugins/kernel.wasm");
    std::fs::write(place.0.join("plugins/broken.wasm"), b"no plugin").expect("writes");
    let listed = place.octet(&["list", "plugins"]);
    assert_eq!(rows(&listed, "AcmeSquaredRelu").len(), 1);
    let said = text(&listed.stderr);
    assert!(said.contains("warning[PLG011]") && said.contains("broken.wasm"), "{said}");
    // The same file, asked for by name, is loaded once.
    let both = place.octet(&["list", "plugins", "--plugin", &place.path("plugins/kernel.wasm")]);
    assert_eq!(rows(&both, "AcmeSquaredRelu").len(), 1);
    let asked = place.octet(&["list", "plugins", "--plugin", &place.path("plugins/broken.wasm")]);
    assert!(!asked.status.success());
}

#[test]
fn compiled_code_is_kept_and_a_damaged_entry_is_compiled_again() {
    let place = Place::new("cache");
    let list = || assert_eq!(rows(&place.octet(&["list", "plugins", "--plugin", PASS]), "fuse-log-softmax").len(), 1);
    list();
    let [entry] = place.cached().try_into().expect("one entry");
    let whole = std::fs::read(&entry).expect("the entry");
    std::fs::write(&entry, &whole[..whole.len() / 2]).expect("damages it");
    list();
    assert_eq!(std::fs::read(&entry).expect("the entry"), whole);
    list();
    assert_eq!(place.cached().len(), 1);
}

#[test]
fn kernels_are_found_where_models_run() {
    let place = Place::new("run");
    let (model, x, y) = (place.path("model.ir"), place.path("x.npy"), place.path("y.npy"));
    let source = "octet.ir 1\ngraph @main(%0: 1x4 f32 loc(\"x\")) {\n  %1 = custom(%0) {name = \"AcmeSquaredRelu\"} : 1x4 f32 loc(\"y\")\n  return %1\n}\n";
    std::fs::write(&model, source).expect("writes");
    std::fs::write(&x, npy(&[-1.0, 0.5, 2.0, 3.0, 0.0, 1.0, -2.0, 4.0])).expect("writes");
    let without = place.octet(&["run", &model, "--input", &x, "-o", &y]);
    assert!(!without.status.success() && text(&without.stderr).contains("--plugin"), "{}", text(&without.stderr));
    let with = place.octet(&["run", &model, "--input", &x, "-o", &y, "--plugin", KERNEL]);
    assert!(with.status.success(), "{}", text(&with.stderr));
    let found = std::fs::read(&y).expect("the output");
    // Behind the head stand the numbers.
    assert!(found.ends_with(&npy(&[0.0, 0.25, 4.0, 9.0, 0.0, 1.0, 0.0, 16.0])[128..]));
    let same = place.octet(&["compare", &model, &model, "--data", &x, "--max-error", "0", "--plugin", KERNEL]);
    assert!(same.status.success(), "{}", text(&same.stderr));
}

/// A module that carries the kernel computes in the engine and in Node what `run` computes, and C refuses the operation with the way out.
#[test]
fn kernels_become_part_of_modules() {
    let place = Place::new("carried");
    let (model, x, y, wasm) = (place.path("model.ir"), place.path("x.npy"), place.path("y.npy"), place.path("model.wasm"));
    let source = "octet.ir 1\ngraph @main(%0: 1x4 f32 loc(\"x\")) {\n  %1 = custom(%0) {name = \"AcmeSquaredRelu\"} : 1x4 f32\n  \
                  %2 = sub(%0, %1) : 1x4 f32\n  %3 = custom(%2) {name = \"AcmeSquaredRelu\"} : 1x4 f32 loc(\"y\")\n  return %3\n}\n";
    std::fs::write(&model, source).expect("writes");
    let samples = [-1.0, 0.5, 0.25, 3.0, 0.0, 1.0, -2.0, 4.0];
    std::fs::write(&x, npy(&samples)).expect("writes");
    let run = place.octet(&["run", &model, "--input", &x, "-o", &y, "--plugin", KERNEL]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let wanted = std::fs::read(&y).expect("the output")[128..].to_vec();

    let compile =
        |target: &str, out: &str, more: &[&str]| place.octet(&[&["compile", &model, "-o", out, "--target", target], more].concat());
    let without = compile("wasm", &wasm, &[]);
    assert!(!without.status.success() && text(&without.stderr).contains("WGN007"), "{}", text(&without.stderr));
    assert!(!Path::new(&wasm).exists());
    let c = compile("c", &place.path("c"), &["--plugin", KERNEL]);
    assert!(!c.status.success() && text(&c.stderr).contains("--target wasm"), "{}", text(&c.stderr));
    let with = compile("wasm", &wasm, &["--plugin", KERNEL, "--emit-loader"]);
    assert!(with.status.success(), "{}", text(&with.stderr));
    assert!(text(&with.stderr).contains("kernels of plugins in it: 'AcmeSquaredRelu'"), "{}", text(&with.stderr));

    let mut module = octet_plugin_host::Model::load(&std::fs::read(&wasm).expect("the module")).expect("loads");
    for (sample, wanted) in samples.chunks(4).zip(wanted.chunks(16)) {
        let bytes: Vec<u8> = sample.iter().flat_map(|v| v.to_le_bytes()).collect();
        module.set_input(0, &bytes).expect("an input");
        module.invoke().expect("runs");
        assert_eq!(module.output(0).expect("an output"), wanted);
    }
    let script = format!(
        "import {{ load }} from {:?}; const model = await load();\n\
         for (const x of {:?}) console.log(Buffer.from(model.run(Float32Array.from(x))[0].buffer).toString('hex'));",
        place.path("model-loader/octet.js"),
        samples.chunks(4).collect::<Vec<_>>()
    );
    match Command::new("node").args(["--input-type=module", "--eval", &script]).output() {
        Err(_) => println!("skipped: Node, because there is none"),
        Ok(told) => {
            let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
            let wanted: String = wanted.chunks(16).map(|w| hex(w) + "\n").collect();
            assert_eq!(text(&told.stdout), wanted, "{}", text(&told.stderr));
        }
    }
}

/// Samples of four floats as .npy.
fn npy(values: &[f32]) -> Vec<u8> {
    let mut head = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, 4), }}", values.len() / 4);
    while !(10 + head.len() + 1).is_multiple_of(64) {
        head.push(' ');
    }
    head.push('\n');
    let length = u16::try_from(head.len()).expect("short").to_le_bytes();
    let data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    [b"\x93NUMPY\x01\x00".to_vec(), length.to_vec(), head.into_bytes(), data].concat()
}

#[test]
fn a_project_of_every_kind_and_language_is_written() {
    let place = Place::new("projects");
    for (kind, lang, files) in [
        ("pass", "c", ["pass.c", "octet_plugin.h", "example.ir", "plugin.wit"]),
        ("pass", "rust", ["Cargo.toml", "src/lib.rs", "build.sh", "plugin.wit"]),
        ("pass", "assemblyscript", ["package.json", "pass.ts", "build.sh", "plugin.wit"]),
        ("kernel", "c", ["kernel.c", "octet_kernel.h", "build.sh", "example.ir"]),
        ("kernel", "rust", ["Cargo.toml", "src/lib.rs", "src/octet_kernel.rs", "build.sh"]),
        ("kernel", "assemblyscript", ["package.json", "kernel.ts", "octet_kernel.ts", "build.sh"]),
    ] {
        let folder = place.path(&format!("{kind}-{lang}"));
        let made = place.octet(&["plugin", "new", &folder, "--kind", kind, "--lang", lang]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        for file in files {
            assert!(Path::new(&folder).join(file).is_file(), "{kind} in {lang} has no {file}");
        }
        assert!(!place.octet(&["plugin", "new", &folder]).status.success(), "a folder that is there is left alone");
    }
}

#[test]
fn check_says_what_a_plugin_is() {
    let place = Place::new("check");
    let shown = text(&place.octet(&["plugin", "check", PASS]).stdout);
    for wanted in ["fuse-log-softmax", "octet:plugin/host@0.1.0", "octet:plugin/pass@0.1.0", "of 8388608", "of 2000000000"] {
        assert!(shown.contains(wanted), "{wanted}:\n{shown}");
    }
    let shown = text(&place.octet(&["plugin", "check", KERNEL]).stdout);
    for wanted in ["AcmeSquaredRelu", "octet.kernel 1", "nothing", "octet_kernel_run"] {
        assert!(shown.contains(wanted), "{wanted}:\n{shown}");
    }
    assert!(!place.octet(&["plugin", "check", PASS, "--plugin-limit", "memory=65536"]).status.success());
}
