// Runs generated modules in Node. A JSON list of jobs comes on standard input, a list of answers goes to standard output.
//
// A job: {model, inputs, outputs, samples, rounds}: the module; a file with the bytes of all inputs of all samples, one after the other; the file to
// write the outputs' bytes to. With `rounds`, one run is timed so often and the median of its batches is answered in milliseconds.
import { readFileSync, writeFileSync } from "node:fs";

function run(job) {
  const bytes = readFileSync(job.model);
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
  const given = readFileSync(job.inputs);
  const found = [];
  let from = 0;
  for (let sample = 0; sample < job.samples; sample++) {
    for (const [at, length] of inputs) {
      memory.set(given.subarray(from, from + length), at);
      from += length;
    }
    wasm.invoke();
    for (const [at, length] of outputs) found.push(memory.slice(at, at + length));
  }
  writeFileSync(job.outputs, Buffer.concat(found));
  const answer = { load };
  if (job.rounds) answer.ms = time(wasm, job.rounds);
  return answer;
}

// Batches long enough for the clock; the first ones warm the engine up.
function time(wasm, rounds) {
  let count = 1;
  for (let took = 0; took < 20; count *= 2) {
    const begin = performance.now();
    for (let i = 0; i < count; i++) wasm.invoke();
    took = performance.now() - begin;
  }
  const found = [];
  for (let round = 0; round < rounds; round++) {
    const begin = performance.now();
    for (let i = 0; i < count; i++) wasm.invoke();
    found.push((performance.now() - begin) / count);
  }
  return found.sort((a, b) => a - b)[rounds >> 1];
}

const answers = JSON.parse(readFileSync(0, "utf8")).map((job) => {
  try {
    return run(job);
  } catch (error) {
    return { error: String(error) };
  }
});
process.stdout.write(JSON.stringify(answers));
