//! `cargo xtask mcu`: generated C on emulated boards. Every network is compiled, built for each board, run there on inputs whose outputs the
//! interpreter computed, and counted: instructions of one inference (QEMU counts them exactly; they are not cycles), bytes of code and memory.
//!
//! The peers' figures beside ours were measured once with TFLite Micro, its reference kernels and CMSIS-NN, on the same emulated boards. A miss stands
//! in the table as a miss.

use std::path::{Path, PathBuf};

use octet_peers::{workspace_root, zoo};

use crate::report::{Table, verdict, write_page};
use crate::run::{Outcome, cargo, command, output, run};
use crate::setup::debian;

/// What the boards need, as Debian calls it.
const PACKAGES: [&str; 10] = [
    "avr-libc",
    "gcc-arm-none-eabi",
    "gcc-avr",
    "gcc-riscv64-unknown-elf",
    "libelf-dev",
    "libnewlib-arm-none-eabi",
    "libsimavr-dev",
    "picolibc-riscv64-unknown-elf",
    "qemu-system-arm",
    "qemu-system-misc",
];

/// Boards and how they are called in the table.
const BOARDS: [(&str, &str); 4] = [("m3", "Cortex-M3"), ("m4", "Cortex-M4"), ("m55", "Cortex-M55"), ("rv", "RV32IMC")];

/// Networks, whose integer files stand in the zoo.
const NETWORKS: [&str; 7] = ["sine", "slides", "kws", "resnet8", "vww96", "mnist_cnn", "mnist_dw"];

/// Million instructions of one inference that ours must not exceed: network, a third of TFLM's reference kernels on the M3 (also the bar on RV32), CMSIS-NN on
/// the M4 and on the M55.
const BARS: [(&str, f64, f64, f64); 3] = [("resnet8", 105.7, 29.86, 4.91), ("kws", 42.0, 7.70, 1.82), ("vww96", 98.8, 24.10, 6.56)];

/// Bytes of arena that ours must not exceed: network, without and with overlaps.
const ARENAS: [(&str, usize, usize); 3] = [("kws", 16_000, 10_100), ("resnet8", 49_152, 33_400), ("vww96", 55_296, 37_000)];

/// Most bytes of code and tables at -Os on the M4.
const CODE: usize = 20 * 1024;
/// The same for the smallest network.
const SMALL_CODE: usize = 3 * 1024;

/// What one build and run told.
struct Run {
    passed: bool,
    instructions: f64,
}

/// Measures all networks, or the named ones.
pub(crate) fn mcu(names: &[String], write: bool) -> Outcome {
    let Some(zoo) = zoo() else { return Err("there is no model zoo (../shared/zoo, or $OCTET_ZOO)".into()) };
    debian(&PACKAGES, &["arm-none-eabi-gcc", "qemu-system-arm", "qemu-system-riscv32", "riscv64-unknown-elf-gcc", "avr-gcc"])?;
    // Only text comes out of the compiler here, and no time is measured: any build of it will do.
    run(&mut cargo(&["build", "--quiet", "--package", "octet", "--bin", "octet"]))?;
    let octet = crate::octet::target().join("debug/octet");
    let scratch = crate::octet::target().join("mcu");
    let mut memory = Table::new(&[
        "network",
        "arena, bytes",
        "scratch on the stack",
        "lower bound",
        "bar",
        "without overlap",
        "bar",
        "code at -Os, M4",
        "bar",
        "weights",
        "scales",
    ]);
    let mut speed = Table::new(&["network", "board", "bytes", "million instructions", "bar", ""]);
    let mut missed = 0usize;
    let mut bar = |pass: bool| {
        missed += usize::from(!pass);
        verdict(pass)
    };
    for name in NETWORKS.iter().filter(|n| names.is_empty() || names.iter().any(|wanted| wanted == *n)) {
        for kind in ["int8io", "i16x8io"] {
            let model = zoo.join("peers").join(format!("{name}.tf.{kind}.tflite"));
            if !model.is_file() {
                continue;
            }
            let label = if kind == "int8io" { (*name).to_owned() } else { format!("{name} 16x8") };
            let folder = scratch.join(format!("{name}-{kind}"));
            let apart = scratch.join(format!("{name}-{kind}-apart"));
            compile(&octet, &model, &folder, "c{test=true}")?;
            compile(&octet, &model, &apart, "c{overlap=false}")?;
            program(&folder)?;
            let (arena, bound, without) =
                (define(&folder, "MODEL_ARENA_SIZE")?, define(&folder, "MODEL_ARENA_LOWER_BOUND")?, define(&apart, "MODEL_ARENA_SIZE")?);
            let sizes = Sizes::of(&folder)?;
            let judged = kind == "int8io";
            let limits = ARENAS.iter().find(|a| a.0 == *name && judged);
            let code_bar = if *name == "sine" { SMALL_CODE } else { CODE };
            memory.row(vec![
                label.clone(),
                arena.to_string(),
                define(&folder, "MODEL_STACK_SCRATCH")?.to_string(),
                bound.to_string(),
                limits.map_or(String::new(), |l| format!("{} {}", l.2, bar(arena <= l.2))),
                without.to_string(),
                limits.map_or(String::new(), |l| format!("{} {}", l.1, bar(without <= l.1))),
                sizes.code.to_string(),
                format!("{code_bar} {}", bar(sizes.code <= code_bar)),
                sizes.weights.to_string(),
                sizes.scales.to_string(),
            ]);
            for (board, shown) in BOARDS {
                let measured = on_board(board, &folder)?;
                let limit = BARS.iter().find(|b| b.0 == *name && judged);
                let limit = limit.map(|&(_, third, m4, m55)| match board {
                    "m4" => m4,
                    "m55" => m55,
                    _ => third,
                });
                speed.row(vec![
                    label.clone(),
                    shown.into(),
                    if measured.passed { "equal".into() } else { bar(false) },
                    format!("{:.3}", measured.instructions / 1e6),
                    limit.map_or(String::new(), |l| format!("{l:.2}")),
                    limit.map_or(String::new(), |l| bar(measured.instructions <= l * 1e6)),
                ]);
            }
            if *name == "sine" && judged {
                let measured = on_board("avr", &folder)?;
                let equal = if measured.passed { "equal".into() } else { bar(false) };
                speed.row(vec![
                    label,
                    "ATmega2560".into(),
                    equal,
                    format!("{:.3}", measured.instructions / 1e6),
                    String::new(),
                    String::new(),
                ]);
            }
        }
    }
    let body = format!(
        "Networks are the integer files that TensorFlow's converter made of the zoo's float ones. `equal` says that the outputs on the board have \
         every bit of the interpreter's, for three inputs. Instructions are those of one inference at -O2.\n\n## Memory\n\n{}\nBars: what no plan without \
         overlaps can undercut, and the best plan known with them; {CODE} bytes of code and tables without weights ({SMALL_CODE} for sine), where TFLite \
         Micro with CMSIS-NN has 50 to 74 KB.\n\n\
         ## Instructions\n\n{}\nBars: CMSIS-NN on the M4 and the M55, a third of TFLite Micro's reference kernels on the M3 and RV32.\n\n\
         {missed} bars are missed.\n",
        memory.text(),
        speed.text()
    );
    println!("{body}");
    if write { write_page("microcontrollers.md", "Generated C on microcontrollers", "cargo xtask mcu --write", &body) } else { Ok(()) }
}

fn compile(octet: &Path, model: &Path, folder: &Path, target: &str) -> Outcome {
    run(command(octet, &["compile"]).arg(model).arg("-o").arg(folder).args(["--target", target, "--quiet"]))
}

/// The program that runs on boards: one inference between the counters, then the emitted test.
fn program(folder: &Path) -> Outcome {
    let test = read(&folder.join("model_test.c"))?;
    let test: String = test.lines().filter(|l| !l.contains("printf(") && !l.contains("<stdio.h>")).map(|l| format!("{l}\n")).collect();
    let text = test.replace("int main(void)", "static int test_main(void)") + MAIN;
    let path = folder.join("board.c");
    std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
}

const MAIN: &str = r#"
#include "lab.h"

int main(void) {
    model_init(&model, &arena);
    memcpy(model_input_0(&model), input_0_0, sizeof(input_0_0));
    bench_begin();
    model_invoke(&model);
    bench_end();
    sh_puts((test_main() == 0) ? "result passed\n" : "result FAILED\n");
    return 0;
}
"#;

fn read(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// A number that the header defines.
fn define(folder: &Path, name: &str) -> Outcome<usize> {
    let header = read(&folder.join("model.h"))?;
    let value = header.lines().find_map(|l| l.strip_prefix("#define ")?.strip_prefix(name)?.trim().parse().ok());
    value.ok_or_else(|| format!("{}: no {name}", folder.display()))
}

fn lab() -> PathBuf {
    workspace_root().join("tests/mcu")
}

fn on_board(board: &str, folder: &Path) -> Outcome<Run> {
    let mut start = match board {
        "avr" => command(lab().join("run_avr.sh"), &["atmega2560", "-O2"]),
        "rv" => command(lab().join("run_rv.sh"), &["-O2"]),
        arm => command(lab().join("run_c.sh"), &[arm, "-O2"]),
    };
    let text =
        output(start.env("LAB_OUT", crate::octet::target().join("mcu/lab")).arg(folder.join("board.c")).arg(folder.join("model.c")))?;
    let instructions = text.lines().find_map(|l| l.strip_prefix("insns ")?.split_whitespace().next()?.parse().ok());
    let instructions = instructions.ok_or_else(|| format!("{board} counted nothing: {text}"))?;
    Ok(Run { passed: text.contains("result passed"), instructions })
}

/// Bytes of one model's code and constants.
struct Sizes {
    code: usize,
    weights: usize,
    scales: usize,
}

impl Sizes {
    /// Built at -Os for a Cortex-M4.
    fn of(folder: &Path) -> Outcome<Self> {
        let object = folder.join("size.o");
        let flags = [
            "-mcpu=cortex-m4",
            "-mthumb",
            "-mfloat-abi=hard",
            "-mfpu=fpv4-sp-d16",
            "-Os",
            "-std=c99",
            "-ffunction-sections",
            "-fdata-sections",
            "-c",
        ];
        run(command("arm-none-eabi-gcc", &flags).arg(folder.join("model.c")).arg("-o").arg(&object))?;
        let text = output(command("arm-none-eabi-size", &["-A"]).arg(&object))?;
        let mut sizes = Self { code: 0, weights: 0, scales: 0 };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let (Some(section), Some(Ok(bytes))) = (words.next(), words.next().map(str::parse::<usize>)) else { continue };
            if section.starts_with(".rodata.weights") {
                sizes.weights += bytes;
            } else if section.starts_with(".rodata.scales") {
                sizes.scales += bytes;
            } else if section.starts_with(".text") || section.starts_with(".rodata") {
                sizes.code += bytes;
            }
        }
        Ok(sizes)
    }
}
