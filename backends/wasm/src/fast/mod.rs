//! Kernels with vector instructions, and the rewriting of a program's calls to them.
//!
//! What they cannot serve keeps its scalar kernel: the results are the same.

mod add;
mod conv;
mod depthwise;
mod epilogue;
mod image;
mod pool;
mod rewrite;

use std::collections::BTreeMap;

use octet_ir::Diagnostic;
use wasm_encoder::{BlockType, Function, ValType};

use crate::asm::{Asm, Signature, at};
use crate::functions::Functions;

pub(crate) use conv::Dot;
pub(crate) use rewrite::rewrite;

/// A kernel that calls were rewritten to.
#[derive(Clone, Debug)]
enum Kernel {
    Image(conv::Dot),
    Conv(conv::Shape),
    Depthwise(depthwise::Shape),
    Add(add::Scales),
    Pool(pool::Shape),
}

impl Kernel {
    fn name(&self) -> String {
        match self {
            Self::Image(dot) => image::name(*dot),
            Self::Conv(shape) => shape.name(),
            Self::Depthwise(shape) => shape.name(),
            Self::Add(scales) => add::name(scales),
            Self::Pool(shape) => shape.name(),
        }
    }
}

/// What became of a program.
#[derive(Default)]
pub(crate) struct Rewritten {
    /// Constants of 8 bits that kernels read as 16 bits.
    pub(crate) widened: Vec<usize>,
    kernels: BTreeMap<String, Kernel>,
}

impl Rewritten {
    /// The name under which a kernel is called.
    fn use_kernel(&mut self, kernel: Kernel) -> String {
        let name = kernel.name();
        self.kernels.insert(name.clone(), kernel);
        name
    }

    /// Adds the kernels that calls were rewritten to. `memory` grows by what they need for themselves.
    pub(crate) fn functions(&self, functions: &mut Functions, memory: &mut usize) -> Result<(), Diagnostic> {
        *memory = memory.next_multiple_of(8);
        let scratch = u64::try_from(*memory).unwrap_or(u64::MAX);
        *memory += 8;
        for (name, kernel) in &self.kernels {
            match kernel {
                Kernel::Image(dot) => functions.add(name, &signature(image::PARAMS), image::function(*dot)),
                Kernel::Conv(shape) => functions.add(name, &signature(conv::PARAMS), conv::function(*shape, scratch)),
                Kernel::Depthwise(shape) => functions.add(name, &signature(depthwise::PARAMS), depthwise::function(shape)),
                Kernel::Add(scales) => functions.add(name, &signature(add::PARAMS), add::function(scales)),
                Kernel::Pool(shape) => functions.add(name, &signature(pool::PARAMS), pool::function(*shape)),
            };
        }
        Ok(())
    }
}

/// What a vector kernel takes: addresses and sizes. Results go to memory.
fn signature(params: usize) -> Signature {
    Signature { params: vec![ValType::I32; params], results: Vec::new() }
}

/// The function that widens the bytes from `first` to `end` to 16 bits each, from `wide` on. All are multiples of 16.
pub(crate) fn widen(first: i32, end: i32, wide: i32) -> Function {
    let mut asm = Asm::new(0);
    let (from, to) = (asm.local(ValType::I32), asm.local(ValType::I32));
    let mut s = asm.s();
    s.i32_const(first).local_set(from).i32_const(wide).local_set(to).loop_(BlockType::Empty);
    s.local_get(to).local_get(from).v128_load8x8_s(at(0, 3)).v128_store(at(0, 4));
    s.local_get(to).i32_const(16).i32_add().local_set(to);
    s.local_get(from).i32_const(8).i32_add().local_tee(from).i32_const(end).i32_lt_u().br_if(0).end();
    asm.finish()
}

/// The function that says whether the engine's relaxed dot product is exact on unsigned by signed bytes: 1 if it is.
pub(crate) fn probe(simd: &str) -> Option<Asm> {
    (simd == "relaxed").then(|| {
        let mut asm = Asm::new(0);
        let mut s = asm.s();
        s.v128_const(i128::from_le_bytes([0x80; 16])).v128_const(-1).v128_const(0).i32x4_relaxed_dot_i8x16_i7x16_add_s();
        s.i32x4_extract_lane(0).i32_const(-4 * 128 * 255).i32_eq();
        asm
    })
}
