/** Parses and checks the output of test/kernels/kernels-test.cpp. */
import { expect } from 'vitest';

interface Outcome {
  readonly isa: string;
  readonly kernel: string;
  readonly case: string;
  readonly error: number;
}

/**
 * Maximum error relative to the largest value. A sum of a thousand products in f32 has an error of about 1e-6 in any order; GroupNorm
 * with a mean of a hundred standard deviations loses a factor of a hundred in x * scale + shift, and so do attention scores of about a
 * hundred in the exponential.
 */
const TOLERANCE: Readonly<Record<string, number>> = {
  conv3x3: 5e-6,
  gemm: 5e-6,
  'conv3x3 bf16': 1e-2,
  'conv3x3 int8': 3e-2,
  'gemm bf16': 5e-6,
  'gemm int8': 5e-6,
  'gemm int8 exact': 0,
  gather: 2e-6,
  'gather bf16': 2e-6,
  'gather int8': 2e-2,
  packed: 0,
  rounding: 2e-3,
  'not finite': 0,
  attention: 3e-5,
  'attention bf16': 1e-2,
  group_norm: 3e-5,
  upsample: 0,
  depthwise3x3: 2e-6,
  nearest_code: 0,
};

/**
 * Expects more than `cases` results that cover every kernel, all of the instruction set `isa` and within the tolerance.
 * @param output one line of JSON per case
 */
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
