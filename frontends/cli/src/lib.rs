//! The `octet` command: arguments, progress, diagnostics on a terminal.
//!
//! One file of `commands/` holds one command. [`driver`] is what they share with programs that use Octet as a library: loading, compiling and
//! saving models without arguments or a terminal. A third party's command with passes of its own is three lines:
//!
//! ```no_run
//! // use acme_passes as _;
//! fn main() -> std::process::ExitCode {
//!     octet_cli::main()
//! }
//! ```
//!
//! Nothing here decides what a model means: frontends, passes and backends are found in the registries, and built-in ones are linked here.

mod args;
mod commands;
mod details;
pub mod driver;
mod exit;
mod macs;
mod progress;
mod reference;
mod table;
mod terminal;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

// Linked for their registrations.
use octet_backend_c as _;
use octet_backend_tflite as _;
use octet_backend_wasm as _;
use octet_edgetpu as _;
use octet_frontend_onnx as _;
use octet_frontend_tflite as _;
use octet_passes as _;

pub use args::command;
pub use exit::Exit;
pub use reference::reference;

/// Runs the command with the arguments of this process.
pub fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os()).code())
}

/// Runs the command with these arguments, the program's name first. Output goes to standard output, everything said about it to standard error.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let parsed = match args::Cli::try_parse_from(arguments) {
        Ok(parsed) => parsed,
        Err(mut error) => {
            args::translate(&mut error);
            // Help and version are no errors. A closed pipe is nobody's loss.
            let _ = error.print();
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if asked { Exit::Success } else { Exit::Usage };
        }
    };
    let terminal = terminal::Terminal::new(&parsed.global);
    match catch_unwind(AssertUnwindSafe(|| commands::run(&parsed.command, &terminal))) {
        Ok(Ok(exit)) => exit,
        Ok(Err(failure)) => {
            terminal.tell_all(&failure.diagnostics);
            failure.exit
        }
        // The panic's own message has been printed by then.
        Err(_) => {
            terminal.tell(&exit::bug());
            Exit::Bug
        }
    }
}
