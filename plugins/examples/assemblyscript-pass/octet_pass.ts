// The interface octet:plugin@0.1.0, world pass-plugin, for AssemblyScript: the records of plugin.wit as the canonical ABI lays them out, as classes.
//
// plugin.wit says what everything means.

@external("octet:plugin/host@0.1.0", "[method]graph.ops") declare function host_ops(graph: u32, out: usize): void;
@external("octet:plugin/host@0.1.0", "[method]graph.op") declare function host_op(graph: u32, op: u32, out: usize): void;
@external("octet:plugin/host@0.1.0", "[method]graph.value") declare function host_value(graph: u32, value: u32, out: usize): void;
@external("octet:plugin/host@0.1.0", "[method]graph.inputs") declare function host_inputs(graph: u32, out: usize): void;
@external("octet:plugin/host@0.1.0", "[method]graph.outputs") declare function host_outputs(graph: u32, out: usize): void;
@external("octet:plugin/host@0.1.0", "[method]graph.constant-bytes")
declare function host_constant_bytes(graph: u32, value: u32, offset: u64, length: u32, out: usize): void;
@external("octet:plugin/host@0.1.0", "report")
declare function host_report(
  severity: u32, message: usize, length: usize, hasOp: u32, op: u32, hasValue: u32, value: u32, hasHelp: u32, help: usize, helpLength: usize,
): void;
@external("octet:plugin/host@0.1.0", "[resource-drop]graph") declare function host_drop(graph: u32): void;

/** What stands for an operand that is left out, or a value that nothing computes. */
export const NONE: i64 = -1;
/** What marks a value that an edit makes. */
const MADE: i64 = 0x1_0000_0000;

export class Operation {
  constructor(public mnemonic: string, public attributes: string, public operands: i64[], public results: u32[]) {}
}

export class Value {
  constructor(
    public ty: string,
    public element: string,
    public isConstant: bool,
    public producer: i64,
    public readers: u32[],
    public isOutput: bool,
    public name: string,
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
    const name = load<u8>(out, 56) ? textAt(out + 60) : "";
    const isConstant = load<u8>(out, 32) == 1;
    return new Value(textAt(out + 4), textAt(out + 12), isConstant, optionalAt(out + 36), numbersAt(out + 44), load<u8>(out, 52) != 0, name);
  }

  inputs(): u32[] {
    const out = heap.alloc(8);
    host_inputs(this.handle, out);
    return numbersAt(out);
  }

  outputs(): u32[] {
    const out = heap.alloc(8);
    host_outputs(this.handle, out);
    return numbersAt(out);
  }

  /** Address of `length` bytes of a constant from `offset` on; 0 when the value is no constant or has not so many. A call copies 1 MiB at most. */
  constant(value: u32, offset: u64, length: u32): usize {
    const out = heap.alloc(12);
    host_constant_bytes(this.handle, value, offset, length, out);
    return load<u8>(out) && load<u32>(out, 8) == length ? load<usize>(out, 4) : 0;
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

/** An option of the pipeline. Which of the values it has, `tag` says. */
export class Option {
  constructor(public name: string, public tag: Tag, private at: usize) {}

  boolean(): bool {
    return load<u8>(this.at) != 0;
  }

  integer(): i64 {
    return load<i64>(this.at);
  }

  real(): f32 {
    return load<f32>(this.at);
  }

  text(): string {
    return textAt(this.at);
  }
}

export enum Tag { Boolean, Integer, Real, Text, Other }

/** The options that run was given. */
export function optionsAt(at: usize, count: u32): Option[] {
  const list = new Array<Option>();
  for (let i: u32 = 0; i < count; i++) list.push(new Option(textAt(at + 24 * i), <Tag>load<u8>(at + 24 * i, 8), at + 24 * i + 16));
  return list;
}

/** Tells the user something about an operation, or about none: NONE. */
export function warn(message: string, op: i64): void {
  const text = String.UTF8.encode(message);
  host_report(1, changetype<usize>(text), text.byteLength, op == NONE ? 0 : 1, <u32>op, 0, 0, 0, 0, 0);
}

/** A value of the graph, or one that an edit made. */
function putReference(at: usize, value: i64): void {
  store<u8>(at, value & MADE ? 1 : 0);
  store<u32>(at, <u32>value, 4);
}

/** Edits, in order. Values are those of the graph by their numbers, and those that `op` and `constant` answer with. */
export class Edits {
  private list: usize[] = [];
  private made: u32 = 0;

  private edit(tag: u8): usize {
    const edit = bytes(40);
    store<u8>(edit, tag);
    this.list.push(edit);
    return edit;
  }

  /** A new constant of a type in the text form. */
  constant(type: string, data: u8[]): i64 {
    const edit = this.edit(0);
    store<u8>(edit, 1, 4);
    putText(edit + 8, type);
    store<usize>(edit, data.dataStart, 24);
    store<usize>(edit, data.length, 28);
    return MADE | <i64>(this.made++);
  }

  /** A new operation with one result; NONE for an operand that is left out. */
  op(before: u32, mnemonic: string, attributes: string, operands: i64[], sameTypeAs: u32, standsFor: u32[]): i64 {
    const edit = this.edit(1);
    store<u32>(edit, before, 4);
    putText(edit + 8, mnemonic);
    putText(edit + 16, attributes);
    const read = bytes(12 * operands.length);
    for (let i = 0; i < operands.length; i++) {
      if (operands[i] == NONE) continue;
      store<u8>(read + 12 * i, 1);
      putReference(read + 12 * i + 4, operands[i]);
    }
    store<usize>(edit, read, 24);
    store<usize>(edit, operands.length, 28);
    const result = bytes(20);
    store<u32>(result, sameTypeAs, 4);
    putNumbers(result + 12, standsFor);
    store<usize>(edit, result, 32);
    store<usize>(edit, 1, 36);
    return MADE | <i64>(this.made++);
  }

  /** Readers of a value of the graph read another one. */
  replace(old: u32, by: i64): void {
    const edit = this.edit(2);
    store<u32>(edit, old, 4);
    putReference(edit + 8, by);
  }

  /** Another operand of an operation, or NONE. */
  setOperand(op: u32, operand: u32, value: i64): void {
    const edit = this.edit(3);
    store<u32>(edit, op, 4);
    store<u32>(edit, operand, 8);
    if (value == NONE) return;
    store<u8>(edit, 1, 12);
    putReference(edit + 16, value);
  }

  /** Other attributes, or another operation with the operands and results that are there. */
  setOp(op: u32, mnemonic: string, attributes: string): void {
    const edit = this.edit(4);
    store<u32>(edit, op, 4);
    putText(edit + 8, mnemonic);
    putText(edit + 16, attributes);
  }

  /** Erases an operation, whose results nothing may read. */
  erase(op: u32): void {
    store<u32>(this.edit(5), op, 4);
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
