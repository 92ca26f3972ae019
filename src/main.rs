//! The `octet` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    octet_cli::main()
}
