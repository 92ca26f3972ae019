//! Data sets for calibration, evaluation and comparison, as passes see them.

use octet_ir::{Diagnostic, ElementType};

/// A dense tensor in row-major order: what interpreters and data sets hand around.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Element type.
    pub elem: ElementType,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Little-endian bytes.
    pub bytes: Vec<u8>,
}

/// One named array of a data set: `[samples, ...]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// The model input that it feeds (tensor name or signature input name); `None` for the only input.
    pub input: Option<String>,
    /// All samples, the outermost axis counting them.
    pub tensor: Tensor,
}

/// A data set: as many samples of every input.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    /// Arrays by input.
    pub arrays: Vec<Samples>,
    /// Where it came from, for messages.
    pub origin: String,
}

/// Opens data sets by the name that a pipeline option gives (a path, usually).
pub trait DataSource {
    /// Loads the data set, preprocessing applied. Errors say what is wrong with which file.
    fn open(&self, name: &str) -> Result<Dataset, Diagnostic>;
}
