//! What TFLite Micro lacks, said with operations that it has. What is left over is refused by its profile, operation by operation.
//!
//! RELU_N1_TO_1 and RELU_0_TO_1 become MAXIMUM and MINIMUM, SELECT becomes SELECT_V2, TILE becomes CONCATENATION, POW with an exponent of 2,
//! 0.5 or -0.5 becomes SQUARE, SQRT or RSQRT, and GELU by the hyperbolic tangent becomes its formula. Elements
//! only move or are compared in the first three: the same bits.

use octet_ir::ops::{Activation, Binary, BinaryKind, Concatenation, Reshape, Select, SelectKind, Unary, UnaryKind};
use octet_ir::{Constant, Diagnostic, ElementType, Graph, GraphId, Module, Op, OpId, Operation, Patch, Shape, Type, ValueId};

/// Operands of one CONCATENATION; TFLite Micro takes ten.
const MOST: usize = 10;

/// Rewrites what has another form. Says how many operations.
pub(crate) fn legalise(module: &mut Module) -> Result<usize, Diagnostic> {
    let mut done = 0;
    let graphs: Vec<GraphId> = module.graphs().map(|(id, _)| id).collect();
    for graph in graphs {
        let ops: Vec<OpId> = module.graph(graph).ops().map(|(id, _)| id).collect();
        for op in ops {
            if let Some(patch) = rewritten(module, module.graph(graph), op) {
                patch.apply(module, graph).map_err(|e| Diagnostic::error("CGN004", e.to_string()))?;
                done += 1;
            }
        }
    }
    Ok(done)
}

fn rewritten(module: &Module, graph: &Graph, id: OpId) -> Option<Patch> {
    let operation = graph.op(id);
    let float = operation.operand(0).is_some_and(|v| graph.ty(v).elem == ElementType::F32);
    let op = operation.op();
    if let Op::Unary(op) = op {
        return match op.kind {
            UnaryKind::ReluN1To1 if float => clamp(graph, id, -1.0, 1.0),
            UnaryKind::Relu0To1 if float => clamp(graph, id, 0.0, 1.0),
            _ => None,
        };
    }
    if let Op::Select(op) = op {
        return (op.kind == SelectKind::Select).then(|| select(graph, id)).flatten();
    }
    if let Op::Tile(_) = op {
        return tile(module, graph, id);
    }
    if let Op::Binary(op) = op {
        let plain = float && op.kind == BinaryKind::Pow && op.activation == Activation::None;
        return plain.then(|| power(module, graph, id)).flatten();
    }
    if let Op::Gelu(op) = op {
        return (float && op.approximate).then(|| gelu(graph, id)).flatten();
    }
    None
}

/// The first operand and the result.
fn ends(operation: &Operation) -> Option<(ValueId, ValueId)> {
    Some((operation.operand(0)?, operation.results().first().copied()?))
}

fn two(kind: BinaryKind) -> Binary {
    Binary::new(kind)
}

fn number(patch: &mut Patch, graph: &Graph, like: ValueId, x: f32) -> ValueId {
    patch.constant(Constant::from_f32(&[x]), Type::f32(Shape::scalar()), graph.value(like).loc().clone())
}

fn clamp(graph: &Graph, id: OpId, low: f32, high: f32) -> Option<Patch> {
    let (x, y) = ends(graph.op(id))?;
    let (ty, loc) = (graph.ty(y).clone(), graph.value(y).loc().clone());
    let mut patch = Patch::before(graph, id);
    let (low, high) = (number(&mut patch, graph, y, low), number(&mut patch, graph, y, high));
    let above = patch.op1(two(BinaryKind::Maximum), &[x, low], ty.clone(), loc.clone());
    let below = patch.op1(two(BinaryKind::Minimum), &[above, high], ty, loc);
    patch.replace(y, below);
    Some(patch)
}

fn select(graph: &Graph, id: OpId) -> Option<Patch> {
    let operation = graph.op(id);
    let (condition, y) = ends(operation)?;
    let (a, b) = (operation.operand(1)?, operation.operand(2)?);
    let rank = graph.ty(y).shape.dims().len();
    let (ty, loc) = (graph.ty(y).clone(), graph.value(y).loc().clone());
    let mut patch = Patch::before(graph, id);
    let mut chosen = condition;
    if let (&[rows], true) = (graph.ty(condition).shape.dims(), rank > 1) {
        // One entry for each outermost index.
        let shape: Vec<usize> = std::iter::once(rows).chain(vec![1; rank - 1]).collect();
        let wanted: Vec<i32> = shape.iter().map(|&d| i32::try_from(d)).collect::<Result<_, _>>().ok()?;
        let ints = patch.constant(Constant::from_i32(&wanted), Type::i32([rank]), loc.clone());
        let reshaped = graph.ty(condition).clone().with_shape(Shape::new(shape));
        chosen = patch.op1(Reshape { new_shape: Some(wanted) }, &[condition, ints], reshaped, loc.clone());
    }
    let new = patch.op1(Select { kind: SelectKind::SelectV2 }, &[chosen, a, b], ty, loc);
    patch.replace(y, new);
    Some(patch)
}

fn tile(module: &Module, graph: &Graph, id: OpId) -> Option<Patch> {
    let operation = graph.op(id);
    let (x, y) = ends(operation)?;
    let multiples = module.constant_of(graph, operation.operand(1)?)?;
    let multiples: Vec<usize> = match graph.ty(operation.operand(1)?).elem {
        ElementType::I64 => multiples.to_i64().into_iter().map(usize::try_from).collect::<Result<_, _>>().ok()?,
        _ => multiples.to_i32().into_iter().map(usize::try_from).collect::<Result<_, _>>().ok()?,
    };
    let mut dims = graph.ty(x).shape.dims().to_vec();
    if multiples.len() != dims.len() || multiples.contains(&0) || multiples.iter().all(|&m| m == 1) {
        return None;
    }
    let (ty, loc) = (graph.ty(y).clone(), graph.value(y).loc().clone());
    let mut patch = Patch::before(graph, id);
    let mut value = x;
    for (axis, &count) in multiples.iter().enumerate() {
        let mut left = count;
        let part = dims[axis];
        let single = value;
        // More copies than one operation takes are put together in steps.
        let mut made = 1;
        while left > 1 {
            let more = (left - 1).min(MOST - 1);
            let operands: Vec<ValueId> = std::iter::once(value).chain(vec![single; more]).collect();
            made += more;
            left -= more;
            dims[axis] = part * made;
            let join = Concatenation { axis: i32::try_from(axis).ok()?, activation: Activation::None };
            value = patch.op1(join, &operands, ty.clone().with_shape(Shape::new(dims.clone())), loc.clone());
        }
    }
    patch.replace(y, value);
    Some(patch)
}

fn power(module: &Module, graph: &Graph, id: OpId) -> Option<Patch> {
    let operation = graph.op(id);
    let (x, y) = ends(operation)?;
    let exponents = module.constant_of(graph, operation.operand(1)?)?.to_f32();
    let first = *exponents.first()?;
    if graph.ty(x).shape != graph.ty(y).shape || exponents.iter().any(|e| e.to_bits() != first.to_bits()) {
        return None;
    }
    let (_, kind) = [(2.0f32, UnaryKind::Square), (0.5, UnaryKind::Sqrt), (-0.5, UnaryKind::Rsqrt)]
        .into_iter()
        .find(|(exponent, _)| exponent.to_bits() == first.to_bits())?;
    let mut patch = Patch::before(graph, id);
    let new = patch.op1(Unary { kind }, &[x], graph.ty(y).clone(), graph.value(y).loc().clone());
    patch.replace(y, new);
    Some(patch)
}

/// 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
fn gelu(graph: &Graph, id: OpId) -> Option<Patch> {
    let (x, y) = ends(graph.op(id))?;
    let (ty, loc) = (graph.ty(y).clone(), graph.value(y).loc().clone());
    let mut patch = Patch::before(graph, id);
    let [half, one, slope, cubic] = [0.5, 1.0, 0.797_884_6, 0.044_715].map(|c| number(&mut patch, graph, y, c));
    let op = |patch: &mut Patch, kind, a, b| patch.op1(two(kind), &[a, b], ty.clone(), loc.clone());
    let square = op(&mut patch, BinaryKind::Mul, x, x);
    let scaled = op(&mut patch, BinaryKind::Mul, square, cubic);
    let plus = op(&mut patch, BinaryKind::Add, scaled, one);
    let sum = op(&mut patch, BinaryKind::Mul, plus, x);
    let inner = op(&mut patch, BinaryKind::Mul, sum, slope);
    let tanh = patch.op1(Unary { kind: UnaryKind::Tanh }, &[inner], ty.clone(), loc.clone());
    let op = |patch: &mut Patch, kind, a, b| patch.op1(two(kind), &[a, b], ty.clone(), loc.clone());
    let shifted = op(&mut patch, BinaryKind::Add, tanh, one);
    let halved = op(&mut patch, BinaryKind::Mul, x, half);
    let new = op(&mut patch, BinaryKind::Mul, halved, shifted);
    patch.replace(y, new);
    Some(patch)
}

#[cfg(test)]
mod tests {
    use octet_eval::{Interpreter, Options};
    use octet_ir::Module;
    use octet_plugin::Tensor;

    const TEXT: &str = "octet.ir 1
graph @main(%0: 2x3 f32 loc(\"x\"), %1: 2 bool loc(\"c\")) {
  %2 = relu_n1_to_1(%0) : 2x3 f32 loc(\"a\")
  %3 = relu_0_to_1(%0) : 2x3 f32 loc(\"b\")
  %4 = select(%1, %2, %3) : 2x3 f32 loc(\"d\")
  %5 = const [2, 23] : 2 i32 loc(\"m\")
  %6 = tile(%4, %5) : 4x69 f32 loc(\"e\")
  %7 = gelu(%0) {approximate = true} : 2x3 f32 loc(\"f\")
  %8 = const [2.0] : f32 loc(\"two\")
  %9 = pow(%0, %8) : 2x3 f32 loc(\"g\")
  return %6, %7, %9
}
";

    fn outputs(module: &Module) -> Vec<Vec<f32>> {
        let mut interpreter = Interpreter::new(module, Options::default()).expect("a program");
        interpreter.allocate_tensors().expect("kernels");
        let x: Vec<u8> = [-2.5f32, -0.5, 0.0, 0.25, 0.75, 3.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        for (detail, bytes) in interpreter.input_details().iter().zip([x, vec![1, 0]]) {
            let tensor = Tensor { elem: detail.dtype, shape: detail.shape.clone(), bytes };
            interpreter.set_tensor(detail.index, &tensor).expect("an input");
        }
        interpreter.invoke().expect("outputs");
        let floats = |bytes: &[u8]| bytes.as_chunks::<4>().0.iter().map(|c| f32::from_le_bytes(*c)).collect();
        interpreter.output_details().iter().map(|d| floats(&interpreter.get_tensor(d.index).expect("an output").bytes)).collect()
    }

    #[test]
    fn what_is_rewritten_computes_the_same_and_is_taken() {
        let before = octet_ir::text::parse(TEXT, &Default::default()).expect("the text");
        let mut after = before.clone();
        assert_eq!(super::legalise(&mut after).expect("legal"), 6);
        octet_ir::verify::verify(&after).expect("a valid module");
        let profile = octet_targets::profile("tflm").expect("the profile");
        assert!(!profile.check(&before).is_empty());
        assert!(profile.check(&after).is_empty(), "{:?}", profile.check(&after));
        let (a, b) = (outputs(&before), outputs(&after));
        assert_eq!((&a[0], &a[2]), (&b[0], &b[2]));
        assert!(a[1].iter().zip(&b[1]).all(|(a, b)| (a - b).abs() < 1e-6), "{:?} {:?}", a[1], b[1]);
    }
}
