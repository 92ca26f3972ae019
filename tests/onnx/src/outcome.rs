//! What a case came to.

use serde_json::{Value, json};

/// How one road of one case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// A diagnostic says why not.
    Refused(String),
    /// An answer, and not the right one.
    Wrong(String),
    /// The process ended or a thread panicked.
    Crashed(String),
    /// No answer within the time limit.
    Hung,
}

impl Outcome {
    /// The worse of two data sets: the first that did not pass.
    pub(crate) fn and(self, other: Self) -> Self {
        if self == Self::Passed { other } else { self }
    }

    /// One word and the reason.
    pub(crate) fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Passed => ("passed", ""),
            Self::Refused(why) => ("refused", why),
            Self::Wrong(how) => ("wrong", how),
            Self::Crashed(how) => ("crashed", how),
            Self::Hung => ("hung", ""),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let (word, why) = self.parts();
        json!([word, why])
    }

    pub(crate) fn from_json(value: &Value) -> Self {
        let why = value[1].as_str().unwrap_or_default().to_owned();
        match value[0].as_str() {
            Some("passed") => Self::Passed,
            Some("refused") => Self::Refused(why),
            Some("wrong") => Self::Wrong(why),
            Some("hung") => Self::Hung,
            _ => Self::Crashed(why),
        }
    }
}
