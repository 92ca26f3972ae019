//! WebAssembly plugins: what a good one does, and what becomes of a bad one.

mod attacks;
mod good;
mod guest;

use octet_ir::{Diagnostic, Diagnostics, Module, text, verify};
use octet_passes::{Settings, Silent};
use octet_plugin::{DataSource, Dataset, PassEntry};
use octet_plugin_host::{Limits, Plugin, load_bytes};

struct NoData;

impl DataSource for NoData {
    fn open(&self, name: &str) -> Result<Dataset, Diagnostic> {
        Err(Diagnostic::error("DAT000", format!("there is no data set '{name}'")))
    }
}

fn read(source: &str) -> Module {
    let module = text::parse(source, &Default::default()).unwrap_or_else(|e| panic!("{e}\n{source}"));
    verify::verify(&module).unwrap_or_else(|e| panic!("{e}\n{source}"));
    module
}

/// Runs a pipeline with one plugin over a module.
fn run(plugin: &Plugin, pipeline: &str, module: &Module) -> Result<(Module, Diagnostics), Diagnostics> {
    let loaded: &'static [&'static PassEntry] = Vec::leak(vec![plugin.entry]);
    let settings = Settings { loaded, ..Settings::default() };
    let mut said = Silent::default();
    let pipeline = pipeline.parse().expect("a pipeline");
    match octet_passes::run(module, &pipeline, &settings, &NoData, &mut said) {
        Ok(outcome) => Ok((outcome.module, said.0)),
        Err(failure) => Err(failure.diagnostics),
    }
}

fn load(bytes: &[u8]) -> Result<Plugin, Diagnostic> {
    load_bytes(bytes, "guest.wasm", &limits())
}

/// Tight, so that tests are quick.
fn limits() -> Limits {
    Limits { fuel: 20_000_000, memory: 32 << 20, output: 4 << 20, ..Limits::default() }
}
