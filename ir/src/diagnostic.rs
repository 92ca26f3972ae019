//! The one form in which anything is reported to a user.

use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something the user may want to know.
    Note,
    /// The result stands, but not as one would expect.
    Warning,
    /// There is no result.
    Error,
}

/// What a diagnostic is about. All parts are optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct SourceLocation {
    /// File, or another name of the input.
    pub file: Option<String>,
    /// Line and column in a text file, from 1.
    pub line_column: Option<(usize, usize)>,
    /// Graph name.
    pub graph: Option<String>,
    /// Operation: its index in execution order and its mnemonic.
    pub op: Option<(usize, String)>,
    /// Tensor: its name in the source, or `%id`.
    pub tensor: Option<String>,
}

impl fmt::Display for SourceLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        match (&self.file, self.line_column) {
            (Some(file), Some((line, column))) => parts.push(format!("{file}:{line}:{column}")),
            (Some(file), None) => parts.push(file.clone()),
            (None, Some((line, column))) => parts.push(format!("{line}:{column}")),
            (None, None) => {}
        }
        if let Some(graph) = &self.graph {
            parts.push(format!("graph '{graph}'"));
        }
        if let Some((index, name)) = &self.op {
            parts.push(format!("op {index} {}", name.to_uppercase()));
        }
        if let Some(tensor) = &self.tensor {
            parts.push(format!("tensor '{tensor}'"));
        }
        f.write_str(&parts.join(", "))
    }
}

/// A message to the user with a stable code, a place, and, where we know it, the way out.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Diagnostic {
    /// Stable code: three letters for the room and a number, such as `TFL004`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub location: SourceLocation,
    /// One sentence that says what is wrong.
    pub message: String,
    /// Further facts, a sentence each.
    pub notes: Vec<String>,
    /// What the user can do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Error, message)
    }

    /// A warning.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Warning, message)
    }

    /// A note.
    pub fn note(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Note, message)
    }

    fn new(code: &'static str, severity: Severity, message: impl Into<String>) -> Self {
        Self { code, severity, location: SourceLocation::default(), message: message.into(), notes: Vec::new(), help: None }
    }

    /// With a whole location.
    #[must_use]
    pub fn at(mut self, location: SourceLocation) -> Self {
        self.location = location;
        self
    }

    /// With the file it is about.
    #[must_use]
    pub fn in_file(mut self, file: impl Into<String>) -> Self {
        self.location.file = Some(file.into());
        self
    }

    /// With the tensor it is about.
    #[must_use]
    pub fn on_tensor(mut self, tensor: impl Into<String>) -> Self {
        self.location.tensor = Some(tensor.into());
        self
    }

    /// With one more fact.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// With the way out.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{severity}[{}]: {}", self.code, self.message)?;
        let location = self.location.to_string();
        if !location.is_empty() {
            write!(f, "\n  at: {location}")?;
        }
        for note in &self.notes {
            write!(f, "\n  note: {note}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

/// Several diagnostics at once: a reader or lowering reports everything that it found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// Whether one of them is an error.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|d| d.severity == Severity::Error)
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, d) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            d.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}
