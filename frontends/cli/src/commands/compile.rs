//! `octet compile`: a model in, a model out.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use octet_ir::{Attr, Diagnostic, Diagnostics, Module, Operation, text};
use octet_passes::quantize::{Io, Mode, Runtime};
use octet_passes::{Monitor, PassRecord, PassSpec, Pipeline, Reproducer};
use octet_plugin::{Backend, BackendEntry, FrontendEntry, Options, Registry};

use super::check::{MappingArguments, checked, log_path, share};
use super::plugin::Plugins;
use super::report::Report;
use crate::args::{Data, Importing};
use crate::driver::{Compiled, Compiler, Destination, save};
use crate::exit::{Exit, Failure};
use crate::macs::macs;
use crate::progress::Progress;
use crate::table::{Table, bytes};
use crate::terminal::Terminal;

/// Code of the notes that say why a rewrite did not apply: many, and asked for with --explain.
const EXPLANATION: &str = "PAS010";

/// Optimize a model, quantize it if asked to, and write it for a target
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The model: .tflite, .onnx or IR text
    model: PathBuf,
    #[command(flatten)]
    importing: Importing,
    /// The file to write, or the folder for a target of several files
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// The format to write (see `octet list backends`), with its options, such as tflite{strip_names=true}
    #[arg(long, value_name = "NAME", default_value = "tflite")]
    target: Pipeline,
    /// Leave out everything that runtimes do not need: names, descriptions and the like
    #[arg(long)]
    strip_names: bool,
    /// With --target c: also write a program that runs the model and compares its outputs with the interpreter's
    #[arg(long)]
    emit_test: bool,
    /// With --target wasm: which vector instructions the module may have; every build has the same bits
    #[arg(long, value_name = "BUILD")]
    simd: Option<SimdName>,
    /// With --target c: memories and their sizes, fastest first, such as fast=64K,slow=512K; what is touched most lies in the first that has room
    #[arg(long, value_name = "NAME=SIZE,...")]
    region: Option<String>,
    /// With --target c: what matters more
    #[arg(long, value_name = "speed|size", value_parser = ["speed", "size"])]
    optimize: Option<String>,
    /// With --target wasm: compile only these operations, A..B by the tensors that they compute or one of them, as a kernel plugin, and
    /// write graph.tflite with a
    /// custom operation in their place beside OUT
    #[arg(long, value_name = "REGION")]
    kernel: Option<String>,
    /// With --target wasm: also write a package with the JavaScript loader and all builds, into the folder loader beside OUT
    #[arg(long)]
    emit_loader: bool,
    /// With --target wasm: also write a page that runs the model in the browser, demo/index.html beside OUT
    #[arg(long)]
    emit_demo: bool,
    /// What becomes of the numbers; without it, the model is optimized and stays in float
    #[arg(long, value_name = "MODE", help_heading = "Quantization")]
    quantize: Option<ModeName>,
    /// Element type of the quantized model's inputs and outputs; by default float32, int8 for int8-only, int16 for int16x8
    #[arg(long, value_name = "TYPE", help_heading = "Quantization")]
    io: Option<IoName>,
    /// Whose kernels the quantized model must find: what the runtime has none for stays in float, or is refused where nothing may
    #[arg(long, value_name = "NAME", requires = "quantize", default_value = "litert", help_heading = "Quantization")]
    runtime: RuntimeName,
    /// How ranges are chosen from the data: min-max (the default), mse (the least squared error), or percentile:P, such as percentile:99.99
    #[arg(long, value_name = "METHOD", help_heading = "Quantization")]
    ranges: Option<String>,
    #[command(flatten)]
    data: Data,
    /// Run these passes instead of the mode's, such as fold,fuse,calibrate{data="--data"},quantize{mode=int8}, where --data stands for
    /// all --data arguments; none only reads and writes
    #[arg(long, value_name = "PIPELINE", conflicts_with_all = ["quantize", "io", "runtime", "ranges"], help_heading = "Passes")]
    pipeline: Option<Pipeline>,
    /// Write what was done, and not done, as JSON
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    #[command(flatten)]
    passes: Passes,
    #[command(flatten)]
    plugins: Plugins,
    #[command(flatten)]
    mapping: MappingArguments,
    /// Cut the model into this many files, OUT_segment_I_of_N.tflite, that run one after the other
    #[arg(long, value_name = "N", help_heading = "Accelerator")]
    num_segments: Option<usize>,
    /// What segments are balanced by
    #[arg(long, value_name = "WHAT", default_value = "parameters", requires = "num_segments", help_heading = "Accelerator")]
    balance: Balance,
}

/// What segments are balanced by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Balance {
    /// bytes of weights and biases
    Parameters,
    /// multiply-accumulates
    Macs,
}

/// The builds of target wasm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SimdName {
    /// no vectors: runs everywhere
    None,
    /// the vectors of WebAssembly 2.0
    Strict,
    /// relaxed dot products too: only for engines where the module's probe() answers 1
    Relaxed,
}

/// [`Mode`] as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ModeName {
    /// int8 weights, float activations that kernels quantize as they run; needs no data
    DynamicRange,
    /// constants in half precision; needs no data
    Float16,
    /// int8 weights and activations; what cannot be quantized stays in float, and is reported
    Int8,
    /// int8 throughout, inputs and outputs too, or no file and a report of what is in the way
    Int8Only,
    /// int8 weights, int16 activations; what cannot be quantized stays in float, and is reported
    Int16x8,
}

impl From<ModeName> for Mode {
    fn from(name: ModeName) -> Self {
        match name {
            ModeName::DynamicRange => Self::DynamicRange,
            ModeName::Float16 => Self::Float16,
            ModeName::Int8 => Self::Int8,
            ModeName::Int8Only => Self::Int8Only,
            ModeName::Int16x8 => Self::Int16x8,
        }
    }
}

/// [`Io`] as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum IoName {
    Float32,
    Int8,
    Uint8,
    Int16,
}

impl From<IoName> for Io {
    fn from(name: IoName) -> Self {
        match name {
            IoName::Float32 => Self::Float32,
            IoName::Int8 => Self::Int8,
            IoName::Uint8 => Self::Uint8,
            IoName::Int16 => Self::Int16,
        }
    }
}

/// [`Runtime`] as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RuntimeName {
    /// LiteRT, TensorFlow Lite on phones and computers
    Litert,
    /// TensorFlow Lite Micro
    Tflm,
    /// only what both have
    Both,
}

impl From<RuntimeName> for Runtime {
    fn from(name: RuntimeName) -> Self {
        match name {
            RuntimeName::Litert => Self::Litert,
            RuntimeName::Tflm => Self::Tflm,
            RuntimeName::Both => Self::Both,
        }
    }
}

/// How passes run and what is told of them.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Passes")]
pub(crate) struct Passes {
    /// Say why rewrites that almost fit were not applied
    #[arg(long)]
    explain: bool,
    /// Print the IR to standard error after every pass that changed it
    #[arg(long)]
    print_after_change: bool,
    /// Stop rewriting after this many patches, to find one that breaks a model
    #[arg(long, value_name = "N")]
    stop_after: Option<usize>,
    /// Say how long each pass took
    #[arg(long)]
    timings: bool,
    /// Threads; results do not depend on it [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

impl Passes {
    /// The compiler with these settings.
    pub(crate) fn apply(&self, compiler: Compiler) -> Compiler {
        let compiler = self.threads.into_iter().fold(compiler, Compiler::threads);
        self.stop_after.into_iter().fold(compiler, Compiler::max_patches)
    }
}

pub(crate) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let (target, options, folder) = target(arguments)?;
    let destination = if folder { Destination::folder(&arguments.output)? } else { Destination::new(&arguments.output)? };
    let report = arguments.report.as_ref().map(Destination::new).transpose()?;
    let module = super::load(&arguments.model, &arguments.importing, terminal)?;
    let mut compiler = Compiler::new().loaded(arguments.plugins.install(terminal)?);
    let accelerated = target == ACCELERATOR;
    if accelerated {
        compiler = compiler.accelerator(ACCELERATOR);
    } else if arguments.mapping.given() || arguments.num_segments.is_some() {
        return Err(Failure::usage(Diagnostic::error("CLI002", format!("options for accelerators need --target {ACCELERATOR}"))));
    }
    // An accelerator takes integers: a model in float is quantized whole.
    let mode = arguments.quantize.map(Mode::from).or((accelerated && is_float(&module)).then_some(Mode::Int8Only));
    let idle = [("--io", arguments.io.is_some()), ("--ranges", arguments.ranges.is_some())];
    if let Some((name, _)) = idle.into_iter().find(|(_, given)| *given && mode.is_none()) {
        return Err(Failure::usage(Diagnostic::error("CLI002", format!("{name} needs --quantize"))));
    }
    compiler = mode.into_iter().fold(compiler, Compiler::quantize);
    compiler = arguments.io.map(Io::from).into_iter().fold(compiler, Compiler::io);
    compiler = compiler.runtime(arguments.runtime.into());
    compiler = arguments.ranges.iter().fold(compiler, Compiler::ranges);
    compiler = arguments.pipeline.iter().cloned().fold(compiler, Compiler::pipeline);
    compiler = arguments.data.data.iter().fold(compiler, Compiler::data);
    compiler = arguments.data.preprocess.preprocess.iter().cloned().fold(compiler, Compiler::preprocess);
    compiler = arguments.passes.apply(compiler);
    let mut watch = Watch::new(terminal, &arguments.passes);
    let written = watch.compile(&compiler, &module, Some(destination.path())).and_then(|compiled| {
        let mut notes = Diagnostics::default();
        let size = save(&compiled.module, &target, options, &destination, &mut notes);
        watch.notes.extend(notes.0.iter().cloned());
        watch.notes.extend(size.as_ref().err().into_iter().flat_map(|failed| failed.0.iter().cloned()));
        terminal.tell_all(&notes);
        Ok((compiled, size?))
    });
    if let Some(report) = &report {
        // A refusal is worth a report too.
        let text = format!("{:#}\n", report_of(arguments, &watch, &written));
        report.write(text.as_bytes())?;
    }
    let (compiled, size) = written?;
    if accelerated {
        accelerator(arguments, &compiled, terminal)?;
    }
    let before = std::fs::metadata(&arguments.model).map(|m| m.len()).unwrap_or(0);
    let before = usize::try_from(before).unwrap_or(usize::MAX);
    let (input, output) = (arguments.model.display(), arguments.output.display());
    terminal.line(&format!("{input} ({}) -> {output} ({})", bytes(before), bytes(size)));
    Ok(Exit::Success)
}

/// The backend whose models are mapped.
const ACCELERATOR: &str = "edgetpu";

/// Whether a graph computes with floats.
fn is_float(module: &Module) -> bool {
    let main = module.main();
    main.ops().flat_map(|(_, o)| o.results()).any(|v| main.ty(*v).elem.is_float())
}

/// Says what of the written model is mapped, writes the log beside it, and the segments if there are to be some.
fn accelerator(arguments: &Arguments, compiled: &Compiled, terminal: &Terminal) -> Result<(), Failure> {
    let profile = octet_targets::profile(ACCELERATOR)?;
    let options = arguments.mapping.options(profile)?;
    let output = arguments.output.as_path();
    let file = octet_data::map_file(output)?;
    let mut models = [checked(&compiled.module, &file, &arguments.model, profile, &options)];
    share(&mut models, arguments.mapping.capacity(profile));
    let [model] = &models;
    let written = Some((output, file.len()));
    if !terminal.is_quiet() {
        terminal.print(&model.text(written))?;
    }
    Destination::new(log_path(output))?.write(model.log(written).as_bytes())?;
    let Some(count) = arguments.num_segments else { return Ok(()) };
    let graph = compiled.module.main();
    let weights: Vec<u64> = graph
        .ops()
        .map(|(_, op)| match arguments.balance {
            Balance::Parameters => parameter_bytes(&compiled.module, op),
            Balance::Macs => macs(graph, op),
        })
        .collect();
    let segments = octet_edgetpu::segments(&compiled.module, count, &weights)?;
    for (index, (module, weight)) in segments.modules.iter().zip(&segments.weights).enumerate() {
        let stem = output.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
        let path = output.with_file_name(format!("{stem}_segment_{index}_of_{count}.tflite"));
        let mut notes = Diagnostics::default();
        save(module, ACCELERATOR, Vec::new(), &Destination::new(&path)?, &mut notes)?;
        let what = if arguments.balance == Balance::Parameters { "bytes of parameters" } else { "MACs" };
        terminal.line(&format!("{}: {} operations, {weight} {what}", path.display(), module.main().op_count()));
    }
    let percent = segments.imbalance * 100.0;
    terminal.line(&format!("the heaviest segment is {percent:.1} % over the mean; no cuts in execution order do better"));
    Ok(())
}

/// Bytes of an operation's constants.
fn parameter_bytes(module: &Module, op: &Operation) -> u64 {
    let graph = module.main();
    let bytes = op.operands().iter().flatten().filter_map(|v| module.constant_of(graph, *v)).map(|c| c.bytes().len());
    bytes.map(|n| u64::try_from(n).unwrap_or(u64::MAX)).fold(0, u64::saturating_add)
}

/// The backend and its options, checked before any work.
fn target(arguments: &Arguments) -> Result<(String, Options, bool), Failure> {
    let [spec] = arguments.target.0.as_slice() else {
        return Err(Failure::usage(Diagnostic::error("CLI002", "--target names one format")));
    };
    let mut options = spec.options.clone();
    if arguments.strip_names {
        options.push(("strip_names".into(), Attr::Bool(true)));
    }
    let simd = arguments.simd.and_then(|simd| Some(simd.to_possible_value()?.get_name().to_owned()));
    let (text, word) = (|v: &String| Attr::Str(v.clone()), |v: &String| Attr::Word(v.clone()));
    let switch = |given: bool| given.then_some(Attr::Bool(true));
    // Flags of one target each, with the backend's name for them.
    let flags = [
        ("c", "--emit-test", "test", switch(arguments.emit_test)),
        ("c", "--region", "regions", arguments.region.as_ref().map(text)),
        ("c", "--optimize", "optimize", arguments.optimize.as_ref().map(word)),
        ("wasm", "--kernel", "kernel", arguments.kernel.as_ref().map(text)),
        ("wasm", "--emit-loader", "loader", switch(arguments.emit_loader)),
        ("wasm", "--emit-demo", "demo", switch(arguments.emit_demo)),
        ("wasm", "--simd", "simd", simd.as_ref().map(word)),
    ];
    for (target, flag, name, value) in flags {
        let Some(value) = value else { continue };
        if spec.name != target {
            return Err(Failure::usage(Diagnostic::error("CLI002", format!("{flag} needs --target {target}"))));
        }
        options.push((name.into(), value));
    }
    let registry = Registry::<BackendEntry>::collect()?;
    let backend = (registry.get(&spec.name).map_err(Failure::usage)?.create)(options.clone()).map_err(Failure::usage)?;
    fits(&arguments.output, &spec.name, backend.as_ref(), &registry).map_err(Failure::usage)?;
    Ok((spec.name.clone(), options, backend.writes_folder()))
}

/// Whether the output is named like what the target writes, or like nothing in particular.
fn fits(output: &Path, target: &str, backend: &dyn Backend, registry: &Registry<BackendEntry>) -> Result<(), Diagnostic> {
    let Some(ending) = output.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase) else { return Ok(()) };
    let located = |message: String| Diagnostic::error("CLI002", message).in_file(output.display().to_string());
    if backend.extensions().contains(&ending.as_str()) {
        return match backend.writes_folder() {
            true => Err(located(format!("target {target} writes several files: name a folder, not one .{ending} file"))),
            false => Ok(()),
        };
    }
    let others = registry.iter().filter(|e| (e.create)(Vec::new()).is_ok_and(|b| b.extensions().contains(&ending.as_str())));
    let others: Vec<String> = others.map(|e| format!("--target {}", e.name)).collect();
    let message = || located(format!("target {target} does not write .{ending} files"));
    if !others.is_empty() {
        return Err(message().with_help(format!("give {}, or the output another name", others.join(" or "))));
    }
    if ending == "ir" {
        return Err(message().with_help("octet opt writes IR text"));
    }
    let read_only = Registry::<FrontendEntry>::collect()?.iter().any(|e| e.frontend.extensions().contains(&ending.as_str()));
    if read_only { Err(message().with_help("no target does: this format is only read")) } else { Ok(()) }
}

/// Watches passes: progress, diagnostics, changed IR.
pub(crate) struct Watch<'t> {
    terminal: &'t Terminal,
    progress: Progress,
    passes: Passes,
    /// Everything that was reported, explanations included.
    pub(crate) notes: Vec<Diagnostic>,
}

impl<'t> Watch<'t> {
    pub(crate) fn new(terminal: &'t Terminal, passes: &Passes) -> Self {
        Self { terminal, progress: Progress::new(terminal), passes: passes.clone(), notes: Vec::new() }
    }

    /// Compiles; where a pass is at fault, a reproducer is written beside `output`.
    pub(crate) fn compile(&mut self, compiler: &Compiler, module: &Module, output: Option<&Path>) -> Result<Compiled, Failure> {
        let compiled = compiler.compile_with(module, self);
        self.progress.end();
        match compiled {
            Ok(compiled) => {
                compiled.notes.0.iter().for_each(|d| self.report(d.clone()));
                if self.passes.timings {
                    self.terminal.line(&timings(&compiled.passes));
                }
                Ok(compiled)
            }
            Err(failed) => {
                let mut failure = Failure::from(failed.diagnostics);
                self.notes.extend(failure.diagnostics.0.iter().cloned());
                if let (Exit::Bug, Some(reproducer)) = (failure.exit, failed.reproducer) {
                    failure.diagnostics.push(keep(&reproducer, output));
                }
                Err(failure)
            }
        }
    }
}

impl Monitor for Watch<'_> {
    fn report(&mut self, diagnostic: Diagnostic) {
        if diagnostic.code != EXPLANATION || self.passes.explain {
            self.progress.suspend(|| self.terminal.tell(&diagnostic));
        }
        self.notes.push(diagnostic);
    }

    fn progress(&mut self, done: usize, total: usize, unit: &'static str) {
        self.progress.set(done, total, unit);
    }

    fn pass_begins(&mut self, pass: &PassSpec) {
        self.progress.begin(&pass.name);
    }

    fn pass_ended(&mut self, record: &PassRecord, module: &Module) {
        self.progress.end();
        if self.passes.print_after_change && record.changed {
            self.terminal.line(&format!("// after {} ({} patches)", record.pass, record.patches));
            for id in module.graph_ids() {
                self.terminal.line(text::print_graph(module, id).trim_end());
            }
        }
    }
}

/// Writes what shows a pass's failure again, and says where.
fn keep(reproducer: &Reproducer, output: Option<&Path>) -> Diagnostic {
    let path = output.unwrap_or(Path::new("octet")).with_extension("reproducer.ir");
    let written = Destination::new(&path).and_then(|destination| {
        if !reproducer.blobs.is_empty() {
            let mut side = path.as_os_str().to_owned();
            side.push(".bin");
            Destination::new(PathBuf::from(side))?.write(&reproducer.blobs)?;
        }
        destination.write(reproducer.text.as_bytes())
    });
    match written {
        Ok(()) => Diagnostic::note("CLI006", "the module before the failing pass was kept")
            .in_file(path.display().to_string())
            .with_help(format!("octet opt {} --pipeline '{}' shows the failure again", path.display(), reproducer.pipeline)),
        Err(d) => d,
    }
}

fn timings(passes: &[PassRecord]) -> String {
    let ms = |d: Duration| format!("{:.1}", d.as_secs_f64() * 1e3);
    let mut table = Table::new(&["pass", ">ms", ">verify ms", ">patches", "changed"]);
    for p in passes {
        let changed = if p.changed { "yes" } else { "no" };
        table.row([p.pass.name.clone(), ms(p.time), ms(p.verify_time), p.patches.to_string(), changed.into()]);
    }
    table.text(0).trim_end().to_owned()
}

fn report_of(arguments: &Arguments, watch: &Watch<'_>, written: &Result<(Compiled, usize), Failure>) -> serde_json::Value {
    super::report::report(&Report {
        model: &arguments.model,
        output: &arguments.output,
        mode: arguments.quantize.map(Mode::from),
        io: arguments.io.map(Io::from),
        diagnostics: &watch.notes,
        written: written.as_ref().ok().map(|(compiled, size)| (compiled, *size)),
    })
}
