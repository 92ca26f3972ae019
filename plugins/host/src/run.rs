//! One call into a plugin: a fresh store with its limits, a watchdog, and whatever goes wrong as a diagnostic.

use std::sync::mpsc;
use std::time::Duration;

use octet_ir::Diagnostic;
use wasmtime::component::{Component, HasSelf, Linker, Resource};
use wasmtime::{Config, Engine, OptLevel, Store};

use crate::bindings::exports::octet::plugin::pass::Description;
use crate::bindings::octet::plugin::types::{self, Edit, Setting};
use crate::bindings::{PassPlugin, PassPluginPre};
use crate::cache::Cache;
use crate::faults::fault;
use crate::limits::Limits;
use crate::view::{Scene, State};

/// A compiled plugin.
pub(crate) struct Program {
    engine: Engine,
    plugin: PassPluginPre<State>,
    limits: Limits,
}

/// What `run` answered, and what was said meanwhile.
pub(crate) struct Answer {
    pub(crate) outcome: Result<Vec<Edit>, Vec<types::Diagnostic>>,
    pub(crate) said: Vec<Diagnostic>,
}

impl Program {
    /// Compiles a screened file and looks at its imports and exports.
    pub(crate) fn new(bytes: &[u8], limits: &Limits, cache: Option<&Cache>) -> Result<Self, Diagnostic> {
        let broken = |e: wasmtime::Error| Diagnostic::error("PLG019", format!("the WebAssembly engine does not start: {e:#}"));
        // An engine for each plugin: the watchdog's epoch stops nobody else.
        let (engine, component) = Cache::component(cache, &config(limits, false), bytes)?;
        check_interface(&engine, &component)?;
        let mut linker = Linker::new(&engine);
        PassPlugin::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state).map_err(broken)?;
        let unserved = |e: wasmtime::Error| {
            Diagnostic::error("PLG012", format!("the plugin imports what the interface does not have: {}", e.root_cause()))
        };
        let unexported =
            |e: wasmtime::Error| Diagnostic::error("PLG014", format!("the plugin does not export what a pass exports: {}", e.root_cause()));
        let plugin = PassPluginPre::new(linker.instantiate_pre(&component).map_err(unserved)?).map_err(unexported)?;
        Ok(Self { engine, plugin, limits: *limits })
    }

    /// Asks the plugin what it is, and says how much fuel that took.
    pub(crate) fn describe(&self) -> Result<(Description, u64), Diagnostic> {
        let described = self.call(None, "while it described itself", |plugin, store| {
            let description = plugin.octet_plugin_pass().call_describe(&mut *store)?;
            Ok((description, self.limits.fuel.saturating_sub(store.get_fuel()?)))
        });
        described.map(|(answer, _)| answer)
    }

    /// Asks the plugin for its edits of a graph.
    pub(crate) fn run(&self, scene: Scene, options: &[(String, Setting)]) -> Result<Answer, Diagnostic> {
        let (outcome, said) = self.call(Some(scene), "while it ran", |plugin, store| {
            plugin.octet_plugin_pass().call_run(&mut *store, Resource::new_borrow(0), options)
        })?;
        Ok(Answer { outcome, said })
    }

    fn call<R>(
        &self,
        scene: Option<Scene>,
        doing: &str,
        call: impl FnOnce(&PassPlugin, &mut Store<State>) -> wasmtime::Result<R>,
    ) -> Result<(R, Vec<Diagnostic>), Diagnostic> {
        let named = |e: wasmtime::Error| fault(&e, doing, &self.limits);
        let mut store = Store::new(&self.engine, State::new(&self.limits, scene));
        store.limiter(|state| &mut state.meter);
        store.set_fuel(self.limits.fuel).map_err(named)?;
        store.set_hostcall_fuel(self.limits.output);
        store.set_epoch_deadline(1);
        let _watchdog = Watchdog::new(self.engine.clone(), self.limits.time);
        let plugin = self.plugin.instantiate(&mut store).map_err(named)?;
        let answer = call(&plugin, &mut store).map_err(named)?;
        Ok((answer, std::mem::take(&mut store.data_mut().said)))
    }
}

/// No proposal that is not needed, and nothing that could differ between machines. A pass runs once, so that compiling it fast counts; a kernel runs for
/// every sample, so that its code counts.
pub(crate) fn config(limits: &Limits, optimize: bool) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(limits.stack)
        .cranelift_opt_level(if optimize { OptLevel::Speed } else { OptLevel::None })
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        // Else two bytes far apart in a memory are compiled into all that lies between them.
        .memory_guaranteed_dense_image_size(0)
        .wasm_multi_memory(false)
        .wasm_memory64(false);
    config
}

/// That a component asks for nothing but the interface, and gives what a pass gives. The engine says the same, in words that name no way out.
fn check_interface(engine: &Engine, component: &Component) -> Result<(), Diagnostic> {
    let ty = component.component_type();
    let ours = |name: &str| name.starts_with("octet:plugin/");
    let version = |name: &str| name.rsplit_once('@').map_or_else(String::new, |(_, version)| version.to_owned());
    let served = version(crate::INTERFACE);
    let other = |name: &str| {
        Diagnostic::error("PLG013", format!("the plugin was built for '{name}'"))
            .with_note(format!("this compiler serves {}", crate::INTERFACE))
            .with_help("build the plugin again with the WIT package of this compiler")
    };
    for (name, _) in ty.imports(engine) {
        if !ours(name) {
            return Err(Diagnostic::error("PLG012", format!("the plugin imports '{name}', which the sandbox does not have"))
                .with_note("plugins have no files, clock, randomness or network; graphs are all they see")
                .with_help("build the plugin without WASI: for target wasm32-unknown-unknown, or freestanding"));
        }
        if version(name) != served {
            return Err(other(name));
        }
        if !["octet:plugin/types", "octet:plugin/host"].iter().any(|known| name.split('@').next() == Some(known)) {
            return Err(Diagnostic::error("PLG012", format!("the plugin imports '{name}', which the interface does not have")));
        }
    }
    let passes: Vec<String> =
        ty.exports(engine).map(|(name, _)| name.to_owned()).filter(|name| name.starts_with("octet:plugin/pass@")).collect();
    match passes.first() {
        Some(name) if version(name) == served => Ok(()),
        Some(name) => Err(other(name)),
        None => Err(Diagnostic::error("PLG014", "the plugin does not export octet:plugin/pass")
            .with_help("a pass implements the world pass-plugin")),
    }
}

/// Stops a call when its time is over. It ends with the call.
pub(crate) struct Watchdog {
    done: Option<mpsc::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Watchdog {
    pub(crate) fn new(engine: Engine, time: Duration) -> Self {
        let (done, ended) = mpsc::channel::<()>();
        let bite = move || {
            if ended.recv_timeout(time) == Err(mpsc::RecvTimeoutError::Timeout) {
                engine.increment_epoch();
            }
        };
        Self { done: Some(done), thread: std::thread::Builder::new().name("plugin-watchdog".into()).spawn(bite).ok() }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.done.take();
        // The thread ends by itself; what it could panic with is nobody's business.
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}
