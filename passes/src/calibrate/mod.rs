//! `calibrate`: runs the float model over data and writes the range of every real tensor onto its value.
//!
//! ```text
//! calibrate{data = "cal.npz", method = "percentile:99.99"}
//! ```
//!
//! The whole data set is used, every sample counts the same, and the result depends neither on the order of samples nor on the number of
//! threads. Bodies of IF and WHILE are calibrated by what passes through them. Tensors are looked at when they are computed; none is kept.

mod method;
mod run;
mod statistics;

use octet_ir::{Attr, Diagnostic, Diagnostics, EntityId, Graph, GraphId, Module, Patch, Range, SourceLocation, ValueId, from_attr};
use octet_plugin::{Options, Pass, PassContext};
use serde::Deserialize;

pub use method::{METHODS, Method, MethodEntry, Seen, method};
pub use statistics::Histogram;

use crate::quantize::Bounds;
use run::{Gather, Gathered, gather};

octet_plugin::register_pass!("calibrate", "Runs the model over data and notes the range of every real tensor.", create);

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CalibrateOptions {
    /// The data set, by the name that the data source knows it by: a path, usually.
    data: String,
    /// How ranges are chosen.
    #[serde(default = "min_max")]
    method: String,
}

fn min_max() -> String {
    "min-max".into()
}

fn create(options: Options) -> Result<Box<dyn Pass>, Diagnostic> {
    let parsed: CalibrateOptions = from_attr(Attr::Map(options)).map_err(|e| {
        Diagnostic::error("CAL001", format!("options of calibrate: {e}"))
            .with_help("write calibrate{data = \"FILE\", method = \"min-max\"}")
    })?;
    Ok(Box::new(Calibrate { method: method(&parsed.method)?, data: parsed.data }))
}

/// The `calibrate` pass.
struct Calibrate {
    data: String,
    method: Box<dyn Method>,
}

impl Pass for Calibrate {
    fn run(&self, module: &mut Module, context: &mut PassContext<'_>) -> Result<bool, Diagnostics> {
        let data = context.data.stream(&self.data)?;
        if data.samples() == 0 {
            return Err(Diagnostic::error("CAL004", "there is no sample to calibrate with").in_file(data.origin()).into());
        }
        let first = gather(module, data.as_ref(), Gather::Extremes, context.threads, context.observer)?;
        let mut positions: Option<(GraphId, Vec<usize>)> = None;
        for &(sample, graph, value) in &first.unsound {
            // They come graph by graph.
            let known = positions.take().filter(|(known, _)| *known == graph);
            let (_, positions) = positions.insert(known.unwrap_or_else(|| (graph, module.graph(graph).op_positions())));
            let message =
                format!("tensor '{}' holds NaN or infinity for sample {sample}: it gets no range", module.graph(graph).value_name(value));
            context.observer.report(Diagnostic::warning("CAL005", message).at(at(module.graph(graph), positions, value)));
        }
        let bounds = bounds(&first);
        let second = if self.method.needs_histogram() {
            Some(gather(module, data.as_ref(), Gather::Histograms(&bounds), context.threads, context.observer)?)
        } else {
            None
        };
        if !context.observer.may_patch("calibrate", "ranges of all tensors") {
            return Ok(false);
        }
        let mut changed = false;
        for id in module.graph_ids() {
            let patch = self.note(module.graph(id), &bounds[id.index()], second.as_ref().map(|s| s.histograms[id.index()].as_slice()));
            changed |= !patch.is_empty();
            patch.apply(module, id).map_err(|e| Diagnostics::from(Diagnostic::error("CAL099", format!("ranges were refused: {e}"))))?;
        }
        Ok(changed)
    }
}

impl Calibrate {
    /// A patch that notes the ranges of one graph's values.
    fn note(&self, graph: &Graph, bounds: &[Option<Bounds>], histograms: Option<&[Option<Histogram>]>) -> Patch {
        let mut patch = Patch::at_end(graph);
        for (value, info) in graph.values() {
            let Some(bounds) = bounds.get(value.index()).copied().flatten() else { continue };
            let histogram = histograms.and_then(|all| all.get(value.index())?.as_ref());
            let Bounds { lo, hi } = self.method.range(&Seen { bounds, histogram });
            let range = Range::new(lo, hi);
            if info.range() != Some(&range) {
                patch.set_range(value, Some(range));
            }
        }
        patch
    }
}

fn bounds(gathered: &Gathered) -> Vec<Vec<Option<Bounds>>> {
    gathered.extremes.iter().map(|graph| graph.iter().map(statistics::Extremes::bounds).collect()).collect()
}

fn at(graph: &Graph, positions: &[usize], value: ValueId) -> SourceLocation {
    let op = graph.producer(value).and_then(|(id, op)| Some((*positions.get(id.index())?, op.op().mnemonic().to_owned())));
    SourceLocation { graph: Some(graph.name().to_owned()), op, tensor: Some(graph.value_name(value)), ..SourceLocation::default() }
}
