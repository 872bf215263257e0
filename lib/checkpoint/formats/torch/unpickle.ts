import { Machine, type PickleWorld } from './machine.js';
import { OPERATIONS, REFUSED } from './operations.js';
import type { PickleValue } from './values.js';

/**
 * Reads one pickle. A pickle is a program for a stack machine; this one can build plain data, descriptions of tensors
 * and placeholders, and cannot import, call or set anything.
 *
 * @param at offset of the pickle in `bytes`
 * @returns its value and its end
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
      machine.fail(`has the operation ${name} in its pickle, which is not supported; nothing was executed`);
    } else act(machine);
    if (machine.result !== undefined) return { value: machine.result, end: machine.at };
  }
}
