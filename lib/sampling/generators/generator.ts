import { invalidOption } from '../../errors.js';

/** A stateful stream of standard normal random numbers. */
export interface Generator {
  /** Returns the next `size` numbers, equal to `torch.randn(size)`, and advances the state. */
  randn(size: number): Float32Array;
}

/** An integer in [-2^63, 2^64); seeds beyond 2^53 have to be bigints. */
export type Seed = number | bigint;

/**
 * Returns the 64 bits of a seed; negative seeds in two's complement, as in PyTorch.
 * @throws INVALID_OPTION for a value that is not a 64-bit integer
 */
export function seedBits(seed: Seed): bigint {
  const valid =
    typeof seed === 'bigint' ? seed >= -(2n ** 63n) && seed < 2n ** 64n : Number.isSafeInteger(seed);
  if (!valid) throw invalidOption('seed', 'a 64-bit integer (beyond 2^53 as a bigint)', seed);
  return BigInt.asUintN(64, BigInt(seed));
}
