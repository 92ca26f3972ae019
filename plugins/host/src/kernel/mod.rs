//! WebAssembly kernels of custom operations: core modules with the ABI of `docs/wasm-kernel-abi.md`.

mod program;
mod records;
mod section;

use octet_ir::{Diagnostic, Type};
use octet_plugin::{Kernel, KernelCall, KernelEntry, KernelModule, Tensor};
use wasmparser::{Parser, Payload};

use crate::cache::Cache;
use crate::legible;
use crate::limits::Limits;
use crate::load::{Loaded, Plugin, check_about};
use program::{Operand, Program};

/// The interface of kernels.
pub const KERNEL_INTERFACE: &str = "octet.kernel 1";

/// Whether a core module says that it is a kernel, of whatever version.
pub(crate) fn is_kernel(bytes: &[u8]) -> bool {
    Parser::new(0).parse_all(bytes).map_while(Result::ok).any(|payload| match payload {
        Payload::CustomSection(section) => section.name() == "octet.kernel",
        Payload::ExportSection(exports) => exports.into_iter().map_while(Result::ok).any(|export| export.name.starts_with(program::MARKER)),
        _ => false,
    })
}

/// Makes a kernel of a screened file.
pub(crate) fn load(bytes: &[u8], file: &str, limits: &Limits, cache: Option<&Cache>) -> Result<Plugin, Diagnostic> {
    let program = Program::new(bytes, limits, cache)?;
    let about = program.describe()?;
    check_name(&about.name)?;
    check_about(&about.version, &about.summary)?;
    let origin = format!("{file} {}", about.version);
    let kernel = WasmKernel { program, name: about.name.clone(), file: file.to_owned() };
    // Registries hold entries for as long as the program runs, those of linked crates being static; a plugin is loaded once.
    let entry = Box::leak(Box::new(KernelEntry {
        name: String::leak(about.name),
        summary: String::leak(about.summary),
        origin: String::leak(origin),
        kernel: Box::leak(Box::new(kernel)),
    }));
    Ok(Plugin { loaded: Loaded::Kernel(entry), version: about.version, file: file.to_owned(), fuel: about.fuel })
}

/// Custom operations may be called anything that prints.
fn check_name(name: &str) -> Result<(), Diagnostic> {
    if !name.is_empty() && name.chars().count() <= 128 && name.trim() == name && name.chars().all(legible::prints) {
        return Ok(());
    }
    let shown: String = name.chars().take(128).flat_map(char::escape_default).collect();
    Err(Diagnostic::error("PLG015", format!("the kernel is for an operation called '{shown}'"))
        .with_help("a name has at most 128 characters that print, and no space at either end"))
}

struct WasmKernel {
    program: Program,
    name: String,
    file: String,
}

impl WasmKernel {
    /// Names the plugin in a diagnostic.
    fn signed(&self, diagnostic: Diagnostic) -> Diagnostic {
        legible::diagnostic(diagnostic).with_note(format!("kernel '{}' of {}", self.name, self.file))
    }

    fn results(&self, operands: &[Operand<'_>], results: &[Type], options: &[u8]) -> Result<Vec<Tensor>, Diagnostic> {
        let data = self.program.compute(operands, results, options).map_err(|d| self.signed(d))?;
        let tensor = |(ty, bytes): (&Type, Vec<u8>)| Tensor { elem: ty.elem, shape: ty.shape.dims().to_vec(), bytes };
        Ok(results.iter().zip(data).map(tensor).collect())
    }
}

impl Kernel for WasmKernel {
    fn infer(&self, operands: &[Option<Type>], options: &[u8]) -> Result<Vec<Type>, Diagnostic> {
        self.program.infer(operands, options).map_err(|d| self.signed(d))
    }

    fn run(&self, operands: &[Option<&Tensor>], options: &[u8]) -> Result<Vec<Tensor>, Diagnostic> {
        let types: Vec<Option<Type>> = operands.iter().map(|o| o.map(|t| Type::new(t.elem, t.shape.clone()))).collect();
        let results = self.infer(&types, options)?;
        self.compute(&KernelCall { operands, operand_types: &types, results: &results, options })
    }

    fn compute(&self, call: &KernelCall<'_>) -> Result<Vec<Tensor>, Diagnostic> {
        let operands: Vec<Operand<'_>> = call
            .operands
            .iter()
            .zip(call.operand_types)
            .map(|(tensor, ty)| Some((ty.as_ref()?, tensor.as_ref()?.bytes.as_slice())))
            .collect();
        self.results(&operands, call.results, call.options)
    }

    /// Every call has an instance of its own, and there is nothing to ask the world.
    fn is_pure(&self) -> bool {
        true
    }

    fn module(&self, operands: &[Option<Type>], results: &[Type], options: &[u8]) -> Result<Option<KernelModule>, Diagnostic> {
        self.program.carried(operands, results, options).map(Some).map_err(|d| self.signed(d))
    }
}
