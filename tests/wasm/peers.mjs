// Times the peers' runtimes in Node, one thread: a JSON list of jobs comes on standard input, a list of answers goes to standard output.
//
// A job: {peer: "litert" or "ort", modules, model, shape, dtype, rounds}: `modules` is the folder in which npm installed them. The least time of one run in
// short batches is answered in milliseconds, as for our modules. LiteRT.js is made for browsers: it gets the few globals that it looks for, and the int8
// entry that its table of types lacks.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import vm from "node:vm";

async function time(run, rounds) {
  let count = 1;
  for (let took = 0; took < 1; count *= 2) {
    const begin = performance.now();
    for (let i = 0; i < count; i++) await run();
    took = performance.now() - begin;
  }
  let least = Infinity;
  for (let round = 0; round < rounds; round++) {
    const begin = performance.now();
    for (let i = 0; i < count; i++) await run();
    least = Math.min(least, (performance.now() - begin) / count);
  }
  return least;
}

let litert;
async function loadLitert(modules) {
  const folder = join(modules, "node_modules/@litertjs/core");
  const table = '    dtype: "uint8",\n    typedArrayConstructor: Uint8Array,\n    elementType: ElementType.UINT8\n  }';
  const int8 = ',\n  {\n    dtype: "int8",\n    typedArrayConstructor: Int8Array,\n    elementType: ElementType.INT8\n  }';
  const source = readFileSync(join(folder, "dist/index.js"), "utf8");
  if (!source.includes(table)) throw new Error("LiteRT.js has another table of types");
  const patched = join(folder, "dist/index.int8.mjs");
  writeFileSync(patched, source.replace(table, table + int8));
  globalThis.self = globalThis;
  globalThis.require = createRequire(join(folder, "wasm/"));
  globalThis.__filename = join(folder, "wasm/litert.js");
  globalThis.__dirname = join(folder, "wasm");
  globalThis.location ??= { href: pathToFileURL(folder).href };
  globalThis.importScripts = (path) => vm.runInThisContext(readFileSync(path, "utf8"), { filename: path });
  const fetched = globalThis.fetch;
  globalThis.fetch = async (url, options) => {
    const path = String(url).replace(/^file:\/\//, "");
    if (!path.startsWith("/")) return fetched(url, options);
    return new Response(readFileSync(path), { headers: { "content-type": "application/wasm" } });
  };
  const api = await import(pathToFileURL(patched).href);
  await api.loadLiteRt(join(folder, "wasm/"));
  return api;
}

async function runLitert(job) {
  litert ??= await loadLitert(job.modules);
  const model = await litert.loadAndCompile(new Uint8Array(readFileSync(job.model)), { accelerator: "wasm" });
  const values = new (job.dtype === "int8" ? Int8Array : Float32Array)(job.shape.reduce((a, b) => a * b, 1));
  const input = new litert.Tensor(values, job.shape);
  return time(async () => {
    for (const output of Object.values(await model.run([input]))) output.delete();
  }, job.rounds);
}

async function runOrt(job) {
  const ort = createRequire(join(job.modules, "package.json"))("onnxruntime-web");
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(readFileSync(job.model), { executionProviders: ["wasm"] });
  const input = new ort.Tensor("float32", new Float32Array(job.shape.reduce((a, b) => a * b, 1)), job.shape);
  const feeds = { [session.inputNames[0]]: input };
  return time(() => session.run(feeds), job.rounds);
}

const answers = [];
for (const job of JSON.parse(readFileSync(0, "utf8"))) {
  try {
    answers.push({ ms: await (job.peer === "ort" ? runOrt(job) : runLitert(job)) });
  } catch (error) {
    answers.push({ error: String(error?.stack ?? error) });
  }
}
process.stdout.write(JSON.stringify(answers), () => process.exit(0));
