//! What kind of graphs to make.

use crate::kind::Kind;

/// For whose kernels a graph is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// Nobody's in particular: whatever the IR can say.
    Any,
    /// LiteRT's builtin kernels.
    LiteRt,
    /// TensorFlow Lite Micro's kernels.
    Tflm,
}

/// A recipe for random graphs.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Kinds of the data that flows through the graph; a kind named twice comes twice as often.
    pub kinds: Vec<Kind>,
    /// Whose kernels must run it.
    pub runtime: Runtime,
    /// Most operations in the main graph (states and control flow may bring a few more).
    pub max_ops: usize,
    /// Most elements of one tensor.
    pub max_elements: usize,
    /// Mnemonics to choose from; empty means all.
    pub only: Vec<&'static str>,
    /// The outermost axis of inputs is dynamic.
    pub dynamic_batch: bool,
    /// IF and WHILE with bodies.
    pub control_flow: bool,
    /// Operations with state: SVDF, LSTM, RNN, variables.
    pub state: bool,
    /// Most graph outputs beyond the results that nothing else reads.
    pub extra_outputs: usize,
    /// Chance in percent that new data is a graph input instead of a constant.
    pub input_percent: usize,
    /// Float data with quantized weights ("dynamic range").
    pub hybrid: bool,
    /// What only the IR and files care about: other element types, blockwise quantization, sparsity, unbound values, odd names, signatures,
    /// metadata, gaps in the numbering.
    pub exotic: bool,
}

impl Profile {
    fn new(kinds: &[Kind]) -> Self {
        Self {
            kinds: kinds.to_vec(),
            runtime: Runtime::Any,
            max_ops: 12,
            max_elements: 512,
            only: Vec::new(),
            dynamic_batch: false,
            control_flow: true,
            state: true,
            extra_outputs: 1,
            input_percent: 60,
            hybrid: false,
            exotic: false,
        }
    }

    /// Float graphs with a few integers at their side.
    pub fn float() -> Self {
        Self::new(&[Kind::F32, Kind::F32, Kind::F32, Kind::F32, Kind::I32, Kind::Bool])
    }

    /// Graphs of quantized signed bytes.
    pub fn int8() -> Self {
        Self::new(&[Kind::I8, Kind::I8, Kind::I8, Kind::I8, Kind::I32, Kind::Bool])
    }

    /// Graphs of 16-bit data and 8-bit weights.
    pub fn int16x8() -> Self {
        Self::new(&[Kind::I16, Kind::I16, Kind::I16, Kind::I16, Kind::I32, Kind::Bool])
    }

    /// Graphs of quantized unsigned bytes, as old converters wrote them.
    pub fn uint8() -> Self {
        Self::new(&[Kind::U8, Kind::U8, Kind::U8, Kind::U8, Kind::I32, Kind::Bool])
    }

    /// Plain integers and booleans.
    pub fn integer() -> Self {
        Self::new(&[Kind::I32, Kind::I32, Kind::I64, Kind::Bool])
    }

    /// Everything at once, and what only files care about.
    pub fn mixed() -> Self {
        let kinds: Vec<Kind> = Kind::ALL.iter().map(|(_, kind)| *kind).collect();
        Self { exotic: true, hybrid: true, ..Self::new(&kinds) }
    }

    /// The profiles that test suites walk, by name.
    pub fn all() -> [(&'static str, Self); 6] {
        [
            ("float", Self::float()),
            ("int8", Self::int8()),
            ("int16x8", Self::int16x8()),
            ("uint8", Self::uint8()),
            ("integer", Self::integer()),
            ("mixed", Self::mixed()),
        ]
    }

    /// The same for a runtime's kernels, without what runtimes cannot load.
    #[must_use]
    pub fn on(mut self, runtime: Runtime) -> Self {
        self.runtime = runtime;
        self.exotic &= runtime == Runtime::Any;
        self
    }

    /// The same with a dynamic outermost axis.
    #[must_use]
    pub fn dynamic(mut self) -> Self {
        self.dynamic_batch = true;
        self
    }

    /// The same with these operations only.
    #[must_use]
    pub fn only(mut self, mnemonics: &[&'static str]) -> Self {
        self.only = mnemonics.to_vec();
        self
    }

    /// The same with at most so many operations.
    #[must_use]
    pub fn ops(mut self, most: usize) -> Self {
        self.max_ops = most;
        self
    }
}
