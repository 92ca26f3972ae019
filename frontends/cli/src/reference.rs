//! The reference of the command as Markdown, from the same declarations that parse its arguments.

use std::fmt::Write;

use clap::{Arg, ArgAction, Command};

use crate::args::command;
use crate::commands::report::KEYS;
use crate::exit::Exit;

/// What bounds memory whatever a file declares.
const LIMITS: &str = "\n## Limits\n\n\
    The tensors of one graph may take 4 GiB when a model runs (`run`, `compare`, calibration); a model that needs more is refused with `EVL006`.\n\
    A sparse constant may be 2 GiB when it is unpacked. What is no regular file (a pipe, a device) is read up to 2 GiB.\n";

/// Everything that `docs/cli.md` says: each command with its arguments, and the exit codes.
pub fn reference() -> String {
    let mut root = command();
    root.build();
    let mut out = String::from("# The `octet` command\n\n");
    // Writing to a string cannot fail.
    let _ = about(&root, &mut out);
    out.push_str("\nThis page is generated from the command's own declarations: `octet COMMAND --help` says the same.\n");
    out.push_str("\n## Exit codes\n\n| code | meaning |\n|---|---|\n");
    for (exit, meaning) in Exit::ALL {
        let _ = writeln!(out, "| {} | {meaning} |", exit.code());
    }
    out.push_str(LIMITS);
    out.push_str("\n## The report of `compile`\n\n`--report FILE.json` writes one object:\n\n| key | value |\n|---|---|\n");
    for (key, value) in KEYS {
        let _ = writeln!(out, "| `{key}` | {value} |");
    }
    out.push_str("\n## What every command takes\n\n| argument | meaning |\n|---|---|\n");
    for arg in root.get_arguments().filter(|a| a.is_global_set()) {
        let _ = argument(arg, &mut out);
    }
    for sub in root.get_subcommands().filter(|c| c.get_name() != "help") {
        let _ = subcommand(sub, "octet", "##", &mut out);
    }
    out
}

fn about(command: &Command, out: &mut String) -> std::fmt::Result {
    let text = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let text = text.trim_end();
    // A clap heading has no full stop; a sentence of a page has one.
    let mut paragraphs = text.split("\n\n");
    let head = paragraphs.next().unwrap_or_default();
    writeln!(out, "{head}{}", if head.ends_with('.') { "" } else { "." })?;
    paragraphs.try_for_each(|p| writeln!(out, "\n{p}"))
}

/// A command and those under it, each with a heading of its own.
fn subcommand(command: &Command, above: &str, heading: &str, out: &mut String) -> std::fmt::Result {
    let name = format!("{above} {}", command.get_name());
    writeln!(out, "\n{heading} `{name}`\n")?;
    about(command, out)?;
    let usage = command.clone().render_usage().to_string();
    writeln!(out, "\n```text\n{}\n```", usage.trim_start_matches("Usage: ").trim())?;
    let own = |a: &&Arg| !a.is_global_set() && a.get_id() != "help" && a.get_id() != "version";
    let mut arguments = command.get_arguments().filter(own).peekable();
    if arguments.peek().is_some() {
        writeln!(out, "\n| argument | meaning |\n|---|---|")?;
        arguments.try_for_each(|arg| argument(arg, out))?;
    }
    let mut under = command.get_subcommands().filter(|c| c.get_name() != "help");
    under.try_for_each(|sub| subcommand(sub, &name, &format!("{heading}#"), out))
}

/// A row: how the argument is written, what it means, its values and default.
fn argument(arg: &Arg, out: &mut String) -> std::fmt::Result {
    let value = || arg.get_value_names().map(|v| v.join(" ")).unwrap_or_default();
    let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let mut name = match (arg.get_short(), arg.get_long()) {
        (Some(short), Some(long)) => format!("-{short}, --{long}"),
        (None, Some(long)) => format!("--{long}"),
        (Some(short), None) => format!("-{short}"),
        (None, None) => value(),
    };
    if takes_value && !arg.is_positional() {
        name = format!("{name} {}", value());
    }
    let mut meaning = arg.get_help().map(ToString::to_string).unwrap_or_default().replace('\n', " ");
    let possible = if takes_value { arg.get_possible_values() } else { Vec::new() };
    if !possible.is_empty() {
        let one = |v: &clap::builder::PossibleValue| match v.get_help() {
            Some(help) => format!("`{}`: {help}", v.get_name()),
            None => format!("`{}`", v.get_name()),
        };
        meaning = format!("{meaning}<br>{}", possible.iter().map(one).collect::<Vec<_>>().join("<br>"));
    }
    let defaults = arg.get_default_values();
    if takes_value && !defaults.is_empty() {
        let text: Vec<_> = defaults.iter().map(|d| d.to_string_lossy()).collect();
        meaning = format!("{meaning} (default `{}`)", text.join(" "));
    }
    if arg.is_required_set() {
        meaning.push_str(" (required)");
    }
    // A bar would end the cell.
    writeln!(out, "| `{}` | {} |", name.replace('|', "\\|"), meaning.replace('|', "\\|"))
}
