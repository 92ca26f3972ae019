//! Running a model over the samples of a data set, on several threads, with results in the order of the samples.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use octet_eval::Interpreter;
use octet_ir::{Diagnostic, Diagnostics, EntityId, Module};
use octet_plugin::{SampleStream, Tensor};

/// Samples that a thread takes at a time: enough to make hand-over cheap, few enough to keep all threads busy.
const BLOCK: usize = 8;

/// How samples are run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Most threads. A model with state runs on one, unless it is reset before each sample.
    pub threads: usize,
    /// Set all state back before each sample.
    pub reset: bool,
}

/// Calls `each` for every sample, on as many threads as the plan allows, each with a clone of the interpreter, and hands what it gives to
/// `sink` in the order of the samples.
///
/// # Errors
/// The error of the first sample that has one.
pub fn for_each_sample<R: Send>(
    interpreter: &Interpreter,
    samples: usize,
    plan: Plan,
    each: impl Fn(&mut Interpreter, usize) -> Result<R, Diagnostics> + Sync,
    mut sink: impl FnMut(usize, R) -> Result<(), Diagnostics>,
) -> Result<(), Diagnostics> {
    let parallel = plan.reset || !interpreter.module().has_state();
    let threads = if parallel { plan.threads.clamp(1, samples.div_ceil(BLOCK).max(1)) } else { 1 };
    let one = |own: &mut Interpreter, sample: usize| {
        if plan.reset {
            own.reset_variable_tensors();
        }
        each(own, sample)
    };
    if threads == 1 {
        let mut own = interpreter.clone();
        return (0..samples).try_for_each(|sample| sink(sample, one(&mut own, sample)?));
    }
    let next = AtomicUsize::new(0);
    let (send, receive) = mpsc::sync_channel::<(usize, Result<Vec<R>, Diagnostics>)>(2 * threads);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (send, next, one, mut own) = (send.clone(), &next, &one, interpreter.clone());
            scope.spawn(move || {
                loop {
                    let block = next.fetch_add(1, Ordering::Relaxed);
                    let range = block * BLOCK..samples.min((block + 1) * BLOCK);
                    if range.is_empty() {
                        return;
                    }
                    let results = range.map(|sample| one(&mut own, sample)).collect();
                    // The receiver has gone after an error: there is no more to do.
                    if send.send((block, results)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        // Moved in here, so that it is dropped, and the threads stop, when an error returns.
        let receive = receive;
        let mut early = BTreeMap::new();
        let mut wanted = 0;
        for (block, results) in &receive {
            early.insert(block, results);
            while let Some(results) = early.remove(&wanted) {
                for (offset, result) in results?.into_iter().enumerate() {
                    sink(wanted * BLOCK + offset, result)?;
                }
                wanted += 1;
            }
        }
        Ok(())
    })
}

/// The inputs of a graph, fed from the columns of a stream in the same order.
#[derive(Clone, Debug)]
pub struct Feeder {
    /// Tensor number and shape of each input.
    inputs: Vec<(usize, Vec<usize>)>,
}

impl Feeder {
    /// Inputs of the main graph, with shapes that fit the stream's samples.
    ///
    /// # Errors
    /// `CLI007` when the stream has another number of columns.
    pub fn new(module: &Module, stream: &dyn SampleStream) -> Result<Self, Diagnostic> {
        Self::of_graph(module, module.main_id(), stream)
    }

    /// [`new`](Self::new) for another graph.
    ///
    /// # Errors
    /// As `new`.
    pub fn of_graph(module: &Module, graph: octet_ir::GraphId, stream: &dyn SampleStream) -> Result<Self, Diagnostic> {
        let inputs = module.get_graph(graph).map_or(&[][..], |g| g.inputs());
        let columns = stream.columns();
        if inputs.len() != columns.len() {
            let message = format!("the model has {} inputs, the data feed {}", inputs.len(), columns.len());
            return Err(Diagnostic::error("CLI007", message).in_file(stream.origin()));
        }
        let shape = |id: &octet_ir::ValueId, sample: &[usize]| {
            let rank = module.get_graph(graph).map_or(0, |g| g.ty(*id).shape.rank());
            // A sample leaves out the outermost axis where that is 1.
            if sample.len() < rank { [&[1], sample].concat() } else { sample.to_vec() }
        };
        Ok(Self { inputs: inputs.iter().zip(columns).map(|(id, c)| (id.index(), shape(id, &c.shape))).collect() })
    }

    /// Resizes the inputs for the samples and allocates.
    ///
    /// # Errors
    /// Every operation that cannot run.
    pub fn allocate(&self, interpreter: &mut Interpreter) -> Result<(), Diagnostics> {
        for (index, shape) in &self.inputs {
            interpreter.resize_tensor_input(*index, shape)?;
        }
        interpreter.allocate_tensors()
    }

    /// Tensors of one sample, in the order of the inputs.
    ///
    /// # Errors
    /// What is wrong with the data.
    pub fn tensors(&self, stream: &dyn SampleStream, sample: usize) -> Result<Vec<Tensor>, Diagnostic> {
        let one = |(column, (_, shape)): (usize, &(usize, Vec<usize>))| {
            let range: Range<usize> = sample..sample + 1;
            let read = stream.read(column, range)?;
            Ok(Tensor { shape: shape.clone(), ..read })
        };
        self.inputs.iter().enumerate().map(one).collect()
    }

    /// Sets the inputs of the main graph to one sample.
    ///
    /// # Errors
    /// What is wrong with the data.
    pub fn feed(&self, interpreter: &mut Interpreter, stream: &dyn SampleStream, sample: usize) -> Result<(), Diagnostic> {
        for ((index, _), tensor) in self.inputs.iter().zip(self.tensors(stream, sample)?) {
            interpreter.set_tensor(*index, &tensor)?;
        }
        Ok(())
    }
}
