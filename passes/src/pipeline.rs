//! Pipelines as text: `fold,fuse,calibrate{data="cal.npz"},quantize{mode="int8"}`.

use std::fmt;
use std::str::FromStr;

use octet_ir::{Attr, Diagnostic, text};
use octet_plugin::{Options, Pass, PassEntry, Registry};

/// One pass of a pipeline with its options as written.
#[derive(Clone, Debug, PartialEq)]
pub struct PassSpec {
    /// Its registered name.
    pub name: String,
    /// Its options in the order of the text.
    pub options: Options,
}

/// Passes in the order in which they run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pipeline(pub Vec<PassSpec>);

impl FromStr for Pipeline {
    type Err = Diagnostic;

    /// Reads `name{option = value, ...}, name, ...`; an empty text and the word `none` are the empty pipeline. An error (`PAS001`) points at the
    /// column. Whether the passes exist is for [`Pipeline::instantiate`] to say.
    fn from_str(source: &str) -> Result<Self, Diagnostic> {
        if source.trim() == "none" {
            return Ok(Self::default());
        }
        let calls = text::parse_calls(source).map_err(|error| {
            let (_, column) = error.location.line_column.unwrap_or((1, 1));
            Diagnostic::error("PAS001", format!("the pipeline is not well formed at column {column}: {}", error.message))
                .with_note(format!("the pipeline is: {source}"))
                .with_help("write passes as NAME or NAME{OPTION = VALUE, ...}, separated by commas")
        })?;
        Ok(Self(calls.into_iter().map(|(name, options)| PassSpec { name, options }).collect()))
    }
}

impl fmt::Display for PassSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.options.is_empty() { Ok(()) } else { write!(f, "{}", Attr::Map(self.options.clone())) }
    }
}

impl fmt::Display for Pipeline {
    /// The text that reads back as the same pipeline; `none` for the empty one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pass) in self.0.iter().enumerate() {
            write!(f, "{}{pass}", if index > 0 { "," } else { "" })?;
        }
        if self.0.is_empty() { f.write_str("none") } else { Ok(()) }
    }
}

impl Pipeline {
    /// Makes every pass from its options, before any of them runs, so that a wrong option costs no work.
    /// Errors name the pass that does not exist (`PLG002`) or the option that is wrong.
    pub fn instantiate(&self) -> Result<Vec<Box<dyn Pass>>, Diagnostic> {
        self.instantiate_with(&[])
    }

    /// [`instantiate`](Self::instantiate), with passes that were loaded besides those that are linked.
    pub fn instantiate_with(&self, loaded: &[&'static PassEntry]) -> Result<Vec<Box<dyn Pass>>, Diagnostic> {
        let registry = Registry::<PassEntry>::collect_with(loaded)?;
        self.0
            .iter()
            .map(|spec| {
                let entry = registry.get(&spec.name)?;
                (entry.create)(spec.options.clone())
            })
            .collect()
    }
}

/// Options of a pass as its serde struct; the error (`PAS002`) names the pass and says which option is wrong.
pub(crate) fn options<T: serde::de::DeserializeOwned>(pass: &str, given: Options) -> Result<T, Diagnostic> {
    octet_ir::from_attr(Attr::Map(given)).map_err(|error| Diagnostic::error("PAS002", format!("options of pass '{pass}': {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_reads_back() {
        for source in ["none", "fold", "fold,fuse", "calibrate{data = \"a,b}.npz\", samples = 5},quantize{mode = int8-only}"] {
            assert_eq!(source.parse::<Pipeline>().expect("well formed").to_string(), source);
        }
        assert_eq!(" fold , fuse ".parse::<Pipeline>().expect("well formed").to_string(), "fold,fuse");
    }

    #[test]
    fn errors_point_at_the_column() {
        let error = "fold,fuse{x=}".parse::<Pipeline>().unwrap_err();
        assert_eq!(error.code, "PAS001");
        assert!(error.message.contains("column 13"), "{}", error.message);
        for bad in ["fold fuse", "fold,,fuse", "fold,", "{}", "fold{", "fold{a=1", "3"] {
            assert!(bad.parse::<Pipeline>().is_err(), "{bad}");
        }
    }

    #[test]
    fn unknown_passes_are_named() {
        let error = "no_such_pass".parse::<Pipeline>().expect("well formed").instantiate().err().expect("unknown");
        assert_eq!(error.code, "PLG002");
    }
}
