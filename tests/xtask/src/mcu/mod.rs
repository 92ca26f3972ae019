//! `cargo xtask mcu`: generated C on emulated boards. Every network is compiled, built for each board, run there on ten inputs whose outputs
//! TFLite Micro computed on this machine, and counted: instructions of one inference (QEMU counts them exactly; they are not cycles), bytes of
//! code and memory. TFLite Micro's own memory is measured beside it, with its planner's plan and with ours.
//!
//! The peers' figures beside ours were measured once with TFLite Micro, its reference kernels and CMSIS-NN, on the same emulated boards. A miss stands
//! in the table as a miss.

mod judge;
mod micro;

use std::path::{Path, PathBuf};

use judge::{Judged, Ports, RUNS};
use octet_peers::{Peers, workspace_root, zoo};

use crate::report::{Table, verdict, write_page};
use crate::run::{Outcome, cargo, command, output, run};
use crate::setup::debian;

/// What the boards need, as Debian calls it, with versions.
const PACKAGES: &str = include_str!("../../../mcu/packages.txt");

/// Boards and how they are called in the table.
const BOARDS: [(&str, &str); 4] = [("m3", "Cortex-M3"), ("m4", "Cortex-M4"), ("m55", "Cortex-M55"), ("rv", "RV32IMC")];

/// Networks whose memory and instructions are told: their integer files stand among the peers' files of the zoo.
const NETWORKS: [&str; 7] = ["sine", "slides", "kws", "resnet8", "vww96", "mnist_cnn", "mnist_dw"];

/// Endings of integer files among the peers' files; the first two are measured.
const INTEGER: [&str; 7] = [
    ".tf.int8io.tflite",
    ".tf.i16x8io.tflite",
    ".tf.int8fb.tflite",
    ".tf.uint8io.tflite",
    ".lq.int8.tflite",
    ".tf.io8.sm.tflite",
    ".tfmot.io8.tflite",
];

/// Other integer files of the zoo.
const OTHERS: [&str; 5] = [
    "mlperf-tiny/kws_ref_model.tflite",
    "mlperf-tiny/pretrainedResnet_quant.tflite",
    "mlperf-tiny/vww_96_int8.tflite",
    "tflm/hello_world_int8.tflite",
    "coral/keras_lstm_mnist_ptq.tflite",
];

/// Float files of the zoo, which run on boards with a floating-point unit.
const FLOATS: [&str; 9] = [
    "ours/sine.tflite",
    "ours/slides.tflite",
    "ours/mnist_cnn.tflite",
    "ours/mnist_dw.tflite",
    "mlperf-tiny/kws.tflite",
    "mlperf-tiny/resnet8.tflite",
    "mlperf-tiny/vww96.tflite",
    "tflm/hello_world_float.tflite",
    "tflm/trained_lstm.tflite",
];

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

/// A network of the zoo.
struct Network {
    /// As the tables call it.
    label: String,
    model: PathBuf,
    folder: PathBuf,
    /// The measured network and whether its activations have 16 bits; `None` where only outputs are compared.
    measured: Option<(&'static str, bool)>,
    float: bool,
}

/// All networks, or those of the named ones.
fn networks(zoo: &Path, names: &[String]) -> Outcome<Vec<Network>> {
    let folder = zoo.join("peers");
    let entries = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut files: Vec<String> = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    files.retain(|f| INTEGER.iter().any(|end| f.ends_with(end)));
    files.sort();
    let mut models: Vec<(PathBuf, bool)> = files.iter().map(|f| (folder.join(f), false)).collect();
    models.extend(OTHERS.iter().map(|f| (zoo.join(f), false)));
    models.extend(FLOATS.iter().map(|f| (zoo.join(f), true)));
    let scratch = crate::octet::target().join("mcu");
    let mut all: Vec<Network> = Vec::new();
    for (model, float) in models {
        let file = model.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let stem = file.trim_end_matches(".tflite");
        let name = stem.split('.').next().unwrap_or_default();
        if !names.is_empty() && !names.iter().any(|wanted| wanted == name || wanted == stem) {
            continue;
        }
        let known = NETWORKS.iter().find(|n| **n == name);
        let measured = known.and_then(|&n| INTEGER[..2].iter().position(|end| file == format!("{n}{end}")).map(|kind| (n, kind == 1)));
        let label = match measured {
            Some((n, false)) => n.to_owned(),
            Some((n, true)) => format!("{n} 16x8"),
            None if float => format!("{stem}, float"),
            None => stem.to_owned(),
        };
        let rank = measured.and_then(|(n, wide)| Some((NETWORKS.iter().position(|m| *m == n)?, wide)));
        let network = Network { label, model, folder: scratch.join(stem.replace('.', "-")), measured, float };
        // Measured ones first, in the order of the list.
        let place = |m: &Network| m.measured.and_then(|(n, wide)| Some((NETWORKS.iter().position(|k| *k == n)?, wide)));
        let at = rank.map_or(all.len(), |r| all.iter().position(|m| place(m).is_none_or(|p| p > r)).unwrap_or(all.len()));
        all.insert(at, network);
    }
    Ok(all)
}

/// Bars that are missed, counted as they are judged.
#[derive(Default)]
struct Bars(usize);

impl Bars {
    fn judge(&mut self, pass: bool) -> String {
        self.0 += usize::from(!pass);
        verdict(pass)
    }
}

/// Measures all networks, or the named ones.
pub(crate) fn mcu(names: &[String], write: bool) -> Outcome {
    let Some(zoo) = zoo() else { return Err("there is no model zoo (../shared/zoo, or $OCTET_ZOO)".into()) };
    let packages: Vec<&str> = PACKAGES.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).collect();
    debian(&packages, &["arm-none-eabi-gcc", "qemu-system-arm", "qemu-system-riscv32", "riscv64-unknown-elf-gcc", "avr-gcc"])?;
    let peers = Peers::find()?;
    // Only text comes out of the compiler here, and no time is measured: any build of it will do.
    run(&mut cargo(&["build", "--quiet", crate::octet::LIGHT, "--package", "octet", "--bin", "octet"]))?;
    let octet = crate::octet::target().join("debug/octet");
    let networks = networks(&zoo, names)?;
    let mut judged = Vec::new();
    let mut bars = Bars::default();
    let head: Vec<&str> = std::iter::once("network").chain(BOARDS.iter().map(|b| b.1)).chain(["ATmega2560"]).collect();
    let mut outputs = Table::new(&head);
    let mut compiled = Vec::new();
    for network in &networks {
        if compile(&octet, &network.model, &network.folder, "c").is_err() {
            outputs.row(vec![network.label.clone(), format!("is not compiled {}", bars.judge(false))]);
            continue;
        }
        let ports = Ports::of(&read(&network.folder.join("model.h"))?)?;
        judged.push(Judged::new(&network.model, &network.folder, &ports)?);
        compiled.push(network);
    }
    let answers = Judged::ask(&peers, &judged)?;
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
    let mut speed = Table::new(&["network", "board", "million instructions", "bar", ""]);
    for ((network, judged), answer) in compiled.into_iter().zip(&judged).zip(answers) {
        if network.measured.is_some() {
            memory.row(memory_row(&octet, network, &mut bars)?);
        }
        let mut row = vec![network.label.clone()];
        if let Err(why) = answer.and_then(|()| judged.program(&network.folder)) {
            row.push(format!("no outputs of TFLite Micro's: {why}"));
            outputs.row(row);
            continue;
        }
        for (board, shown) in BOARDS.iter().copied().chain([("avr", "ATmega2560")]) {
            let small = network.measured == Some(("sine", false));
            if (board == "avr" && !small) || (network.float && matches!(board, "m3" | "rv")) {
                row.push(String::new());
                continue;
            }
            println!("{} on {shown}", network.label);
            let measured = on_board(board, &network.folder)?;
            row.push(if measured.passed { if network.float { "1e-5" } else { "equal" }.into() } else { bars.judge(false) });
            if let Some((name, wide)) = network.measured {
                let limit = BARS.iter().find(|b| b.0 == name && !wide && board != "avr");
                let limit = limit.map(|&(_, third, m4, m55)| match board {
                    "m4" => m4,
                    "m55" => m55,
                    _ => third,
                });
                speed.row(vec![
                    network.label.clone(),
                    shown.into(),
                    format!("{:.3}", measured.instructions / 1e6),
                    limit.map_or(String::new(), |l| format!("{l:.2}")),
                    limit.map_or(String::new(), |l| bars.judge(measured.instructions <= l * 1e6)),
                ]);
            }
        }
        outputs.row(row);
    }
    let arenas = micro::arenas(&peers, &octet, &zoo, names, &mut bars)?;
    let body = format!(
        "Networks are the integer files that TensorFlow's converter made of the zoo's float ones, and the zoo's other integer files. Instructions are \
         those of one inference at -O2.\n\n## Memory\n\n{}\nBars: what no plan without \
         overlaps can undercut, and the best plan known with them; {CODE} bytes of code and tables without weights ({SMALL_CODE} for sine), where TFLite \
         Micro with CMSIS-NN has 50 to 74 KB.\n\n\
         ## Instructions\n\n{}\nBars: CMSIS-NN on the M4 and the M55, a third of TFLite Micro's reference kernels on the M3 and RV32.\n\n\
         ## Outputs\n\n`equal`: for {RUNS} random inputs the board gives every bit of what TFLite Micro gives on the host. `1e-5`: a float network's \
         outputs are as near as that; so are float outputs of integer networks, whose steps are wider.\n\n{}\n\
         ## TFLite Micro with our plan\n\n{arenas}\n\
         {} bars are missed.\n",
        memory.text(),
        speed.text(),
        outputs.text(),
        bars.0
    );
    println!("{body}");
    if write { write_page("microcontrollers.md", "Generated C on microcontrollers", "cargo xtask mcu --write", &body) } else { Ok(()) }
}

/// The memory that one network takes.
fn memory_row(octet: &Path, network: &Network, bars: &mut Bars) -> Outcome<Vec<String>> {
    let folder = &network.folder;
    let apart = folder.with_extension("apart");
    compile(octet, &network.model, &apart, "c{overlap=false}")?;
    let arena = define(folder, "MODEL_ARENA_SIZE")?;
    let without = define(&apart, "MODEL_ARENA_SIZE")?;
    let sizes = Sizes::of(folder)?;
    let limits = ARENAS.iter().find(|a| network.measured == Some((a.0, false)));
    let code_bar = if network.measured.is_some_and(|m| m.0 == "sine") { SMALL_CODE } else { CODE };
    Ok(vec![
        network.label.clone(),
        arena.to_string(),
        define(folder, "MODEL_STACK_SCRATCH")?.to_string(),
        define(folder, "MODEL_ARENA_LOWER_BOUND")?.to_string(),
        limits.map_or(String::new(), |l| format!("{} {}", l.2, bars.judge(arena <= l.2))),
        without.to_string(),
        limits.map_or(String::new(), |l| format!("{} {}", l.1, bars.judge(without <= l.1))),
        sizes.code.to_string(),
        format!("{code_bar} {}", bars.judge(sizes.code <= code_bar)),
        sizes.weights.to_string(),
        sizes.scales.to_string(),
    ])
}

fn compile(octet: &Path, model: &Path, folder: &Path, target: &str) -> Outcome {
    run(command(octet, &["compile"]).arg(model).arg("-o").arg(folder).args(["--target", target, "--quiet"]))
}

fn read(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// A number that the model's header defines.
fn define(folder: &Path, name: &str) -> Outcome<usize> {
    define_in(&folder.join("model.h"), name)
}

/// A number that a header defines.
fn define_in(header: &Path, name: &str) -> Outcome<usize> {
    let text = read(header)?;
    let value = text.lines().find_map(|l| l.strip_prefix("#define ")?.strip_prefix(name)?.trim().parse().ok());
    value.ok_or_else(|| format!("{}: no {name}", header.display()))
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
    Ok(Run { passed: text.lines().any(|l| l.trim() == "failures 0"), instructions })
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
