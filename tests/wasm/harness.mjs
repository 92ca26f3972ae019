// One module on samples, in whatever engine this is: Node imports it, and Chromium gets its text.

// Answers {refused} where the engine cannot run the module, or {load, ms, outputs}: milliseconds, and the bytes of all outputs of all samples.
export function runModule(bytes, given, samples, rounds) {
  if (!WebAssembly.validate(bytes)) return { refused: "the engine does not know its instructions" };
  const begin = performance.now();
  const module = new WebAssembly.Module(bytes);
  const instance = new WebAssembly.Instance(module, {});
  const load = performance.now() - begin;
  if (WebAssembly.Module.imports(module).length > 0) throw new Error("the module has imports");
  const wasm = instance.exports;
  if (wasm.probe && wasm.probe() !== 1) return { refused: "its relaxed dot product is not exact here" };
  const places = (kind) =>
    Array.from({ length: wasm[`${kind}_count`]() }, (_, i) => [wasm[`${kind}_ptr`](i), wasm[`${kind}_bytes`](i)]);
  const memory = new Uint8Array(wasm.memory.buffer);
  const [inputs, outputs] = [places("input"), places("output")];
  const size = outputs.reduce((sum, [, length]) => sum + length, 0);
  const found = new Uint8Array(samples * size);
  let [from, to] = [0, 0];
  for (let sample = 0; sample < samples; sample++) {
    for (const [at, length] of inputs) {
      memory.set(given.subarray(from, from + length), at);
      from += length;
    }
    wasm.invoke();
    for (const [at, length] of outputs) {
      found.set(memory.subarray(at, at + length), to);
      to += length;
    }
  }
  const answer = { load, outputs: found };
  if (rounds > 0) {
    // The least of many short batches, which is what the code takes when nothing else runs; the first ones warm the engine up.
    let count = 1;
    for (let took = 0; took < 1; count *= 2) {
      const start = performance.now();
      for (let i = 0; i < count; i++) wasm.invoke();
      took = performance.now() - start;
    }
    answer.ms = Infinity;
    for (let round = 0; round < rounds; round++) {
      const start = performance.now();
      for (let i = 0; i < count; i++) wasm.invoke();
      answer.ms = Math.min(answer.ms, (performance.now() - start) / count);
    }
  }
  return answer;
}
