//! Kernels of plugins that become part of the module.
//!
//! A kernel is a core module of its own. Its functions, tables and globals are appended to the model's; its memory becomes a region at the end of the model's
//! memory, which all kernels share, since each call begins with a fresh one. Every address of a kernel has the region's beginning added, by the offset of the
//! instruction, so that nothing below can be reached; what the kernel's own memory does not have traps: by a check before each access, or, where the
//! region is exactly that memory and cannot grow, by the end of the module's memory.
//!
//! A call does what `docs/wasm-kernel-abi.md` says that the host does, so that the results are those of `octet run`. The bits of NaNs are the engine's.

mod call;
mod link;
mod object;

use std::fmt;
use std::sync::Arc;

use octet_ir::{Diagnostic, Diagnostics};
use octet_loops::{CustomCall, Program};
use octet_plugin::{KernelEntry, KernelModule, KernelStep, Registry};
use wasm_encoder::{ConstExpr, ElementSection, GlobalSection, GlobalType, TableSection, ValType};
use wasmparser::{Validator, WasmFeatures};

use crate::Simd;
use crate::describe::Kernel;
use crate::functions::Functions;
use crate::module::PAGE;
use object::Object;

/// A kernel that cannot be carried.
const CARRY: &str = "WGN007";

type Result<T> = std::result::Result<T, Diagnostic>;

fn refused(why: impl Into<String>) -> Diagnostic {
    Diagnostic::error(CARRY, why)
}

/// A kernel with the calls of one model.
pub(crate) struct Carried {
    entry: &'static KernelEntry,
    wasm: Arc<[u8]>,
    /// Bytes that its memory has at least, and may have.
    memory: usize,
    most_memory: usize,
    /// The function of each call, and what the call does.
    calls: Vec<(CustomCall, Vec<KernelStep>)>,
}

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' of {}", self.entry.name, self.entry.origin)
    }
}

impl Carried {
    pub(crate) fn about(&self) -> Kernel<'_> {
        Kernel { name: self.entry.name, origin: self.entry.origin }
    }
}

/// The kernels of a program's custom operations, each with its calls.
///
/// # Errors
/// Every operation whose kernel is not there, is none of WebAssembly, or does not fit the build.
pub(crate) fn kernels(program: &Program, simd: Simd) -> std::result::Result<Vec<Carried>, Diagnostics> {
    if program.customs.is_empty() {
        return Ok(Vec::new());
    }
    let registry = Registry::<KernelEntry>::collect()?;
    let mut all: Vec<Carried> = Vec::new();
    let mut problems = Diagnostics::default();
    for custom in &program.customs {
        match kernel(&registry, custom, simd) {
            Err(problem) => problems.push(problem.at(custom.location.clone())),
            Ok((entry, module)) => {
                let call = (custom.clone(), module.steps);
                match all.iter_mut().find(|c| c.entry.name == entry.name) {
                    Some(carried) => {
                        carried.memory = carried.memory.max(module.memory);
                        carried.calls.push(call);
                    }
                    None => all.push(Carried {
                        entry,
                        wasm: module.wasm,
                        memory: module.memory,
                        most_memory: module.most_memory,
                        calls: vec![call],
                    }),
                }
            }
        }
    }
    if problems.has_errors() { Err(problems) } else { Ok(all) }
}

/// The kernel of one operation.
fn kernel(registry: &Registry<KernelEntry>, custom: &CustomCall, simd: Simd) -> Result<(&'static KernelEntry, KernelModule)> {
    let name = &custom.name;
    let entry = registry.get(name).map_err(|_| {
        refused(format!("no kernel is registered for the custom op '{name}'"))
            .with_help("--plugin FILE.wasm loads one; an operation before or behind it can be compiled alone by --kernel A..B")
    })?;
    let inferred = entry.kernel.infer(&custom.operands, &custom.options)?;
    let same = inferred.len() == custom.results.len()
        && inferred.iter().zip(&custom.results).all(|(a, b)| a.elem == b.elem && a.shape.dims() == b.shape.dims());
    if !same {
        let list = |types: &[octet_ir::Type]| types.iter().map(octet_ir::Type::to_string).collect::<Vec<_>>().join(", ");
        let message =
            format!("the results of '{name}' are declared ({}), its kernel computes ({})", list(&custom.results), list(&inferred));
        return Err(refused(message));
    }
    let Some(module) = entry.kernel.module(&custom.operands, &custom.results, &custom.options)? else {
        return Err(refused(format!("the kernel of '{name}' is native code, which no WebAssembly module can carry"))
            .with_note(format!("kernel '{name}' of {}", entry.origin))
            .with_help("a kernel that is a WebAssembly plugin can be carried: docs/write-a-plugin.md"));
    };
    let mut features = WasmFeatures::WASM2.union(WasmFeatures::TAIL_CALL);
    if simd == Simd::None {
        features = features.difference(WasmFeatures::SIMD);
    }
    Validator::new_with_features(features).validate_all(&module.wasm).map_err(|e| {
        refused(format!("the kernel of '{name}' has what a build without relaxed or shared parts cannot have: {e}"))
            .with_note(format!("kernel '{name}' of {}, build '{}'", entry.origin, simd.name()))
            .with_help("build the kernel for WebAssembly 2.0, and without vectors where --simd none is asked for")
    })?;
    Ok((entry, module))
}

/// What the kernels add to the module's sections, functions excepted.
pub(crate) struct Linked {
    pub(crate) tables: TableSection,
    pub(crate) globals: GlobalSection,
    pub(crate) elements: ElementSection,
    /// Passive segments, in the order of their numbers.
    pub(crate) data: Vec<Vec<u8>>,
    /// The global that holds the address of a kernel's error message, or 0.
    pub(crate) error: u32,
    /// Pages that the memory may grow to.
    pub(crate) most_pages: u64,
}

impl Linked {
    fn new() -> Self {
        let mut globals = GlobalSection::new();
        globals.global(GlobalType { val_type: ValType::I32, mutable: true, shared: false }, &ConstExpr::i32_const(0));
        Self { tables: TableSection::new(), globals, elements: ElementSection::new(), data: Vec::new(), error: 0, most_pages: 0 }
    }

    /// A segment that calls copy, and its number.
    fn segment(&mut self, bytes: Vec<u8>) -> u32 {
        self.data.push(bytes);
        u32::try_from(self.data.len() - 1).unwrap_or(u32::MAX)
    }
}

/// Where a kernel's memory lies.
#[derive(Clone, Copy)]
pub(crate) struct Region {
    /// Its first byte.
    base: u32,
    /// Bytes of the kernel's memory at first, at most as it declares, and at most as the sandbox has it.
    bytes: u64,
    declared: u64,
    most: u64,
    /// The global (`i64`) of the bytes it has now, where it can grow.
    limit: Option<u32>,
    /// Whether the module's memory ends where the kernel's does, so that the engine checks.
    is_exact: bool,
}

/// Adds the kernels to a module, and a function for each call. `memory` grows by the region that they share.
///
/// # Errors
/// A kernel with instructions that cannot be carried, or one that needs more memory than there is.
pub(crate) fn link(program: &Program, carried: &[Carried], functions: &mut Functions, memory: &mut usize) -> Result<Option<Linked>> {
    if carried.is_empty() {
        return Ok(None);
    }
    let too_large = || Diagnostic::error("WGN003", "the model and the kernels of plugins need more than 4 GiB of memory");
    let base = memory.next_multiple_of(PAGE);
    let objects =
        carried.iter().map(|c| Object::read(&c.wasm, &c.roots()).map_err(|why| unfit(c, &why))).collect::<Result<Vec<Object<'_>>>>()?;
    let sizes = carried
        .iter()
        .zip(&objects)
        .map(|(c, o)| usize::try_from(o.memory.0).map_or(usize::MAX, |own| if o.grows { own.max(c.memory) } else { own }));
    let size = sizes.max().unwrap_or(0).checked_next_multiple_of(PAGE).ok_or_else(too_large)?;
    let end = base.checked_add(size).filter(|end| u32::try_from(*end).is_ok()).ok_or_else(too_large)?;
    *memory = end;
    let room = (1u64 << 32) - u64::try_from(base).unwrap_or(0);
    let any_grows = objects.iter().any(|o| o.grows);
    let mut linked = Linked::new();
    for (kernel, object) in carried.iter().zip(&objects) {
        let (own, declared) = object.memory;
        let most = u64::try_from(kernel.most_memory).unwrap_or(u64::MAX).min(room).max(own);
        let mut region = Region {
            base: u32::try_from(base).map_err(|_| too_large())?,
            bytes: own,
            declared,
            most,
            limit: None,
            is_exact: !any_grows && usize::try_from(own).is_ok_and(|own| own == size),
        };
        if object.grows {
            region.limit = Some(linked.globals.len());
            linked.globals.global(GlobalType { val_type: ValType::I64, mutable: true, shared: false }, &ConstExpr::i64_const(0));
            let pages = (u64::from(region.base) + most.min(declared)) / u64::try_from(PAGE).unwrap_or(1);
            linked.most_pages = linked.most_pages.max(pages);
        }
        let names = link::link(object, region, functions, &mut linked).map_err(|why| unfit(kernel, &why))?;
        for (custom, steps) in &kernel.calls {
            call::function(custom, steps, region, &names, functions, &mut linked).map_err(|why| unfit(kernel, &why))?;
        }
    }
    debug_assert_eq!(program.customs.len(), carried.iter().map(|c| c.calls.len()).sum::<usize>(), "every call has its kernel");
    Ok(Some(linked))
}

fn unfit(kernel: &Carried, why: &str) -> Diagnostic {
    refused(format!("the kernel of '{}' cannot be carried into a module: {why}", kernel.entry.name)).with_note(format!("kernel {kernel}"))
}

impl Carried {
    /// The exports that calls need.
    fn roots(&self) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = self.calls.iter().flat_map(|(_, steps)| steps).filter_map(call::export).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}
