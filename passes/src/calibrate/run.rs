//! Runs the float model over a data set and gathers what its tensors hold.
//!
//! Samples are dealt out in small batches to threads that each have an interpreter of their own. What they gather merges exactly, so the
//! number of threads leaves no trace. A model with state runs its samples in order on one thread.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};

use octet_eval::{Event, Interpreter};
use octet_ir::{Diagnostic, Diagnostics, ElementType, EntityId, Graph, GraphId, Module, ValueId};
use octet_plugin::{Observer, SampleStream, Tensor};

use super::floor::Sight;
use super::statistics::{Extremes, Histogram};
use crate::quantize::Bounds;

/// Samples that a thread takes at a time.
const DEAL: usize = 16;

/// A tensor that held NaN or infinity: the sample, the graph and the value.
type Unsound = (usize, GraphId, ValueId);

/// What was gathered: per graph, per value.
pub(super) struct Gathered {
    pub(super) extremes: Vec<Vec<Extremes>>,
    pub(super) histograms: Vec<Vec<Option<Histogram>>>,
    /// For each tensor that was not finite, the first sample that made it so; in graph order.
    pub(super) unsound: Vec<Unsound>,
}

/// What to gather.
#[derive(Clone, Copy)]
pub(super) enum Gather<'a> {
    /// Extremes of every tensor; per graph, what SOFTMAX alone reads.
    Extremes(&'a [Sight]),
    /// Counts between extremes, per graph and value.
    Histograms(&'a [Vec<Option<Bounds>>]),
}

/// Runs all samples of `data` through the main graph.
pub(super) fn gather(
    module: &Module,
    data: &dyn SampleStream,
    what: Gather<'_>,
    threads: usize,
    observer: &mut dyn Observer,
) -> Result<Gathered, Diagnostics> {
    let feed = Feed::new(module.main(), data)?;
    let mut interpreter = Interpreter::new(module, octet_eval::Options::default())?;
    feed.prepare(&mut interpreter)?;
    let total = data.samples();
    let (workers, deal) = if module.has_state() { (1, DEAL) } else { (threads.max(1).min(total.div_ceil(DEAL).max(1)), DEAL) };
    let deal = deal.next_multiple_of(feed.batch);
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let job = Job { module, data, what, feed: &feed, deal, next: &next, stop: &stop };
    let outcomes: Vec<Result<Share, (usize, Diagnostic)>> = std::thread::scope(|scope| {
        let (done, finished) = channel();
        let handles: Vec<_> = (0..workers)
            .map(|_| {
                let (interpreter, done) = (interpreter.clone(), done.clone());
                scope.spawn(move || job.work(interpreter, &done))
            })
            .collect();
        drop(done);
        let mut count = 0;
        while let Ok(samples) = finished.recv() {
            count += samples;
            observer.progress(count, total, "samples");
        }
        handles.into_iter().map(|h| h.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    merge(module, outcomes)
}

fn merge(module: &Module, outcomes: Vec<Result<Share, (usize, Diagnostic)>>) -> Result<Gathered, Diagnostics> {
    let mut whole = Share::new(module);
    let mut failed: Option<(usize, Diagnostic)> = None;
    for outcome in outcomes {
        match outcome {
            Ok(share) => whole.merge(share),
            // Whichever thread was faster: the earliest sample's error is the one that is told.
            Err(error) if failed.as_ref().is_none_or(|known| error.0 < known.0) => failed = Some(error),
            Err(_) => {}
        }
    }
    if let Some((_, error)) = failed {
        return Err(error.into());
    }
    let mut unsound = whole.unsound;
    unsound.sort_by_key(|&(sample, graph, value)| (graph, value, sample));
    unsound.dedup_by_key(|&mut (_, graph, value)| (graph, value));
    Ok(Gathered { extremes: whole.extremes, histograms: whole.histograms, unsound })
}

/// Which column feeds which input, and how many samples a run takes.
struct Feed {
    /// Per graph input: the column, and the shape of the input with one batch of samples.
    inputs: Vec<(ValueId, usize, Vec<usize>)>,
    batch: usize,
}

impl Feed {
    fn new(graph: &Graph, data: &dyn SampleStream) -> Result<Self, Diagnostic> {
        let mut inputs = Vec::new();
        let mut batch = 1;
        for (position, &input) in graph.inputs().iter().enumerate() {
            let name = graph.value_name(input);
            let columns = data.columns();
            let named = columns.iter().position(|c| c.input.as_deref() == Some(name.as_str()));
            // Sources that know the model give the columns in the order of its inputs.
            let column = named.or_else(|| (columns.len() == graph.inputs().len()).then_some(position));
            let column = column.ok_or_else(|| {
                let message = format!("the data has {} arrays, none for input '{name}'", columns.len());
                Diagnostic::error("CAL002", message).in_file(data.origin())
            })?;
            let (ty, sample) = (graph.ty(input), &columns[column]);
            if sample.elem != ty.elem {
                let message = format!("input '{name}' is {}, its data {}", ty.elem, sample.elem);
                return Err(Diagnostic::error("CAL003", message).in_file(data.origin()));
            }
            let shape = if ty.shape.is_ranked() && ty.shape.rank() == sample.shape.len() {
                sample.shape.clone()
            } else {
                let fixed = ty.shape.dims().first().copied().filter(|_| ty.shape.dynamic(0).is_none());
                batch = batch.max(fixed.unwrap_or(1));
                [&[fixed.unwrap_or(1)], sample.shape.as_slice()].concat()
            };
            inputs.push((input, column, shape));
        }
        Ok(Self { inputs, batch })
    }

    fn prepare(&self, interpreter: &mut Interpreter) -> Result<(), Diagnostics> {
        for (input, _, shape) in &self.inputs {
            interpreter.resize_tensor_input(input.index(), shape)?;
        }
        interpreter.allocate_tensors()
    }
}

/// What every thread works on.
#[derive(Clone, Copy)]
struct Job<'a> {
    module: &'a Module,
    data: &'a dyn SampleStream,
    what: Gather<'a>,
    feed: &'a Feed,
    deal: usize,
    next: &'a AtomicUsize,
    stop: &'a AtomicBool,
}

impl Job<'_> {
    /// Takes samples until there are none. An error comes with the number of the sample.
    fn work(self, mut interpreter: Interpreter, done: &Sender<usize>) -> Result<Share, (usize, Diagnostic)> {
        let mut share = Share::new(self.module);
        let total = self.data.samples();
        loop {
            let begin = self.next.fetch_add(self.deal, Ordering::Relaxed);
            if begin >= total || self.stop.load(Ordering::Relaxed) {
                return Ok(share);
            }
            let end = total.min(begin + self.deal);
            let run = self.run(&mut interpreter, &mut share, begin, end, done);
            if let Err(error) = run {
                self.stop.store(true, Ordering::Relaxed);
                return Err(error);
            }
        }
    }

    fn run(
        &self,
        interpreter: &mut Interpreter,
        share: &mut Share,
        begin: usize,
        end: usize,
        done: &Sender<usize>,
    ) -> Result<(), (usize, Diagnostic)> {
        let batch = self.feed.batch;
        let columns: Result<Vec<Tensor>, Diagnostic> =
            self.feed.inputs.iter().map(|(_, column, _)| self.data.read(*column, begin..end)).collect();
        let columns = columns.map_err(|e| (begin, e))?;
        for first in (begin..end).step_by(batch) {
            for ((input, _, shape), column) in self.feed.inputs.iter().zip(&columns) {
                let tensor = sample(column, first - begin, batch, end - begin, shape);
                interpreter.set_tensor(input.index(), &tensor).map_err(|e| (first, e))?;
            }
            let mut watch = Watch { share, what: self.what, sample: first };
            interpreter.invoke_observed(&mut watch).map_err(|e| (first, e.with_note(format!("while running sample {first}"))))?;
            // Nobody listens any more only when the whole run is over.
            let _ = done.send(batch.min(end - first));
        }
        Ok(())
    }
}

/// Samples `first..first + batch` of a column; the last sample again where there are not so many.
fn sample(column: &Tensor, first: usize, batch: usize, count: usize, shape: &[usize]) -> Tensor {
    let size = column.bytes.len() / count.max(1);
    let mut bytes = Vec::with_capacity(size * batch);
    for index in first..first + batch {
        let at = index.min(count - 1) * size;
        bytes.extend_from_slice(&column.bytes[at..at + size]);
    }
    Tensor { elem: column.elem, shape: shape.to_vec(), bytes }
}

/// What one thread gathers.
struct Share {
    extremes: Vec<Vec<Extremes>>,
    histograms: Vec<Vec<Option<Histogram>>>,
    unsound: Vec<Unsound>,
}

impl Share {
    fn new(module: &Module) -> Self {
        let capacities: Vec<usize> = module.graphs().map(|(_, g)| g.value_capacity()).collect();
        Self {
            extremes: capacities.iter().map(|&n| vec![Extremes::default(); n]).collect(),
            histograms: capacities.iter().map(|&n| vec![None; n]).collect(),
            unsound: Vec::new(),
        }
    }

    fn merge(&mut self, other: Self) {
        for (own, theirs) in self.extremes.iter_mut().flatten().zip(other.extremes.iter().flatten()) {
            own.merge(theirs);
        }
        for (own, theirs) in self.histograms.iter_mut().flatten().zip(other.histograms.into_iter().flatten()) {
            match (own.as_mut(), theirs) {
                (Some(own), Some(theirs)) => own.merge(&theirs),
                (None, theirs) => *own = theirs,
                (Some(_), None) => {}
            }
        }
        self.unsound.extend(other.unsound);
    }
}

/// Looks at the tensors of one run.
struct Watch<'a> {
    share: &'a mut Share,
    what: Gather<'a>,
    sample: usize,
}

impl octet_eval::Observer for Watch<'_> {
    fn tensor(&mut self, event: &Event<'_>) {
        if event.ty.elem != ElementType::F32 {
            return;
        }
        let (graph, value) = (event.graph.index(), event.value.index());
        match self.what {
            Gather::Extremes(sights) => {
                let (sight, extremes) = (&sights[graph], &mut self.share.extremes[graph][value]);
                let elements = event.elements();
                let finite = if sight.masked[value] { extremes.add_masked(elements) } else { extremes.add(elements) };
                if sight.rows[value] {
                    extremes.add_rows(elements, event.ty.shape.dims().last().copied().unwrap_or(1));
                }
                let known = || self.share.unsound.iter().any(|&(_, g, v)| (g, v) == (event.graph, event.value));
                if !finite && !known() {
                    self.share.unsound.push((self.sample, event.graph, event.value));
                }
            }
            Gather::Histograms(bounds) => {
                if let Some(bounds) = bounds[graph][value] {
                    self.share.histograms[graph][value].get_or_insert_with(Histogram::new).add(event.elements(), bounds);
                }
            }
        }
    }
}
