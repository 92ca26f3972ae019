/** Element types of tensors, by NumPy's names. */
export type DType = "int8" | "uint8" | "int16" | "uint16" | "int32" | "int64" | "float32";

/** Stored values. */
export type Values = Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | BigInt64Array | Float32Array;

/** What inputs are given as. */
export type Numbers = ArrayLike<number> | ArrayLike<bigint>;

/** Which instructions a build has. */
export type Build = "relaxed" | "strict" | "none";

/** Bytes of a module, or where they are. */
export type Source = string | URL | ArrayBuffer | ArrayBufferView;

/** An input or output; real = (stored - zero_point) * scale. */
export interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: DType;
  /** Address in the module's memory. */
  readonly offset: number;
  readonly bytes: number;
  readonly scale?: number;
  readonly zero_point?: number;
}

/** What a module says of itself. */
export interface Description {
  readonly format: number;
  readonly name: string;
  readonly simd: Build;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** Bytes of the arena. */
  readonly arena: number;
  /** Bytes of what is kept between runs. */
  readonly state: number;
  /** Multiply-accumulates of one run. */
  readonly macs: number;
  /** Kernels of plugins that are part of the module. */
  readonly kernels?: readonly { readonly name: string; readonly origin: string }[];
}

/** Builds beside each other, fastest first. */
export const BUILDS: readonly Build[];

/** What a module says of itself, without compiling it. */
export function describe(bytes: ArrayBuffer | ArrayBufferView): Description;

/** One instance of a model, with memory and state of its own. */
export class Model {
  readonly description: Description;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** The memory of an input. It has to be written anew before every `invoke`. */
  input(which?: number | string): Values;
  /** The memory of an output; the next `invoke` writes over it. */
  output(which?: number | string): Values;
  /** Computes the outputs from the inputs. Throws what the kernel of a plugin says is wrong. */
  invoke(): void;
  /** Forgets what is kept between runs. */
  reset(): void;
  /** Runs the model on stored values and answers with copies of all outputs. */
  run(...inputs: Numbers[]): Values[];
  /** Stored values of real ones, by an input's scale. */
  quantize(values: Numbers, which?: number | string): Values;
  /** Real values of stored ones, by an output's scale. */
  dequantize(values: Values, which?: number | string): Float32Array;
  /** Runs the model on real values and answers with real values. */
  predict(...inputs: Numbers[]): Float32Array[];
}

/** Stored values of real ones. What has no scale is taken as it is. */
export function quantize(values: Numbers, tensor: Tensor): Values;

/** Real values of stored ones. What has no scale is taken as it is. */
export function dequantize(values: Values, tensor: Tensor): Float32Array;

/** Loads a model: one build, or the fastest of several that is exact in this engine; without an argument, of those beside this file. */
export function load(source?: Source | { readonly [build in Build]?: Source }): Promise<Model>;
