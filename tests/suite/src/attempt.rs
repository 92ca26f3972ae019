//! Runs whatever a reader took: a file that nobody vouches for reaches the kernels too.
//!
//! The fuzz targets share this file, so it needs nothing but the interpreter.

use octet_eval::{Interpreter, Options};
use octet_ir::{Diagnostics, EntityId, GraphId, Module, Op};

/// Bytes that the tensors of an attempt may take.
pub const MEMORY_LIMIT: usize = 4 << 20;

/// Multiplications that an attempt may take, roughly.
const MOST_WORK: usize = 1 << 26;

/// What became of a module.
#[derive(Debug)]
pub enum Attempt {
    /// It ran to its end.
    Ran,
    /// It was refused, before or while it ran.
    Refused(Diagnostics),
    /// It was allocated, but running it would take too long, or might never end.
    TooLong,
}

/// Allocates a verified module under [`MEMORY_LIMIT`] and runs it once on zeros.
#[must_use]
pub fn attempt(module: &Module) -> Attempt {
    attempt_with(module, |_, _| {})
}

/// Like [`attempt`], with inputs that `feed` writes: it gets the position of an input and its bytes.
pub fn attempt_with(module: &Module, mut feed: impl FnMut(usize, &mut [u8])) -> Attempt {
    let options = Options { memory_limit: MEMORY_LIMIT, ..Options::default() };
    let mut interpreter = match Interpreter::new(module, options) {
        Ok(interpreter) => interpreter,
        Err(error) => return Attempt::Refused(error.into()),
    };
    if let Err(errors) = interpreter.allocate_tensors() {
        return Attempt::Refused(errors);
    }
    if work(module, &interpreter).is_none_or(|work| work > MOST_WORK) {
        return Attempt::TooLong;
    }
    for (position, input) in interpreter.input_details().iter().enumerate() {
        let Ok(mut tensor) = interpreter.get_tensor(input.index) else { continue };
        feed(position, &mut tensor.bytes);
        if let Err(error) = interpreter.set_tensor(input.index, &tensor) {
            return Attempt::Refused(error.into());
        }
    }
    match interpreter.invoke() {
        Ok(()) => Attempt::Ran,
        Err(error) => Attempt::Refused(error.into()),
    }
}

/// At most so many multiplications in the ops of the main graph whose sizes are known; `None` with a loop.
fn work(module: &Module, interpreter: &Interpreter) -> Option<usize> {
    if module.graphs().any(|(_, graph)| graph.ops().any(|(_, op)| matches!(op.op(), Op::While(_)))) {
        return None;
    }
    let elements = |index: usize| {
        let details = interpreter.tensor_details(index)?;
        details.shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size))
    };
    let mut total = 0usize;
    for (_, op) in module.graph(GraphId::MAIN).ops() {
        let results = op.results().iter().filter_map(|id| elements(id.index())).fold(0, usize::saturating_add);
        let operands = op.operands().iter().flatten().filter_map(|id| elements(id.index())).fold(0, usize::saturating_add);
        total = total.saturating_add(if multiplies(op.op()) { results.saturating_mul(operands) } else { results.saturating_add(operands) });
    }
    Some(total)
}

/// Whether an element of a result may depend on every element of an operand.
fn multiplies(op: &Op) -> bool {
    matches!(
        op,
        Op::Conv2d(_)
            | Op::Conv3d(_)
            | Op::Conv3dTranspose(_)
            | Op::DepthwiseConv2d(_)
            | Op::TransposeConv(_)
            | Op::FullyConnected(_)
            | Op::BatchMatmul(_)
            | Op::Svdf(_)
            | Op::Lstm(_)
            | Op::UnidirectionalSequenceLstm(_)
            | Op::BidirectionalSequenceLstm(_)
            | Op::Rnn(_)
            | Op::UnidirectionalSequenceRnn(_)
            | Op::BidirectionalSequenceRnn(_)
    )
}
