//! The commands, one file each.

pub(crate) mod accelerator;
pub(crate) mod check;
mod code;
pub(crate) mod compare;
pub(crate) mod compile;
pub(crate) mod completions;
pub(crate) mod inspect;
pub(crate) mod list;
pub(crate) mod opt;
pub(crate) mod plugin;
pub(crate) mod report;
pub(crate) mod run;

use octet_ir::{Diagnostics, Module};

use crate::args::{Command, Importing};
use crate::driver;
use crate::exit::{Exit, Failure};
use crate::terminal::Terminal;

/// Runs one command.
pub(crate) fn run(command: &Command, terminal: &Terminal) -> Result<Exit, Failure> {
    match command {
        Command::Compile(arguments) => compile::run(arguments, terminal),
        Command::Run(arguments) => run::run(arguments, terminal),
        Command::Inspect(arguments) => inspect::run(arguments, terminal),
        Command::Compare(arguments) => compare::run(arguments, terminal),
        Command::Opt(arguments) => opt::run(arguments, terminal),
        Command::List(arguments) => list::run(arguments, terminal),
        Command::Check(arguments) => check::run(arguments, terminal),
        Command::Plugin(arguments) => plugin::run(arguments, terminal),
        Command::Completions(arguments) => completions::run(arguments, terminal),
    }
}

/// Loads a model and says what its frontend notes.
pub(crate) fn load(path: &std::path::Path, importing: &Importing, terminal: &Terminal) -> Result<Module, Failure> {
    let options = importing.options()?;
    let mut notes = Diagnostics::default();
    let loaded = driver::load_with_notes(path, &options, &mut notes);
    terminal.tell_all(&notes);
    Ok(loaded?)
}
