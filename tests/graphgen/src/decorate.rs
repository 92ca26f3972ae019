//! What stands around graphs: signatures, metadata, names, and oddities that only the IR and files care about.

use octet_ir::{EntityId, GraphBuilder, GraphId, Metadata, Module, Patch, Range, Signature, ValueDef, ValueId};

use crate::generate::odd_location;
use crate::random::Random;

/// A description and one signature, as converters write them.
pub(crate) fn plain(module: &mut Module, random: &mut Random) {
    if random.chance(50) {
        module.description = "made by octet-graphgen".into();
    }
    if random.chance(50) {
        sign(module, "serving_default", false);
    }
}

/// Names every input and output of the main graph.
fn sign(module: &mut Module, key: &str, reversed: bool) {
    let named = |stem: &str, values: &[ValueId]| {
        let mut names: Vec<(String, usize)> = (0..values.len()).map(|i| (format!("{stem}_{i}"), i)).collect();
        if reversed {
            names.reverse();
        }
        names
    };
    let (inputs, outputs) = (named("x", module.main().inputs()), named("y", module.main().outputs()));
    module.signatures.push(Signature { key: key.into(), graph: GraphId::MAIN, inputs, outputs });
}

/// Names that need escapes, metadata, ranges, values that nothing defines.
pub(crate) fn exotic(module: &mut Module, random: &mut Random) {
    module.description = (*random.pick(&["", "plain", "with \"quotes\"\n\tand \\ lines", "ünïcödé \u{1F980}", "\u{0}"])).to_owned();
    for _ in 0..random.below(3) {
        let name = (*random.pick(&["min_runtime_version", "", "odd \"name\"\n"])).to_owned();
        let bytes: Vec<u8> = (0..random.below(40)).map(|_| u8::try_from(random.below(256)).unwrap_or(0)).collect();
        module.metadata.push(Metadata { name, bytes: bytes.into() });
    }
    for key in ["serving_default", "key with \"quotes\""] {
        if random.chance(40) {
            sign(module, key, random.chance(50));
        }
    }
    for id in module.graph_ids() {
        let graph = module.graph(id);
        let mut patch = Patch::at_end(graph);
        for (value, known) in graph.values() {
            if random.chance(30) && !matches!(known.def(), ValueDef::Unbound) {
                patch.set_loc(value, odd_location(random));
            }
            // Integer inputs may have a range that keeps indices valid.
            if random.chance(20) && known.range().is_none() && known.ty().elem.is_float() {
                patch.set_range(value, Some(range(random)));
            }
        }
        // Ids come from the graph itself, so nothing can be refused.
        let _ = patch.apply(module, id);
    }
    if random.chance(15) {
        // A graph that nothing calls and that computes nothing.
        let mut builder = GraphBuilder::new(module, "unused \"graph\"");
        let input = builder.input(octet_ir::Type::f32([2]), odd_location(random));
        builder.output(input);
        builder.finish();
    }
    debug_assert!(module.get_graph(GraphId::from_index(0)).is_some());
}

fn range(random: &mut Random) -> Range {
    let count = random.between(1, 3);
    let mut side = |low: f32, high: f32| (0..count).map(|_| random.float(low, high)).collect::<Vec<f32>>();
    Range { min: side(-4.0, -0.5), max: side(0.5, 4.0) }
}
