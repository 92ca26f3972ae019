//! Acme's `octet`: the whole command, with Acme's passes in it.

use acme_passes as _;

fn main() -> std::process::ExitCode {
    octet::main()
}
