//! What `octet compile` does for an accelerator beside compiling: the report, models that share a memory, and segments.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use octet_edgetpu::{Package, report};
use octet_ir::{Diagnostic, Diagnostics, Module, Operation};

use super::check::{Checked, MappingArguments, Written, checked, log_path, share, unknown_end};
use super::compile::Made;
use crate::driver::{Destination, save};
use crate::exit::Failure;
use crate::macs::macs;
use crate::terminal::Terminal;

/// The backend whose models are mapped.
pub(crate) const NAME: &str = "edgetpu";

/// How a model is cut.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Accelerator")]
pub(crate) struct Segmenting {
    /// Cut the model into this many files, OUT_segment_I_of_N.tflite, that run one after the other
    #[arg(long, value_name = "N")]
    num_segments: Option<usize>,
    /// What segments are balanced by
    #[arg(long, value_name = "WHAT", default_value = "parameters", requires = "num_segments")]
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

/// Whether a graph computes with floats.
pub(crate) fn is_float(module: &Module) -> bool {
    let main = module.main();
    main.ops().flat_map(|(_, o)| o.results()).any(|v| main.ty(*v).elem.is_float())
}

/// Says of a model that has no data to be quantized with which one it is, and why it is quantized, where nobody asked for that.
pub(crate) fn told(mut failure: Failure, model: &Path, unasked: bool) -> Failure {
    for needed in failure.diagnostics.0.iter_mut().filter(|d| unasked && d.code == "CLI002") {
        let note = "the target computes in integers, so that a model in float is quantized first";
        *needed = needed.clone().in_file(model.display().to_string()).with_note(note);
    }
    failure
}

/// Refuses a model that is compiled already: nothing of it can be compiled again.
pub(crate) fn not_compiled(path: &Path, module: &Module) -> Result<(), Diagnostic> {
    let Some(index) = module.main().ops().position(|(_, o)| Package::is_in(o)) else { return Ok(()) };
    let message = format!("the model is compiled already: operation {index} is what edgetpu_compiler made of others");
    Err(Diagnostic::error("EDG004", message)
        .in_file(path.display().to_string())
        .with_help("compile the model that it was made from; octet inspect shows what this one holds"))
}

/// `FOLDER/MODEL_edgetpu.tflite` for every model; the folder is made.
pub(crate) fn destinations(models: &[PathBuf], folder: &Path) -> Result<Vec<Destination>, Failure> {
    let refused = |message: String| Diagnostic::error("CLI003", message).in_file(folder.display().to_string());
    if folder.exists() && !folder.is_dir() {
        return Err(refused("cannot write: several models need a folder, and this is a file".to_owned()).into());
    }
    let mut paths: Vec<PathBuf> = Vec::new();
    for model in models {
        let stem = model.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
        let path = folder.join(format!("{stem}_edgetpu.tflite"));
        if paths.contains(&path) {
            return Err(refused(format!("cannot write: two models are called {stem}")).into());
        }
        paths.push(path);
    }
    std::fs::create_dir_all(folder).map_err(|e| refused(format!("cannot write: {e}")))?;
    Ok(paths.into_iter().map(Destination::new).collect::<Result<_, _>>()?)
}

/// The files that are written beside a model: its log and its segments.
pub(crate) fn beside(model: &Path, segments: &Segmenting) -> Vec<PathBuf> {
    let count = segments.num_segments.unwrap_or(0);
    // More segments than operations are refused later; no more names than that need looking at.
    std::iter::once(log_path(model)).chain((0..count.min(1 << 16)).map(|index| segment_path(model, index, count))).collect()
}

fn segment_path(model: &Path, index: usize, count: usize) -> PathBuf {
    let stem = model.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
    model.with_file_name(format!("{stem}_segment_{index}_of_{count}.tflite"))
}

/// Refuses tensors at which the accelerator's part is to end that no model has, before a model is written.
pub(crate) fn check_ends(arguments: &MappingArguments, made: &[Made<'_>]) -> Result<(), Failure> {
    let options = arguments.options(octet_targets::profile(NAME)?)?;
    let modules: Vec<&Module> = made.iter().filter_map(|m| Some(&m.result.as_ref().ok()?.module)).collect();
    match unknown_end(&options, modules.into_iter()) {
        Some(unknown) if made.iter().all(|m| m.result.is_ok()) => Err(Failure::usage(unknown)),
        _ => Ok(()),
    }
}

/// Maps the models that were written and lets them share the memory for parameters; empty if one was not.
pub(crate) fn check(arguments: &MappingArguments, made: &[Made<'_>]) -> Result<Vec<Checked>, Failure> {
    let profile = octet_targets::profile(NAME)?;
    let options = arguments.options(profile)?;
    let mut models = Vec::new();
    for made in made {
        let (Ok(compiled), Some(_)) = (&made.result, made.bytes) else { return Ok(Vec::new()) };
        let file = octet_data::map_file(made.destination.path())?;
        let mut model = checked(&compiled.module, &file, made.model, profile, &options);
        model.bytes = std::fs::metadata(made.model).map_or(0, |m| usize::try_from(m.len()).unwrap_or(usize::MAX));
        models.push(model);
    }
    share(&mut models, arguments.capacity(profile));
    Ok(models)
}

/// Says what of the written models is mapped, and writes the log beside each.
pub(crate) fn tell(models: &[Checked], made: &[Made<'_>], terminal: &Terminal) -> Result<(), Failure> {
    if models.is_empty() {
        return Ok(());
    }
    let time = made.iter().map(|m| m.time).sum();
    if !terminal.is_quiet() {
        terminal.print(&report::begins(models.len(), time))?;
    }
    for (index, (model, made)) in models.iter().zip(made).enumerate() {
        let written = made.bytes.map(|bytes| Written { path: made.destination.path(), bytes });
        if !terminal.is_quiet() {
            let between = if index > 0 { "\n" } else { "" };
            terminal.print(&format!("{between}{}", model.text(written.as_ref())))?;
        }
        Destination::new(log_path(made.destination.path()))?.write(model.log(written.as_ref()).as_bytes())?;
    }
    if !terminal.is_quiet() {
        terminal.print(report::ENDS)?;
    }
    Ok(())
}

impl Segmenting {
    /// Whether segments were asked for.
    pub(crate) fn given(&self) -> bool {
        self.num_segments.is_some()
    }

    /// Writes the segments beside the whole model, if there are to be some.
    pub(crate) fn write(&self, made: &Made<'_>, terminal: &Terminal) -> Result<(), Failure> {
        let (Some(count), Ok(compiled)) = (self.num_segments, &made.result) else { return Ok(()) };
        let output = made.destination.path();
        let graph = compiled.module.main();
        let weights: Vec<u64> = graph
            .ops()
            .map(|(_, op)| match self.balance {
                Balance::Parameters => parameter_bytes(&compiled.module, op),
                Balance::Macs => macs(graph, op),
            })
            .collect();
        let segments = octet_edgetpu::segments(&compiled.module, count, &weights)?;
        for (index, (module, weight)) in segments.modules.iter().zip(&segments.weights).enumerate() {
            let path = segment_path(output, index, count);
            let mut notes = Diagnostics::default();
            save(module, NAME, Vec::new(), &Destination::new(&path)?, &mut notes)?;
            let what = if self.balance == Balance::Parameters { "bytes of parameters" } else { "MACs" };
            terminal.line(&format!("{}: {} operations, {weight} {what}", path.display(), module.main().op_count()));
        }
        let orders = if segments.every_order { "in any order" } else { "in execution order" };
        let percent = segments.imbalance * 100.0;
        terminal.line(&format!("the heaviest segment is {percent:.1} % over the mean; no cuts {orders} do better"));
        if segments.floor > 0.0 {
            let (at, floor) = (segments.heaviest, segments.floor * 100.0);
            let name = graph.ops().nth(at).map_or_else(String::new, |(_, op)| octet_targets::op_name(op.op()).1);
            terminal.line(&format!("operation {at} {name} alone is {floor:.1} % over it, and cannot be cut"));
        }
        Ok(())
    }
}

/// Bytes of an operation's constants.
fn parameter_bytes(module: &Module, op: &Operation) -> u64 {
    let graph = module.main();
    let bytes = op.operands().iter().flatten().filter_map(|v| module.constant_of(graph, *v)).map(|c| c.bytes().len());
    bytes.map(|n| u64::try_from(n).unwrap_or(u64::MAX)).fold(0, u64::saturating_add)
}
