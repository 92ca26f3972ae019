//! A function under construction: its bytes, its locals, and the loops that every kernel needs.

use wasm_encoder::{BlockType, Encode, Function, Instruction, InstructionSink, MemArg, ValType};

/// What a function takes and gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    pub(crate) params: Vec<ValType>,
    pub(crate) results: Vec<ValType>,
}

/// A function that is being written.
pub(crate) struct Asm {
    bytes: Vec<u8>,
    params: usize,
    locals: Vec<ValType>,
}

/// Number of a local variable.
pub(crate) type Local = u32;

impl Asm {
    /// A function with so many parameters, which are its first locals.
    pub(crate) fn new(params: usize) -> Self {
        Self { bytes: Vec::new(), params, locals: Vec::new() }
    }

    /// A new local variable.
    pub(crate) fn local(&mut self, ty: ValType) -> Local {
        self.locals.push(ty);
        u32::try_from(self.params + self.locals.len() - 1).unwrap_or(u32::MAX)
    }

    /// Where instructions go.
    pub(crate) fn s(&mut self) -> InstructionSink<'_> {
        InstructionSink::new(&mut self.bytes)
    }

    /// Appends an instruction.
    pub(crate) fn instruction(&mut self, instruction: &Instruction<'_>) {
        instruction.encode(&mut self.bytes);
    }

    /// The loop that runs while `var` is less than `end`, which it is compared with at the end of every round but the first, too. `var` has its first value.
    pub(crate) fn count(&mut self, var: Local, end: Local, step: i32, body: impl FnOnce(&mut Self)) {
        self.s().local_get(var).local_get(end).i32_lt_s().if_(BlockType::Empty).loop_(BlockType::Empty);
        body(self);
        self.s().local_get(var).i32_const(step).i32_add().local_tee(var).local_get(end).i32_lt_s().br_if(0).end().end();
    }

    /// The finished function.
    pub(crate) fn finish(mut self) -> Function {
        self.s().end();
        let mut function = Function::new_with_locals_types(self.locals);
        function.raw(self.bytes);
        function
    }
}

/// A place in memory: a constant distance, and how the address is aligned (as a power of two).
pub(crate) fn at(offset: u64, align: u32) -> MemArg {
    MemArg { offset, align, memory_index: 0 }
}
