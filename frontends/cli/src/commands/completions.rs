//! `octet completions`: scripts that complete the command in a shell.

use clap::Args;
use clap_complete::{Shell, generate};

use crate::args;
use crate::exit::{Exit, Failure};
use crate::terminal::Terminal;

/// Print a completion script for a shell
///
/// For bash: octet completions bash > ~/.local/share/bash-completion/completions/octet
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    generate(arguments.shell, &mut args::command(), "octet", &mut script);
    terminal.print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}
