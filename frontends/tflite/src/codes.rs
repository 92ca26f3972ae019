//! What the reader can find wrong with a file: one stable code per kind of finding, and the collector for findings.

use octet_ir::{Diagnostic, Diagnostics, SourceLocation};

/// Too short, or without the identifier `TFL3`.
pub const NOT_TFLITE: &str = "TFL001";
/// The flatbuffer itself is broken: offsets outside the file, unaligned or overlapping tables, bad strings.
pub const MALFORMED: &str = "TFL002";
/// A part that every model has is missing, or there are more tensors and operators than the file has room for.
pub const STRUCTURE: &str = "TFL003";
/// A buffer does not exist or lies outside the file.
pub const BUFFER: &str = "TFL004";
/// A tensor's element type is not one of the format's.
pub const ELEMENT_TYPE: &str = "TFL005";
/// A tensor's shape has negative sizes or too many elements.
pub const SHAPE: &str = "TFL006";
/// A constant has more or fewer bytes than its type asks for.
pub const CONSTANT_SIZE: &str = "TFL007";
/// Quantization parameters that mean nothing.
pub const QUANTIZATION: &str = "TFL008";
/// Sparsity parameters that mean nothing.
pub const SPARSITY: &str = "TFL009";
/// A tensor index outside the graph's tensors.
pub const TENSOR_INDEX: &str = "TFL010";
/// An operator code that is missing or unknown.
pub const OPERATOR_CODE: &str = "TFL011";
/// Options that are of the wrong kind or out of range.
pub const OPTIONS: &str = "TFL012";
/// A tensor with two definitions: two operators, or an operator and a buffer, or a graph input that something computes.
pub const DEFINED_TWICE: &str = "TFL013";
/// An operator reads what nothing defines, or what a later operator computes.
pub const UNDEFINED: &str = "TFL014";
/// A graph index that does not exist, or graphs that call each other in a circle.
pub const GRAPH_INDEX: &str = "TFL015";
/// A signature that names what does not exist.
pub const SIGNATURE: &str = "TFL016";
/// A metadata entry without a buffer.
pub const METADATA: &str = "TFL017";
/// A string tensor whose offsets are wrong.
pub const STRINGS: &str = "TFL018";
/// A constant that lies in another file which was not given.
pub const EXTERNAL: &str = "TFL019";
/// A feature of the format that Octet cannot represent.
pub const UNSUPPORTED: &str = "TFL020";

/// (note) Something of the file that the module has no place for, and no runtime reads.
pub const LEFT_OUT: &str = "TFL021";

/// A broken file may be wrong in a million places; this many are reported.
const MAX_FINDINGS: usize = 100;

/// Findings so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    found: Vec<Diagnostic>,
    notes: Vec<Diagnostic>,
    left_out: usize,
}

impl Report {
    /// Adds an error.
    pub(crate) fn error(&mut self, code: &'static str, location: SourceLocation, message: impl Into<String>) {
        self.add(|| Diagnostic::error(code, message).at(location));
    }

    /// Adds an error with the way out.
    pub(crate) fn error_help(&mut self, code: &'static str, location: SourceLocation, message: impl Into<String>, help: &str) {
        self.add(|| Diagnostic::error(code, message).at(location).with_help(help));
    }

    fn add(&mut self, finding: impl FnOnce() -> Diagnostic) {
        if self.found.len() < MAX_FINDINGS {
            self.found.push(finding());
        } else {
            self.left_out += 1;
        }
    }

    /// Adds a note, which refuses nothing.
    pub(crate) fn note(&mut self, code: &'static str, location: SourceLocation, message: impl Into<String>) {
        if self.notes.len() < MAX_FINDINGS {
            self.notes.push(Diagnostic::note(code, message).at(location));
        }
    }

    /// The notes of a file in which nothing is wrong.
    pub(crate) fn into_notes(self) -> Vec<Diagnostic> {
        self.notes
    }

    /// Whether nothing was found.
    pub(crate) fn is_clean(&self) -> bool {
        self.found.is_empty()
    }

    /// The findings, with a note on how many more there are.
    pub(crate) fn into_diagnostics(mut self) -> Diagnostics {
        if self.left_out > 0
            && let Some(last) = self.found.last_mut()
        {
            last.notes.push(format!("{} more problems were found and are not listed", self.left_out));
        }
        Diagnostics(self.found)
    }
}
