import { describe, expect, it } from 'vitest';
import { applyEmphasis, padChunks } from '../../lib/conditioning/emphasis.js';
import { fixture } from '../support/text/fixtures.js';

type Fixture = Record<'states' | 'weights' | 'no norm' | 'original', number[]>;
const expected = fixture<Fixture>('emphasis');
const states = Float32Array.from(expected.states);

/** Returns the largest difference, relative to the largest expected value. */
function error(actual: ArrayLike<number>, wanted: readonly number[]): number {
  expect(actual.length).toBe(wanted.length);
  const largest = Math.max(...wanted.map(Math.abs));
  return Math.max(...wanted.map((value, i) => Math.abs(value - actual[i]!))) / largest;
}

describe('weights of a chunk', () => {
  it.each(['original', 'no norm'] as const)('match torch for emphasis %s', (mode) => {
    const before = states.slice();
    expect(error(applyEmphasis(states, expected.weights, mode), expected[mode])).toBeLessThan(1e-6);
    expect(states).toEqual(before);
  });

  it.each(['ignore', 'none'] as const)('have no effect for emphasis %s', (mode) => {
    expect(applyEmphasis(states, expected.weights, mode)).toEqual(states);
  });

  it('of 1 keep every bit', () => {
    const ones = Array(expected.weights.length).fill(1);
    expect(applyEmphasis(states, ones, 'original')).toEqual(states);
    expect(applyEmphasis(states, ones, 'original')).not.toBe(states);
  });

  it('keep the mean of the chunk for emphasis original', () => {
    const mean = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const scaled = applyEmphasis(states, expected.weights, 'original');
    expect(mean(scaled) / mean(states)).toBeCloseTo(1, 5);
  });

  it('must match the shape of the states', () => {
    const wrong = expect.objectContaining({ code: 'SHAPE_MISMATCH' });
    expect(() => applyEmphasis(states, [1, 2, 3, 4, 5], 'original')).toThrow(wrong);
    expect(() => applyEmphasis(states, [], 'original')).toThrow(wrong);
  });
});

describe('padding of the shorter of two prompts', () => {
  const context = Float32Array.from([1, 2, 3, 4]);
  const empty = Float32Array.from([8, 9]);

  it('appends the empty prompt', () => {
    expect(padChunks(context, 2, 4, empty)).toEqual(Float32Array.from([1, 2, 3, 4, 8, 9, 8, 9]));
  });

  it('changes nothing if both have the same length', () => {
    expect(padChunks(context, 2, 2, empty)).toBe(context);
  });

  it('rejects a longer prompt and partial chunks', () => {
    expect(() => padChunks(context, 2, 1, empty)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION' }),
    );
    expect(() => padChunks(context, 3, 4, empty)).toThrow(
      expect.objectContaining({ code: 'SHAPE_MISMATCH' }),
    );
  });
});
