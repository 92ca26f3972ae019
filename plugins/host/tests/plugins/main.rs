//! WebAssembly plugins: what a good one does, and what becomes of a bad one.

mod attacks;
mod bombs;
mod carried;
mod examples;
mod files;
mod frozen;
mod good;
mod guest;
mod kernel_attacks;
mod kernels;

use octet_ir::{Diagnostic, Diagnostics, Module, text, verify};
use octet_passes::{Settings, Silent};
use octet_plugin::{DataSource, Dataset, PassEntry, Samples, Tensor};
use octet_plugin_host::{Limits, Plugin, load_bytes};

/// The one data set there is, `ramp`: 16 samples of `[1, 4]` from -2 to 2.
struct Ramp;

impl DataSource for Ramp {
    fn open(&self, name: &str) -> Result<Dataset, Diagnostic> {
        if name != "ramp" {
            return Err(Diagnostic::error("DAT000", format!("there is no data set '{name}'")));
        }
        let bytes = (0..64u8).flat_map(|i| (f32::from(i) / 16.0 - 2.0).to_le_bytes()).collect();
        let tensor = Tensor { elem: octet_ir::ElementType::F32, shape: vec![16, 4], bytes };
        Ok(Dataset { arrays: vec![Samples { input: None, tensor }], origin: "ramp".into() })
    }
}

fn read(source: &str) -> Module {
    let module = text::parse(source, &Default::default()).unwrap_or_else(|e| panic!("{e}\n{source}"));
    verify::verify(&module).unwrap_or_else(|e| panic!("{e}\n{source}"));
    module
}

/// Runs a pipeline with one plugin over a module.
fn run(plugin: &Plugin, pipeline: &str, module: &Module) -> Result<(Module, Diagnostics), Diagnostics> {
    let loaded: &'static [&'static PassEntry] = Vec::leak(plugin.pass().into_iter().collect());
    let settings = Settings { loaded, ..Settings::default() };
    let mut said = Silent::default();
    let pipeline = pipeline.parse().expect("a pipeline");
    match octet_passes::run(module, &pipeline, &settings, &Ramp, &mut said) {
        Ok(outcome) => Ok((outcome.module, said.0)),
        Err(failure) => Err(failure.diagnostics),
    }
}

fn load(bytes: &[u8]) -> Result<Plugin, Diagnostic> {
    load_bytes(bytes, "guest.wasm", &limits(), None)
}

/// Tight, so that tests are quick.
fn limits() -> Limits {
    Limits { fuel: 20_000_000, memory: 32 << 20, output: 4 << 20, ..Limits::default() }
}
