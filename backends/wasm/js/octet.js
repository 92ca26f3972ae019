// Loads models that `octet compile --target wasm` wrote: in Node, browsers and workers, without dependencies.
//
// The builds of one model have the same bits. `load` takes the fastest one that this engine knows and computes exactly.

const VIEWS = {
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  float32: Float32Array,
};

const LIMITS = { int8: [-128, 127], uint8: [0, 255], int16: [-32768, 32767], uint16: [0, 65535], int32: [-(2 ** 31), 2 ** 31 - 1] };

/** Builds beside each other, fastest first, as the compiler names them. */
export const BUILDS = ["relaxed", "strict", "none"];

/** What a module says of itself, without compiling it. */
export function describe(bytes) {
  const data = new Uint8Array(bytes.buffer ?? bytes, bytes.byteOffset ?? 0, bytes.byteLength);
  let at = 8;
  const number = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = data[at++];
      if (byte === undefined || shift > 28) throw new Error("this is no WebAssembly module");
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  if (data[0] !== 0 || data[1] !== 97 || data[2] !== 115 || data[3] !== 109) throw new Error("this is no WebAssembly module");
  while (at < data.length) {
    const [id, size] = [data[at++], number()];
    const end = at + size;
    if (id === 0) {
      const length = number();
      const name = new TextDecoder().decode(data.subarray(at, at + length));
      if (name === "octet") return JSON.parse(new TextDecoder().decode(data.subarray(at + length, end)));
    }
    at = end;
  }
  throw new Error("this module was not written by Octet: it has no section 'octet'");
}

/** One instance of a model, with memory and state of its own. */
export class Model {
  #exports;

  constructor(instance, description) {
    this.#exports = instance.exports;
    this.description = description;
    this.inputs = description.inputs;
    this.outputs = description.outputs;
  }

  #find(kind, which) {
    const list = this.description[kind];
    const index = typeof which === "string" ? list.findIndex((t) => t.name === which) : which;
    if (!list[index]) throw new RangeError(`the model has no ${kind.slice(0, -1)} ${which}`);
    return list[index];
  }

  #view(tensor) {
    const View = VIEWS[tensor.dtype];
    return new View(this.#exports.memory.buffer, tensor.offset, tensor.bytes / View.BYTES_PER_ELEMENT);
  }

  /** The memory of an input. It has to be written anew before every `invoke`. */
  input(which = 0) {
    return this.#view(this.#find("inputs", which));
  }

  /** The memory of an output; the next `invoke` writes over it. */
  output(which = 0) {
    return this.#view(this.#find("outputs", which));
  }

  /** Computes the outputs from the inputs. Throws what the kernel of a plugin says is wrong. */
  invoke() {
    try {
      this.#exports.invoke();
    } catch (trap) {
      const at = (this.#exports.error_ptr?.() ?? 0) >>> 0;
      if (at === 0 || at >= this.#exports.memory.buffer.byteLength) throw trap;
      const text = new Uint8Array(this.#exports.memory.buffer, at);
      throw new Error(new TextDecoder().decode(text.subarray(0, text.indexOf(0))), { cause: trap });
    }
  }

  /** Forgets what is kept between runs. */
  reset() {
    this.#exports.reset();
  }

  /** Runs the model on stored values and answers with copies of all outputs. */
  run(...inputs) {
    if (inputs.length !== this.inputs.length) throw new RangeError(`the model has ${this.inputs.length} inputs, not ${inputs.length}`);
    inputs.forEach((values, index) => {
      const view = this.input(index);
      if (values.length !== view.length) throw new RangeError(`input ${index} has ${view.length} values, not ${values.length}`);
      view.set(values);
    });
    this.invoke();
    return this.outputs.map((_, index) => this.output(index).slice());
  }

  /** Stored values of real ones, by an input's scale: x / scale, rounded half away from zero. */
  quantize(values, which = 0) {
    return quantize(values, this.#find("inputs", which));
  }

  /** Real values of stored ones, by an output's scale. */
  dequantize(values, which = 0) {
    return dequantize(values, this.#find("outputs", which));
  }

  /** Runs the model on real values and answers with real values. */
  predict(...inputs) {
    const stored = inputs.map((values, index) => this.quantize(values, index));
    return this.run(...stored).map((values, index) => this.dequantize(values, index));
  }
}

/** Stored values of real ones. What has no scale is taken as it is. */
export function quantize(values, tensor) {
  const stored = new VIEWS[tensor.dtype](values.length);
  const [low, high] = LIMITS[tensor.dtype] ?? [];
  for (let i = 0; i < values.length; i++) {
    if (tensor.scale === undefined || low === undefined) {
      stored[i] = tensor.dtype === "int64" ? BigInt(values[i]) : values[i];
      continue;
    }
    const scaled = Math.fround(Math.fround(values[i]) / Math.fround(tensor.scale));
    const rounded = Math.sign(scaled) * Math.round(Math.abs(scaled)) + tensor.zero_point;
    stored[i] = Math.min(Math.max(rounded, low), high);
  }
  return stored;
}

/** Real values of stored ones. What has no scale is taken as it is. */
export function dequantize(values, tensor) {
  const scale = tensor.scale;
  return Float32Array.from(values, (v) => (scale === undefined ? Number(v) : (Number(v) - tensor.zero_point) * scale));
}

async function bytesOf(source) {
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return source;
  const text = String(source);
  const local = typeof process !== "undefined" && process.versions?.node && !/^(https?|data|blob):/.test(text);
  if (local) {
    const { readFile } = await import("node:fs/promises");
    return readFile(source instanceof URL || !text.startsWith("file:") ? source : new URL(text));
  }
  const response = await fetch(source);
  if (!response.ok) throw new Error(`${text}: ${response.status} ${response.statusText}`);
  return response.arrayBuffer();
}

async function attempt(source) {
  const bytes = await bytesOf(source);
  const description = describe(bytes);
  if (!WebAssembly.validate(bytes)) return null;
  const { instance } = await WebAssembly.instantiate(bytes, {});
  // A relaxed build is for engines whose dot product is exact.
  if (instance.exports.probe && instance.exports.probe() !== 1) return null;
  return new Model(instance, description);
}

/** The builds beside this file. Written out, so that bundlers see which files they are. */
const beside = () => ({
  relaxed: new URL("./model.relaxed.wasm", import.meta.url),
  strict: new URL("./model.strict.wasm", import.meta.url),
  none: new URL("./model.none.wasm", import.meta.url),
});

/**
 * Loads a model: bytes, a URL or path of one build, or an object of builds `{ relaxed, strict, none }`, of which the fastest one that is exact here is
 * taken. Without an argument, these are the builds beside this file.
 */
export async function load(source = beside()) {
  const plain = typeof source === "string" || source instanceof URL || source instanceof ArrayBuffer || ArrayBuffer.isView(source);
  const candidates = plain ? [source] : BUILDS.map((build) => source[build]).filter(Boolean);
  for (const candidate of candidates) {
    const model = await attempt(candidate);
    if (model) return model;
  }
  throw new Error("no build of the model runs in this engine: it lacks the instructions, or they are not exact");
}
