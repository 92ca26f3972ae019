//! A compiled kernel and one call into it: a fresh store with its limits, a watchdog, and whatever goes wrong as a diagnostic.

use std::sync::Arc;
use std::time::{Duration, Instant};

use octet_ir::{Diagnostic, Type};
use octet_plugin::{KernelAnswer, KernelModule, KernelPlace, KernelStep};
use wasmtime::{Engine, ExternType, FuncType, Instance, InstancePre, Linker, Memory, Module, Store, TypedFunc, UpdateDeadline, ValType};

use super::records::{Frame, MOST_AXES, MOST_RESULTS, Results, element};
use super::section::{self, Section};
use crate::cache::Cache;
use crate::faults::fault;
use crate::limits::{Limits, Meter};
use crate::run::{Watchdog, config};

/// The export that names the version of the ABI.
pub(crate) const MARKER: &str = "octet_kernel_abi_";
/// The version that is served.
const SERVED: &str = "octet_kernel_abi_1";
/// The export that is called first, if there is one.
const INITIALIZE: &str = "_initialize";
/// Most bytes of a text.
const LONGEST: usize = 65_535;

/// What a store holds: the meter, and until when it may run.
struct State {
    meter: Meter,
    until: Option<Instant>,
}

/// Which form a kernel has.
enum Form {
    /// It has code that infers.
    General,
    /// It is for the types of its section.
    Fixed(Box<Section>),
}

/// What a kernel says of itself.
pub(crate) struct Description {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) summary: String,
    /// Fuel that saying it took.
    pub(crate) fuel: u64,
}

/// A compiled kernel.
pub(crate) struct Program {
    wasm: Arc<[u8]>,
    engine: Engine,
    module: InstancePre<State>,
    form: Form,
    limits: Limits,
}

/// An operand of a call: its type and its data.
pub(crate) type Operand<'c> = Option<(&'c Type, &'c [u8])>;

/// An instance with what every call needs.
struct Running {
    store: Store<State>,
    instance: Instance,
    memory: Memory,
}

fn broken(why: impl Into<String>) -> Diagnostic {
    Diagnostic::error("PLG019", why).with_help("this is a bug of the plugin, not of the model")
}

fn unfit(why: String) -> Diagnostic {
    Diagnostic::error("PLG014", why).with_help("docs/wasm-kernel-abi.md lists what a kernel exports")
}

impl Program {
    /// Compiles a screened file and looks at its imports and exports.
    pub(crate) fn new(bytes: &[u8], limits: &Limits, cache: Option<&Cache>) -> Result<Self, Diagnostic> {
        let section = section::find(bytes)?;
        let (engine, module) = Cache::module(cache, &config(limits, true), bytes)?;
        if let Some(import) = module.imports().next() {
            return Err(Diagnostic::error(
                "PLG012",
                format!("the kernel imports '{}' of '{}'; it may import nothing", import.name(), import.module()),
            )
            .with_help("build it without WASI: for wasm32-unknown-unknown or freestanding; AssemblyScript needs --use abort="));
        }
        let form = match section {
            Some(section) => {
                check_exports(&module, &[("input_ptr", 1, 1), ("output_ptr", 1, 1), ("invoke", 0, 0)])?;
                Form::Fixed(Box::new(section))
            }
            None => {
                check_version(&module)?;
                let functions = [("describe", 0), ("alloc", 1), ("infer", 1), ("run", 1)];
                for (name, params) in functions {
                    check_exports(&module, &[(&format!("octet_kernel_{name}"), params, 1)])?;
                }
                Form::General
            }
        };
        let linker = Linker::new(&engine);
        let module = linker.instantiate_pre(&module).map_err(|e| broken(format!("{e:#}")))?;
        Ok(Self { wasm: bytes.into(), engine, module, form, limits: *limits })
    }

    /// What the kernel says of itself.
    pub(crate) fn describe(&self) -> Result<Description, Diagnostic> {
        let doing = "while it described itself";
        if let Form::Fixed(section) = &self.form {
            let Section { name, version, summary, .. } = section.as_ref().clone();
            return Ok(Description { name, version, summary, fuel: 0 });
        }
        let (mut running, _watchdog) = self.start(doing)?;
        let address = self.call::<(), i32>(&mut running, "octet_kernel_describe", (), doing)?;
        let text = running.text(address)?;
        let mut lines = text.lines();
        let mut line = || lines.next().map(str::to_owned).unwrap_or_default();
        let (name, version, summary) = (line(), line(), line());
        Ok(Description { name, version, summary, fuel: self.limits.fuel.saturating_sub(running.store.get_fuel().unwrap_or(0)) })
    }

    /// The types of the results: what the kernel says, without quantization, or what its section says.
    pub(crate) fn infer(&self, operands: &[Option<Type>], options: &[u8]) -> Result<Vec<Type>, Diagnostic> {
        let section = match &self.form {
            Form::Fixed(section) => {
                check_operands(section, operands, options)?;
                return Ok(section.results.clone());
            }
            Form::General => "while it inferred types",
        };
        let given: Vec<_> = operands.iter().map(|ty| ty.as_ref().map(|ty| (ty, None))).collect();
        let (mut running, _watchdog) = self.start(section)?;
        let base = self.fill(&mut running, &given, Results::Unknown, options, section)?.0;
        self.ask(&mut running, "octet_kernel_infer", base, section)?;
        let word = |offset: usize| running.word(base, offset);
        let count = usize::try_from(word(Frame::RESULT_COUNT)?).unwrap_or(usize::MAX);
        if count > MOST_RESULTS {
            return Err(broken(format!("the kernel says that it has {count} results; there may be {MOST_RESULTS}")));
        }
        let sizes_at = self.sizes_at(&given, options)?;
        (0..count)
            .map(|index| {
                let record = Frame::result_record(operands.len(), index);
                let (number, rank) = (word(record + 4)?, usize::try_from(word(record + 8)?).unwrap_or(usize::MAX));
                let elem =
                    element(number).ok_or_else(|| broken(format!("the kernel infers element type {number}, which the ABI lacks")))?;
                if rank > MOST_AXES {
                    return Err(broken(format!("the kernel infers a result of {rank} axes; there may be {MOST_AXES}")));
                }
                let sizes =
                    (0..rank).map(|axis| Ok(usize::try_from(word(sizes_at + 4 * (index * MOST_AXES + axis))?).unwrap_or(usize::MAX)));
                Ok(Type::new(elem, sizes.collect::<Result<Vec<usize>, Diagnostic>>()?))
            })
            .collect()
    }

    /// Where the sizes of the first inferred result stand: the last things of a head without data.
    fn sizes_at(&self, operands: &[Option<(&Type, Option<&[u8]>)>], options: &[u8]) -> Result<usize, Diagnostic> {
        Ok(Frame::new(0, operands, Results::Unknown, options)?.head.len().saturating_sub(4 * MOST_AXES * MOST_RESULTS))
    }

    /// The data of the results.
    pub(crate) fn compute(&self, operands: &[Operand<'_>], results: &[Type], options: &[u8]) -> Result<Vec<Vec<u8>>, Diagnostic> {
        let doing = "while it computed";
        self.check_output(results)?;
        match &self.form {
            Form::General => {
                let given: Vec<_> = operands.iter().map(|o| o.map(|(ty, data)| (ty, Some(data)))).collect();
                let (mut running, _watchdog) = self.start(doing)?;
                let (base, frame) = self.fill(&mut running, &given, Results::Known(results), options, doing)?;
                self.ask(&mut running, "octet_kernel_run", base, doing)?;
                frame.results.iter().map(|(offset, length)| running.read(base, *offset, *length).map(<[u8]>::to_vec)).collect()
            }
            Form::Fixed(section) => {
                let types: Vec<Option<Type>> = operands.iter().map(|o| o.map(|(ty, _)| ty.clone())).collect();
                check_operands(section, &types, options)?;
                check_results(section, results)?;
                let (mut running, _watchdog) = self.start(doing)?;
                for (index, (_, data)) in (0i32..).zip(operands.iter().flatten()) {
                    let address = self.call::<i32, i32>(&mut running, "input_ptr", index, doing)?;
                    running.write(address.cast_unsigned(), 0, data)?;
                }
                self.call::<(), ()>(&mut running, "invoke", (), doing)?;
                let mut all = Vec::with_capacity(results.len());
                for (index, ty) in (0i32..).zip(results) {
                    let address = self.call::<i32, i32>(&mut running, "output_ptr", index, doing)?;
                    all.push(running.read(address.cast_unsigned(), 0, ty.byte_len().unwrap_or(0))?.to_vec());
                }
                Ok(all)
            }
        }
    }

    /// The module, and one call of it as steps: what [`compute`](Self::compute) does.
    pub(crate) fn carried(&self, operands: &[Option<Type>], results: &[Type], options: &[u8]) -> Result<KernelModule, Diagnostic> {
        let doing = "while it got memory for a call";
        self.check_output(results)?;
        let (mut running, _watchdog) = self.start(doing)?;
        let mut steps = Vec::new();
        let call = |export, arguments, answer| KernelStep::Call { export, arguments, answer };
        if running.instance.get_func(&mut running.store, INITIALIZE).is_some() {
            steps.push(call(INITIALIZE, Vec::new(), KernelAnswer::Nothing));
        }
        match &self.form {
            Form::General => {
                let zeros: Vec<Option<Vec<u8>>> =
                    operands.iter().map(|o| o.as_ref().map(|ty| vec![0; ty.byte_len().unwrap_or(0)])).collect();
                let given: Vec<_> = operands.iter().zip(&zeros).map(|(ty, data)| Some((ty.as_ref()?, data.as_deref()))).collect();
                let (base, frame) = self.fill(&mut running, &given, Results::Known(results), options, doing)?;
                let at = |offset: usize| u32::try_from(offset).ok().and_then(|o| base.checked_add(o)).ok_or_else(outside);
                steps.push(call("octet_kernel_alloc", vec![frame.size.cast_signed()], KernelAnswer::Equal(base.cast_signed())));
                let present = operands.iter().enumerate().filter(|(_, o)| o.is_some());
                for ((index, _), (offset, data)) in present.zip(&frame.data) {
                    steps.push(KernelStep::Operand { index, place: KernelPlace::At(at(*offset)?), bytes: data.len() });
                }
                for &(offset, bytes) in &frame.results {
                    steps.push(KernelStep::Clear { address: at(offset)?, bytes });
                }
                let head = steps.len();
                steps.push(call("octet_kernel_run", vec![base.cast_signed()], KernelAnswer::Message));
                for (index, &(offset, bytes)) in frame.results.iter().enumerate() {
                    steps.push(KernelStep::Result { index, place: KernelPlace::At(at(offset)?), bytes });
                }
                steps.insert(head, KernelStep::Write { address: base, bytes: frame.head });
            }
            Form::Fixed(section) => {
                check_operands(section, operands, options)?;
                check_results(section, results)?;
                for ((index, argument), ty) in (0i32..).enumerate().zip(&section.operands) {
                    let place = KernelPlace::Answer("input_ptr", argument);
                    steps.push(KernelStep::Operand { index, place, bytes: ty.byte_len().unwrap_or(0) });
                }
                steps.push(call("invoke", Vec::new(), KernelAnswer::Nothing));
                for ((index, argument), ty) in (0i32..).enumerate().zip(results) {
                    let place = KernelPlace::Answer("output_ptr", argument);
                    steps.push(KernelStep::Result { index, place, bytes: ty.byte_len().unwrap_or(0) });
                }
            }
        }
        let memory = running.memory.data_size(&running.store);
        Ok(KernelModule { wasm: Arc::clone(&self.wasm), memory, most_memory: self.limits.memory, steps })
    }

    /// That the results are within the limit.
    fn check_output(&self, results: &[Type]) -> Result<(), Diagnostic> {
        let sizes = results.iter().map(Type::byte_len).try_fold(0usize, |sum, size| sum.checked_add(size?));
        if sizes.is_none_or(|size| size > self.limits.output) {
            let message = format!("the results of the kernel are larger than the limit: {} bytes", self.limits.output);
            return Err(Diagnostic::error("PLG018", message).with_help("--plugin-limit output=BYTES raises it"));
        }
        Ok(())
    }

    /// An instance in a store of its own, and the watchdog over it.
    fn start(&self, doing: &str) -> Result<(Running, Watchdog), Diagnostic> {
        let named = |e: wasmtime::Error| fault(&e, doing, &self.limits);
        let until = Instant::now().checked_add(self.limits.time);
        let mut store = Store::new(&self.engine, State { meter: Meter::new(self.limits), until });
        store.limiter(|state| &mut state.meter);
        store.set_fuel(self.limits.fuel).map_err(named)?;
        // The engine is shared by calls on several threads: when the time of one is over, the others go on.
        store.epoch_deadline_callback(|store| match store.data().until {
            Some(until) if Instant::now() + Duration::from_millis(1) >= until => Ok(UpdateDeadline::Interrupt),
            _ => Ok(UpdateDeadline::Continue(1)),
        });
        store.set_epoch_deadline(1);
        let watchdog = Watchdog::new(self.engine.clone(), self.limits.time);
        let instance = self.module.instantiate(&mut store).map_err(named)?;
        let memory = instance.get_memory(&mut store, "memory").ok_or_else(|| unfit("the kernel does not export its memory".into()))?;
        let mut running = Running { store, instance, memory };
        if running.instance.get_func(&mut running.store, INITIALIZE).is_some() {
            self.call::<(), ()>(&mut running, INITIALIZE, (), doing)?;
        }
        Ok((running, watchdog))
    }

    fn call<P: wasmtime::WasmParams, R: wasmtime::WasmResults>(
        &self,
        running: &mut Running,
        name: &str,
        params: P,
        doing: &str,
    ) -> Result<R, Diagnostic> {
        let function: TypedFunc<P, R> =
            running.instance.get_typed_func(&mut running.store, name).map_err(|e| unfit(format!("the kernel's export '{name}': {e:#}")))?;
        function.call(&mut running.store, params).map_err(|e| fault(&e, doing, &self.limits))
    }

    /// Asks for memory and lays out a call in it.
    fn fill<'c>(
        &self,
        running: &mut Running,
        operands: &[Option<(&Type, Option<&'c [u8]>)>],
        results: Results<'_>,
        options: &[u8],
        doing: &str,
    ) -> Result<(u32, Frame<'c>), Diagnostic> {
        let size = Frame::new(0, operands, results, options)?.size;
        let base = self.call::<i32, i32>(running, "octet_kernel_alloc", size.cast_signed(), doing)?.cast_unsigned();
        if base == 0 {
            let message = format!("the kernel has no room for {size} bytes of operands and results");
            return Err(Diagnostic::error("PLG018", message).with_help("--plugin-limit memory=BYTES may raise what it can have"));
        }
        if base % 16 != 0 {
            return Err(broken(format!("octet_kernel_alloc answered with {base}, which is no multiple of 16")));
        }
        let frame = Frame::new(base, operands, results, options)?;
        running.write(base, 0, &frame.head)?;
        for (offset, data) in &frame.data {
            running.write(base, *offset, data)?;
        }
        for (offset, length) in &frame.results {
            running.place(base, *offset, *length)?.fill(0);
        }
        Ok((base, frame))
    }

    /// Calls a function that answers with 0 or a message.
    fn ask(&self, running: &mut Running, name: &str, base: u32, doing: &str) -> Result<(), Diagnostic> {
        match self.call::<i32, i32>(running, name, base.cast_signed(), doing)? {
            0 => Ok(()),
            address => Err(Diagnostic::error("PLG022", running.text(address)?)),
        }
    }
}

impl Running {
    /// The bytes of a frame, as a place to write.
    fn place(&mut self, base: u32, offset: usize, length: usize) -> Result<&mut [u8], Diagnostic> {
        let range = range(base, offset, length)?;
        self.memory.data_mut(&mut self.store).get_mut(range).ok_or_else(outside)
    }

    fn write(&mut self, base: u32, offset: usize, bytes: &[u8]) -> Result<(), Diagnostic> {
        self.place(base, offset, bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    fn read(&self, base: u32, offset: usize, length: usize) -> Result<&[u8], Diagnostic> {
        self.memory.data(&self.store).get(range(base, offset, length)?).ok_or_else(outside)
    }

    fn word(&self, base: u32, offset: usize) -> Result<u32, Diagnostic> {
        let bytes = self.read(base, offset, 4)?;
        Ok(u32::from_le_bytes(bytes.try_into().map_err(|_| outside())?))
    }

    /// A text that ends in a zero byte.
    fn text(&self, address: i32) -> Result<String, Diagnostic> {
        let begin = usize::try_from(address.cast_unsigned()).map_err(|_| outside())?;
        let rest = self.memory.data(&self.store).get(begin..).ok_or_else(outside)?;
        let end = rest.iter().take(LONGEST + 1).position(|&b| b == 0).ok_or_else(|| broken("a text of the kernel does not end"))?;
        let bytes = rest.get(..end).ok_or_else(outside)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| broken("a text of the kernel is no UTF-8"))
    }
}

fn outside() -> Diagnostic {
    broken("the kernel gave an address that is not all in its memory")
}

fn range(base: u32, offset: usize, length: usize) -> Result<std::ops::Range<usize>, Diagnostic> {
    let begin = usize::try_from(base).ok().and_then(|b| b.checked_add(offset)).ok_or_else(outside)?;
    Ok(begin..begin.checked_add(length).ok_or_else(outside)?)
}

/// That the module names the version of the ABI that is served.
fn check_version(module: &Module) -> Result<(), Diagnostic> {
    let marks: Vec<&str> = module.exports().map(|e| e.name()).filter(|name| name.starts_with(MARKER)).collect();
    match marks.first() {
        _ if marks.contains(&SERVED) => Ok(()),
        Some(other) => Err(Diagnostic::error("PLG013", format!("the kernel was built for '{other}'"))
            .with_note(format!("this compiler serves {SERVED}"))
            .with_help("build the kernel again for this compiler: docs/wasm-kernel-abi.md")),
        None => Err(unfit(format!("the kernel does not export '{SERVED}'"))),
    }
}

/// That functions of `i32` with so many parameters and results are exported, and a memory.
fn check_exports(module: &Module, functions: &[(&str, usize, usize)]) -> Result<(), Diagnostic> {
    match module.get_export("memory") {
        Some(ExternType::Memory(ty)) if !ty.is_64() && !ty.is_shared() => {}
        _ => return Err(unfit("the kernel does not export its memory".into())),
    }
    let all_i32 = |mut types: Box<dyn Iterator<Item = ValType> + '_>, count: usize| {
        (0..count).all(|_| types.next().is_some_and(|ty| ty.is_i32())) && types.next().is_none()
    };
    for (name, params, results) in functions {
        let fits = |ty: &FuncType| all_i32(Box::new(ty.params()), *params) && all_i32(Box::new(ty.results()), *results);
        match module.get_export(name) {
            Some(ExternType::Func(ty)) if fits(&ty) => {}
            Some(_) => return Err(unfit(format!("the kernel's export '{name}' is no function of {params} i32 that gives {results}"))),
            None => return Err(unfit(format!("the kernel does not export '{name}'"))),
        }
    }
    Ok(())
}

fn list<'t>(types: impl Iterator<Item = Option<&'t Type>>) -> String {
    let shown: Vec<String> = types.map(|ty| ty.map_or_else(|| "none".to_owned(), Type::to_string)).collect();
    format!("({})", shown.join(", "))
}

/// That operands are those of a section.
fn check_operands(section: &Section, operands: &[Option<Type>], options: &[u8]) -> Result<(), Diagnostic> {
    let same = |ty: &Option<Type>, wanted: &Type| {
        ty.as_ref().is_some_and(|ty| ty.elem == wanted.elem && ty.shape.dims() == wanted.shape.dims() && ty.quant == wanted.quant)
    };
    if operands.len() != section.operands.len() || !operands.iter().zip(&section.operands).all(|(ty, wanted)| same(ty, wanted)) {
        let message = format!(
            "the kernel is for operands {}, and the operation has {}",
            list(section.operands.iter().map(Some)),
            list(operands.iter().map(Option::as_ref))
        );
        return Err(Diagnostic::error("PLG025", message));
    }
    if !options.is_empty() {
        return Err(Diagnostic::error("PLG025", "the kernel is for an operation without options, and this one has some"));
    }
    Ok(())
}

/// That the results that a model declares are those of a section.
fn check_results(section: &Section, results: &[Type]) -> Result<(), Diagnostic> {
    let same = |(a, b): (&Type, &Type)| a.elem == b.elem && a.shape.dims() == b.shape.dims() && a.quant == b.quant;
    if results.len() == section.results.len() && results.iter().zip(&section.results).all(same) {
        return Ok(());
    }
    let message = format!(
        "the kernel computes {}, and the model declares {}",
        list(section.results.iter().map(Some)),
        list(results.iter().map(Some))
    );
    Err(Diagnostic::error("PLG025", message))
}
