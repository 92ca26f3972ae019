//! How far results may move when a rewrite rounds elsewhere than the graph did: measured on the graph itself, by moving its data a little.
//!
//! A rewrite that reassociates reals is backward stable: what it computes is what the original graph computes from data that differ in the last
//! bits. How much that is at an output depends on what comes after (a division by a difference, a ROUND at a tie), so no fixed bound fits.
//! It is never used where operations are bit-exact.

use octet_graphgen::Random;
use octet_ir::{Constant, ElementType, GraphId, Module, Patch, ValueDef};
use octet_plugin::Tensor;

use crate::generated::run;

/// Runs with moved data.
const RUNS: u64 = 12;
/// How far an element moves at most, as a share of itself: 2^-21.
const STEP: f32 = 1.0 / 2_097_152.0;
/// How much farther than the moved graph a result may be.
const SLACK: f32 = 16.0;
/// What is allowed at any rate, as a share of the largest element.
const SHARE: f32 = 1e-5;

fn moved(bytes: &mut [u8], random: &mut Random) {
    for chunk in bytes.as_chunks_mut::<4>().0 {
        let value = f32::from_le_bytes(*chunk);
        let value = value + value.abs().max(1e-3) * random.float(-STEP, STEP);
        *chunk = value.to_le_bytes();
    }
}

/// The module with every float constant moved, which the same seed moves in the same way.
fn nudge(module: &Module, random: &mut Random) -> Module {
    let mut result = module.clone();
    for id in module.graph_ids() {
        let graph = module.graph(id);
        let mut patch = Patch::at_end(graph);
        for (value, known) in graph.values() {
            if let (ValueDef::Constant(constant), ElementType::F32) = (known.def(), known.ty().elem) {
                let mut bytes = module.constant(constant).bytes().to_vec();
                moved(&mut bytes, random);
                patch.set_constant(value, Constant::new(bytes));
            }
        }
        patch.apply(&mut result, id).expect("constants of the same size");
    }
    debug_assert_eq!(result.graph(GraphId::MAIN).op_count(), module.main().op_count());
    result
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    tensor.bytes.as_chunks().0.iter().map(|c| f32::from_le_bytes(*c)).collect()
}

fn distance(a: f32, b: f32) -> f32 {
    if a == b || (a.is_nan() && b.is_nan()) { 0.0 } else { (a - b).abs() }
}

/// Whether `found` is what `module` gives for `data` (`expected`), up to what rounding elsewhere may change.
///
/// # Errors
/// The first output and element that is farther off.
pub fn close(module: &Module, data: &[Tensor], expected: &[Tensor], found: &[Tensor]) -> Result<(), String> {
    let suspicious: Vec<usize> = (0..expected.len()).filter(|&i| !near(&expected[i], &found[i], None)).collect();
    if suspicious.is_empty() {
        return Ok(());
    }
    // What moved data give; where that differs in kind (another shape, another integer), anything goes.
    let mut ways: Vec<Vec<Tensor>> = Vec::new();
    for seed in 0..RUNS {
        let mut random = Random::new(seed + 1);
        let moved_module = nudge(module, &mut random);
        let data: Vec<Tensor> = data
            .iter()
            .map(|t| {
                let mut t = t.clone();
                if t.elem == ElementType::F32 {
                    moved(&mut t.bytes, &mut random);
                }
                t
            })
            .collect();
        match run(&moved_module, &data) {
            Ok(outputs) => ways.push(outputs),
            // On the edge of what runs at all.
            Err(_) => return Ok(()),
        }
    }
    for index in suspicious {
        let (a, b) = (&expected[index], &found[index]);
        let others: Vec<&Tensor> = ways.iter().map(|w| &w[index]).collect();
        if others.iter().any(|t| t.shape != a.shape) || near(a, b, Some(&others)) {
            continue;
        }
        return Err(format!("output {index}: {}", first_difference(a, b)));
    }
    Ok(())
}

fn first_difference(a: &Tensor, b: &Tensor) -> String {
    if (a.elem, &a.shape) != (b.elem, &b.shape) {
        return format!("{} {:?} became {} {:?}", a.elem, a.shape, b.elem, b.shape);
    }
    if a.elem == ElementType::F32 {
        let (x, y) = (floats(a), floats(b));
        let worst = x.iter().zip(&y).max_by(|p, q| distance(*p.0, *p.1).total_cmp(&distance(*q.0, *q.1)));
        return worst.map_or_else(String::new, |(x, y)| format!("{x:e} became {y:e}"));
    }
    let at = a.bytes.iter().zip(&b.bytes).position(|(x, y)| x != y).unwrap_or(0);
    format!("byte {at} of {} was {}, is {}", a.elem, a.bytes[at], b.bytes[at])
}

/// Whether two tensors are equal, or as near as moved data bring the first one to others.
fn near(a: &Tensor, b: &Tensor, others: Option<&[&Tensor]>) -> bool {
    if a == b {
        return true;
    }
    if (a.elem, &a.shape) != (b.elem, &b.shape) {
        return false;
    }
    let others = others.unwrap_or_default();
    if a.elem != ElementType::F32 {
        let width = a.elem.bits().unwrap_or(8).div_ceil(8);
        let pairs = a.bytes.chunks(width).zip(b.bytes.chunks(width)).enumerate();
        // An integer may differ only where moved data change it too.
        return pairs.filter(|(_, (x, y))| x != y).all(|(i, (x, _))| others.iter().any(|t| t.bytes.chunks(width).nth(i) != Some(x)));
    }
    let (x, y) = (floats(a), floats(b));
    let others: Vec<Vec<f32>> = others.iter().map(|t| floats(t)).collect();
    let largest = x.iter().filter(|v| v.is_finite()).fold(0.0f32, |m, v| m.max(v.abs()));
    x.iter().zip(&y).enumerate().all(|(i, (&x, &y))| {
        let moved = others.iter().map(|t| distance(t[i], x)).fold(0.0, f32::max);
        let unsteady = others.iter().any(|t| !t[i].is_finite()) || moved.is_infinite();
        unsteady || distance(x, y) <= SHARE * largest + SLACK * moved
    })
}
