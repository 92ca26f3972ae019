// The custom operation AcmeClampedSum: a + b, clamped to 0..6, for f32 tensors of one shape.

import { Call, Element, OK, text } from "./octet_kernel";
export { octet_kernel_abi_1, octet_kernel_alloc } from "./octet_kernel";

export function octet_kernel_describe(): usize {
  return text("AcmeClampedSum\n1.0.0\nThe sum of two tensors, clamped to 0..6.");
}

export function octet_kernel_infer(call: Call): usize {
  if (call.operandCount != 2) return text("AcmeClampedSum has two operands");
  const a = call.operand(0), b = call.operand(1);
  if (a.element != Element.F32 || b.element != Element.F32) return text("both operands must be f32");
  if (a.rank != b.rank || memory.compare(a.sizes, b.sizes, 4 * a.rank) != 0) return text("both operands must have one shape");
  call.resultCount = 1;
  call.result(0).like(a);
  return OK;
}

export function octet_kernel_run(call: Call): usize {
  const a = call.operand(0), b = call.operand(1), y = call.result(0);
  for (let i: u32 = 0, n = a.elements; i < n; i++) {
    const sum = load<f32>(a.data + 4 * i) + load<f32>(b.data + 4 * i);
    store<f32>(y.data + 4 * i, min<f32>(max<f32>(sum, 0), 6));
  }
  return OK;
}
