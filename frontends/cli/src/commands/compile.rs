//! `octet compile`: a model in, a model out.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use octet_data::Ahead;
use octet_ir::{Attr, Diagnostic, Diagnostics, Module, text};
use octet_passes::quantize::{Io, Mode, Runtime};
use octet_passes::{Monitor, PassRecord, PassSpec, Pipeline, Reproducer};
use octet_plugin::{Backend, BackendEntry, FrontendEntry, Options, Registry};
use serde_json::json;

use super::accelerator::{self, Segmenting};
use super::check::{Checked, MappingArguments};
use super::code;
use super::plugin::Plugins;
use super::report::Report;
use crate::args::{Data, Importing};
use crate::driver::{Compiled, Compiler, Destination, save, save_printed};
use crate::exit::{Exit, Failure};
use crate::progress::Progress;
use crate::table::{Table, bytes};
use crate::terminal::Terminal;

/// Code of the notes that say why a rewrite did not apply: many, and asked for with --explain.
const EXPLANATION: &str = "PAS010";

/// Targets for which operations get other forms.
const LEGALIZED: [&str; 2] = [accelerator::NAME, "tflm"];

/// Optimize a model, quantize it if asked to, and write it for a target
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The model: .tflite, .onnx or IR text; with --target edgetpu, several share the memory for parameters, the first ones first
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<PathBuf>,
    #[command(flatten)]
    importing: Importing,
    /// The file to write, or the folder for a target of several files; of several models, the folder for MODEL_edgetpu.tflite of each
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
    /// With --target c: also write the table of operations (as c{report=true} does) with the bytes of code that this compiler makes of each, such as
    /// 'arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -Os'; it has to write ELF files
    #[arg(long, value_name = "COMMAND")]
    cc: Option<String>,
    /// With --target wasm: compile only these operations, A..B by the tensors that they compute or one of them, as a kernel plugin, and
    /// write the graph with a custom operation in their place beside OUT: NAME-graph.tflite for NAME.wasm
    #[arg(long, value_name = "REGION")]
    kernel: Option<String>,
    /// With --target wasm: also write a package with the JavaScript loader and all builds, into the folder NAME-loader beside OUT
    #[arg(long)]
    emit_loader: bool,
    /// With --target wasm: also write a page that runs the model in the browser, NAME-demo.html beside OUT; for models of one picture
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
    #[command(flatten)]
    segments: Segmenting,
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
    let accelerated = target == accelerator::NAME;
    if !accelerated && (arguments.mapping.given() || arguments.segments.given()) {
        return Err(usage(format!("options for accelerators need --target {}", accelerator::NAME)));
    }
    if arguments.models.len() > 1 && arguments.segments.given() {
        return Err(usage("--num-segments cuts one model".to_owned()));
    }
    let mut destinations = match arguments.models.as_slice() {
        models if accelerated && (models.len() > 1 || arguments.output.is_dir()) => accelerator::destinations(models, &arguments.output)?,
        [_] if folder => vec![Destination::folder(&arguments.output)?],
        [_] => vec![Destination::new(&arguments.output)?],
        _ => {
            return Err(usage(format!(
                "several models are compiled together for --target {}, and one at a time for others",
                accelerator::NAME
            )));
        }
    };
    for destination in &mut destinations {
        arguments.models.iter().try_for_each(|model| destination.reserve(model, "the output")).map_err(Failure::usage)?;
    }
    let mut report = arguments.report.as_ref().map(Destination::new).transpose()?;
    if let Some(report) = &mut report {
        keep_apart(arguments, accelerated, &mut destinations, report).map_err(Failure::usage)?;
    }
    // Unpacking data takes as long as loading the model.
    let calibrates = arguments.quantize.is_some_and(|mode| Mode::from(mode).quantizes_activations());
    let ahead = if calibrates { Ahead::open(&arguments.data.data) } else { Ahead::default() };
    let all: Vec<&Path> = arguments.models.iter().map(PathBuf::as_path).collect();
    let read = |path: &PathBuf| super::load(path, &arguments.importing.for_model(path, &all), terminal);
    let modules: Vec<Module> = arguments.models.iter().map(read).collect::<Result<_, _>>()?;
    if accelerated {
        arguments.models.iter().zip(&modules).try_for_each(|(path, module)| accelerator::not_compiled(path, module))?;
    }
    let mut base = Compiler::new().ahead(ahead).loaded(arguments.plugins.install(terminal)?).runtime(arguments.runtime.into());
    if LEGALIZED.contains(&target.as_str()) {
        base = base.accelerator(&target);
    }
    base = arguments.io.map(Io::from).into_iter().fold(base, Compiler::io);
    base = arguments.ranges.iter().fold(base, Compiler::ranges);
    base = arguments.pipeline.iter().cloned().fold(base, Compiler::pipeline);
    base = arguments.passes.apply(base);
    // An accelerator takes integers: a model in float is quantized whole.
    let mode = |module: &Module| {
        let whole = || (accelerated && accelerator::is_float(module)).then_some(Mode::Int8Only);
        arguments.quantize.map(Mode::from).or_else(whole)
    };
    let idle = [("--io", arguments.io.is_some()), ("--ranges", arguments.ranges.is_some())];
    let quantized = modules.iter().any(|m| mode(m).is_some());
    if let Some((name, _)) = idle.into_iter().find(|(_, given)| *given && !quantized) {
        return Err(usage(format!("{name} needs --quantize")));
    }
    let mut made = Vec::new();
    for ((path, module), destination) in arguments.models.iter().zip(&modules).zip(destinations) {
        let mut compiler = mode(module).into_iter().fold(base.clone(), Compiler::quantize);
        compiler = data_for(arguments, module, &modules).into_iter().fold(compiler, Compiler::data);
        compiler = arguments.data.preprocess.preprocess.iter().cloned().fold(compiler, Compiler::preprocess);
        let mut watch = Watch::new(terminal, &arguments.passes);
        let begun = Instant::now();
        let result = watch.compile(&compiler, module, Some(destination.path()));
        let result = result.map_err(|failure| accelerator::told(failure, path, accelerated && arguments.quantize.is_none()));
        made.push(Made { model: path, destination, notes: watch.notes, result, time: begun.elapsed(), bytes: None });
    }
    // Models that share a memory appear together, or none does.
    if accelerated {
        accelerator::check_ends(&arguments.mapping, &made)?;
    }
    if made.iter().all(|m| m.result.is_ok()) {
        made.iter_mut().for_each(|m| m.save(&target, &options, arguments.cc.as_deref(), terminal));
    }
    let checked = if accelerated { accelerator::check(&arguments.mapping, &made)? } else { Vec::new() };
    if let Some(report) = &report {
        // A refusal is worth a report too.
        let text = format!("{:#}\n", written_report(arguments, &made, &checked)?);
        report.write(text.as_bytes())?;
    }
    if let Some(at) = made.iter().position(|m| m.result.is_err()) {
        let failed = made.swap_remove(at);
        return failed.result.map(|_| Exit::Success);
    }
    accelerator::tell(&checked, &made, terminal)?;
    if let ([one], true) = (made.as_slice(), accelerated) {
        arguments.segments.write(one, terminal)?;
    }
    for m in &made {
        let before = std::fs::metadata(m.model).map(|m| m.len()).unwrap_or(0);
        let before = usize::try_from(before).unwrap_or(usize::MAX);
        let (input, output) = (m.model.display(), m.shown(arguments).display());
        terminal.line(&format!("{input} ({}) -> {output} ({})", bytes(before), bytes(m.bytes.unwrap_or(0))));
    }
    Ok(Exit::Success)
}

/// Makes sure that the report replaces no other file: no model that is written or read, nothing that lies beside one.
fn keep_apart(
    arguments: &Arguments,
    accelerated: bool,
    destinations: &mut [Destination],
    report: &mut Destination,
) -> Result<(), Diagnostic> {
    for destination in destinations {
        destination.reserve(report.path(), "the report")?;
        if accelerated {
            accelerator::beside(destination.path(), &arguments.segments).iter().try_for_each(|side| report.reserve(side, "the report"))?;
        }
    }
    arguments.models.iter().try_for_each(|model| report.reserve(model, "the report"))
}

/// The data for one of the models that are compiled together: what is for an input that only others have is left out.
fn data_for(arguments: &Arguments, module: &Module, all: &[Module]) -> Vec<String> {
    let has = |module: &Module, name: &str| module.main().inputs().iter().any(|v| module.main().value_name(*v) == name);
    let elsewhere =
        |argument: &str| argument.split_once('=').is_some_and(|(name, _)| !has(module, name) && all.iter().any(|other| has(other, name)));
    arguments.data.data.iter().filter(|argument| !elsewhere(argument)).cloned().collect()
}

fn usage(message: String) -> Failure {
    Failure::usage(Diagnostic::error("CLI002", message))
}

/// A model, and what became of it.
pub(crate) struct Made<'a> {
    pub(crate) model: &'a Path,
    pub(crate) destination: Destination,
    /// Everything that was reported, explanations included.
    notes: Vec<Diagnostic>,
    pub(crate) result: Result<Compiled, Failure>,
    /// How long compiling took.
    pub(crate) time: Duration,
    /// What was written, where something was.
    pub(crate) bytes: Option<usize>,
}

impl Made<'_> {
    /// `cc` measures the code of target c.
    fn save(&mut self, target: &str, options: &Options, cc: Option<&str>, terminal: &Terminal) {
        let Ok(compiled) = &self.result else { return };
        let mut notes = Diagnostics::default();
        let options = cc.map_or_else(|| Ok(options.clone()), |command| code::measured(&compiled.module, options, command));
        let size = options.and_then(|options| save(&compiled.module, target, options, &self.destination, &mut notes));
        self.notes.extend(notes.0.iter().cloned());
        terminal.tell_all(&notes);
        match size {
            Ok(size) => self.bytes = Some(size),
            Err(failed) => {
                self.notes.extend(failed.0.iter().cloned());
                self.result = Err(failed.into());
            }
        }
    }

    /// Where it lies, as the user wrote it.
    fn shown<'s>(&'s self, arguments: &'s Arguments) -> &'s Path {
        if arguments.models.len() > 1 || arguments.output.is_dir() { self.destination.path() } else { &arguments.output }
    }
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
    if arguments.cc.is_some() && spec.name != "c" {
        return Err(usage("--cc needs --target c".to_owned()));
    }
    // A target's other names count here too.
    let name = octet_targets::profile(&spec.name).map_or_else(|_| spec.name.clone(), |profile| profile.name.clone());
    let registry = Registry::<BackendEntry>::collect()?;
    let backend = (registry.get(&name).map_err(Failure::usage)?.create)(options.clone()).map_err(Failure::usage)?;
    if arguments.models.len() == 1 && !arguments.output.is_dir() {
        fits(&arguments.output, &name, backend.as_ref(), &registry).map_err(Failure::usage)?;
    }
    Ok((name, options, backend.writes_folder()))
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
    let written = Destination::new(&path).and_then(|destination| save_printed(&reproducer.text, &reproducer.blobs, &destination));
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

/// The report: of one model itself, of several a list of them.
fn written_report(arguments: &Arguments, made: &[Made<'_>], checked: &[Checked]) -> Result<serde_json::Value, Failure> {
    let mut all = Vec::new();
    for (index, made) in made.iter().enumerate() {
        let mapped = |checked: &Checked| octet_targets::profile(accelerator::NAME).map(|profile| checked.json(profile));
        all.push(super::report::report(&Report {
            model: made.model,
            output: made.shown(arguments),
            mode: arguments.quantize.map(Mode::from),
            io: arguments.io.map(Io::from),
            diagnostics: &made.notes,
            written: made.result.as_ref().ok().zip(made.bytes),
            accelerator: checked.get(index).map(mapped).transpose()?,
        }));
    }
    Ok(match <[serde_json::Value; 1]>::try_from(all) {
        Ok([one]) => one,
        Err(all) => json!({"octet": env!("CARGO_PKG_VERSION"), "models": all}),
    })
}
