import { describe, expect, it } from 'vitest';
import { batchSeeds, seedsAt } from '../../../lib/pipelines/diffusion/seeds.js';
import { type GenerateOptions, resolveOptions } from '../../../lib/pipelines/options.js';
import { slerp } from '../../../lib/sampling/variation.js';

const resolve = (options: Partial<GenerateOptions>) => resolveOptions({ prompt: 'a cat', ...options }, {}, 8);

describe('variations', () => {
  it('increment the subseed and keep the seed, even if a call is split into parts', () => {
    const asked = { seed: 5, subseed: 100, subseedStrength: 0.2, count: 6 };
    const whole = batchSeeds(resolve(asked), 0, 6);
    expect(whole).toEqual({ seeds: [5, 5, 5, 5, 5, 5], subseeds: [100, 101, 102, 103, 104, 105] });
    const second = batchSeeds(resolve({ ...asked, ...seedsAt(asked, 4), count: 2 }), 0, 2);
    expect(second).toEqual({ seeds: [5, 5], subseeds: [104, 105] });
    expect(batchSeeds(resolve({ ...asked, subseedStrength: 0 }), 2, 2).seeds).toEqual([7, 8]);
  });

  it('interpolate parallel noises without NaN', () => {
    const noise = Float32Array.from({ length: 24 }, (_, i) => Math.sin(i));
    for (const value of slerp(0.3, noise, noise, [2, 4, 3])) expect(Number.isFinite(value)).toBe(true);
    // One column is parallel to the other's, the others are not.
    const other = noise.map((value, i) => (i % 3 === 0 ? value : -value + 0.1 * i));
    for (const value of slerp(0.3, noise, other, [2, 4, 3])) expect(Number.isFinite(value)).toBe(true);
  });
});
