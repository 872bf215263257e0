/**
 * The operations of pickle protocols 2 to 5 (documented in `pickletools.py`) that plain data and tensors need. All
 * others are rejected by name.
 */
import { isUtf8 } from 'node:buffer';
import { findGlobal } from './globals.js';
import type { Machine } from './machine.js';
import { Dict, Global, type PickleValue, Placeholder, TensorView, Tuple } from './values.js';

/** Its return value is ignored. */
export type Operation = (machine: Machine) => unknown;

const code = (character: string): number => character.charCodeAt(0);

const CONSTANTS: [number, Operation][] = [
  [code('N'), (m) => m.push(null)],
  [0x88, (m) => m.push(true)],
  [0x89, (m) => m.push(false)],
  [code('K'), (m) => m.push(m.u8())],
  [code('M'), (m) => m.push(m.u16())],
  [code('J'), (m) => m.push(m.i32())],
  [0x8a, (m) => m.push(integer(m.take(m.u8())))],
  [code('G'), (m) => m.push(m.f64())],
  // Python 2 strings, used for names and bytes alike.
  [code('U'), (m) => m.push(oldString(m.take(m.u8())))],
  [code('T'), (m) => m.push(oldString(m.take(m.u32())))],
  [0x8c, (m) => m.push(m.text(m.u8()))],
  [code('X'), (m) => m.push(m.text(m.u32()))],
  [0x8d, (m) => m.push(m.text(m.u64()))],
  [code('C'), (m) => m.push(m.take(m.u8()))],
  [code('B'), (m) => m.push(m.take(m.u32()))],
  [0x8e, (m) => m.push(m.take(m.u64()))],
  [0x96, (m) => m.push(m.take(m.u64()))],
];

const CONTAINERS: [number, Operation][] = [
  [code('('), (m) => m.mark()],
  [code(']'), (m) => m.push([])],
  [code('}'), (m) => m.push(new Dict())],
  [0x8f, (m) => m.push([])],
  [code(')'), (m) => m.push(new Tuple([]))],
  [code('t'), (m) => m.push(new Tuple(m.popMark()))],
  [0x91, (m) => m.push(new Tuple(m.popMark()))],
  [code('l'), (m) => m.push(m.popMark())],
  [code('d'), (m) => m.push(setItems(m, new Dict(), m.popMark()))],
  [0x85, (m) => m.push(new Tuple(popped(m, 1)))],
  [0x86, (m) => m.push(new Tuple(popped(m, 2)))],
  [0x87, (m) => m.push(new Tuple(popped(m, 3)))],
  [code('a'), (m) => append(m, popped(m, 1))],
  [code('e'), (m) => append(m, m.popMark())],
  [0x90, (m) => append(m, m.popMark())],
  [code('s'), (m) => setTop(m, popped(m, 2))],
  [code('u'), (m) => setTop(m, m.popMark())],
];

const STACK: [number, Operation][] = [
  [0x80, (m) => protocol(m)],
  // A frame is only a hint for buffered reading.
  [0x95, (m) => m.u64()],
  [code('0'), (m) => m.pop()],
  [code('1'), (m) => m.popMark()],
  [code('2'), (m) => m.push(m.top())],
  [code('q'), (m) => m.memoize(m.u8())],
  [code('r'), (m) => m.memoize(m.u32())],
  [0x94, (m) => m.memoize(m.memoSize)],
  [code('h'), (m) => m.recall(m.u8())],
  [code('j'), (m) => m.recall(m.u32())],
  [code('.'), (m) => m.finish()],
];

/** Operations on objects. They call no code: objects of known classes become descriptions, of placeholder classes placeholders. */
const OBJECTS: [number, Operation][] = [
  [code('c'), (m) => m.push(findGlobal(m.line(), m.line(), m.world.path))],
  [0x93, (m) => stackGlobal(m)],
  [code('R'), (m) => reduce(m)],
  [0x81, (m) => reduce(m)],
  // With keyword arguments.
  [0x92, (m) => reduce(m, m.pop())],
  [code('b'), (m) => build(m)],
  [code('Q'), (m) => persistent(m)],
];

export const OPERATIONS: ReadonlyMap<number, Operation> = new Map([
  ...CONSTANTS,
  ...CONTAINERS,
  ...STACK,
  ...OBJECTS,
]);

/** Names of the rejected operations, for messages. */
export const REFUSED: ReadonlyMap<number, string> = new Map([
  [code('i'), 'INST'],
  [code('o'), 'OBJ'],
  [code('P'), 'PERSID'],
  [0x82, 'EXT1'],
  [0x83, 'EXT2'],
  [0x84, 'EXT4'],
  [0x8b, 'LONG4'],
  [0x97, 'NEXT_BUFFER'],
  [0x98, 'READONLY_BUFFER'],
  ...(['FLOAT', 'INT', 'LONG', 'STRING', 'UNICODE', 'GET', 'PUT'] as const).map(
    (name, i): [number, string] => [code('FILSVgp'[i] ?? ''), name],
  ),
]);

function protocol(m: Machine): void {
  const version = m.u8();
  if (version < 2 || version > 5) m.fail(`has a pickle of protocol ${version}, expected 2 to 5`);
}

/** Decodes a Python 2 string: text if it is UTF-8, else bytes (numpy arrays). */
function oldString(bytes: Uint8Array): string | Uint8Array {
  return isUtf8(bytes) ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8') : bytes;
}

/** Decodes a little-endian two's complement integer. */
function integer(bytes: Uint8Array): number | bigint {
  let value = 0n;
  for (const [i, byte] of bytes.entries()) value |= BigInt(byte) << BigInt(8 * i);
  if ((bytes.at(-1) ?? 0) >= 0x80) value -= 1n << BigInt(8 * bytes.length);
  const small = Number(value);
  return Number.isSafeInteger(small) ? small : value;
}

function popped(m: Machine, count: number): PickleValue[] {
  const items: PickleValue[] = [];
  for (let i = 0; i < count; i++) items.unshift(m.pop());
  return items;
}

function append(m: Machine, items: readonly PickleValue[]): void {
  const list = m.top();
  if (list instanceof Placeholder) return void list.content.push(...items);
  if (!Array.isArray(list)) m.fail('has a pickle that appends to something other than a list');
  else for (const item of items) list.push(item);
}

function setItems(m: Machine, target: PickleValue, items: readonly PickleValue[]): PickleValue {
  if (target instanceof Placeholder) {
    target.content.push(...items);
    return target;
  }
  if (!(target instanceof Dict) || items.length % 2 !== 0)
    return m.fail('has a pickle that sets items of something other than a dict');
  for (let i = 0; i < items.length; i += 2) target.entries.set(items[i] ?? null, items[i + 1] ?? null);
  return target;
}

function setTop(m: Machine, items: readonly PickleValue[]): void {
  setItems(m, m.top(), items);
}

function stackGlobal(m: Machine): void {
  const [module, name] = popped(m, 2);
  if (typeof module === 'string' && typeof name === 'string') m.push(findGlobal(module, name, m.world.path));
  else m.fail('has a pickle with an import whose name is not a string');
}

function reduce(m: Machine, keywords: PickleValue = null): void {
  const [callee, args] = popped(m, 2);
  if (!(callee instanceof Global || callee instanceof Placeholder) || !(args instanceof Tuple))
    m.fail('has a pickle that calls something other than a known class');
  else if (callee instanceof Placeholder) m.push(new Placeholder(callee.className, [callee, args, keywords]));
  else if (callee.role.is === 'placeholder') m.push(new Placeholder(callee.name, [args, keywords]));
  else if (callee.role.is !== 'class') m.fail(`has a pickle that calls ${callee.name}`);
  else {
    for (const argument of args.items) m.world.budget.values(lengthOf(argument), m.fail);
    const named = keywords instanceof Dict ? [...keywords.entries.values()] : [];
    m.push(callee.role.make([...args.items, ...(callee.role.keywords ? named : [])], m.fail));
  }
}

/** Returns the number of elements that a class may copy from an argument. */
function lengthOf(value: PickleValue): number {
  return Array.isArray(value) ? value.length : value instanceof Tuple ? value.items.length : 0;
}

/**
 * Sets the state of an object. Known classes ignore it (versions of a state dict's modules, attributes of parameters).
 */
function build(m: Machine): void {
  const state = m.pop();
  const object = m.top();
  if (object instanceof Placeholder) object.state.push(state);
  if (!(object instanceof Placeholder || object instanceof Dict || object instanceof TensorView))
    m.fail('has a pickle that sets the state of a value without state');
}

function persistent(m: Machine): void {
  const id = m.pop();
  const [kind, type] = id instanceof Tuple ? id.items : [];
  if (id instanceof Tuple && kind === 'storage') m.push(m.world.storage(id.items, m.fail));
  // The legacy format stores a module's class with its source code.
  else if (kind === 'module' && type instanceof Global) m.push(type);
  else m.fail('has a pickle with a persistent id other than a storage');
}

/** Parses the first fields of a storage's persistent id: `('storage', class, key, location, elements)`. */
export function storageId(
  id: readonly PickleValue[],
  fail: (what: string) => never,
): { dtype: string | null; key: string; count: number; counts: 'bytes' | 'elements' | 'unknown' } {
  const [, type, key, , count] = id;
  if (!(type instanceof Global)) return fail('has a storage of unknown type');
  const { role } = type;
  // The dtype is stated with the tensor.
  const typed = role.is === 'class' && /^torch\.(?:storage\.)?_?TypedStorage$/.test(type.name);
  if (role.is !== 'storage' && !typed) return fail(`has a storage of unknown type (${type.name})`);
  const dtype = role.is === 'storage' ? role.dtype : null;
  if (typeof key !== 'string' || key.length > 200) return fail('has a storage without a key');
  if (typeof count !== 'number' || !Number.isSafeInteger(count) || count < 0)
    return fail('has a storage of implausible size');
  return { dtype, key, count, counts: typed ? 'unknown' : dtype === null ? 'bytes' : 'elements' };
}
