/**
 * NumPy's `SeedSequence`: hashes an integer and a position in a tree of seeds into a pool of words, so that similar
 * seeds yield unrelated generators (O'Neill 2015, "Developing a seed_seq alternative").
 */

const INIT_A = 0x43b0d7e5;
const MULT_A = 0x931e8875;
const INIT_B = 0x8b51f9dd;
const MULT_B = 0x58f38ded;
const MIX_LEFT = 0xca01f9dd;
const MIX_RIGHT = 0x4973f715;

/**
 * `SeedSequence(entropy, spawn_key=spawnKey, pool_size=poolSize).generate_state(words)` as unsigned words.
 * @param entropy non-negative
 * @param spawnKey non-negative safe integers
 */
export function generateState(
  entropy: bigint,
  spawnKey: readonly number[],
  poolSize: number,
  words: number,
): Uint32Array {
  const assembled = wordsOf(entropy);
  if (spawnKey.length > 0) {
    // Padding with zeros distinguishes a short entropy with a spawn key from a longer entropy without one.
    while (assembled.length < poolSize) assembled.push(0);
    for (const key of spawnKey) assembled.push(...wordsOf(BigInt(key)));
  }
  const pool = mix(assembled, poolSize);
  const state = new Uint32Array(words);
  let constant = INIT_B;
  for (let i = 0; i < words; i++) {
    const value = pool[i % poolSize]! ^ constant;
    constant = Math.imul(constant, MULT_B);
    const product = Math.imul(value, constant);
    state[i] = product ^ (product >>> 16);
  }
  return state;
}

function mix(entropy: readonly number[], poolSize: number): Uint32Array {
  let constant = INIT_A;
  const hashed = (word: number): number => {
    const value = word ^ constant;
    constant = Math.imul(constant, MULT_A);
    const product = Math.imul(value, constant);
    return product ^ (product >>> 16);
  };
  const pool = Uint32Array.from({ length: poolSize }, (_, i) => hashed(entropy[i] ?? 0));
  const stir = (target: number, word: number): void => {
    const value = Math.imul(MIX_LEFT, pool[target]!) - Math.imul(MIX_RIGHT, hashed(word));
    pool[target] = value ^ (value >>> 16);
  };
  for (let source = 0; source < poolSize; source++) {
    for (let target = 0; target < poolSize; target++) if (target !== source) stir(target, pool[source]!);
  }
  for (let source = poolSize; source < entropy.length; source++) {
    for (let target = 0; target < poolSize; target++) stir(target, entropy[source]!);
  }
  return pool;
}

/** Splits a value into little-endian 32-bit words, at least one. */
function wordsOf(value: bigint): number[] {
  const words = [Number(value & 0xffffffffn)];
  for (let rest = value >> 32n; rest > 0n; rest >>= 32n) words.push(Number(rest & 0xffffffffn));
  return words;
}
