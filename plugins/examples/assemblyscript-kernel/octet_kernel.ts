// The ABI of kernels, version 1 (docs/wasm-kernel-abi.md), for AssemblyScript: the records and helpers.

/** Element types, by TFLite's numbers. */
export namespace Element {
  export const F32: u32 = 0;
  export const I32: u32 = 2;
  export const U8: u32 = 3;
  export const I64: u32 = 4;
  export const BOOL: u32 = 6;
  export const I16: u32 = 7;
  export const I8: u32 = 9;
}

/** A tensor; sizes, data, scales and zero points are addresses. */
@unmanaged
export class Tensor {
  present: u32;
  element: u32;
  rank: u32;
  sizes: usize;
  data: usize;
  size: u32;
  scaleCount: u32;
  scales: usize;
  zeroPoints: usize;
  axis: u32;
  reserved0: u32;
  reserved1: u32;

  /** Number of elements. */
  get elements(): u32 {
    let count: u32 = 1;
    for (let i: u32 = 0; i < this.rank; i++) count *= load<u32>(this.sizes + 4 * i);
    return count;
  }

  /** Takes the element type and sizes of another tensor. */
  like(other: Tensor): void {
    this.element = other.element;
    this.rank = other.rank;
    memory.copy(this.sizes, other.sizes, 4 * other.rank);
  }
}

/** A call. */
@unmanaged
export class Call {
  operands: usize;
  operandCount: u32;
  results: usize;
  resultCount: u32;
  options: usize;
  optionsSize: u32;
  reserved0: u32;
  reserved1: u32;

  operand(index: u32): Tensor {
    return changetype<Tensor>(this.operands + 48 * index);
  }

  result(index: u32): Tensor {
    return changetype<Tensor>(this.results + 48 * index);
  }
}

/** A text as the ABI wants it; as an answer of infer or run, an error message. */
export function text(message: string): usize {
  return changetype<usize>(String.UTF8.encode(message, true));
}

/** The answer of infer or run when all is well. */
export const OK: usize = 0;

export function octet_kernel_abi_1(): void {}

export function octet_kernel_alloc(size: usize): usize {
  return (heap.alloc(size + 16) + 15) & ~15;
}
