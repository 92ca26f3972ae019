//! Data sets for calibration, evaluation and comparison, as passes see them.

use std::ops::Range;

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

/// One column of a [`SampleStream`]: what feeds one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The model input that it feeds (tensor name or signature input name); `None` for the only input.
    pub input: Option<String>,
    /// Element type of the samples, after preprocessing.
    pub elem: ElementType,
    /// Sizes of one sample: those of the input without its outermost axis.
    pub shape: Vec<usize>,
}

/// A data set of which only the samples that are asked for are in memory.
pub trait SampleStream: Send + Sync {
    /// Where it came from, for messages.
    fn origin(&self) -> &str;
    /// Number of samples. Every column has as many.
    fn samples(&self) -> usize;
    /// The columns; in the order of the model's inputs where the source knows the model.
    fn columns(&self) -> &[Column];
    /// Samples `range` of column `column`, preprocessing applied: `[range.len(), ...]`.
    fn read(&self, column: usize, range: Range<usize>) -> Result<Tensor, Diagnostic>;
}

/// Opens data sets by the name that a pipeline option gives (a path, usually).
pub trait DataSource {
    /// Loads the data set, preprocessing applied. Errors say what is wrong with which file.
    fn open(&self, name: &str) -> Result<Dataset, Diagnostic>;

    /// Opens the data set without loading it. Sources that hold everything in memory anyway need not implement this.
    fn stream(&self, name: &str) -> Result<Box<dyn SampleStream>, Diagnostic> {
        Ok(Box::new(Loaded::new(self.open(name)?)))
    }
}

/// A stream over a data set that is in memory.
#[derive(Debug)]
pub struct Loaded {
    dataset: Dataset,
    columns: Vec<Column>,
}

impl Loaded {
    /// Streams what is there. The number of samples is that of the shortest array.
    pub fn new(dataset: Dataset) -> Self {
        let column = |s: &Samples| Column {
            input: s.input.clone(),
            elem: s.tensor.elem,
            shape: s.tensor.shape.get(1..).unwrap_or_default().to_vec(),
        };
        let columns = dataset.arrays.iter().map(column).collect();
        Self { dataset, columns }
    }
}

impl SampleStream for Loaded {
    fn origin(&self) -> &str {
        &self.dataset.origin
    }

    fn samples(&self) -> usize {
        self.dataset.arrays.iter().map(|s| s.tensor.shape.first().copied().unwrap_or(1)).min().unwrap_or(0)
    }

    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn read(&self, column: usize, range: Range<usize>) -> Result<Tensor, Diagnostic> {
        let missing = || Diagnostic::error("DAT023", format!("there are no samples {range:?} of column {column}"));
        let tensor = &self.dataset.arrays.get(column).ok_or_else(missing)?.tensor;
        let size = tensor.bytes.len().checked_div(tensor.shape.first().copied().unwrap_or(1)).unwrap_or(0);
        let bytes = tensor.bytes.get(range.start * size..range.end * size).ok_or_else(missing)?;
        let shape = [&[range.len()], tensor.shape.get(1..).unwrap_or_default()].concat();
        Ok(Tensor { elem: tensor.elem, shape, bytes: bytes.to_vec() })
    }
}
