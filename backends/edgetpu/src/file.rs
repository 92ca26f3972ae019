//! What a `.tflite` file says that the IR does not keep: versions of operators, and where constants lie.
//!
//! A compiler of others' reads the file and not the IR: an operator version that it does not know, or a buffer outside the flatbuffer, makes it refuse.

use flatbuffers::VerifierOptions;
use octet_tflite_schema as fb;

/// Facts of a file's main graph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileFacts {
    /// Version of each operator, in order.
    pub versions: Vec<i32>,
    /// For each operator, whether one of its constants lies behind the flatbuffer (`Buffer.offset`), where other compilers do not look.
    pub outside: Vec<bool>,
}

/// Tables nest at most this deep.
const MAX_DEPTH: usize = 24;

impl FileFacts {
    /// Reads a file; `None` if it is no TFLite model.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.get(4..8) != Some(fb::MODEL_IDENTIFIER.as_bytes()) {
            return None;
        }
        let limits = VerifierOptions { max_depth: MAX_DEPTH, max_tables: bytes.len() / 4, ..VerifierOptions::default() };
        let model = fb::root_as_model_with_opts(&limits, bytes).ok()?;
        let graph = model.subgraphs()?.iter().next()?;
        let codes: Vec<i32> = model.operator_codes()?.iter().map(|c| c.version()).collect();
        let outside: Vec<bool> = model.buffers().iter().flatten().map(|b| b.offset() > 1).collect();
        let lies_outside = |tensor: i32| {
            let tensor = usize::try_from(tensor).ok()?;
            let tensors = graph.tensors()?;
            let buffer = (tensor < tensors.len()).then(|| tensors.get(tensor).buffer())?;
            outside.get(usize::try_from(buffer).ok()?).copied()
        };
        let mut facts = Self::default();
        for operator in graph.operators().iter().flatten() {
            let code = usize::try_from(operator.opcode_index()).ok().and_then(|c| codes.get(c).copied());
            facts.versions.push(code.unwrap_or(1));
            facts.outside.push(operator.inputs().iter().flatten().any(|t| lies_outside(t) == Some(true)));
        }
        Some(facts)
    }
}
