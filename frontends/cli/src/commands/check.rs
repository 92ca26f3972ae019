//! `octet check`: whether a target can run a model, and what is in the way.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use octet_targets::Profile;
use serde_json::json;

use crate::args::Importing;
use crate::exit::{Exit, Failure};
use crate::terminal::Terminal;

/// Check whether a target's kernels take every operation of a model
///
/// Exit code 3 if they do not.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The model: .tflite, .onnx or IR text
    model: PathBuf,
    #[command(flatten)]
    importing: Importing,
    /// A target (see `octet list targets`), or a profile of your own in a .toml file
    #[arg(long, value_name = "NAME|FILE.toml")]
    target: String,
    /// Findings as JSON on standard output
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let own;
    let profile = if arguments.target.ends_with(".toml") {
        let bytes = octet_data::read_file(arguments.target.as_ref())?;
        own = Profile::parse(&String::from_utf8_lossy(&bytes)).map_err(|d| d.in_file(&arguments.target))?;
        &own
    } else {
        octet_targets::profile(&arguments.target).map_err(Failure::usage)?
    };
    let module = super::load(&arguments.model, &arguments.importing, terminal)?;
    let file = arguments.model.display().to_string();
    let findings: Vec<_> = profile.check(&module).into_iter().map(|d| d.in_file(&file)).collect();
    let operations: usize = module.graphs().map(|(_, g)| g.op_count()).sum();
    let mut refused = BTreeMap::new();
    for finding in &findings {
        let place = (finding.location.graph.clone(), finding.location.op.clone());
        refused.entry(place).or_insert(());
    }
    if arguments.json {
        terminal.print_json(&json!({
            "model": file,
            "target": profile.name,
            "legal": findings.is_empty(),
            "operations": operations,
            "refused": refused.len(),
            "findings": findings,
        }))?;
    } else {
        findings.iter().for_each(|d| terminal.tell(d));
        let text = match findings.len() {
            0 => format!("{} takes all {operations} operations of {file}\n", profile.title),
            n => format!("{} does not take {} of {operations} operations of {file} ({n} findings)\n", profile.title, refused.len()),
        };
        terminal.print(&text)?;
    }
    Ok(if findings.is_empty() { Exit::Success } else { Exit::Refused })
}
