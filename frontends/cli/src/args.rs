//! The arguments of the command, as clap reads them.

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use octet_ir::Diagnostic;
use octet_plugin::{ImageLayout, ImportOptions};

use crate::exit::Failure;

use crate::commands::{check, compare, compile, completions, inspect, list, opt, plugin, run};

/// A quantizing compiler for edge machine learning
///
/// Reads a trained model, optimizes and quantizes it, and writes what the edge runs.
#[derive(Debug, Parser)]
#[command(name = "octet", version, propagate_version = true, max_term_width = 120)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) global: Global,
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Global {
    /// Say only warnings and errors: no progress, no notes
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Colour diagnostics; auto means on a terminal where NO_COLOR is not set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
    /// How diagnostics are written to standard error; json is one object a line
    #[arg(long, global = true, value_name = "FORMAT", default_value = "human")]
    pub(crate) message_format: MessageFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MessageFormat {
    Human,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Compile(Box<compile::Arguments>),
    Run(run::Arguments),
    Inspect(inspect::Arguments),
    Compare(compare::Arguments),
    Opt(opt::Arguments),
    List(list::Arguments),
    Check(check::Arguments),
    Plugin(plugin::Arguments),
    Completions(completions::Arguments),
}

/// Data for a command.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct Data {
    /// Samples: a .npy, .npz, PNG or JPEG file, or a folder of them; INPUT=PATH for one input of several. May be given again
    #[arg(long = "data", value_name = "[INPUT=]PATH")]
    pub(crate) data: Vec<String>,
    #[command(flatten)]
    pub(crate) preprocess: Preprocessing,
}

/// What happens to values before the model sees them.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Preprocessing {
    /// (x * scale - mean) / std of every value; lists a:b:c have one value a channel; resize=nearest|bilinear|bicubic|lanczos and
    /// crop=center bring pictures to the input's size. May be given again for another input
    #[arg(long, value_name = "[INPUT:]scale=S,mean=M,std=D,resize=FILTER,crop=center", help_heading = "Data")]
    pub(crate) preprocess: Vec<octet_data::Preprocess>,
}

/// Choices that an ONNX file leaves open.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Import (ONNX)")]
pub(crate) struct Importing {
    /// The shape of an input: image=1x3x224x224. May be given again
    #[arg(long = "shape", value_name = "INPUT=SIZES")]
    shapes: Vec<String>,
    /// The size of a symbolic dimension: N=1. May be given again
    #[arg(long = "dim", value_name = "NAME=SIZE")]
    dims: Vec<String>,
    /// The layout that inputs and outputs of images get, nchw or nhwc, all or one of them; by default they stay as the file has them
    #[arg(long = "layout", value_name = "[NAME=]LAYOUT")]
    layouts: Vec<String>,
    /// An input that becomes a constant: axes=axes.npy. May be given again
    #[arg(long = "constant", value_name = "INPUT=PATH.npy")]
    constants: Vec<String>,
    /// LSTM layers become one operation each, whose state lives on from run to run until it is reset; by default they are written out step by step
    #[arg(long = "keep-state")]
    keep_state: bool,
}

impl Importing {
    /// These choices for one of several files: for those that take them. Where none does, the first one gets them, so that they are refused.
    pub(crate) fn for_model(&self, path: &std::path::Path, all: &[&std::path::Path]) -> Self {
        let takes = |path: &std::path::Path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("onnx"));
        if takes(path) || !all.iter().any(|other| takes(other)) { self.clone() } else { Self::default() }
    }

    /// The options; `CLI002` says which text is malformed.
    pub(crate) fn options(&self) -> Result<ImportOptions, Failure> {
        let pair = |text: &str, form: &str| -> Result<(String, String), Failure> {
            let pair = text.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty());
            let pair = pair.map(|(name, value)| (name.to_owned(), value.to_owned()));
            pair.ok_or_else(|| Failure::usage(Diagnostic::error("CLI002", format!("'{text}' is not of the form {form}"))))
        };
        let number = |text: &str| -> Result<usize, Failure> {
            let size = text.parse().ok().filter(|&size| size > 0);
            size.ok_or_else(|| Failure::usage(Diagnostic::error("CLI002", format!("'{text}' is not a size"))))
        };
        let layout = |text: &str| match text.to_ascii_lowercase().as_str() {
            "nchw" => Ok(ImageLayout::Nchw),
            "nhwc" => Ok(ImageLayout::Nhwc),
            _ => Err(Failure::usage(Diagnostic::error("CLI002", format!("'{text}' is no layout: nchw or nhwc")))),
        };
        let mut options = ImportOptions { keep_state: self.keep_state, ..ImportOptions::default() };
        for text in &self.shapes {
            let (name, sizes) = pair(text, "INPUT=SIZES, such as image=1x3x224x224")?;
            let sizes = if sizes == "scalar" { Vec::new() } else { sizes.split('x').map(number).collect::<Result<_, _>>()? };
            options.shapes.push((name, sizes));
        }
        for text in &self.dims {
            let (name, size) = pair(text, "NAME=SIZE, such as N=1")?;
            options.dims.push((name, number(&size)?));
        }
        for text in &self.layouts {
            options.layouts.push(match text.rsplit_once('=') {
                Some((name, value)) => (Some(name.to_owned()), layout(value)?),
                None => (None, layout(text)?),
            });
        }
        for text in &self.constants {
            let (name, path) = pair(text, "INPUT=PATH.npy")?;
            let mut arrays = octet_data::read_arrays(std::path::Path::new(&path)).map_err(Failure::from)?;
            if arrays.len() != 1 {
                return Err(Failure::usage(Diagnostic::error("CLI002", "an input's value is one array").in_file(path)));
            }
            options.constants.push((name, arrays.remove(0).tensor));
        }
        Ok(options)
    }
}

/// Arguments of other converters, and what they are called here.
const ELSEWHERE: &[(&[&str], &str)] = &[
    (&["representative-dataset", "calibration-data", "dataset"], "--data gives the samples to calibrate on, all of which count"),
    (&["inference-input-type", "inference-output-type", "input-type", "output-type"], "--io sets the type of inputs and outputs"),
    (&["optimizations", "supported-ops", "target-spec", "quantization-mode", "mode"], "--quantize names the mode, such as int8-only"),
    (&["calibration-method", "method"], "--ranges names the method: min-max, mse or percentile:99.99"),
    (&["output-file", "out", "save-path"], "-o names the output"),
    (&["mean", "std", "scale", "normalize", "mean-values", "std-dev-values"], "--preprocess takes them: scale=1/255,mean=0.5,std=0.5"),
    (&["input-shape", "input-shapes", "overwrite-input-shape"], "--shape sets the shape of an input: image=1x3x224x224"),
    (&["batch-size", "batch"], "--dim N=1 sets a symbolic batch, --shape an input's whole shape"),
];

/// Adds a tip to an error about an argument that another converter has under that name.
pub(crate) fn translate(error: &mut clap::Error) {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidArg).filter(|_| error.kind() == ErrorKind::UnknownArgument)
    else {
        return;
    };
    let name = given.trim_start_matches('-').split('=').next().unwrap_or_default().replace('_', "-").to_ascii_lowercase();
    if let Some((_, tip)) = ELSEWHERE.iter().find(|(names, _)| names.contains(&name.as_str())) {
        // In place of the closest spelling, which means something else.
        error.remove(ContextKind::SuggestedArg);
        error.remove(ContextKind::SuggestedValue);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![(*tip).into()]));
    }
}

/// The command as clap knows it, for completions and documentation.
pub fn command() -> clap::Command {
    Cli::command()
}
