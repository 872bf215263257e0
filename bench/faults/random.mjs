// @ts-check
/**
 * Returns a seeded random number generator (mulberry32: 32 bits of state, full period).
 * @param {number} seed
 * @returns {() => number} in [0, 1)
 */
export function randomBy(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * @template T
 * @param {() => number} random
 * @param {readonly T[]} values
 * @returns {T}
 */
export function pick(random, values) {
  return /** @type {T} */ (values[Math.floor(random() * values.length)]);
}

/** @param {number} milliseconds */
export function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** @param {Response} answer @returns {Promise<any>} */
export async function bodyOf(answer) {
  return answer.json();
}
