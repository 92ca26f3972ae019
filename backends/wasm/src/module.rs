//! The sections of a module: where everything lies, and what is exported.

use octet_ir::Diagnostic;
use octet_loops::plan::Plan;
use octet_loops::{Arg, BufferKind, Control, Port, Program};
use wasm_encoder::{
    BlockType, ConstExpr, CustomSection, DataCountSection, DataSection, ExportKind, ExportSection, MemorySection, MemoryType, Module,
    StartSection, ValType,
};

use crate::asm::{Asm, Signature, at};
use crate::carry::{self, Carried};
use crate::describe::{self, Description, Tensor};
use crate::encode::{self, address};
use crate::fast::Rewritten;
use crate::functions::Functions;
use crate::region;

/// What begins at a multiple of it can be loaded as one vector.
const ALIGNMENT: usize = 16;
/// Nothing lies below: an address of 0 is none.
const FIRST: usize = ALIGNMENT;
/// Kernels may read so many bytes behind a buffer.
pub(crate) const SLACK: usize = 64;
pub(crate) const PAGE: usize = 65536;

/// Addresses.
struct Layout {
    constants: Vec<Option<usize>>,
    /// First byte and bytes of the constants that are widened to 16 bits before the first run, and where they go.
    widened: (usize, usize, usize),
    states: Vec<Option<usize>>,
    /// First byte and bytes of all states.
    state: (usize, usize),
    arena: usize,
    end: usize,
}

impl Layout {
    fn new(program: &Program, rewritten: &Rewritten, plan: &Plan) -> Self {
        let used = used(program);
        let mut at = FIRST;
        let mut constants = vec![None; program.constants.len()];
        let mut place = |at: &mut usize, index: usize| {
            constants[index] = Some(*at);
            *at = (*at + program.constants[index].data.bytes()).next_multiple_of(ALIGNMENT);
        };
        let wide = |index: &usize| rewritten.widened.contains(index);
        for index in (0..program.constants.len()).filter(|i| used[*i] && !wide(i)) {
            place(&mut at, index);
        }
        let first = at;
        for index in (0..program.constants.len()).filter(|i| used[*i] && wide(i)) {
            place(&mut at, index);
        }
        let bytes = at - first;
        let widened = (first, bytes, at);
        for index in rewritten.widened.iter().filter(|i| used[**i]) {
            constants[*index] = constants[*index].map(|from| widened.2 + 2 * (from - first));
        }
        at = (at + 2 * bytes + SLACK).next_multiple_of(ALIGNMENT);
        let state = at;
        let states = program.buffers.iter().map(|b| {
            (b.kind == BufferKind::State).then(|| {
                let place = at;
                at = (at + b.bytes()).next_multiple_of(ALIGNMENT);
                place
            })
        });
        let states = states.collect();
        let arena = at;
        let end = (arena + plan.size + SLACK).next_multiple_of(ALIGNMENT);
        Self { constants, widened, states, state: (state, arena - state), arena, end }
    }
}

/// Which constants are read.
fn used(program: &Program) -> Vec<bool> {
    let mut used = vec![false; program.constants.len()];
    let ports = program.inputs.iter().chain(&program.outputs).map(|p| p.place);
    let args = program.steps.iter().flat_map(octet_loops::Step::args);
    for arg in ports.chain(args) {
        if let Arg::Constant { constant, .. } = arg {
            used[constant] = true;
        }
    }
    used
}

/// The module of a program.
pub(crate) fn module(
    model: &octet_ir::Module,
    program: &Program,
    rewritten: &Rewritten,
    plan: &Plan,
    carried: &[Carried],
    simd: &'static str,
) -> Result<Vec<u8>, Diagnostic> {
    let layout = Layout::new(program, rewritten, plan);
    let place = |arg: Arg| -> Result<i32, Diagnostic> {
        match arg {
            Arg::Int(i) => Ok(i),
            Arg::Backward { input, output } => Ok(i32::from(plan.is_backward(input, output))),
            Arg::Constant { constant, offset } => {
                let step = program.constants[constant].data.elem().bytes() * (1 + usize::from(rewritten.widened.contains(&constant)));
                address(layout.constants[constant].unwrap_or(FIRST) + offset * step)
            }
            Arg::Buffer { buffer, offset } => {
                let within = offset * program.buffers[buffer].elem.bytes();
                let base = layout.states[buffer].unwrap_or(layout.arena + plan.offsets[buffer].unwrap_or(0));
                address(base + within)
            }
        }
    };
    let mut memory = layout.end;
    let mut functions = Functions::default();
    let (first, bytes, wide) = layout.widened;
    let start = (bytes > 0).then(|| -> Result<u32, Diagnostic> {
        let body = crate::fast::widen(address(first)?, address(first + bytes)?, address(wide)?);
        Ok(functions.add("start", &Signature { params: Vec::new(), results: Vec::new() }, body))
    });
    let start = start.transpose()?;
    rewritten.functions(&mut functions, &mut memory)?;
    encode::kernels(program, &mut functions, &mut memory)?;
    let linked = carry::link(program, carried, &mut functions, &mut memory)?;

    let mut invoke = Asm::new(0);
    if let Some(linked) = &linked {
        invoke.s().i32_const(0).global_set(linked.error);
    }
    for step in &program.steps {
        for call in &step.calls {
            for &arg in &call.args {
                invoke.s().i32_const(place(arg)?);
            }
            let index = functions.named(&call.kernel)?;
            invoke.s().call(index);
        }
        let mut s = invoke.s();
        match step.control {
            Control::Next => {}
            Control::If(flag) => drop(s.i32_const(place(flag)?).i32_load8_u(at(0, 0)).if_(BlockType::Empty)),
            Control::Else => drop(s.else_()),
            Control::EndIf => drop(s.end()),
            Control::Loop => drop(s.block(BlockType::Empty).loop_(BlockType::Empty)),
            Control::BreakUnless(flag) => drop(s.i32_const(place(flag)?).i32_load8_u(at(0, 0)).i32_eqz().br_if(1)),
            Control::EndLoop => drop(s.br(0).end().end()),
        }
    }
    let nothing = || Signature { params: Vec::new(), results: Vec::new() };
    let mut exports = ExportSection::new();
    exports.export("memory", ExportKind::Memory, 0);
    let mut export = |name: &str, signature: &Signature, body: Asm, functions: &mut Functions| {
        let index = functions.add(name, signature, body.finish());
        exports.export(name, ExportKind::Func, index);
    };
    export("invoke", &nothing(), invoke, &mut functions);
    let mut reset = Asm::new(0);
    if layout.state.1 > 0 {
        reset.s().i32_const(address(layout.state.0)?).i32_const(0).i32_const(address(layout.state.1)?).memory_fill(0);
    }
    export("reset", &nothing(), reset, &mut functions);
    for (kind, ports) in [("input", &program.inputs), ("output", &program.outputs)] {
        let places: Vec<i32> = ports.iter().map(|p| place(p.place)).collect::<Result<_, _>>()?;
        let sizes: Vec<i32> = ports.iter().map(|p| address(describe::bytes(p))).collect::<Result<_, _>>()?;
        let number = || Signature { params: Vec::new(), results: vec![ValType::I32] };
        let mut count = Asm::new(0);
        count.s().i32_const(address(ports.len())?);
        export(&format!("{kind}_count"), &number(), count, &mut functions);
        let of_index = || Signature { params: vec![ValType::I32], results: vec![ValType::I32] };
        export(&format!("{kind}_ptr"), &of_index(), choice(&places), &mut functions);
        export(&format!("{kind}_bytes"), &of_index(), choice(&sizes), &mut functions);
    }
    if let Some(linked) = &linked {
        let mut error = Asm::new(0);
        error.s().global_get(linked.error);
        export("error_ptr", &Signature { params: Vec::new(), results: vec![ValType::I32] }, error, &mut functions);
    }
    if let Some(probe) = crate::fast::probe(simd) {
        export("probe", &Signature { params: Vec::new(), results: vec![ValType::I32] }, probe, &mut functions);
    }

    let tensors = |ports: &'_ [Port]| -> Result<Vec<usize>, Diagnostic> {
        ports.iter().map(|p| place(p.place).map(|at| usize::try_from(at).unwrap_or(0))).collect()
    };
    let (inputs, outputs) = (tensors(&program.inputs)?, tensors(&program.outputs)?);
    let description = Description {
        format: 1,
        name: model.main().name(),
        simd,
        inputs: program.inputs.iter().zip(inputs).map(|(p, at)| Tensor::new(p, at)).collect(),
        outputs: program.outputs.iter().zip(outputs).map(|(p, at)| Tensor::new(p, at)).collect(),
        arena: plan.size,
        state: layout.state.1,
        macs: program.steps.iter().map(|s| s.macs).sum(),
        kernels: carried.iter().map(Carried::about).collect(),
    };
    let description = serde_json::to_vec(&description).map_err(|e| Diagnostic::error(encode::UNSUPPORTED, e.to_string()))?;

    address(memory)?;
    let pages = u64::try_from(memory.div_ceil(PAGE)).unwrap_or(u64::MAX);
    let mut memories = MemorySection::new();
    let most = linked.as_ref().map_or(pages, |l| l.most_pages.max(pages));
    memories.memory(MemoryType { minimum: pages, maximum: Some(most), memory64: false, shared: false, page_size_log2: None });
    let mut data = DataSection::new();
    // What kernels have is copied at each call. It stands first, since calls name it by its number.
    for bytes in linked.iter().flat_map(|l| &l.data) {
        data.passive(bytes.iter().copied());
    }
    for (from, bytes) in segments(program, rewritten, &layout) {
        data.active(0, &ConstExpr::i32_const(address(from)?), bytes);
    }
    let (types, numbers, code) = functions.sections();
    let mut module = Module::new();
    module.section(&types).section(&numbers);
    if let Some(linked) = linked.as_ref().filter(|l| !l.tables.is_empty()) {
        module.section(&linked.tables);
    }
    module.section(&memories);
    if let Some(linked) = &linked {
        module.section(&linked.globals);
    }
    module.section(&exports);
    if let Some(function_index) = start {
        module.section(&StartSection { function_index });
    }
    if let Some(linked) = &linked {
        if !linked.elements.is_empty() {
            module.section(&linked.elements);
        }
        module.section(&DataCountSection { count: data.len() });
    }
    module.section(&code).section(&data);
    if let Some(text) = region::section(model) {
        module.section(&CustomSection { name: "octet.kernel".into(), data: text.as_bytes().into() });
    }
    module.section(&CustomSection { name: describe::SECTION.into(), data: (&description).into() });
    Ok(module.finish())
}

/// A function that answers with the value of an index, and with 0 where there is none.
fn choice(values: &[i32]) -> Asm {
    let mut asm = Asm::new(1);
    for (index, &value) in (0..).zip(values) {
        let mut s = asm.s();
        s.local_get(0).i32_const(index).i32_eq().if_(BlockType::Empty).i32_const(value).return_().end();
    }
    asm.s().i32_const(0);
    asm
}

/// Constants as pieces of memory: one piece, cut where many zeros follow one another.
fn segments(program: &Program, rewritten: &Rewritten, layout: &Layout) -> Vec<(usize, Vec<u8>)> {
    let end = layout.widened.2;
    let mut image = vec![0u8; end.saturating_sub(FIRST)];
    for (index, constant) in program.constants.iter().enumerate() {
        let Some(mut from) = layout.constants[index] else { continue };
        if rewritten.widened.contains(&index) {
            from = layout.widened.0 + (from - layout.widened.2) / 2;
        }
        let bytes = constant.data.to_le_bytes();
        let from = from - FIRST;
        if let Some(place) = image.get_mut(from..from + bytes.len()) {
            place.copy_from_slice(&bytes);
        }
    }
    // A segment of its own costs about as many bytes.
    const GAP: usize = 12;
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < image.len() {
        if image[at] == 0 {
            at += 1;
            continue;
        }
        let (mut stop, mut zeros) = (at, 0);
        for (i, &byte) in image.iter().enumerate().skip(at) {
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            if byte != 0 {
                stop = i + 1;
            }
            if zeros > GAP {
                break;
            }
        }
        pieces.push((at + FIRST, image[at..stop].to_vec()));
        at = stop;
    }
    pieces
}
