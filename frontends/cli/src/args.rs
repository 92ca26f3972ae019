//! The arguments of the command, as clap reads them.

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::commands::{check, compare, compile, completions, inspect, list, opt, run};

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
    Compile(compile::Arguments),
    Run(run::Arguments),
    Inspect(inspect::Arguments),
    Compare(compare::Arguments),
    Opt(opt::Arguments),
    List(list::Arguments),
    Check(check::Arguments),
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

/// The command as clap knows it, for completions and documentation.
pub fn command() -> clap::Command {
    Cli::command()
}
