// Fuses (a - b) * (a - b), as exporters write it, into one squared_difference.
//
// Legal for f32 when nothing else reads the difference and neither operation has an activation.

import { Edits, Graph, NONE, description, refuse } from "./octet_pass";
export { cabi_realloc } from "./octet_pass";

export function octet_pass_describe(): usize {
  return description("fuse-squared-difference", "1.0.0", "Fuses (a - b) * (a - b) into one SQUARED_DIFFERENCE.");
}

export function octet_pass_run(handle: u32, options: usize, count: u32): usize {
  const graph = new Graph(handle);
  const answer = count ? refuse("fuse-squared-difference has no options") : fuse(graph).answer();
  graph.drop();
  return answer;
}

function fuse(graph: Graph): Edits {
  const edits = new Edits();
  const ops = graph.ops();
  for (let i = 0; i < ops.length; i++) {
    const product = graph.op(ops[i]);
    if (product.mnemonic != "mul" || product.attributes.length || product.operands[0] != product.operands[1]) continue;
    const between = graph.value(<u32>product.operands[0]);
    if (between.element != "f32" || between.producer == NONE || between.readers.length != 2 || between.isOutput) continue;
    const difference = graph.op(<u32>between.producer);
    if (difference.mnemonic != "sub" || difference.attributes.length) continue;
    const result = product.results[0];
    const made = edits.op(ops[i], "squared_difference", "", difference.operands, result, [result]);
    edits.replace(result, made);
  }
  return edits;
}
