//! What the user sees: diagnostics on standard error, results on standard output.

use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use octet_ir::{Diagnostic, Diagnostics, Severity};

use crate::args::{Color, Global, MessageFormat};
use crate::exit::Failure;

/// Where and how to say things.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    quiet: bool,
    color: bool,
    json: bool,
    interactive: bool,
}

impl Terminal {
    pub(crate) fn new(global: &Global) -> Self {
        let interactive = std::io::stderr().is_terminal();
        let color = match global.color {
            Color::Always => true,
            Color::Never => false,
            // https://no-color.org
            Color::Auto => interactive && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        };
        Self { quiet: global.quiet, color, json: global.message_format == MessageFormat::Json, interactive }
    }

    /// Whether progress bars can be drawn.
    pub(crate) fn is_interactive(&self) -> bool {
        self.interactive && !self.json
    }

    /// Whether only warnings and errors are said.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Says one thing on standard error. Notes are left out when quiet.
    pub(crate) fn tell(&self, diagnostic: &Diagnostic) {
        if self.quiet && diagnostic.severity == Severity::Note {
            return;
        }
        let text = if self.json {
            serde_json::to_string(diagnostic).unwrap_or_else(|_| diagnostic.to_string())
        } else if self.color {
            colored(diagnostic)
        } else {
            diagnostic.to_string()
        };
        // Nobody reads standard error any more: there is no one to tell.
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// Says all of them.
    pub(crate) fn tell_all(&self, diagnostics: &Diagnostics) {
        diagnostics.0.iter().for_each(|d| self.tell(d));
    }

    /// Says a line about the work on standard error, unless quiet.
    pub(crate) fn line(&self, text: &str) {
        if !self.quiet && !self.json {
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        }
    }

    /// Prints a result on standard output. A reader that has gone away (`octet inspect m.tflite | head`) is no error.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Diagnostic::error("CLI003", format!("cannot write to standard output: {e}")).into())
            }
            _ => Ok(()),
        }
    }

    /// Prints a result as JSON on standard output.
    pub(crate) fn print_json(&self, value: &serde_json::Value) -> Result<(), Failure> {
        self.print(&format!("{value:#}\n"))
    }
}

/// [`Diagnostic`]'s own form with the severity in its colour and labels in bold.
fn colored(diagnostic: &Diagnostic) -> String {
    let color = match diagnostic.severity {
        Severity::Note => AnsiColor::Cyan,
        Severity::Warning => AnsiColor::Yellow,
        Severity::Error => AnsiColor::Red,
    };
    let (head, bold) = (Style::new().bold().fg_color(Some(color.into())), Style::new().bold());
    let plain = diagnostic.to_string();
    let mut lines = plain.split('\n');
    let mut out = String::new();
    if let Some((severity, message)) = lines.next().and_then(|first| first.split_once(": ")) {
        out.push_str(&format!("{head}{severity}{head:#}{bold}: {message}{bold:#}"));
    }
    for line in lines {
        let label = ["  at: ", "  note: ", "  help: "].into_iter().find_map(|l| Some((l, line.strip_prefix(l)?)));
        match label {
            Some((label, rest)) => out.push_str(&format!("\n{bold}{label}{bold:#}{rest}")),
            None => out.push_str(&format!("\n{line}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_change_nothing_but_colour() {
        let d = Diagnostic::error("X001", "it: broke").in_file("a.tflite").with_note("one").with_help("two");
        let colored = colored(&d);
        let mut plain = String::new();
        let mut rest = colored.as_str();
        while let Some((before, after)) = rest.split_once('\x1b') {
            plain.push_str(before);
            rest = after.split_once('m').unwrap().1;
        }
        plain.push_str(rest);
        assert_eq!(plain, d.to_string());
        assert_ne!(colored, plain);
    }
}
