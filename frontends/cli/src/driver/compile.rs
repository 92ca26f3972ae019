//! From a module to a module: which pipeline, with which data.

use octet_data::{Ahead, Input, Preprocess, Source};
use octet_ir::{Diagnostic, Diagnostics, Graph, Module, Op};
use octet_passes::quantize::{Io, Mode, Runtime};
use octet_passes::{Failure, Goal, Monitor, PassRecord, Pipeline, Settings, Silent, default_pipeline};
use octet_plugin::PassEntry;

/// The name under which pipelines open the data that the compiler was given: `calibrate{data = "--data"}`.
pub const DATA_SET: &str = "--data";

/// Compiles modules: optimizes, and quantizes if a mode is set.
///
/// ```no_run
/// use octet_cli::driver::{Compiler, load};
/// use octet_passes::quantize::Mode;
///
/// # fn example() -> Result<(), octet_ir::Diagnostics> {
/// let module = load("digits.tflite")?;
/// let compiled = Compiler::new().quantize(Mode::Int8Only).data("digits_calibration.npz").preprocess("scale=1/255".parse()?).compile(&module)?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Compiler {
    mode: Option<Mode>,
    io: Option<Io>,
    runtime: Runtime,
    data: Vec<String>,
    ahead: Ahead,
    preprocess: Vec<Preprocess>,
    method: Option<String>,
    accelerator: Option<String>,
    pipeline: Option<Pipeline>,
    settings: Settings,
}

impl Default for Compiler {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let settings = Settings { threads, ..Settings::default() };
        Self {
            mode: None,
            io: None,
            runtime: Runtime::default(),
            data: Vec::new(),
            ahead: Ahead::default(),
            preprocess: Vec::new(),
            method: None,
            accelerator: None,
            pipeline: None,
            settings,
        }
    }
}

/// What compiling gave.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The module.
    pub module: Module,
    /// What each pass did.
    pub passes: Vec<PassRecord>,
    /// Notes and warnings.
    pub notes: Diagnostics,
}

impl Compiler {
    /// A compiler that optimizes and keeps floats, on all cores.
    pub fn new() -> Self {
        Self::default()
    }

    /// Quantizes in this mode.
    #[must_use]
    pub fn quantize(mut self, mode: Mode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Sets the element type of inputs and outputs; by default that of the mode.
    #[must_use]
    pub fn io(mut self, io: Io) -> Self {
        self.io = Some(io);
        self
    }

    /// Sets whose kernels a quantized model must find: operations that they lack stay in float, or are refused where nothing may.
    #[must_use]
    pub fn runtime(mut self, runtime: Runtime) -> Self {
        self.runtime = runtime;
        self
    }

    /// Adds calibration data: a path, or `INPUT=PATH`.
    #[must_use]
    pub fn data(mut self, argument: impl Into<String>) -> Self {
        self.data.push(argument.into());
        self
    }

    /// Takes data files that are being opened already.
    #[must_use]
    pub fn ahead(mut self, ahead: Ahead) -> Self {
        self.ahead = ahead;
        self
    }

    /// Adds preprocessing of the data.
    #[must_use]
    pub fn preprocess(mut self, preprocess: Preprocess) -> Self {
        self.preprocess.push(preprocess);
        self
    }

    /// Sets how ranges are chosen from the data: `min-max` by default, or another method of the `calibrate` pass.
    #[must_use]
    pub fn ranges(mut self, method: impl Into<String>) -> Self {
        self.method = Some(method.into());
        self
    }

    /// Gives operations the forms that a target takes: `edgetpu`, or `tflm`, which lacks some kernels.
    #[must_use]
    pub fn accelerator(mut self, name: impl Into<String>) -> Self {
        self.accelerator = Some(name.into());
        self
    }

    /// Runs these passes instead of those of the mode.
    #[must_use]
    pub fn pipeline(mut self, pipeline: Pipeline) -> Self {
        self.pipeline = Some(pipeline);
        self
    }

    /// Sets the number of threads. Results do not depend on it.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.settings.threads = threads.max(1);
        self
    }

    /// Stops rewriting after this many patches, to find one that breaks a model.
    #[must_use]
    pub fn max_patches(mut self, patches: usize) -> Self {
        self.settings.max_patches = Some(patches);
        self
    }

    /// Lets pipelines name these passes too: plugins that were loaded.
    #[must_use]
    pub fn loaded(mut self, passes: &'static [&'static PassEntry]) -> Self {
        self.settings.loaded = passes;
        self
    }

    /// The passes that will run.
    ///
    /// # Errors
    /// `CLI002` when the mode needs data and there are none.
    pub fn passes(&self, module: &Module) -> Result<Pipeline, Diagnostic> {
        if let Some(pipeline) = &self.pipeline {
            return Ok(pipeline.clone());
        }
        let needing = self.mode.filter(|m| m.quantizes_activations());
        if let Some(mode) = needing
            && self.data.is_empty()
            && !has_ranges(module)
        {
            return Err(Diagnostic::error("CLI002", format!("mode {} needs data to calibrate on", mode.name()))
                .with_help("give --data with samples of what the model will see: .npy, .npz, pictures or a folder of them"));
        }
        let data = (!self.data.is_empty()).then(|| DATA_SET.to_owned());
        Ok(default_pipeline(&Goal {
            mode: self.mode,
            io: self.io,
            runtime: self.runtime,
            data,
            method: self.method.clone(),
            accelerator: self.accelerator.clone(),
        }))
    }

    /// Warnings on what was given and is not used.
    fn idle(&self, pipeline: &Pipeline) -> Vec<Diagnostic> {
        if pipeline.0.iter().any(|pass| pass.options.iter().any(|(name, _)| name == "data")) {
            return Vec::new();
        }
        let given = [("--data", !self.data.is_empty()), ("--preprocess", !self.preprocess.is_empty()), ("--ranges", self.method.is_some())];
        let why = match (&self.pipeline, self.mode) {
            (Some(_), _) => "no pass of the pipeline reads data".to_owned(),
            (None, Some(mode)) => format!("mode {} does not calibrate", mode.name()),
            (None, None) => "without --quantize nothing is calibrated".to_owned(),
        };
        let unused = given.into_iter().filter(|(_, given)| *given);
        unused.map(|(name, _)| Diagnostic::warning("CLI009", format!("{name} is not used: {why}"))).collect()
    }

    /// The source of the data.
    pub fn source(&self, module: &Module) -> Source {
        let source = Source::new(Input::of(module, module.main_id())).set(DATA_SET, self.data.clone()).ahead(self.ahead.clone());
        self.preprocess.iter().cloned().fold(source, Source::preprocess)
    }

    /// Compiles a copy of a module.
    ///
    /// # Errors
    /// What the passes report; all of what cannot be integer for [`Mode::Int8Only`].
    pub fn compile(&self, module: &Module) -> Result<Compiled, Diagnostics> {
        let mut silent = Silent::default();
        let mut compiled = self.compile_with(module, &mut silent).map_err(|failure| failure.diagnostics)?;
        compiled.notes.0.splice(0..0, silent.0.0);
        Ok(compiled)
    }

    /// [`compile`](Self::compile), while `monitor` hears of everything; notes go there and not into the result, except those on the data.
    ///
    /// # Errors
    /// As `compile`, with a reproducer where a pass is at fault.
    pub fn compile_with(&self, module: &Module, monitor: &mut dyn Monitor) -> Result<Compiled, Failure> {
        let pipeline = self.passes(module)?;
        for note in self.idle(&pipeline) {
            monitor.report(note);
        }
        let source = self.source(module);
        let ran = octet_passes::run(module, &pipeline, &self.settings, &source, monitor);
        let notes = Diagnostics(source.take_notes());
        let outcome = ran?;
        Ok(Compiled { module: outcome.module, passes: outcome.passes, notes })
    }
}

/// Whether some value carries a range or is already quantized: a model that was trained for quantization needs no data.
fn has_ranges(module: &Module) -> bool {
    let ranged = |graph: &Graph| graph.values().any(|(_, v)| v.range().is_some() || v.ty().quant.is_some());
    let fake_quant = |graph: &Graph| graph.ops().any(|(_, o)| matches!(o.op(), Op::FakeQuant(_)));
    module.graphs().any(|(_, graph)| ranged(graph) || fake_quant(graph))
}
