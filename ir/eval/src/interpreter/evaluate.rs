//! One op on constants: what constant folding needs.

use octet_ir::{Constant, Diagnostic, Module, Op, Type};

use super::Interpreter;

/// The results of an operation for constant operands, with their types. The op must be pure.
pub fn evaluate(op: &Op, operands: &[Option<(&Type, &Constant)>], results: &[Type]) -> Result<Vec<(Type, Constant)>, Diagnostic> {
    let mut module = Module::new();
    let mut builder = octet_ir::GraphBuilder::new(&mut module, "");
    let mut values = Vec::with_capacity(operands.len());
    for operand in operands {
        values.push(operand.map(|(ty, constant)| builder.constant(constant.clone(), ty.clone(), octet_ir::Loc::unknown())));
    }
    let types = results.iter().map(|ty| (ty.clone(), octet_ir::Loc::unknown())).collect();
    for value in builder.op(op.clone(), &values, types) {
        builder.output(value);
    }
    builder.finish();
    let mut interpreter = Interpreter::new(&module, super::Options::default())?;
    interpreter.allocate_tensors().map_err(|errors| {
        let first = errors.0.into_iter().next();
        first.unwrap_or_else(|| Diagnostic::error("EVL002", "the op cannot run"))
    })?;
    interpreter.invoke()?;
    let outputs = interpreter.output_details();
    outputs
        .iter()
        .zip(results)
        .map(|(output, declared)| {
            let tensor = interpreter.get_tensor(output.index)?;
            Ok((declared.clone().with_shape(tensor.shape), Constant::new(tensor.bytes)))
        })
        .collect()
}
