import { expect, expectTypeOf, it } from 'vitest';
import { defined } from '../lib/defined.js';

it('drops fields that are undefined and keeps all other values, in their order', () => {
  const made = defined({ c: undefined, b: null, a: 0, d: '', e: false, f: Number.NaN });
  expect(Object.entries(made)).toEqual([
    ['b', null],
    ['a', 0],
    ['d', ''],
    ['e', false],
    ['f', Number.NaN],
  ]);
  expect('c' in made).toBe(false);
});

it('copies shallowly', () => {
  const inner = { x: undefined };
  const fields = { inner, y: undefined };
  expect(defined(fields).inner).toBe(inner);
  expect('y' in fields).toBe(true);
});

it('makes only fields optional that may be undefined', () => {
  const fields: { a: number; b: string | undefined; c?: boolean; d: null } = { a: 1, b: 'x', d: null };
  const made: { a: number; b?: string; c?: boolean; d: null } = defined(fields);
  expectTypeOf(defined(fields).a).toEqualTypeOf<number>();
  expectTypeOf(defined(fields).d).toEqualTypeOf<null>();
  expectTypeOf<Required<typeof made>['b']>().toEqualTypeOf<string>();
  expect(made).toEqual({ a: 1, b: 'x', d: null });
});
