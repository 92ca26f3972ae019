//! `octet check`: whether a target can run a model, and what is in the way.

use std::path::{Path, PathBuf};

use clap::Args;
use octet_edgetpu::{Cache, FileFacts, Mapping, Options, report};
use octet_ir::{Diagnostic, Module};
use octet_targets::{Layout, Profile};
use serde_json::{Value, json};

use crate::args::Importing;
use crate::exit::{Exit, Failure};
use crate::terminal::Terminal;

/// Check whether a target's kernels take every operation of a model
///
/// Exit code 3 if they do not. Of an accelerator, the report says what is mapped to it, in edgetpu_compiler's layout; it is a prediction.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The model: .tflite, .onnx or IR text; several share an accelerator's parameter memory, the first ones first
    #[arg(required = true)]
    models: Vec<PathBuf>,
    #[command(flatten)]
    importing: Importing,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    mapping: MappingArguments,
    /// Findings as JSON on standard output
    #[arg(long)]
    json: bool,
}

/// Which target.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// A target (see `octet list targets`), or a profile of your own in a .toml file
    #[arg(long, value_name = "NAME|FILE.toml")]
    target: Option<String>,
    /// A profile of your own
    #[arg(long, value_name = "FILE.toml")]
    target_profile: Option<PathBuf>,
}

/// How a graph is mapped to an accelerator.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Accelerator")]
pub(crate) struct MappingArguments {
    /// The oldest runtime that the model must run on; by default the target's newest
    #[arg(long, value_name = "VERSION")]
    min_runtime_version: Option<u32>,
    /// Map several clusters of operations
    #[arg(long)]
    multiple_subgraphs: bool,
    /// Names of tensors at which the accelerator's part ends
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    intermediate_tensors: Vec<String>,
    /// Bytes for parameters on the chip; how many activations leave varies, so this is an estimate
    #[arg(long, value_name = "BYTES")]
    parameter_memory: Option<usize>,
}

/// What is said of a model that is compiled already.
const COMPILED: &str = "The model is compiled already, and this is what its compiler mapped; octet inspect shows what it holds";

/// What compiling wrote.
pub(crate) struct Written<'a> {
    /// Where.
    pub(crate) path: &'a Path,
    /// Bytes of it.
    pub(crate) bytes: usize,
}

/// A model on a target.
pub(crate) struct Checked {
    file: String,
    /// Bytes of the file that was read.
    pub(crate) bytes: usize,
    operations: usize,
    mapping: Mapping,
    /// What is wrong beside operations: shapes, and other graphs.
    others: Vec<Diagnostic>,
    pub(crate) cache: Cache,
    /// The models that share the memory for parameters, in order; empty if it has it alone.
    shared: Vec<String>,
}

impl MappingArguments {
    /// Whether any is set.
    pub(crate) fn given(&self) -> bool {
        let Self { min_runtime_version, multiple_subgraphs, intermediate_tensors, parameter_memory } = self;
        min_runtime_version.is_some() || *multiple_subgraphs || !intermediate_tensors.is_empty() || parameter_memory.is_some()
    }

    /// The options for a profile; `CLI002` for a runtime version that it does not have.
    pub(crate) fn options(&self, profile: &Profile) -> Result<Options, Failure> {
        let accelerator = profile.accelerator.as_ref();
        let range = accelerator.and_then(|a| Some(a.oldest_runtime?..=a.runtime?));
        if let (Some(version), Some(range)) = (self.min_runtime_version, &range)
            && !range.contains(&version)
        {
            let message = format!("{} has runtime versions {} to {}, not {version}", profile.title, range.start(), range.end());
            return Err(Failure::usage(Diagnostic::error("CLI002", message)));
        }
        Ok(Options {
            runtime: self.min_runtime_version,
            multiple_subgraphs: self.multiple_subgraphs,
            ends: self.intermediate_tensors.clone(),
        })
    }

    /// Bytes for parameters on the chip.
    pub(crate) fn capacity(&self, profile: &Profile) -> usize {
        self.parameter_memory.or(profile.accelerator.as_ref().and_then(|a| a.parameter_memory)).unwrap_or(0)
    }
}

/// Maps a module whose file has these bytes; the cache is filled later, since several models share it.
pub(crate) fn checked(module: &Module, file: &[u8], name: &Path, profile: &Profile, options: &Options) -> Checked {
    let facts = FileFacts::read(file);
    let mapping = octet_edgetpu::map(module, profile, facts.as_ref(), options);
    let main = module.main().name();
    let beside = |d: &Diagnostic| d.location.graph.as_deref() != Some(main) || d.location.op.is_none();
    let others = profile.check(module).into_iter().filter(beside).collect();
    let operations = module.graphs().map(|(_, g)| g.op_count()).sum();
    Checked {
        file: name.display().to_string(),
        bytes: file.len(),
        operations,
        mapping,
        others,
        cache: Cache::default(),
        shared: Vec::new(),
    }
}

/// A tensor at which the accelerator's part was to end, and that none of the models has.
pub(crate) fn unknown_end<'a>(options: &Options, mut modules: impl Iterator<Item = &'a Module> + Clone) -> Option<Diagnostic> {
    let has = |module: &Module, name: &str| module.main().values().any(|(id, _)| module.main().value_name(id) == name);
    let unknown = options.ends.iter().find(|name| !modules.clone().any(|module| has(module, name)))?;
    let model = if modules.nth(1).is_some() { "any of the models" } else { "the model" };
    let message = format!("--intermediate-tensors names '{unknown}', which is no tensor of {model}");
    Some(Diagnostic::error("CLI002", message).with_help("octet inspect --tensors lists their names"))
}

/// Lets models share the memory for parameters: the first ones keep theirs.
pub(crate) fn share(models: &mut [Checked], capacity: usize) {
    let mut left = capacity;
    let files: Vec<String> = models.iter().map(|m| m.file.clone()).collect();
    for model in models {
        model.cache = Cache::fill(left, &model.mapping.layers());
        left = model.cache.remaining();
        if files.len() > 1 {
            model.shared.clone_from(&files);
        }
    }
}

impl Checked {
    /// Whether everything runs on the target.
    pub(crate) fn legal(&self) -> bool {
        self.others.is_empty() && self.mapping.counts().cpu == 0
    }

    fn findings(&self) -> Vec<Diagnostic> {
        let all = self.mapping.rows.iter().flat_map(|r| &r.findings).chain(&self.others);
        all.map(|d| d.clone().in_file(&self.file)).collect()
    }

    /// The report in edgetpu_compiler's layout, then a row for each operation.
    pub(crate) fn text(&self, output: Option<&Written<'_>>) -> String {
        let head = self.head(output);
        let mut text = report::terminal(&head, &self.mapping, &self.cache, true);
        let about =
            if self.mapping.compiled { COMPILED } else { "Predicted, operation by operation; sizes are those of parameters on the chip" };
        text.push_str(&format!("\n{about}:\n\n"));
        text.push_str(&report::rows(&self.mapping, true));
        if !self.shared.is_empty() {
            let names: Vec<String> = self.shared.iter().map(|file| file_name(Path::new(file))).collect();
            text.push_str(&format!("\nThe memory for parameters is shared, the first ones first: {}\n", names.join(", ")));
        }
        text
    }

    /// The text of the operation log.
    pub(crate) fn log(&self, output: Option<&Written<'_>>) -> String {
        report::log(&self.head(output), &self.mapping)
    }

    fn head(&self, output: Option<&Written<'_>>) -> report::Head {
        let name = file_name;
        report::Head {
            maker: format!("Octet {}", env!("CARGO_PKG_VERSION")),
            input: name(Path::new(&self.file)),
            input_bytes: self.bytes,
            output: output.map(|o| name(o.path)),
            output_bytes: output.map_or(0, |o| o.bytes),
            log: output.map(|o| name(&log_path(o.path))),
        }
    }

    /// The JSON form.
    pub(crate) fn json(&self, profile: &Profile) -> Value {
        let counts = self.mapping.counts();
        let rows = &self.mapping.rows;
        let operators: Vec<Value> = rows
            .iter()
            .map(|row| {
                let constraints: Vec<&String> = row.findings.iter().flat_map(|f| &f.notes).collect();
                json!({
                    "index": row.index,
                    "name": row.name,
                    "tensor": row.tensor,
                    "mapped": row.mapped,
                    "cluster": row.cluster,
                    "status": row.status,
                    "reason": if row.mapped { Value::Null } else { json!(row.reason(rows)) },
                    "constraints": constraints,
                    "blocked_by": row.blocked_by,
                    "fix": if row.mapped { None } else { row.fix() },
                    "parameter_bytes": row.parameters,
                    "cached": row.mapped.then(|| self.cache.cached.contains(&row.index)),
                })
            })
            .collect();
        let mapped = || rows.iter().filter(|r| r.mapped).map(|r| r.parameters);
        let total = octet_edgetpu::Parameters::total(mapped());
        let findings = self.findings();
        let mut refused: Vec<_> = findings.iter().map(|f| (&f.location.graph, &f.location.op)).collect();
        refused.dedup();
        let mut value = json!({
            "model": self.file,
            "target": profile.name,
            "legal": self.legal(),
            "operations": self.operations,
            "refused": refused.len(),
            "findings": findings,
        });
        let accelerated = json!({
            "compiled": self.mapping.compiled,
            "mapped": counts.mapped,
            "cpu": counts.cpu,
            "subgraphs": self.mapping.clusters,
            "operators": operators,
            "memory": {
                "predicted": !self.mapping.compiled,
                "parameter_bytes": total.stored,
                "on_chip_parameter_bytes": total.on_chip,
                "shared_by": self.shared,
                "on_chip_capacity": self.cache.capacity,
                "on_chip_used": self.cache.used,
                "on_chip_remaining": self.cache.remaining(),
                "off_chip_streamed": self.cache.streamed,
            },
        });
        if let (Value::Object(value), Value::Object(more), true) = (&mut value, accelerated, profile.accelerator.is_some()) {
            value.extend(more);
        }
        value
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned())
}

/// `model_edgetpu.log` beside `model_edgetpu.tflite`.
pub(crate) fn log_path(output: &Path) -> PathBuf {
    output.with_extension("log")
}

/// The profile that was asked for.
fn profile(target: &Target) -> Result<Profile, Failure> {
    let named = target.target.as_deref().filter(|t| !t.ends_with(".toml"));
    if let Some(name) = named {
        return Ok(octet_targets::profile(name).map_err(Failure::usage)?.clone());
    }
    let path = target.target_profile.clone().or_else(|| target.target.as_ref().map(PathBuf::from)).unwrap_or_default();
    let bytes = octet_data::read_file(&path)?;
    Ok(Profile::parse(&String::from_utf8_lossy(&bytes)).map_err(|d| d.in_file(path.display().to_string()))?)
}

pub(crate) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let profile = profile(&arguments.target)?;
    let options = arguments.mapping.options(&profile)?;
    let all: Vec<&Path> = arguments.models.iter().map(PathBuf::as_path).collect();
    let modules = arguments.models.iter().map(|path| super::load(path, &arguments.importing.for_model(path, &all), terminal));
    let modules: Vec<Module> = modules.collect::<Result<_, _>>()?;
    if let Some(unknown) = unknown_end(&options, modules.iter()) {
        return Err(Failure::usage(unknown));
    }
    let mut models = Vec::new();
    for (path, module) in arguments.models.iter().zip(&modules) {
        models.push(checked(module, &octet_data::map_file(path)?, path, &profile, &options));
    }
    share(&mut models, arguments.mapping.capacity(&profile));
    if arguments.json {
        let all: Vec<Value> = models.iter().map(|m| m.json(&profile)).collect();
        let value = match <[Value; 1]>::try_from(all) {
            Ok([one]) => one,
            Err(all) => json!({"target": profile.name, "legal": models.iter().all(Checked::legal), "models": all}),
        };
        terminal.print_json(&value)?;
    } else {
        for model in &models {
            terminal.print(&shown(model, &profile, terminal))?;
        }
    }
    Ok(if models.iter().all(Checked::legal) { Exit::Success } else { Exit::Refused })
}

fn shown(model: &Checked, profile: &Profile, terminal: &Terminal) -> String {
    if let Some(accelerator) = &profile.accelerator {
        model.others.iter().for_each(|d| terminal.tell(&d.clone().in_file(&model.file)));
        return match accelerator.layout {
            Layout::EdgetpuCompiler => model.text(None),
            Layout::Plain => {
                let (counts, all) = (model.mapping.counts(), model.mapping.rows.len());
                let rows = report::rows(&model.mapping, false);
                let about = if model.mapping.compiled { format!("{COMPILED}\n") } else { String::new() };
                format!(
                    "{} takes {} of {all} operations of {}; {} run on the CPU\n{about}\n{rows}",
                    profile.title, counts.mapped, model.file, counts.cpu
                )
            }
        };
    }
    let (file, findings) = (&model.file, model.findings());
    findings.iter().for_each(|d| terminal.tell(d));
    let mut refused: Vec<_> = findings.iter().map(|f| (&f.location.graph, &f.location.op)).collect();
    refused.dedup();
    match findings.len() {
        0 => format!("{} takes all {} operations of {file}\n", profile.title, model.operations),
        n => format!("{} does not take {} of {} operations of {file} ({n} findings)\n", profile.title, refused.len(), model.operations),
    }
}
