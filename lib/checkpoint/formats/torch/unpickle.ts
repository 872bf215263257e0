import { Machine, type PickleWorld } from './machine.js';
import { OPERATIONS, REFUSED } from './operations.js';
import type { PickleValue } from './values.js';

/**
 * Reads one pickle. It is a program for a stack machine; this one can build plain data, tensors' descriptions and placeholders, and
 * has no way to import, call or set anything.
 *
 * @param at where it begins in `bytes`
 * @returns its value, and where it ends
 * @throws INVALID_FILE, UNSUPPORTED_MODEL
 */
export function unpickle(
  bytes: Uint8Array,
  at: number,
  world: PickleWorld,
): { value: PickleValue; end: number } {
  const machine = new Machine(bytes, at, world);
  for (;;) {
    world.budget.step(machine.fail);
    const operation = machine.u8();
    const act = OPERATIONS.get(operation);
    if (act === undefined) {
      const name = REFUSED.get(operation) ?? `0x${operation.toString(16).padStart(2, '0')}`;
      machine.fail(`has the operation ${name} in its pickle, which is not read; nothing was executed`);
    } else act(machine);
    if (machine.result !== undefined) return { value: machine.result, end: machine.at };
  }
}
