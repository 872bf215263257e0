import { describe, expect, it } from 'vitest';
import { applyEmphasis, padChunks } from '../../lib/conditioning/emphasis.js';
import { fixture } from '../support/text/fixtures.js';

type Fixture = Record<'states' | 'weights' | 'no norm' | 'original', number[]>;
const expected = fixture<Fixture>('emphasis');
const states = Float32Array.from(expected.states);

/** Largest difference over the largest expected number. */
function error(actual: ArrayLike<number>, wanted: readonly number[]): number {
  expect(actual.length).toBe(wanted.length);
  const largest = Math.max(...wanted.map(Math.abs));
  return Math.max(...wanted.map((value, i) => Math.abs(value - actual[i]!))) / largest;
}

describe('weights on a chunk', () => {
  it.each(['original', 'no norm'] as const)('act as torch computes them: %s', (mode) => {
    const before = states.slice();
    expect(error(applyEmphasis(states, expected.weights, mode), expected[mode])).toBeLessThan(1e-6);
    expect(states).toEqual(before);
  });

  it.each(['ignore', 'none'] as const)('do nothing: %s', (mode) => {
    expect(applyEmphasis(states, expected.weights, mode)).toEqual(states);
  });

  it('of 1 leave every bit', () => {
    const ones = Array(expected.weights.length).fill(1);
    expect(applyEmphasis(states, ones, 'original')).toEqual(states);
    expect(applyEmphasis(states, ones, 'original')).not.toBe(states);
  });

  it('keep the mean of the chunk, in mode original', () => {
    const mean = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const scaled = applyEmphasis(states, expected.weights, 'original');
    expect(mean(scaled) / mean(states)).toBeCloseTo(1, 5);
  });

  it('must fit the states', () => {
    const wrong = expect.objectContaining({ code: 'SHAPE_MISMATCH' });
    expect(() => applyEmphasis(states, [1, 2, 3, 4, 5], 'original')).toThrow(wrong);
    expect(() => applyEmphasis(states, [], 'original')).toThrow(wrong);
  });
});

describe('the shorter of two prompts', () => {
  const context = Float32Array.from([1, 2, 3, 4]);
  const empty = Float32Array.from([8, 9]);

  it('is filled up with the empty prompt', () => {
    expect(padChunks(context, 2, 4, empty)).toEqual(Float32Array.from([1, 2, 3, 4, 8, 9, 8, 9]));
  });

  it('stays as it is where nothing is missing', () => {
    expect(padChunks(context, 2, 2, empty)).toBe(context);
  });

  it('must be the shorter one, and of whole chunks', () => {
    expect(() => padChunks(context, 2, 1, empty)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION' }),
    );
    expect(() => padChunks(context, 3, 4, empty)).toThrow(
      expect.objectContaining({ code: 'SHAPE_MISMATCH' }),
    );
  });
});
