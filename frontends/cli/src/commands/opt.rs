//! `octet opt`: passes over a model, IR out.

use std::path::PathBuf;

use clap::Args;
use octet_ir::text;
use octet_passes::Pipeline;

use super::compile::{Passes, Watch};
use super::plugin::Plugins;
use crate::args::{Data, Importing};
use crate::driver::{Compiler, Destination, save_text};
use crate::exit::{Exit, Failure};
use crate::terminal::Terminal;

/// Run passes over a model and write IR text
///
/// Large constants go into OUT.bin beside the text. Without -o the text goes to standard output, large constants named by hash.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The model: .tflite, .onnx or IR text
    model: PathBuf,
    #[command(flatten)]
    importing: Importing,
    /// The passes, such as fold,fuse,quantize{mode=int8}; none only reads and writes
    #[arg(long, value_name = "PIPELINE", default_value = "none")]
    pipeline: Pipeline,
    /// The text file to write
    #[arg(short, long, value_name = "OUT.ir")]
    output: Option<PathBuf>,
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    passes: Passes,
    #[command(flatten)]
    plugins: Plugins,
}

pub(crate) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let destination = arguments.output.as_ref().map(Destination::new).transpose()?;
    let module = super::load(&arguments.model, &arguments.importing, terminal)?;
    let mut compiler = Compiler::new().pipeline(arguments.pipeline.clone()).loaded(arguments.plugins.install(terminal)?);
    compiler = arguments.data.data.iter().fold(compiler, Compiler::data);
    compiler = arguments.data.preprocess.preprocess.iter().cloned().fold(compiler, Compiler::preprocess);
    compiler = arguments.passes.apply(compiler);
    let mut watch = Watch::new(terminal, &arguments.passes);
    let compiled = watch.compile(&compiler, &module, destination.as_ref().map(Destination::path))?;
    match &destination {
        Some(destination) => save_text(&compiled.module, destination)?,
        None => terminal.print(&text::print(&compiled.module).text)?,
    }
    Ok(Exit::Success)
}
