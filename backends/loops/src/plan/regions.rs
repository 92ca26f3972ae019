//! Several memories: what is touched most per byte lies in the first one that has room.

use octet_ir::Diagnostic;

use super::{Plan, PlanOptions, lives, on_stack, plan, plan_some};
use crate::program::{Arg, Buffer, BufferKind, Program};

/// Buffers that fit nowhere.
const FULL: &str = "LOP004";

/// A memory of a certain size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// Bytes.
    pub capacity: usize,
}

/// Orders that are tried to see whether a buffer fits.
const TRIALS: usize = 60;

/// A plan for each region; every buffer has its place in one of them. Regions are named from the fastest to the slowest.
///
/// # Errors
/// The buffers that fit nowhere.
pub fn plan_regions(program: &Program, options: &PlanOptions, regions: &[Region]) -> Result<Vec<Plan>, Diagnostic> {
    let mut touched = vec![0u64; program.buffers.len()];
    for step in &program.steps {
        for arg in step.calls.iter().flat_map(|c| &c.args) {
            if let Arg::Buffer { buffer, .. } = *arg {
                let once = u64::try_from(program.buffers[buffer].len).unwrap_or(u64::MAX);
                touched[buffer] = touched[buffer].saturating_add(step.macs.max(once));
            }
        }
    }
    let stacked: Vec<usize> = program.steps.iter().filter_map(|s| on_stack(program, s, options)).collect();
    let lives = lives(program);
    let mut order: Vec<usize> = (0..program.buffers.len())
        .filter(|&b| lives[b].is_some() && program.buffers[b].kind == BufferKind::Arena && !stacked.contains(&b))
        .collect();
    let density = |b: usize| touched[b].saturating_mul(1024) / u64::try_from(program.buffers[b].bytes().max(1)).unwrap_or(u64::MAX);
    order.sort_by_key(|&b| (std::cmp::Reverse(density(b)), b));
    let mut region_of: Vec<Option<usize>> = vec![None; program.buffers.len()];
    let trial = PlanOptions { attempts: TRIALS, ..*options };
    let mut homeless = Vec::new();
    for buffer in order {
        let fits = |region: usize| {
            let chosen = |b: usize| b == buffer || region_of[b] == Some(region);
            plan_some(program, &trial, &chosen).size <= regions[region].capacity
        };
        match (0..regions.len()).find(|&r| fits(r)) {
            Some(region) => region_of[buffer] = Some(region),
            None => homeless.push(buffer),
        }
    }
    if let Some(&first) = homeless.iter().max_by_key(|&&b| (program.buffers[b].bytes(), std::cmp::Reverse(b))) {
        let Buffer { name, .. } = &program.buffers[first];
        let rest = match homeless.len() {
            1 => String::new(),
            2 => " and another tensor".into(),
            n => format!(" and {} other tensors", n - 1),
        };
        let sizes: Vec<String> = regions.iter().map(|r| format!("{} of {}", r.name, r.capacity)).collect();
        let message = format!("no region has room for {name} ({} bytes){rest}", program.buffers[first].bytes());
        let together = plan(program, options);
        let note = format!("the regions have {} bytes; one region alone would have to have {}", sizes.join(", "), together.size);
        return Err(Diagnostic::error(FULL, message).with_note(note).with_help("make a region larger"));
    }
    Ok((0..regions.len()).map(|region| plan_some(program, options, &|b| region_of[b] == Some(region))).collect())
}
