//! `calibrate`: runs the float model over data and writes the range of every real tensor onto its value.
//!
//! ```text
//! calibrate{data = "cal.npz", method = "percentile:99.99"}
//! ```
//!
//! The whole data set is used, every sample counts the same, and the result depends neither on the order of samples nor on the number of
//! threads. Bodies of IF and WHILE are calibrated by what passes through them. Tensors are looked at when they are computed; none is kept.
//! What SOFTMAX alone reads is ranged no deeper than SOFTMAX can see. The data are for the main graph: graphs of other signatures that it does
//! not call get no ranges, and `CAL006` names them. `CAL007` warns of an input whose samples all hold one number.

mod floor;
mod method;
mod run;
mod statistics;

use std::collections::BTreeSet;

use octet_ir::{
    Attr, Diagnostic, Diagnostics, ElementType, EntityId, Graph, GraphId, Module, Patch, Range, SourceLocation, ValueDef, ValueId,
    from_attr,
};
use octet_plugin::{Options, Pass, PassContext};
use serde::Deserialize;

pub use method::{METHODS, Method, MethodEntry, Seen, method};
pub use statistics::Histogram;

use crate::quantize::Bounds;
use floor::Sight;
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
    /// How fine SOFTMAX's results will be: 8 bits, or 15 where activations have 16.
    #[serde(default = "eight")]
    softmax_bits: u32,
}

fn eight() -> u32 {
    8
}

fn min_max() -> String {
    "min-max".into()
}

fn create(options: Options) -> Result<Box<dyn Pass>, Diagnostic> {
    let parsed: CalibrateOptions = from_attr(Attr::Map(options)).map_err(|e| {
        Diagnostic::error("CAL001", format!("options of calibrate: {e}"))
            .with_help("write calibrate{data = \"FILE\", method = \"min-max\"}")
    })?;
    Ok(Box::new(Calibrate { method: method(&parsed.method)?, data: parsed.data, softmax_bits: parsed.softmax_bits }))
}

/// The `calibrate` pass.
struct Calibrate {
    data: String,
    method: Box<dyn Method>,
    softmax_bits: u32,
}

impl Pass for Calibrate {
    fn run(&self, module: &mut Module, context: &mut PassContext<'_>) -> Result<bool, Diagnostics> {
        let data = context.data.stream(&self.data)?;
        if data.samples() == 0 {
            return Err(Diagnostic::error("CAL004", "there is no sample to calibrate with").in_file(data.origin()).into());
        }
        for (signature, graph) in unreached(module) {
            let place = SourceLocation { graph: Some(module.graph(graph).name().to_owned()), ..SourceLocation::default() };
            let message = format!("signature '{signature}' is not calibrated: data are run through the main graph alone");
            let help = "a model of this signature alone can be calibrated; here its tensors stay in float, and int8-only refuses them";
            context.observer.report(Diagnostic::warning("CAL006", message).with_help(help).at(place));
        }
        let sights: Vec<Sight> = module.graphs().map(|(_, graph)| Sight::new(module, graph)).collect();
        let mut first = gather(module, data.as_ref(), Gather::Extremes(&sights), context.threads, context.observer)?;
        let mut positions: Option<(GraphId, Vec<usize>)> = None;
        for &(sample, graph, value) in &first.unsound {
            // They come graph by graph.
            let known = positions.take().filter(|(known, _)| *known == graph);
            let (_, positions) = positions.insert(known.unwrap_or_else(|| (graph, module.graph(graph).op_positions())));
            let message =
                format!("tensor '{}' holds NaN or infinity for sample {sample}: it gets no range", module.graph(graph).value_name(value));
            context.observer.report(Diagnostic::warning("CAL005", message).at(at(module.graph(graph), positions, value)));
        }
        let main = module.main();
        for &input in main.inputs().iter().filter(|&&input| data.samples() > 1 && main.ty(input).shape.dims() != [1]) {
            let seen = first.extremes[module.main_id().index()][input.index()].bounds();
            if let Some(Bounds { lo, .. }) = seen.filter(|b| b.lo == b.hi) {
                let message =
                    format!("every element of every sample of input '{}' is {lo}: ranges of such data say nothing", main.value_name(input));
                let place = SourceLocation { tensor: Some(main.value_name(input)), ..SourceLocation::default() };
                context.observer.report(Diagnostic::warning("CAL007", message).at(place));
            }
        }
        let bounds = self.bounds(module, &sights, &mut first);
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
    /// The range of every value of every graph. Constants get one where they reach below their floor.
    fn bounds(&self, module: &Module, sights: &[Sight], gathered: &mut Gathered) -> Vec<Vec<Option<Bounds>>> {
        let mut all = Vec::new();
        for (((_, graph), sight), extremes) in module.graphs().zip(sights).zip(&mut gathered.extremes) {
            let constants: Vec<(ValueId, Vec<f32>)> = graph
                .values()
                .filter(|(_, v)| matches!(v.def(), ValueDef::Constant(_)) && v.ty().elem == ElementType::F32)
                .filter(|(_, v)| {
                    let mut readers = v.uses().iter().filter_map(floor::reader);
                    readers.any(|(op, _)| graph.op(op).results().iter().any(|r| sight.masked[r.index()]))
                })
                .filter_map(|(id, _)| Some((id, module.constant_of(graph, id)?.to_f32())))
                .collect();
            for (id, values) in &constants {
                extremes[id.index()].add_masked(values);
            }
            let floors = floor::floors(module, graph, sight, extremes, self.softmax_bits);
            let mut bounds: Vec<Option<Bounds>> = extremes.iter().zip(&floors).map(|(e, floor)| e.bounds_above(*floor)).collect();
            for (id, values) in &constants {
                let own = Bounds::of(values);
                bounds[id.index()] = bounds[id.index()].filter(|b| floors[id.index()].is_some() && Some(*b) != own);
            }
            all.push(bounds);
        }
        all
    }

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

/// Signatures whose graphs the main graph neither is nor calls, so that no data reach them.
fn unreached(module: &Module) -> Vec<(&str, GraphId)> {
    let mut reached = BTreeSet::from([module.main_id()]);
    let mut waiting = vec![module.main_id()];
    while let Some(id) = waiting.pop() {
        let called = module.get_graph(id).into_iter().flat_map(Graph::ops).flat_map(|(_, op)| op.op().graphs());
        waiting.extend(called.map(GraphId::from_index).filter(|id| reached.insert(*id)));
    }
    module.signatures.iter().filter(|s| !reached.contains(&s.graph)).map(|s| (s.key.as_str(), s.graph)).collect()
}

fn at(graph: &Graph, positions: &[usize], value: ValueId) -> SourceLocation {
    let op = graph.producer(value).and_then(|(id, op)| Some((*positions.get(id.index())?, op.op().mnemonic().to_owned())));
    SourceLocation { graph: Some(graph.name().to_owned()), op, tensor: Some(graph.value_name(value)), ..SourceLocation::default() }
}
