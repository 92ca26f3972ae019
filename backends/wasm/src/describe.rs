//! What a module says of itself: the custom section `octet`.

use octet_loops::Port;
use serde::Serialize;

/// Name of the custom section.
pub(crate) const SECTION: &str = "octet";

/// The section's content, as JSON.
#[derive(Serialize)]
pub(crate) struct Description<'a> {
    /// Version of this form.
    pub(crate) format: u32,
    /// The graph's name.
    pub(crate) name: &'a str,
    /// Which instructions the module has: `none`, `strict` or `relaxed`.
    pub(crate) simd: &'static str,
    /// Inputs in the model's order.
    pub(crate) inputs: Vec<Tensor<'a>>,
    /// Outputs in the model's order.
    pub(crate) outputs: Vec<Tensor<'a>>,
    /// Bytes of the arena.
    pub(crate) arena: usize,
    /// Bytes of what is kept between runs.
    pub(crate) state: usize,
    /// Multiply-accumulates of one run; those of plugins' kernels are not known.
    pub(crate) macs: u64,
    /// Kernels of plugins that are part of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) kernels: Vec<Kernel<'a>>,
}

/// A plugin's kernel.
#[derive(Serialize)]
pub(crate) struct Kernel<'a> {
    /// The custom operation.
    pub(crate) name: &'a str,
    /// File and version.
    pub(crate) origin: &'a str,
}

/// An input or output.
#[derive(Serialize)]
pub(crate) struct Tensor<'a> {
    name: &'a str,
    shape: &'a [usize],
    /// NumPy's name of the element type.
    dtype: &'static str,
    /// Address in the module's memory.
    offset: usize,
    bytes: usize,
    /// real = (stored - zero_point) * scale
    #[serde(skip_serializing_if = "Option::is_none")]
    scale: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zero_point: Option<i64>,
}

impl<'a> Tensor<'a> {
    pub(crate) fn new(port: &'a Port, offset: usize) -> Self {
        use octet_loops::lang::Elem;
        let dtype = match port.elem {
            Elem::I8 => "int8",
            Elem::U8 => "uint8",
            Elem::I16 => "int16",
            Elem::U16 => "uint16",
            Elem::I32 => "int32",
            Elem::I64 => "int64",
            Elem::F32 => "float32",
        };
        Self {
            name: &port.name,
            shape: &port.shape,
            dtype,
            offset,
            bytes: bytes(port),
            scale: port.quantization.map(|q| q.0),
            zero_point: port.quantization.map(|q| q.1),
        }
    }
}

/// Bytes of an input or output.
pub(crate) fn bytes(port: &Port) -> usize {
    port.shape.iter().product::<usize>() * port.elem.bytes()
}
