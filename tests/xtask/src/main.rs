//! Development tasks, run as `cargo xtask TASK`. `cargo xtask test` prepares what the tests need and runs all of them;
//! the other tasks are its parts and the measurements.
//!
//! It never links the compiler: what it measures is the `octet` binary that users run.

mod bench;
mod bench_onnx;
mod bench_wasm;
mod checks;
mod docs;
mod edgetpu;
mod fuzz;
mod mcu;
mod measure;
mod octet;
mod onnx;
mod plugins;
mod report;
mod run;
mod schema;
mod setup;
mod table;
mod test;
mod wasm;
mod zoo;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Development tasks of Octet")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Prepare what the tests need, then run all of them
    Test {
        /// Also TensorFlow, the table, the benchmarks, five minutes of each fuzz target, and the long tests
        #[arg(long)]
        full: bool,
        /// Run only steps whose name contains this text (setup always runs)
        #[arg(long)]
        only: Option<String>,
    },
    /// Make the Python environment with the pinned peers ($OCTET_PEERS, or target/peers)
    Setup {
        /// Also the environments with TensorFlow (1.5 GB) and onnx2tf (0.7 GB)
        #[arg(long)]
        full: bool,
    },
    /// Measure compile time, memory, calibration and inference beside the peers, in one run
    Bench {
        /// Which benchmarks: compile, calibrate, inference, memory (these if none is named), or wasm, alone; onnx: beside onnx2tf, on a page of its own
        names: Vec<String>,
        /// Rounds of each contender, interleaved
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Write docs/generated/bench.md, or onnx-bench.md
        #[arg(long)]
        write: bool,
    },
    /// Compile every float model of the zoo in every mode and compare with the peers' files on the same data
    Table {
        /// Only these models
        models: Vec<String>,
        /// Write docs/generated/table.md
        #[arg(long)]
        write: bool,
    },
    /// Build generated C for emulated microcontrollers, run it there, and count instructions and bytes beside the peers' figures
    Mcu {
        /// Only these networks
        networks: Vec<String>,
        /// Write docs/generated/microcontrollers.md
        #[arg(long)]
        write: bool,
    },
    /// Hold what is predicted of accelerators against compiled models, runtimes and Arm's compiler
    Edgetpu {
        /// Write docs/generated/edgetpu.md
        #[arg(long)]
        write: bool,
    },
    /// Run generated WebAssembly in wasmtime, Node and Chromium, and compare with TensorFlow Lite Micro
    Wasm {
        /// Only networks whose names contain one of these
        networks: Vec<String>,
        /// Write docs/generated/wasm.md
        #[arg(long)]
        write: bool,
    },
    /// Regenerate the flatbuffer module from the schema
    Schema {
        /// Only say whether the module in the tree is what the schema gives
        #[arg(long)]
        check: bool,
    },
    /// Write the pages that are generated from the code: docs/cli.md, docs/passes.md, docs/quantization.md,
    /// docs/targets.md
    Docs {
        /// Only say whether the pages in the tree are what the code gives
        #[arg(long)]
        check: bool,
    },
    /// Run ONNX's own backend cases through the interpreter and LiteRT
    Onnx {
        /// Only the cases that matter at the edge
        #[arg(long)]
        edge: bool,
        /// Leave out LiteRT
        #[arg(long)]
        no_litert: bool,
        /// Only cases whose name contains this text
        #[arg(long)]
        only: Option<String>,
        /// Print every failure, expected or not
        #[arg(long)]
        failures: bool,
        /// Drop from the list of expected failures what passes now
        #[arg(long)]
        bless: bool,
        /// Write the table into docs/onnx.md
        #[arg(long)]
        write: bool,
    },
    /// Run the example plugins and attack the sandbox, with the WebAssembly engine; then measure what plugins cost, in a release build
    Plugins {
        /// Only measure
        #[arg(long)]
        table: bool,
        /// Write docs/generated/plugins.md
        #[arg(long)]
        write: bool,
    },
    /// Run every fuzz target
    Fuzz {
        /// Seconds for each target
        #[arg(long, default_value_t = 300)]
        seconds: u32,
        /// Only targets whose name contains this text
        target: Option<String>,
    },
    /// Check the house rules: file sizes, module docs, words, dependency edges, licences
    Tidy,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Test { full, only } => test::test(full, only.as_deref()),
        Task::Setup { full } => setup::setup(full),
        Task::Bench { names, rounds, write } if names == ["onnx"] => bench_onnx::bench(rounds, write),
        Task::Bench { names, write, .. } if names == ["wasm"] => bench_wasm::bench(write),
        Task::Bench { names, rounds, write } => bench::bench(&names, rounds, write),
        Task::Table { models, write } => table::table(&models, write),
        Task::Mcu { networks, write } => mcu::mcu(&networks, write),
        Task::Edgetpu { write } => edgetpu::edgetpu(write),
        Task::Wasm { networks, write } => wasm::wasm(&networks, write),
        Task::Schema { check } => schema::schema(check),
        Task::Docs { check } => docs::docs(check),
        Task::Onnx { edge, no_litert, only, failures, bless, write } => {
            let flags = [("--edge", edge), ("--no-litert", no_litert), ("--failures", failures), ("--bless", bless), ("--write", write)];
            onnx::onnx(flags.into_iter().filter(|(_, on)| *on).map(|(flag, _)| flag), only.as_deref())
        }
        Task::Fuzz { seconds, target } => fuzz::fuzz(seconds, target.as_deref()),
        Task::Plugins { table, write } => if table { Ok(()) } else { plugins::plugins(true) }.and_then(|()| plugins::measure(write)),
        Task::Tidy => checks::all(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}
