//! The function of one custom operation: a fresh instance of its kernel, operands in, the call, results out.

use octet_loops::CustomCall;
use octet_plugin::{KernelAnswer, KernelPlace, KernelStep};
use wasm_encoder::{BlockType, ValType};

use super::link::{Names, limit};
use super::{Linked, Region};
use crate::asm::{Asm, Local, Signature};
use crate::functions::Functions;

type Result<T> = std::result::Result<T, String>;

/// The export that a step calls.
pub(super) fn export(step: &KernelStep) -> Option<&'static str> {
    match step {
        KernelStep::Call { export, .. } => Some(export),
        KernelStep::Operand { place, .. } | KernelStep::Result { place, .. } => match place {
            KernelPlace::Answer(export, _) => Some(export),
            KernelPlace::At(_) => None,
        },
        KernelStep::Write { .. } | KernelStep::Clear { .. } => None,
    }
}

/// Adds the function that the operation's call names. Its parameters are the addresses of operands and results.
pub(super) fn function(
    custom: &CustomCall,
    steps: &[KernelStep],
    region: Region,
    names: &Names,
    functions: &mut Functions,
    linked: &mut Linked,
) -> Result<()> {
    let given = custom.operands.iter().flatten().count();
    let params = given + custom.results.len();
    let mut asm = Asm::new(params);
    let address = asm.local(ValType::I32);
    let mut caller = Caller { asm, address, region, names };
    caller.asm.s().call(names.reset);
    for step in steps {
        match step {
            KernelStep::Call { export, arguments, answer } => caller.call(export, arguments, *answer, linked.error)?,
            KernelStep::Write { address, bytes } => {
                let length = size(bytes.len())?;
                let segment = linked.segment(bytes.clone());
                caller.place(KernelPlace::At(*address), length)?;
                caller.push();
                caller.asm.s().i32_const(0).i32_const(length).memory_init(0, segment);
            }
            KernelStep::Clear { address, bytes } => {
                let length = size(*bytes)?;
                caller.place(KernelPlace::At(*address), length)?;
                caller.push();
                caller.asm.s().i32_const(0).i32_const(length).memory_fill(0);
            }
            KernelStep::Operand { index, place, bytes } => {
                let length = size(*bytes)?;
                let local = custom.operands.iter().take(*index).flatten().count();
                caller.place(*place, length)?;
                caller.push();
                caller.asm.s().local_get(number(local)?).i32_const(length).memory_copy(0, 0);
            }
            KernelStep::Result { index, place, bytes } => {
                let length = size(*bytes)?;
                caller.place(*place, length)?;
                caller.asm.s().local_get(number(given + index)?);
                caller.push();
                caller.asm.s().i32_const(length).memory_copy(0, 0);
            }
        }
    }
    let signature = Signature { params: vec![ValType::I32; params], results: Vec::new() };
    functions.add(&custom.kernel, &signature, caller.asm.finish());
    Ok(())
}

fn size(bytes: usize) -> Result<i32> {
    i32::try_from(bytes).map_err(|_| "a tensor has more than 2 GiB".into())
}

fn number(local: usize) -> Result<u32> {
    u32::try_from(local).map_err(|_| "too many operands".into())
}

struct Caller<'a> {
    asm: Asm,
    /// Holds an address of the kernel's.
    address: Local,
    region: Region,
    names: &'a Names,
}

impl Caller<'_> {
    fn export(&self, name: &str) -> Result<u32> {
        self.names.exports.get(name).copied().ok_or_else(|| format!("it does not export '{name}'"))
    }

    fn call(&mut self, export: &str, arguments: &[i32], answer: KernelAnswer, error: u32) -> Result<()> {
        let function = self.export(export)?;
        let (address, base) = (self.address, self.region.base.cast_signed());
        let mut s = self.asm.s();
        for &argument in arguments {
            s.i32_const(argument);
        }
        s.call(function);
        match answer {
            KernelAnswer::Nothing => {}
            KernelAnswer::Equal(number) => drop(s.i32_const(number).i32_ne().if_(BlockType::Empty).unreachable().end()),
            KernelAnswer::Message => {
                s.local_tee(address).if_(BlockType::Empty);
                s.local_get(address).i32_const(base).i32_add().global_set(error).unreachable().end();
            }
        }
        Ok(())
    }

    /// Finds out a place in the kernel's memory, and traps unless so many bytes are there.
    fn place(&mut self, place: KernelPlace, length: i32) -> Result<()> {
        match place {
            KernelPlace::At(address) => drop(self.asm.s().i32_const(address.cast_signed())),
            KernelPlace::Answer(export, argument) => {
                let function = self.export(export)?;
                self.asm.s().i32_const(argument).call(function);
            }
        }
        let (address, region) = (self.address, self.region);
        self.asm.s().local_tee(address).i64_extend_i32_u().i64_const(i64::from(length)).i64_add();
        limit(&mut self.asm.s(), region);
        self.asm.s().i64_gt_u().if_(BlockType::Empty).unreachable().end();
        Ok(())
    }

    /// Pushes the place's address in the module's memory.
    fn push(&mut self) {
        self.asm.s().local_get(self.address).i32_const(self.region.base.cast_signed()).i32_add();
    }
}
