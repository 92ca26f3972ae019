//! `octet run`.
use crate::exit::{Exit, Failure};
use crate::terminal::Terminal;
use clap::Args;
/// Run
#[derive(Debug, Args)]
pub(crate) struct Arguments {}
pub(crate) fn run(_: &Arguments, _: &Terminal) -> Result<Exit, Failure> {
    Ok(Exit::Success)
}
