// The interface octet:plugin@0.1.0, world pass-plugin, for AssemblyScript: the records of plugin.wit as the canonical ABI lays them out, as classes.
//
// plugin.wit says what everything means.

@external("octet:plugin/host@0.1.0", "[method]graph.ops") declare function host_ops(graph: u32, out: usize): void;
@external("octet:plugin/host@0.1.0", "[method]graph.op") declare function host_op(graph: u32, op: u32, out: usize): void;
@external("octet:plugin/host@0.1.0", "[method]graph.value") declare function host_value(graph: u32, value: u32, out: usize): void;
@external("octet:plugin/host@0.1.0", "[resource-drop]graph") declare function host_drop(graph: u32): void;

/** What stands for an operand that is left out, or a value that nothing computes. */
export const NONE: i64 = -1;

export class Operation {
  constructor(public mnemonic: string, public attributes: string, public operands: i64[], public results: u32[]) {}
}

export class Value {
  constructor(
    public ty: string,
    public element: string,
    public producer: i64,
    public readers: u32[],
    public isOutput: bool,
  ) {}
}

function textAt(at: usize): string {
  return String.UTF8.decodeUnsafe(load<usize>(at), load<usize>(at, 4));
}

function numbersAt(at: usize): u32[] {
  const from = load<usize>(at), count = load<u32>(at, 4);
  const list = new Array<u32>();
  for (let i: u32 = 0; i < count; i++) list.push(load<u32>(from + 4 * i));
  return list;
}

/** An optional number. */
function optionalAt(at: usize): i64 {
  return load<u8>(at) ? <i64>load<u32>(at, 4) : NONE;
}

/** The graph that a pass looks at. */
export class Graph {
  constructor(private handle: u32) {}

  /** Operations in execution order. */
  ops(): u32[] {
    const out = heap.alloc(8);
    host_ops(this.handle, out);
    return numbersAt(out);
  }

  op(id: u32): Operation {
    const out = heap.alloc(36);
    host_op(this.handle, id, out);
    if (!load<u8>(out)) unreachable();
    const from = load<usize>(out, 20), count = load<u32>(out, 24);
    const operands = new Array<i64>();
    for (let i: u32 = 0; i < count; i++) operands.push(optionalAt(from + 8 * i));
    return new Operation(textAt(out + 4), textAt(out + 12), operands, numbersAt(out + 28));
  }

  value(id: u32): Value {
    const out = heap.alloc(68);
    host_value(this.handle, id, out);
    if (!load<u8>(out)) unreachable();
    return new Value(textAt(out + 4), textAt(out + 12), optionalAt(out + 36), numbersAt(out + 44), load<u8>(out, 52) != 0);
  }

  drop(): void {
    host_drop(this.handle);
  }
}

function bytes(size: usize): usize {
  const at = heap.alloc(size);
  memory.fill(at, 0, size);
  return at;
}

function putText(at: usize, text: string): void {
  const encoded = String.UTF8.encode(text);
  store<usize>(at, changetype<usize>(encoded));
  store<usize>(at, encoded.byteLength, 4);
}

function putNumbers(at: usize, numbers: u32[]): void {
  const list = bytes(4 * numbers.length);
  for (let i = 0; i < numbers.length; i++) store<u32>(list + 4 * i, unchecked(numbers[i]));
  store<usize>(at, list);
  store<usize>(at, numbers.length, 4);
}

/** Edits, in order. */
export class Edits {
  private list: usize[] = [];
  private made: u32 = 0;

  /** A new operation with operands of the graph and one result; answers with the number of the new value. */
  op(before: u32, mnemonic: string, attributes: string, operands: u32[], sameTypeAs: u32, standsFor: u32[]): u32 {
    const edit = bytes(40);
    store<u8>(edit, 1);
    store<u32>(edit, before, 4);
    putText(edit + 8, mnemonic);
    putText(edit + 16, attributes);
    const read = bytes(12 * operands.length);
    for (let i = 0; i < operands.length; i++) {
      store<u8>(read + 12 * i, 1);
      store<u32>(read + 12 * i, operands[i], 8);
    }
    store<usize>(edit, read, 24);
    store<usize>(edit, operands.length, 28);
    const result = bytes(20);
    store<u32>(result, sameTypeAs, 4);
    putNumbers(result + 12, standsFor);
    store<usize>(edit, result, 32);
    store<usize>(edit, 1, 36);
    this.list.push(edit);
    return this.made++;
  }

  /** Readers of a value of the graph read a new one. */
  replace(old: u32, made: u32): void {
    const edit = bytes(40);
    store<u8>(edit, 2);
    store<u32>(edit, old, 4);
    store<u8>(edit, 1, 8);
    store<u32>(edit, made, 12);
    this.list.push(edit);
  }

  /** What run answers. */
  answer(): usize {
    const list = bytes(40 * this.list.length);
    for (let i = 0; i < this.list.length; i++) memory.copy(list + 40 * i, unchecked(this.list[i]), 40);
    const answer = bytes(12);
    store<usize>(answer, list, 4);
    store<usize>(answer, this.list.length, 8);
    return answer;
  }
}

/** What run answers instead of edits. */
export function refuse(message: string): usize {
  const diagnostic = bytes(40);
  store<u8>(diagnostic, 2);
  putText(diagnostic + 4, message);
  const answer = bytes(12);
  store<u8>(answer, 1);
  store<usize>(answer, diagnostic, 4);
  store<usize>(answer, 1, 8);
  return answer;
}

/** What describe answers. */
export function description(name: string, version: string, summary: string): usize {
  const record = bytes(24);
  putText(record, name);
  putText(record + 8, version);
  putText(record + 16, summary);
  return record;
}

export function cabi_realloc(old: usize, oldSize: usize, align: usize, size: usize): usize {
  const at = heap.alloc(size);
  if (oldSize) memory.copy(at, old, min(oldSize, size));
  return at;
}
