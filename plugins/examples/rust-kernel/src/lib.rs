//! The custom operation AcmeMish: x * tanh(ln(1 + e^x)), for f32.

mod octet_kernel;

use octet_kernel::{Kernel, Shape, Tensor, element, floats, floats_mut};

struct Mish;

impl Kernel for Mish {
    const ABOUT: &'static core::ffi::CStr = c"AcmeMish\n1.0.0\nx * tanh(softplus(x)).";

    fn infer(operands: &[Option<Tensor<()>>], _: &[u8]) -> Result<Vec<Shape>, String> {
        match operands {
            [Some(x)] if x.shape.element == element::F32 => Ok(vec![x.shape.clone()]),
            _ => Err("AcmeMish has one operand, of type f32".into()),
        }
    }

    fn run(operands: &[Option<Tensor<&'static [u8]>>], results: &mut [Tensor<&'static mut [u8]>], _: &[u8]) -> Result<(), String> {
        let ([Some(x)], [y]) = (operands, results) else { return Err("AcmeMish has one operand and one result".into()) };
        for (to, &x) in floats_mut(y.data).iter_mut().zip(floats(x.data)) {
            *to = x * x.exp().ln_1p().tanh();
        }
        Ok(())
    }
}

export_kernel!(Mish);
