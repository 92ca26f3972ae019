//! The pass manager: runs a pipeline on a copy of the module, verifies after every pass, times each, counts patches so that a wrong one
//! can be found by bisection, and on failure hands back what reproduces it.
//!
//! It never writes a file or prints: a [`Monitor`] hears of everything, the caller decides what to do with a [`Reproducer`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use bytes::Bytes;
use octet_ir::{Attr, Diagnostic, Diagnostics, Module, text, verify};
use octet_plugin::{DataSource, Observer, Pass, PassContext, PassEntry};

use crate::pipeline::{PassSpec, Pipeline};

/// What the manager is told besides the pipeline.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Stop rewriting after this many patches, counted over the whole pipeline: bisect on it to find the patch that breaks a model.
    pub max_patches: Option<usize>,
    /// Threads that passes may use. Results never depend on it.
    pub threads: usize,
    /// Passes that were loaded besides those that are linked.
    pub loaded: &'static [&'static PassEntry],
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_patches: None, threads: 1, loaded: &[] }
    }
}

/// Hears of a pipeline's work as it happens. All methods but [`report`](Self::report) may be left out.
pub trait Monitor {
    /// Something the user should read.
    fn report(&mut self, diagnostic: Diagnostic);
    /// `done` of `total` samples (or whatever `unit` says) are through.
    fn progress(&mut self, _done: usize, _total: usize, _unit: &'static str) {}
    /// A pass begins.
    fn pass_begins(&mut self, _pass: &PassSpec) {}
    /// A pass has ended and its result is sound: the place to print changed IR.
    fn pass_ended(&mut self, _record: &PassRecord, _module: &Module) {}
}

/// A monitor that keeps what is reported and is silent otherwise.
#[derive(Clone, Debug, Default)]
pub struct Silent(pub Diagnostics);

impl Monitor for Silent {
    fn report(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }
}

/// What one pass did.
#[derive(Clone, Debug)]
pub struct PassRecord {
    /// The pass with its options.
    pub pass: PassSpec,
    /// Whether it changed the module.
    pub changed: bool,
    /// Patches that it applied.
    pub patches: usize,
    /// What it reported as data, if it did.
    pub report: Option<Attr>,
    /// How long it ran, verification not included.
    pub time: Duration,
    /// How long verifying its result took.
    pub verify_time: Duration,
}

/// A pipeline that ran to its end.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The transformed module, renumbered densely if anything changed.
    pub module: Module,
    /// What each pass did, in order.
    pub passes: Vec<PassRecord>,
}

/// What it takes to see a failure again: the module as it was before the failing pass, and the pipeline from there on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reproducer {
    /// IR text with a first line `// run: PIPELINE`.
    pub text: String,
    /// The side file with large constants; empty when there are none.
    pub blobs: Bytes,
    /// The failing pass and those after it.
    pub pipeline: String,
}

/// A pipeline that did not run to its end. The caller's module is as it was.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What went wrong.
    pub diagnostics: Diagnostics,
    /// How to see it again, when a pass is at fault (`PAS003`, `PAS004`, `PAS006`); `None` when the pipeline itself, the model or its data is
    /// wrong.
    pub reproducer: Option<Box<Reproducer>>,
}

impl From<Diagnostic> for Failure {
    fn from(diagnostic: Diagnostic) -> Self {
        Self { diagnostics: diagnostic.into(), reproducer: None }
    }
}

/// Runs a pipeline over a copy of `module`. The module is verified first, then after each pass.
///
/// # Errors
/// Diagnostics of the pass that failed; `PAS003` when its result is not sound, `PAS004` when it panicked.
pub fn run(
    module: &Module,
    pipeline: &Pipeline,
    settings: &Settings,
    data: &dyn DataSource,
    monitor: &mut dyn Monitor,
) -> Result<Outcome, Failure> {
    let passes = pipeline.instantiate_with(settings.loaded)?;
    verify::verify(module).map_err(|diagnostics| Failure { diagnostics, reproducer: None })?;
    let mut current = module.clone();
    let mut records = Vec::with_capacity(passes.len());
    let mut watch = Watch { monitor, limit: settings.max_patches, applied: 0, stopped: false, report: None };
    for (index, (spec, pass)) in pipeline.0.iter().zip(&passes).enumerate() {
        watch.monitor.pass_begins(spec);
        match step(&current, spec, pass.as_ref(), settings, data, &mut watch) {
            Ok((next, record)) => {
                watch.monitor.pass_ended(&record, &next);
                records.push(record);
                current = next;
            }
            Err(diagnostics) => {
                let rest = || Pipeline(pipeline.0.get(index..).unwrap_or_default().to_vec());
                let reproducer = is_bug(&diagnostics).then(|| Box::new(reproducer(&current, &rest())));
                return Err(Failure { diagnostics, reproducer });
            }
        }
    }
    if records.iter().any(|r| r.changed) {
        drop_numbering(module, &mut current, monitor);
        current.compact();
    }
    Ok(Outcome { module: current, passes: records })
}

/// Leaves out metadata that says something of operators or tensors by their numbers, where those are others now: what
/// `model_control_dependencies` orders (LiteRT), and where `OfflineMemoryAllocation` puts tensors (TFLite Micro).
fn drop_numbering(before: &Module, after: &mut Module, monitor: &mut dyn Monitor) {
    let ops = |m: &Module| m.graphs().map(|(_, g)| g.ops().map(|(id, o)| (id, o.op().mnemonic())).collect::<Vec<_>>()).collect::<Vec<_>>();
    let same_ops = ops(before) == ops(after);
    let tensors = |m: &Module| m.graphs().map(|(_, g)| g.values().map(|(id, v)| (id, v.ty().clone())).collect()).collect::<Vec<Vec<_>>>();
    let same_tensors = same_ops && tensors(before) == tensors(after);
    after.metadata.retain(|entry| {
        let (same, numbered) = match entry.name.as_str() {
            "model_control_dependencies" => (same_ops, "operators"),
            "OfflineMemoryAllocation" => (same_tensors, "tensors"),
            _ => return true,
        };
        if !same {
            let message = format!("metadata '{}' is left out: it numbers {numbered}, which are others now", entry.name);
            monitor.report(Diagnostic::note("PAS008", message));
        }
        same
    });
}

/// Runs one pass over a copy and verifies what it made.
fn step(
    before: &Module,
    spec: &PassSpec,
    pass: &dyn Pass,
    settings: &Settings,
    data: &dyn DataSource,
    watch: &mut Watch<'_>,
) -> Result<(Module, PassRecord), Diagnostics> {
    let patches_before = watch.applied;
    let mut module = before.clone();
    let begun = Instant::now();
    let mut context = PassContext { observer: watch, data, threads: settings.threads };
    let ran = catch_unwind(AssertUnwindSafe(|| pass.run(&mut module, &mut context)));
    let time = begun.elapsed();
    let changed = ran.map_err(|payload| Diagnostics::from(panicked(spec, payload.as_ref())))??;
    let verifying = Instant::now();
    verify::verify(&module).map_err(|found| {
        let summary = Diagnostic::error("PAS003", format!("pass '{}' left a module that is not sound", spec.name))
            .with_help("this is a bug of the pass, not of the model; the reproducer shows it again");
        Diagnostics(std::iter::once(summary).chain(found.0).collect())
    })?;
    let (patches, report) = (watch.applied - patches_before, watch.report.take());
    let record = PassRecord { pass: spec.clone(), changed, patches, report, time, verify_time: verifying.elapsed() };
    Ok((module, record))
}

fn panicked(spec: &PassSpec, payload: &(dyn std::any::Any + Send)) -> Diagnostic {
    let message = payload.downcast_ref::<&str>().map(|m| (*m).to_owned()).or_else(|| payload.downcast_ref::<String>().cloned());
    let message = message.unwrap_or_else(|| "no message".to_owned());
    Diagnostic::error("PAS004", format!("pass '{}' panicked: {message}", spec.name))
        .with_help("this is a bug of the pass, not of the model; the reproducer shows it again")
}

/// Whether a pass is at fault rather than the model, its data or its options.
fn is_bug(diagnostics: &Diagnostics) -> bool {
    diagnostics.0.iter().any(|d| ["PAS003", "PAS004", "PAS006"].contains(&d.code))
}

fn reproducer(module: &Module, pipeline: &Pipeline) -> Reproducer {
    let printed = text::print(module);
    let pipeline = pipeline.to_string();
    Reproducer { text: format!("// run: {pipeline}\n{}", printed.text), blobs: printed.blobs, pipeline }
}

/// Counts patches and passes everything else on.
struct Watch<'m> {
    monitor: &'m mut dyn Monitor,
    limit: Option<usize>,
    applied: usize,
    stopped: bool,
    report: Option<Attr>,
}

impl Observer for Watch<'_> {
    fn report(&mut self, diagnostic: Diagnostic) {
        self.monitor.report(diagnostic);
    }

    fn progress(&mut self, done: usize, total: usize, unit: &'static str) {
        self.monitor.progress(done, total, unit);
    }

    fn record(&mut self, report: Attr) {
        self.report = Some(report);
    }

    fn may_patch(&mut self, pass: &str, what: &str) -> bool {
        let allowed = self.limit.is_none_or(|limit| self.applied < limit);
        if allowed {
            self.applied += 1;
            if self.limit == Some(self.applied) {
                let message = format!("patch {} is the last one: pass '{pass}', {what}", self.applied);
                self.monitor.report(Diagnostic::note("PAS005", message));
            }
        } else if !std::mem::replace(&mut self.stopped, true) {
            let message = format!("rewriting stops before the patch of pass '{pass}', {what}");
            self.monitor.report(Diagnostic::note("PAS005", message));
        }
        allowed
    }
}
