//! Runs models that `octet compile --target wasm` wrote.
//!
//! Such a module imports nothing and its loops are bounded, so that it runs without fuel and without a watchdog, and is compiled for speed. A file of any
//! other origin is refused when it imports something or lacks an export; what it computes is its own business, and its memory is that of the sandbox.

use octet_ir::Diagnostic;
use wasmtime::{Config, Engine, Instance, Memory, Module, Store, StoreLimits, StoreLimitsBuilder, TypedFunc};

use crate::legible;
use crate::limits::Limits;

/// One instance of a model, with memory and state of its own.
pub struct Model {
    store: Store<StoreLimits>,
    memory: Memory,
    invoke: TypedFunc<(), ()>,
    reset: TypedFunc<(), ()>,
    /// Where a plugin's kernel in it says what is wrong.
    error: Option<TypedFunc<(), i32>>,
    /// Address and bytes of every input, and of every output.
    inputs: Vec<(usize, usize)>,
    outputs: Vec<(usize, usize)>,
    description: String,
}

fn broken(doing: &str) -> impl Fn(wasmtime::Error) -> Diagnostic {
    move |e| Diagnostic::error("PLG019", format!("the module cannot be {doing}: {}", e.root_cause()))
}

impl Model {
    /// Compiles a module and makes an instance.
    ///
    /// # Errors
    /// `PLG011` for what is no module, `PLG012` where it imports something, `PLG014` where an export is missing, `PLG030` where a relaxed build is not exact on
    /// this machine.
    pub fn load(bytes: &[u8]) -> Result<Self, Diagnostic> {
        let limits = Limits::default();
        let mut config = Config::new();
        config.max_wasm_stack(limits.stack).wasm_memory64(false).wasm_relaxed_simd(true);
        let engine = Engine::new(&config).map_err(broken("run: the engine does not start"))?;
        let module = Module::from_binary(&engine, bytes)
            .map_err(|e| Diagnostic::error("PLG011", format!("this is no sound WebAssembly module: {}", e.root_cause())))?;
        if let Some(import) = module.imports().next() {
            return Err(Diagnostic::error("PLG012", format!("the module imports '{}'; a model imports nothing", import.name())));
        }
        let own = StoreLimitsBuilder::new()
            .memory_size(limits.memory)
            .memories(1)
            .instances(1)
            .tables(limits.instances)
            .table_elements(limits.table_elements)
            .build();
        let mut store = Store::new(&engine, own);
        store.limiter(|limits| limits);
        let instance = Instance::new(&mut store, &module, &[]).map_err(broken("instantiated"))?;
        let missing = |name: &str| Diagnostic::error("PLG014", format!("the module does not export '{name}' as a model does"));
        let memory = instance.get_memory(&mut store, "memory").ok_or_else(|| missing("memory"))?;
        let action = |store: &mut Store<StoreLimits>, name: &str| instance.get_typed_func::<(), ()>(store, name).map_err(|_| missing(name));
        let (invoke, reset) = (action(&mut store, "invoke")?, action(&mut store, "reset")?);
        if let Ok(probe) = instance.get_typed_func::<(), i32>(&mut store, "probe")
            && probe.call(&mut store, ()).map_err(broken("probed"))? != 1
        {
            return Err(Diagnostic::error("PLG030", "the relaxed dot product of this engine is not exact on this machine")
                .with_help("take the strict build of the model, which has the same bits"));
        }
        let error = instance.get_typed_func::<(), i32>(&mut store, "error_ptr").ok();
        let inputs = places(&instance, &mut store, "input")?;
        let outputs = places(&instance, &mut store, "output")?;
        let size = memory.data_size(&store);
        if inputs.iter().chain(&outputs).any(|(at, bytes)| at.checked_add(*bytes).is_none_or(|end| end > size)) {
            return Err(Diagnostic::error("PLG014", "an input or output of the module lies outside its memory"));
        }
        Ok(Self { store, memory, invoke, reset, error, inputs, outputs, description: description(bytes)? })
    }

    /// What the module says of itself: names, shapes, types and scales, as JSON. Empty where it says nothing.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Bytes of each input.
    pub fn input_bytes(&self) -> impl ExactSizeIterator<Item = usize> {
        self.inputs.iter().map(|i| i.1)
    }

    /// Bytes of each output.
    pub fn output_bytes(&self) -> impl ExactSizeIterator<Item = usize> {
        self.outputs.iter().map(|o| o.1)
    }

    /// Writes an input's stored values, little-endian. It has to be written anew before every [`invoke`](Self::invoke).
    ///
    /// # Errors
    /// `PLG031` when there is no such input, or it has another size.
    pub fn set_input(&mut self, index: usize, bytes: &[u8]) -> Result<(), Diagnostic> {
        let wrong = || Diagnostic::error("PLG031", format!("the model has no input {index} of {} bytes", bytes.len()));
        let &(at, length) = self.inputs.get(index).ok_or_else(wrong)?;
        let memory = self.memory.data_mut(&mut self.store);
        let place = memory.get_mut(at..at + length).filter(|p| p.len() == bytes.len()).ok_or_else(wrong)?;
        place.copy_from_slice(bytes);
        Ok(())
    }

    /// Computes the outputs from the inputs.
    ///
    /// # Errors
    /// `PLG022` with the message of a plugin's kernel; `PLG019` when the module traps, which nothing but such a kernel does.
    pub fn invoke(&mut self) -> Result<(), Diagnostic> {
        let Err(trap) = self.invoke.call(&mut self.store, ()) else { return Ok(()) };
        Err(self.message().unwrap_or_else(|| broken("run")(trap)))
    }

    /// What a kernel said before it stopped.
    fn message(&mut self) -> Option<Diagnostic> {
        let at = self.error.as_ref()?.call(&mut self.store, ()).ok().filter(|at| *at != 0)?;
        let bytes = self.memory.data(&self.store).get(usize::try_from(at.cast_unsigned()).ok()?..)?;
        let text = bytes.get(..bytes.iter().position(|b| *b == 0)?)?;
        Some(legible::diagnostic(Diagnostic::error("PLG022", String::from_utf8_lossy(text))))
    }

    /// Forgets what is kept between runs.
    ///
    /// # Errors
    /// As [`invoke`](Self::invoke).
    pub fn reset(&mut self) -> Result<(), Diagnostic> {
        self.reset.call(&mut self.store, ()).map_err(broken("reset"))
    }

    /// An output's stored values, little-endian, until the next [`invoke`](Self::invoke).
    #[must_use]
    pub fn output(&self, index: usize) -> Option<&[u8]> {
        let &(at, length) = self.outputs.get(index)?;
        self.memory.data(&self.store).get(at..at + length)
    }
}

/// Where inputs or outputs lie.
fn places(instance: &Instance, store: &mut Store<StoreLimits>, kind: &str) -> Result<Vec<(usize, usize)>, Diagnostic> {
    /// More than any model has.
    const MOST: i32 = 4096;
    let missing = |name: &str| Diagnostic::error("PLG014", format!("the module does not export '{name}' as a model does"));
    let name = format!("{kind}_count");
    let count = instance.get_typed_func::<(), i32>(&mut *store, &name).map_err(|_| missing(&name))?;
    let count = count.call(&mut *store, ()).map_err(broken("asked"))?;
    let mut found = Vec::new();
    for index in 0..count.clamp(0, MOST) {
        let mut number = |what: &str| -> Result<usize, Diagnostic> {
            let name = format!("{kind}_{what}");
            let ask = instance.get_typed_func::<i32, i32>(&mut *store, &name).map_err(|_| missing(&name))?;
            let answer = ask.call(&mut *store, index).map_err(broken("asked"))?;
            usize::try_from(answer.cast_unsigned()).map_err(|_| missing(&name))
        };
        found.push((number("ptr")?, number("bytes")?));
    }
    Ok(found)
}

/// The content of the custom section `octet`.
fn description(bytes: &[u8]) -> Result<String, Diagnostic> {
    for payload in wasmparser::Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|e| Diagnostic::error("PLG011", format!("this is no sound WebAssembly module: {e}")))?;
        if let wasmparser::Payload::CustomSection(section) = payload
            && section.name() == "octet"
        {
            return Ok(String::from_utf8_lossy(section.data()).into_owned());
        }
    }
    Ok(String::new())
}
