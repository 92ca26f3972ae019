//! Exit codes, and failures that carry one.

use octet_ir::{Diagnostic, Diagnostics};

/// How a command ended. The numbers are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Success,
    /// 1: the model, the data or a file is at fault.
    Failure,
    /// 2: the arguments are wrong.
    Usage,
    /// 3: a contract cannot be kept: `int8-only` has operations that cannot be integer, or `check` finds what the target cannot run.
    Refused,
    /// 4: `compare` is below a threshold.
    Below,
    /// 5: a bug of Octet or of a plugin.
    Bug,
}

impl Exit {
    /// Every code with what it means, for the reference.
    pub(crate) const ALL: [(Self, &'static str); 6] = [
        (Self::Success, "done"),
        (Self::Failure, "the model, the data or a file is at fault"),
        (Self::Usage, "the arguments are wrong"),
        (
            Self::Refused,
            "a contract cannot be kept: int8-only meets operations that cannot be integer, or check finds what the target cannot run",
        ),
        (Self::Below, "compare is below a threshold"),
        (Self::Bug, "a bug of Octet or of a plugin"),
    ];

    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Below => 4,
            Self::Bug => 5,
        }
    }
}

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) diagnostics: Diagnostics,
}

impl Failure {
    /// Wrong arguments.
    pub(crate) fn usage(diagnostic: Diagnostic) -> Self {
        Self { exit: Exit::Usage, diagnostics: diagnostic.into() }
    }
}

impl From<Diagnostics> for Failure {
    fn from(diagnostics: Diagnostics) -> Self {
        let has = |codes: &[&str]| diagnostics.0.iter().any(|d| codes.contains(&d.code));
        let exit = if has(&["PAS003", "PAS004", "PAS006", "PLG016", "PLG017", "PLG018", "PLG019", "PLG020", "PLG021"]) {
            Exit::Bug
        } else if has(&["QNT003"]) {
            Exit::Refused
        } else if has(&["CAL001", "CLI002", "DAT030", "DAT031", "PAS001", "PAS002", "PLG002", "QNT001", "QNT002"]) {
            Exit::Usage
        } else {
            Exit::Failure
        };
        Self { exit, diagnostics }
    }
}

impl From<Diagnostic> for Failure {
    fn from(diagnostic: Diagnostic) -> Self {
        Diagnostics::from(diagnostic).into()
    }
}

/// What is said when the command itself broke.
pub(crate) fn bug() -> Diagnostic {
    Diagnostic::error("CLI005", "octet broke: the message above says where")
        .with_help("this is a bug, not a fault of the model; please report it with the command and the model, if you can")
}
