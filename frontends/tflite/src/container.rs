//! The file as bytes: verification of the flatbuffer, limits, and buffers as slices that share the file's memory.
//!
//! Nothing here knows what a tensor means. No buffer is ever copied: each is a [`Bytes`] over the file, mapped or not.

use bytes::Bytes;
use flatbuffers::VerifierOptions;
use octet_ir::{Diagnostic, SourceLocation};
use octet_tflite_schema as fb;

use crate::codes;

/// Tables nest at most this deep in a well-formed file (model, graph, operator, options and some air).
const MAX_DEPTH: usize = 24;
/// A verified file seen as a tree, shared parts counted every time, is at most this many times as large as the file; tables are counted
/// about three times by the verifier, and real files share little.
const MAX_EXPANSION: usize = 16;
/// Room for that in small files.
const SLACK: usize = 1 << 20;
/// Bytes that a tensor or an operator takes at the very least: its entry in a vector, its table and one field, without padding.
const MIN_ENTITY: usize = 12;

/// A verified file.
pub(crate) struct Container<'a> {
    bytes: &'a Bytes,
    pub(crate) model: fb::Model<'a>,
}

impl<'a> Container<'a> {
    /// Checks identifier, offsets, alignment, strings and the total number of tables.
    pub(crate) fn open(bytes: &'a Bytes) -> Result<Self, Diagnostic> {
        // The identifier follows the root offset.
        if bytes.get(4..8) != Some(fb::MODEL_IDENTIFIER.as_bytes()) {
            let what = if bytes.len() < 8 { "the file is too short" } else { "the file lacks the identifier TFL3" };
            return Err(Diagnostic::error(codes::NOT_TFLITE, format!("this is not a TFLite model: {what}")).with_help(
                "Octet reads .tflite flatbuffers of schema version 3; a SavedModel or Keras file needs the TFLite converter first",
            ));
        }
        let limits = VerifierOptions {
            max_depth: MAX_DEPTH,
            max_tables: bytes.len() / 4,
            max_apparent_size: bytes.len().saturating_mul(MAX_EXPANSION).saturating_add(SLACK),
            ignore_missing_null_terminator: false,
        };
        let model = fb::root_as_model_with_opts(&limits, bytes).map_err(|why| {
            Diagnostic::error(codes::MALFORMED, format!("the file is damaged: {}", first_line(&why.to_string())))
                .with_help("the file was cut short or changed after it was written; fetch or convert it again")
        })?;
        let container = Self { bytes, model };
        container.check_counts()?;
        Ok(container)
    }

    /// A file may name one table from many places; no sane one does so for tensors and operators, and memory follows their number.
    fn check_counts(&self) -> Result<(), Diagnostic> {
        let count = |n: Option<usize>| n.unwrap_or(0);
        let graphs = self.model.subgraphs();
        let entities = graphs.iter().flatten().fold(0usize, |n, g| {
            n.saturating_add(count(g.tensors().map(|t| t.len()))).saturating_add(count(g.operators().map(|o| o.len())))
        });
        if entities.saturating_mul(MIN_ENTITY) > self.bytes.len() {
            return Err(Diagnostic::error(
                codes::STRUCTURE,
                format!("the file claims {entities} tensors and operators, more than its {} bytes can hold", self.bytes.len()),
            ));
        }
        Ok(())
    }

    /// Bytes `offset..offset + size` of the file.
    pub(crate) fn slice(&self, offset: u64, size: u64) -> Option<Bytes> {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(size).ok()?)?;
        (end <= self.bytes.len()).then(|| self.bytes.slice(start..end))
    }

    /// The part of the file that `part`, a slice out of the flatbuffer, occupies.
    pub(crate) fn share(&self, part: &[u8]) -> Bytes {
        // `slice_ref` takes no empty slices from elsewhere.
        if part.is_empty() { Bytes::new() } else { self.bytes.slice_ref(part) }
    }

    /// The bytes of buffer `index`: `None` when it holds no data, an error when it is not there or lies outside the file.
    pub(crate) fn buffer(&self, index: u32) -> Result<Option<Bytes>, String> {
        let buffers = self.model.buffers();
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        let count = buffers.map_or(0, |b| b.len());
        let Some(buffer) = buffers.filter(|_| at < count).map(|b| b.get(at)) else {
            return if index == 0 { Ok(None) } else { Err(format!("buffer {index} does not exist, the file has {count}")) };
        };
        if let Some(data) = buffer.data() {
            return Ok(Some(self.share(data.bytes())));
        }
        // Offsets 0 and 1 mean that there is no data outside the flatbuffer.
        if buffer.offset() <= 1 {
            return Ok(None);
        }
        self.slice(buffer.offset(), buffer.size()).map(Some).ok_or_else(|| {
            format!(
                "buffer {index} lies at offset {} with {} bytes, outside the file's {}",
                buffer.offset(),
                buffer.size(),
                self.bytes.len()
            )
        })
    }
}

/// The first sentence of a message of several lines.
fn first_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).take(2).collect();
    lines.join(", ")
}

/// A location in a graph.
pub(crate) fn at_graph(graph: &str) -> SourceLocation {
    SourceLocation { graph: Some(graph.to_owned()), ..SourceLocation::default() }
}
