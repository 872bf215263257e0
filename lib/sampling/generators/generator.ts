import { invalidOption } from '../../errors.js';

/** A stream of standard normal numbers whose every draw depends on the seed and on the draws before it. */
export interface Generator {
  /** The next `size` numbers, as `torch.randn` of a tensor with `size` elements gives them; changes the generator's state. */
  randn(size: number): Float32Array;
}

/** An integer in [-2^63, 2^64); a number must be a safe integer, larger seeds are bigints. */
export type Seed = number | bigint;

/**
 * The seed's 64 bits, negative seeds in two's complement (PyTorch takes them so).
 * @throws INVALID_OPTION if it is not an integer of 64 bits.
 */
export function seedBits(seed: Seed): bigint {
  const valid =
    typeof seed === 'bigint' ? seed >= -(2n ** 63n) && seed < 2n ** 64n : Number.isSafeInteger(seed);
  if (!valid) throw invalidOption('seed', 'integer of 64 bits (beyond 2^53 as a bigint)', seed);
  return BigInt.asUintN(64, BigInt(seed));
}
