//! The way out to C: a model as self-contained C99 for a microcontroller.
//!
//! What is written needs a compiler and nothing else: no allocation, no C++, no double precision, and for integer models no
//! mathematical library. One call of `NAME_invoke` gives the bytes that the interpreter gives. The kernels are those of `octet_loops`; this crate prints them
//! and the calls, places constants and buffers, and gives the inner products of Arm's DSP and Helium extensions their instructions.
//!
//! For those who stay with TFLite Micro, `c-array` writes the model as an array with a memory plan, the operations that it needs and the memory that it takes.
//!
//! It computes nothing and does no I/O.

mod arena;
mod legalise;
mod model;
mod noise;
mod picture;
mod primitives;
mod print;
mod report;
mod test;
mod tflm;

use std::collections::BTreeMap;

use octet_ir::{Diagnostic, Diagnostics, Module, from_attr};
use octet_loops::order::plan_in_best_order;
use octet_loops::plan::{Plan, PlanOptions, Region, plan, plan_regions};
use octet_plugin::{Artifact, Backend, Options, register_backend};
use serde::Deserialize;

use model::Printed;

/// Options of the backend that do not exist or do not fit.
const OPTION: &str = "CGN001";

/// How to write.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct COptions {
    /// Names of files and functions begin with it.
    pub name: String,
    /// Every buffer begins at a multiple of it.
    pub alignment: usize,
    /// Whether an output may lie over an input that is read no more, where the kernels allow it.
    pub overlap: bool,
    /// Whether operations may run in another order than the graph's where that takes less memory.
    pub reorder: bool,
    /// Several memories with their sizes, fastest first: `fast=64K,slow=512K`. What is touched most lies in the first that has room. One arena if empty.
    pub regions: String,
    /// What matters more: `speed`, or `size` of the code, which then has no instructions of certain processors.
    pub optimize: Optimize,
    /// Most bytes of the stack that kernels take for scratch memory; more than that lies in the arena.
    pub stack: usize,
    /// Also write the arena over time as a picture, and a table of operations with their work and bytes.
    pub report: bool,
    /// Bytes of functions as a compiler made them with `-DOCTET_APART`, for the table of operations: `NAME=BYTES,...`, with the whole of the code as it is
    /// built otherwise under the name [`BUILT`].
    pub sizes: String,
    /// Also write a program that runs the model on inputs of its own and compares the outputs.
    pub test: bool,
}

/// The name among [`COptions::sizes`] under which all of the code stands.
pub const BUILT: &str = "built";

/// What matters more in generated code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimize {
    /// Instructions that run.
    Speed,
    /// Bytes of code.
    Size,
}

/// Regions as text: names, and sizes in bytes, `K` or `M`.
fn regions(text: &str) -> Result<Vec<Region>, Diagnostic> {
    let wrong = |part: &str| Diagnostic::error(OPTION, format!("'{part}' is no region: NAME=SIZE, such as fast=64K"));
    let mut all: Vec<Region> = Vec::new();
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (name, size) = part.split_once('=').ok_or_else(|| wrong(part))?;
        let (digits, unit) = match size.strip_suffix(['K', 'k']) {
            Some(digits) => (digits, 1 << 10),
            None => size.strip_suffix(['M', 'm']).map_or((size, 1), |digits| (digits, 1 << 20)),
        };
        let capacity = digits.trim().parse::<usize>().ok().and_then(|n| n.checked_mul(unit)).ok_or_else(|| wrong(part))?;
        let name = model::identifier(name.trim());
        let taken = ["model", "state", "scratch"].contains(&name.as_str()) || all.iter().any(|r| r.name == name);
        if taken {
            return Err(Diagnostic::error(OPTION, format!("a region cannot be called '{name}'")));
        }
        all.push(Region { name, capacity });
    }
    Ok(all)
}

/// Sizes of functions as text.
fn sizes(text: &str) -> Result<BTreeMap<String, u64>, Diagnostic> {
    let each = text.split(',').filter(|part| !part.is_empty());
    let pairs = each.map(|part| {
        let pair = part.split_once('=').and_then(|(name, bytes)| Some((name.to_owned(), bytes.parse().ok()?)));
        pair.ok_or_else(|| Diagnostic::error(OPTION, format!("'{part}' is no size: NAME=BYTES")))
    });
    pairs.collect()
}

impl Default for COptions {
    fn default() -> Self {
        Self {
            name: "model".into(),
            alignment: 16,
            overlap: true,
            reorder: true,
            regions: String::new(),
            optimize: Optimize::Speed,
            stack: 512,
            report: false,
            sizes: String::new(),
            test: false,
        }
    }
}

/// Writes a verified module as C.
///
/// # Errors
/// Every operation that generated code has no kernel for.
pub fn write(module: &Module, options: &COptions, notes: &mut Diagnostics) -> Result<Vec<Artifact>, Diagnostics> {
    let mut program = octet_loops::lower(module)?;
    let planning = PlanOptions { alignment: options.alignment, overlap: options.overlap, stack: options.stack, ..PlanOptions::default() };
    let (plan, order) = if options.reorder {
        let (plan, order) = plan_in_best_order(&mut program, &planning);
        (plan, Some(order))
    } else {
        (plan(&program, &planning), None)
    };
    let wanted = regions(&options.regions)?;
    let has_regions = !wanted.is_empty();
    let regions: Vec<(String, Plan)> = if wanted.is_empty() {
        vec![("arena".into(), plan)]
    } else {
        let plans = plan_regions(&program, &planning, &wanted)?;
        wanted.into_iter().map(|r| r.name).zip(plans).collect()
    };
    let name = model::identifier(&options.name);
    let printed = Printed::new(&name, &program, &regions, options.optimize == Optimize::Size);
    let mut files = vec![
        (format!("{name}.h"), printed.header()),
        (format!("{name}_weights.h"), printed.weights()),
        (format!("{name}.c"), printed.code()),
    ];
    if options.report {
        for (field, plan) in &regions {
            let file = if regions.len() == 1 { "memory" } else { field };
            files.push((format!("{name}_{file}.svg"), picture::svg(&name, &program, plan)));
        }
        files.push((format!("{name}_operations.md"), report::table(&name, &program, &regions, &sizes(&options.sizes)?)));
    }
    if options.test {
        let fields: Vec<&str> = regions.iter().map(|(field, _)| field.as_str()).collect();
        files.push((format!("{name}_test.c"), test::program(&name, module, &program, &fields)?));
    }
    for (field, plan) in &regions {
        let gap = plan.size - plan.lower_bound;
        let what = if has_regions { format!("region {field}") } else { field.clone() };
        notes.push(Diagnostic::note(
            "CGN002",
            format!(
                "the {what} takes {} bytes; the lower bound is {}, a gap of {gap}; scratch memory takes {} of the stack",
                plan.size, plan.lower_bound, plan.stack
            ),
        ));
    }
    if let Some(order) = order.filter(|o| o.changed || o.bound < o.peak) {
        let known =
            if order.bound < order.peak { format!("; no order is below {}", order.bound) } else { "; no order is below that".into() };
        let whose = if order.changed { "another order of operations than the graph's" } else { "the graph's order of operations" };
        notes.push(Diagnostic::note("CGN003", format!("{whose} has a peak of {} bytes{known}", order.peak)));
    }
    Ok(files.into_iter().map(|(path, text)| Artifact { path: Some(path), bytes: text.into_bytes() }).collect())
}

/// The registered backend `c`.
struct CBackend(COptions);

impl Backend for CBackend {
    fn extensions(&self) -> &'static [&'static str] {
        &["c", "h"]
    }

    fn write(&self, module: &Module, notes: &mut Diagnostics) -> Result<Vec<Artifact>, Diagnostics> {
        write(module, &self.0, notes)
    }

    fn writes_folder(&self) -> bool {
        true
    }
}

fn create(options: Options) -> Result<Box<dyn Backend>, Diagnostic> {
    let options: COptions = from_attr(octet_ir::Attr::Map(options)).map_err(|why| Diagnostic::error(OPTION, why.to_string()))?;
    if !options.alignment.is_power_of_two() || options.alignment > 4096 {
        return Err(Diagnostic::error(OPTION, format!("an alignment of {} is no power of two up to 4096", options.alignment)));
    }
    regions(&options.regions)?;
    sizes(&options.sizes)?;
    Ok(Box::new(CBackend(options)))
}

/// Options of `c-array`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ArrayOptions {
    /// Names of files and symbols begin with it.
    name: String,
}

impl Default for ArrayOptions {
    fn default() -> Self {
        Self { name: "model".into() }
    }
}

/// The registered backend `c-array`.
struct ArrayBackend(ArrayOptions);

impl Backend for ArrayBackend {
    fn extensions(&self) -> &'static [&'static str] {
        &["c", "cc", "cpp", "h"]
    }

    fn write(&self, module: &Module, notes: &mut Diagnostics) -> Result<Vec<Artifact>, Diagnostics> {
        tflm::array(module, &self.0.name, notes)
    }

    fn writes_folder(&self) -> bool {
        true
    }
}

fn create_array(options: Options) -> Result<Box<dyn Backend>, Diagnostic> {
    let options = from_attr(octet_ir::Attr::Map(options)).map_err(|why| Diagnostic::error(OPTION, why.to_string()))?;
    Ok(Box::new(ArrayBackend(options)))
}

/// The registered backend `tflm`.
struct MicroBackend;

impl Backend for MicroBackend {
    fn extensions(&self) -> &'static [&'static str] {
        &["tflite"]
    }

    fn write(&self, module: &Module, notes: &mut Diagnostics) -> Result<Vec<Artifact>, Diagnostics> {
        let micro = tflm::micro(module)?;
        if let Some(plan) = &micro.plan {
            let message = format!("all tensors take {} bytes by the plan in the file; the lower bound is {}", plan.size, plan.lower_bound);
            notes.push(Diagnostic::note("CGN002", message));
        }
        Ok(vec![Artifact { path: None, bytes: micro.file }])
    }
}

fn create_micro(options: Options) -> Result<Box<dyn Backend>, Diagnostic> {
    match options.into_iter().next() {
        None => Ok(Box::new(MicroBackend)),
        Some((name, _)) => Err(Diagnostic::error(OPTION, format!("the target tflm has no option '{name}'"))),
    }
}

register_backend!("tflm", "A .tflite file that TFLite Micro runs, with a memory plan, or why it cannot.", create_micro);
register_backend!("c-array", "For TFLite Micro: the model as an aligned C array, its op resolver, its arena size.", create_array);
register_backend!("c", "Self-contained C99 for microcontrollers: a header, code, weights.", create);
