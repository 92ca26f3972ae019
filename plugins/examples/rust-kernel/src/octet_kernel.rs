//! The ABI of kernels, version 1 (docs/wasm-kernel-abi.md), for Rust: a trait to implement and a macro that exports it.

/// Element types, by TFLite's numbers.
#[allow(missing_docs, dead_code)]
pub mod element {
    pub const F32: u32 = 0;
    pub const I32: u32 = 2;
    pub const U8: u32 = 3;
    pub const I64: u32 = 4;
    pub const BOOL: u32 = 6;
    pub const I16: u32 = 7;
    pub const I8: u32 = 9;
}

/// Element type and sizes of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// One of [`element`].
    pub element: u32,
    /// Sizes, outermost first; at most 8 of a result.
    pub sizes: Vec<u32>,
}

/// A tensor, with data of type `D`: nothing while types are inferred.
#[derive(Debug)]
#[allow(dead_code)]
pub struct Tensor<D> {
    /// Element type and sizes.
    pub shape: Shape,
    /// `real = (stored - zero_point) * scale`: none, one for the tensor, or one for each index along `axis`.
    pub scales: &'static [f32],
    /// As many as scales.
    pub zero_points: &'static [i32],
    /// The axis of per-axis quantization.
    pub axis: u32,
    /// Little-endian elements, aligned to 16.
    pub data: D,
}

/// A kernel of a custom operation. Operands that are left out are `None`; errors are messages for the user.
pub trait Kernel {
    /// The custom operation's name, the version, and one sentence, each on a line; a zero byte ends the text.
    const ABOUT: &'static core::ffi::CStr;
    /// Types of the results.
    fn infer(operands: &[Option<Tensor<()>>], options: &[u8]) -> Result<Vec<Shape>, String>;
    /// Fills the results.
    fn run(operands: &[Option<Tensor<&'static [u8]>>], results: &mut [Tensor<&'static mut [u8]>], options: &[u8]) -> Result<(), String>;
}

/// Numbers of a tensor's bytes. Data is aligned to 16, so that nothing is cut off.
#[allow(dead_code)]
pub fn floats(bytes: &[u8]) -> &[f32] {
    // SAFETY: every pattern of bits is an f32.
    unsafe { bytes.align_to::<f32>().1 }
}

/// As [`floats`], to write.
#[allow(dead_code)]
pub fn floats_mut(bytes: &mut [u8]) -> &mut [f32] {
    // SAFETY: every pattern of bits is an f32, and every f32 is four bytes.
    unsafe { bytes.align_to_mut::<f32>().1 }
}

/// A tensor as it lies in memory.
#[doc(hidden)]
#[repr(C)]
pub struct Record {
    present: u32,
    element: u32,
    rank: u32,
    sizes: *mut u32,
    data: *mut u8,
    size: u32,
    scale_count: u32,
    scales: *const f32,
    zero_points: *const i32,
    axis: u32,
    reserved: [u32; 2],
}

/// A call as it lies in memory.
#[doc(hidden)]
#[repr(C)]
pub struct Call {
    operands: *const Record,
    operand_count: u32,
    results: *mut Record,
    result_count: u32,
    options: *const u8,
    options_size: u32,
    reserved: [u32; 2],
}

impl Record {
    /// # Safety
    /// The record is one of a call.
    unsafe fn tensor<D>(&self, data: impl Fn(*mut u8, usize) -> D) -> Tensor<D> {
        // SAFETY: the host fills the record, and everything that it names lies in memory until the call ends.
        unsafe {
            Tensor {
                shape: Shape { element: self.element, sizes: list(self.sizes, self.rank).to_vec() },
                scales: list(self.scales, self.scale_count),
                zero_points: list(self.zero_points, self.scale_count),
                axis: self.axis,
                data: data(self.data, self.size as usize),
            }
        }
    }
}

/// # Safety
/// So many values stand there, or none.
unsafe fn list<T>(at: *const T, count: u32) -> &'static [T] {
    // SAFETY: the caller says so.
    if count == 0 { &[] } else { unsafe { core::slice::from_raw_parts(at, count as usize) } }
}

/// An answer: nothing, or a message that ends in a zero byte.
fn answer(outcome: Result<(), String>) -> *const u8 {
    outcome.map_or_else(|message| Vec::leak((message + "\0").into_bytes()).as_ptr(), |()| core::ptr::null())
}

/// # Safety
/// The host calls it, with a call to infer.
#[doc(hidden)]
pub unsafe fn infer<K: Kernel>(call: *mut Call) -> *const u8 {
    // SAFETY: as the ABI says.
    unsafe {
        let call = &mut *call;
        let records = list(call.operands, call.operand_count);
        let operands: Vec<_> = records.iter().map(|r| (r.present != 0).then(|| r.tensor(|_, _| ()))).collect();
        answer(K::infer(&operands, list(call.options, call.options_size)).and_then(|shapes| {
            let room = core::slice::from_raw_parts_mut(call.results, call.result_count as usize);
            if shapes.len() > room.len() || shapes.iter().any(|s| s.sizes.len() > 8) {
                return Err("the kernel infers more than a call has room for".into());
            }
            for (record, shape) in room.iter_mut().zip(&shapes) {
                (record.element, record.rank) = (shape.element, shape.sizes.len() as u32);
                core::ptr::copy_nonoverlapping(shape.sizes.as_ptr(), record.sizes, shape.sizes.len());
            }
            call.result_count = shapes.len() as u32;
            Ok(())
        }))
    }
}

/// # Safety
/// The host calls it, with a call to run.
#[doc(hidden)]
pub unsafe fn run<K: Kernel>(call: *const Call) -> *const u8 {
    // SAFETY: as the ABI says; no two tensors share data.
    unsafe {
        let call = &*call;
        let bytes = |at: *mut u8, size| if size == 0 { &[][..] } else { core::slice::from_raw_parts(at.cast_const(), size) };
        let room = |at: *mut u8, size| if size == 0 { &mut [][..] } else { core::slice::from_raw_parts_mut(at, size) };
        let records = list(call.operands, call.operand_count);
        let operands: Vec<_> = records.iter().map(|r| (r.present != 0).then(|| r.tensor(bytes))).collect();
        let mut results: Vec<_> = list(call.results.cast_const(), call.result_count).iter().map(|r| r.tensor(room)).collect();
        answer(K::run(&operands, &mut results, list(call.options, call.options_size)))
    }
}

/// So many bytes, aligned to 16.
#[doc(hidden)]
pub fn alloc(size: usize) -> *mut u8 {
    match std::alloc::Layout::from_size_align(size.max(1), 16) {
        // SAFETY: the size is not zero.
        Ok(layout) => unsafe { std::alloc::alloc(layout) },
        Err(_) => core::ptr::null_mut(),
    }
}

/// Exports a kernel.
#[macro_export]
macro_rules! export_kernel {
    ($kernel:ty) => {
        #[unsafe(no_mangle)]
        extern "C" fn octet_kernel_abi_1() {}
        #[unsafe(no_mangle)]
        extern "C" fn octet_kernel_describe() -> *const core::ffi::c_char {
            <$kernel as $crate::octet_kernel::Kernel>::ABOUT.as_ptr()
        }
        #[unsafe(no_mangle)]
        extern "C" fn octet_kernel_alloc(size: usize) -> *mut u8 {
            $crate::octet_kernel::alloc(size)
        }
        #[unsafe(no_mangle)]
        unsafe extern "C" fn octet_kernel_infer(call: *mut $crate::octet_kernel::Call) -> *const u8 {
            unsafe { $crate::octet_kernel::infer::<$kernel>(call) }
        }
        #[unsafe(no_mangle)]
        unsafe extern "C" fn octet_kernel_run(call: *const $crate::octet_kernel::Call) -> *const u8 {
            unsafe { $crate::octet_kernel::run::<$kernel>(call) }
        }
    };
}
