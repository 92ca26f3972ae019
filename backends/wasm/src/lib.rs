//! The way out to WebAssembly: a model as one self-contained module.
//!
//! The module imports nothing. It exports its `memory`, `invoke`, `reset` (of what is kept between runs), and where inputs and outputs lie: `input_count()`,
//! `input_ptr(i)`, `input_bytes(i)` and the same for outputs. Weights are data, one arena is planned, and every loop has bounds that were known when the
//! module was written, so that it needs neither fuel nor a limit. A custom section `octet` describes names, shapes, types and scales as JSON.
//!
//! The kernels are those of `octet_loops`, with its bits; where the engine has vectors, the inner loops have kernels of their own with the same results. This
//! crate computes nothing of a model and does no I/O.
//!
//! | code | what is wrong |
//! |---|---|
//! | `WGN001` | an option does not exist or does not fit |
//! | `WGN002` | a kernel cannot be encoded |
//! | `WGN003` | the model needs more memory than a module can have |
//! | `WGN004` | a note: bytes of the module and its arena, and what runs without vectors |
//! | `WGN005` | a region that is not in the graph, or that cannot be a kernel |
//! | `WGN006` | a page for a model that does not take one picture |
//! | `WGN007` | the kernel of a custom operation cannot be carried |

mod asm;
mod carry;
mod describe;
mod encode;
mod fast;
mod functions;
mod math;
mod module;
mod package;
mod region;

use std::collections::BTreeSet;

use carry::Carried;
use octet_ir::{Attr, Diagnostic, Diagnostics, Module, from_attr};
use octet_loops::plan::{PlanOptions, plan};
use octet_plugin::{Artifact, Backend, Options, register_backend};
use serde::Deserialize;

/// Which instructions a module may have. All builds have the same bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Simd {
    /// No vectors: runs everywhere.
    None,
    /// The vectors of WebAssembly 2.0.
    #[default]
    Strict,
    /// The relaxed dot product too, which is exact on some engines and machines only: run it where the module's `probe()` answers 1.
    Relaxed,
}

impl Simd {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::None, Self::Strict, Self::Relaxed];

    /// Its name in options and descriptions.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Strict => "strict",
            Self::Relaxed => "relaxed",
        }
    }
}

/// How to write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WasmOptions {
    /// Which instructions the module may have.
    pub simd: Simd,
    /// Also write a package of the JavaScript loader with all builds, into a folder beside the module.
    pub loader: bool,
    /// Also write a page that runs the model in the browser on pictures.
    pub demo: bool,
    /// Compile these operations only, `A..B` or one, as a kernel, and write the graph with a custom operation in their place beside it.
    pub kernel: String,
}

/// Writes a verified module as WebAssembly.
///
/// # Errors
/// Every operation that generated code has no kernel for; a model that is too large.
pub fn write(module: &Module, options: &WasmOptions, notes: &mut Diagnostics) -> Result<Vec<u8>, Diagnostics> {
    let mut program = octet_loops::lower_with_custom(module)?;
    let carried = carry::kernels(&program, options.simd)?;
    let rewritten = match options.simd {
        Simd::None => fast::Rewritten::default(),
        Simd::Strict => fast::rewrite(&mut program, fast::Dot::Wide),
        Simd::Relaxed => fast::rewrite(&mut program, fast::Dot::Relaxed),
    };
    let plan = plan(&program, &PlanOptions::default());
    let bytes = module::module(module, &program, &rewritten, &plan, &carried, options.simd.name())?;
    let mut note = Diagnostic::note("WGN004", format!("the module has {} bytes; its arena takes {}", bytes.len(), plan.size));
    if options.simd != Simd::None && !program.kernels().is_empty() {
        let roots: Vec<&str> = program.steps.iter().flat_map(|s| &s.calls).map(|c| c.kernel.as_str()).collect();
        let scalar: BTreeSet<&str> = roots.into_iter().filter_map(|k| program.library.function(k)).map(|f| f.source.as_str()).collect();
        note = note.with_note(format!("these kernels run without vectors: {}", Vec::from_iter(scalar).join(", ")));
    }
    if !carried.is_empty() {
        let all: Vec<String> = carried.iter().map(Carried::to_string).collect();
        note = note.with_note(format!("kernels of plugins in it: {}", all.join(", ")));
    }
    notes.push(note);
    Ok(bytes)
}

/// Splits a module: the kernel of a region of its main graph (`A..B`, or one operation), and the module that calls it by a custom operation.
///
/// # Errors
/// `WGN005` when the region is not in the graph or cannot be a kernel.
pub fn split(module: &Module, region: &str) -> Result<(Module, Module), Diagnostic> {
    region::split(module, region)
}

/// The registered backend `wasm`.
struct WasmBackend(WasmOptions);

impl Backend for WasmBackend {
    fn extensions(&self) -> &'static [&'static str] {
        &["wasm"]
    }

    fn write(&self, module: &Module, notes: &mut Diagnostics) -> Result<Vec<Artifact>, Diagnostics> {
        if !self.0.kernel.is_empty() {
            let (kernel, rest) = region::split(module, &self.0.kernel)?;
            let graph = octet_backend_tflite::write(&rest, &octet_backend_tflite::WriteOptions::default())?;
            return Ok(vec![
                Artifact { path: Some("*-graph.tflite".into()), bytes: graph.into_bytes().into() },
                Artifact { path: None, bytes: write(&kernel, &self.0, notes)? },
            ]);
        }
        let mut files = vec![Artifact { path: None, bytes: write(module, &self.0, notes)? }];
        if self.0.loader || self.0.demo {
            let mut builds = Vec::new();
            for simd in Simd::ALL {
                let options = WasmOptions { simd, ..self.0.clone() };
                builds.push((simd, write(module, &options, &mut Diagnostics::default())?));
            }
            files.extend(self.0.loader.then(|| package::loader(&builds)).into_iter().flatten());
            if self.0.demo {
                files.push(package::demo(module, &builds)?);
            }
        }
        Ok(files)
    }
}

fn create(mut options: Options) -> Result<Box<dyn Backend>, Diagnostic> {
    for (_, value) in options.iter_mut().filter(|(name, value)| name == "simd" && *value == Attr::None) {
        // In the text of options, `none` is no value; here it is one.
        *value = Attr::Word("none".into());
    }
    let options: WasmOptions = from_attr(Attr::Map(options)).map_err(|why| Diagnostic::error("WGN001", why.to_string()))?;
    if !options.kernel.is_empty() && (options.loader || options.demo) {
        return Err(Diagnostic::error("WGN001", "a kernel of a region comes without loader and page: a plugin host runs it"));
    }
    Ok(Box::new(WasmBackend(options)))
}

register_backend!("wasm", "A self-contained WebAssembly module: memory, invoke, no imports.", create);
