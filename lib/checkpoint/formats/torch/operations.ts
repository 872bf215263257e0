/**
 * The operations of pickles of protocol 2 to 5 (`pickletools.py` describes them), as far as plain data and tensors need them. What
 * is not in the table is refused by its name.
 */
import { isUtf8 } from 'node:buffer';
import { findGlobal } from './globals.js';
import type { Machine } from './machine.js';
import { Dict, Global, type PickleValue, Placeholder, TensorView, Tuple } from './values.js';

/** What it returns is of no use. */
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
  // Python 2's strings, which are names and bytes alike.
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
  // A frame only tells how far to read at once.
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

/** Nothing is called here: a known class is described by a value of ours, of any other the pickle has been refused by name. */
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

/** What the others are called, for messages. */
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
  if (version < 2 || version > 5) m.fail(`has a pickle of protocol ${version}, where 2 to 5 are expected`);
}

/** Of Python 2: text where it is UTF-8, else bytes (arrays of numpy). */
function oldString(bytes: Uint8Array): string | Uint8Array {
  return isUtf8(bytes) ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8') : bytes;
}

/** Little-endian two's complement. */
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
  if (!Array.isArray(list)) m.fail('has a pickle that appends to what is no list');
  else for (const item of items) list.push(item);
}

function setItems(m: Machine, target: PickleValue, items: readonly PickleValue[]): PickleValue {
  if (target instanceof Placeholder) {
    target.content.push(...items);
    return target;
  }
  if (!(target instanceof Dict) || items.length % 2 !== 0)
    return m.fail('has a pickle that sets items of what is no dict');
  for (let i = 0; i < items.length; i += 2) target.entries.set(items[i] ?? null, items[i + 1] ?? null);
  return target;
}

function setTop(m: Machine, items: readonly PickleValue[]): void {
  setItems(m, m.top(), items);
}

function stackGlobal(m: Machine): void {
  const [module, name] = popped(m, 2);
  if (typeof module === 'string' && typeof name === 'string') m.push(findGlobal(module, name, m.world.path));
  else m.fail('has a pickle that imports what is no name');
}

function reduce(m: Machine, keywords: PickleValue = null): void {
  const [made, args] = popped(m, 2);
  if (!(made instanceof Global || made instanceof Placeholder) || !(args instanceof Tuple))
    m.fail('has a pickle that calls what is no known class');
  else if (made instanceof Placeholder) m.push(new Placeholder(made.className, [made, args, keywords]));
  else if (made.role.is === 'placeholder') m.push(new Placeholder(made.name, [args, keywords]));
  else if (made.role.is !== 'class') m.fail(`has a pickle that calls ${made.name}`);
  else {
    for (const argument of args.items) m.world.budget.values(lengthOf(argument), m.fail);
    const named = keywords instanceof Dict ? [...keywords.entries.values()] : [];
    m.push(made.role.make([...args.items, ...(made.role.keywords ? named : [])], m.fail));
  }
}

/** What a class may copy of an argument. */
function lengthOf(value: PickleValue): number {
  return Array.isArray(value) ? value.length : value instanceof Tuple ? value.items.length : 0;
}

/** State of an object: of what is known, nothing that matters (the versions of a state dict's modules, attributes of parameters). */
function build(m: Machine): void {
  const state = m.pop();
  const object = m.top();
  if (object instanceof Placeholder) object.state.push(state);
  if (!(object instanceof Placeholder || object instanceof Dict || object instanceof TensorView))
    m.fail('has a pickle that sets the state of what has none');
}

function persistent(m: Machine): void {
  const id = m.pop();
  const [kind, type] = id instanceof Tuple ? id.items : [];
  if (id instanceof Tuple && kind === 'storage') m.push(m.world.storage(id.items, m.fail));
  // A module's class with its source, as the old form writes it.
  else if (kind === 'module' && type instanceof Global) m.push(type);
  else m.fail('has a pickle that refers to what is no storage');
}

/** The first fields of what `torch.save` writes in place of a storage: `('storage', class, key, location, elements)`. */
export function storageId(
  id: readonly PickleValue[],
  fail: (what: string) => never,
): { dtype: string | null; key: string; count: number; counts: 'bytes' | 'elements' | 'unknown' } {
  const [, type, key, , count] = id;
  if (!(type instanceof Global)) return fail('has a storage of no known type');
  const { role } = type;
  // Its type comes with the tensor.
  const typed = role.is === 'class' && /^torch\.(?:storage\.)?_?TypedStorage$/.test(type.name);
  if (role.is !== 'storage' && !typed) return fail(`has a storage of no known type (${type.name})`);
  const dtype = role.is === 'storage' ? role.dtype : null;
  if (typeof key !== 'string' || key.length > 200) return fail('has a storage without a key');
  if (typeof count !== 'number' || !Number.isSafeInteger(count) || count < 0)
    return fail('has a storage of an absurd size');
  return { dtype, key, count, counts: typed ? 'unknown' : dtype === null ? 'bytes' : 'elements' };
}
