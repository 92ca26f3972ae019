//! The way out to C: a model as self-contained C99 for a microcontroller.
//!
//! What is written needs a compiler and nothing else: no allocation, no C++, no double precision, and for integer models no
//! mathematical library. One call of `NAME_invoke` gives the bytes that the interpreter gives. The kernels are those of `octet_loops`; this crate prints them
//! and the calls, places constants and buffers, and gives the inner products of Arm's DSP and Helium extensions their instructions.
//!
//! For those who stay with TFLite Micro, `c-array` writes the model as an array with a memory plan, the operations that it needs and the memory that it takes.
//!
//! It computes nothing and does no I/O.

mod model;
mod picture;
mod primitives;
mod print;
mod test;
mod tflm;

use octet_ir::{Diagnostic, Diagnostics, Module, from_attr};
use octet_loops::plan::{PlanOptions, plan};
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
    /// Most bytes of the stack that kernels take for scratch memory; more than that lies in the arena.
    pub stack: usize,
    /// Also write the arena over time as a picture, and a table of operations with their work and bytes.
    pub report: bool,
    /// Also write a program that runs the model on inputs of its own and compares the outputs.
    pub test: bool,
}

impl Default for COptions {
    fn default() -> Self {
        Self { name: "model".into(), alignment: 16, overlap: true, stack: 512, report: false, test: false }
    }
}

/// Writes a verified module as C.
///
/// # Errors
/// Every operation that generated code has no kernel for.
pub fn write(module: &Module, options: &COptions, notes: &mut Diagnostics) -> Result<Vec<Artifact>, Diagnostics> {
    let program = octet_loops::lower(module)?;
    let plan = plan(
        &program,
        &PlanOptions { alignment: options.alignment, overlap: options.overlap, stack: options.stack, ..PlanOptions::default() },
    );
    let name = model::identifier(&options.name);
    let printed = Printed::new(&name, &program, &plan);
    let mut files = vec![
        (format!("{name}.h"), printed.header()),
        (format!("{name}_weights.h"), printed.weights()),
        (format!("{name}.c"), printed.code()),
    ];
    if options.report {
        files.push((format!("{name}_memory.svg"), picture::svg(&name, &program, &plan)));
        files.push((format!("{name}_operations.md"), picture::table(&name, &program, &plan)));
    }
    if options.test {
        files.push((format!("{name}_test.c"), test::program(&name, module, &program)?));
    }
    let gap = plan.size - plan.lower_bound;
    notes.push(Diagnostic::note(
        "CGN002",
        format!(
            "the arena takes {} bytes; the lower bound is {}, a gap of {gap}; scratch memory takes {} of the stack",
            plan.size, plan.lower_bound, plan.stack
        ),
    ));
    Ok(files.into_iter().map(|(path, text)| Artifact { path: Some(path), bytes: text.into_bytes() }).collect())
}

/// The registered backend `c`.
struct CBackend(COptions);

impl Backend for CBackend {
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
    fn write(&self, module: &Module, _notes: &mut Diagnostics) -> Result<Vec<Artifact>, Diagnostics> {
        tflm::array(module, &self.0.name)
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
