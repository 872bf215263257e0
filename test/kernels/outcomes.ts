/** What test/kernels/kernels-test.cpp prints, and what may be found in it. */
import { expect } from 'vitest';

interface Outcome {
  readonly isa: string;
  readonly kernel: string;
  readonly case: string;
  readonly error: number;
}

/**
 * Of the largest value. Sums of a thousand products lose some 1e-6 in f32 however they are added; GroupNorm with a mean a hundred times
 * the deviation loses that factor in x * scale + shift, and attention scores of a hundred that of the exponent.
 */
const TOLERANCE: Readonly<Record<string, number>> = {
  conv3x3: 5e-6,
  gemm: 5e-6,
  gather: 2e-6,
  attention: 3e-5,
  group_norm: 3e-5,
  upsample: 0,
  nearest_code: 0,
};

/** @param output a line of JSON a case; at least `cases` of them, of every kernel, all of `isa` and within the tolerance */
export function expectExact(output: string, isa: string, cases: number): void {
  const outcomes: Outcome[] = output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(outcomes.length).toBeGreaterThan(cases);
  expect(new Set(outcomes.map((o) => o.kernel))).toEqual(new Set(Object.keys(TOLERANCE)));
  const wrong = outcomes.filter((o) => !(o.isa === isa && o.error <= TOLERANCE[o.kernel]!));
  expect(wrong).toEqual([]);
}
