import { describe, expect, it } from 'vitest';
import type { ModelFacts } from '../../lib/pipelines/engine.js';
import { parametersOf } from '../../lib/pipelines/metadata.js';
import { type GenerateOptions, resolveOptions } from '../../lib/pipelines/options.js';
import { restoreOptions } from '../../lib/pipelines/restore.js';
import { batchSeeds, seedsAt } from '../../lib/pipelines/variation-options.js';
import { slerp } from '../../lib/sampling/variation.js';

const picture = { data: new Uint8Array(3), width: 1, height: 1 };
const resolve = (options: Partial<GenerateOptions>) => resolveOptions({ prompt: 'a cat', ...options }, {}, 8);

describe('a variation of a picture', () => {
  it('counts its own seed up and keeps the picture the same, also when a call is done in parts', () => {
    const asked = { seed: 5, subseed: 100, subseedStrength: 0.2, count: 6 };
    const whole = batchSeeds(resolve(asked), 0, 6);
    expect(whole).toEqual({ seeds: [5, 5, 5, 5, 5, 5], subseeds: [100, 101, 102, 103, 104, 105] });
    const second = batchSeeds(resolve({ ...asked, ...seedsAt(asked, 4), count: 2 }), 0, 2);
    expect(second).toEqual({ seeds: [5, 5], subseeds: [104, 105] });
    expect(batchSeeds(resolve({ ...asked, subseedStrength: 0 }), 2, 2).seeds).toEqual([7, 8]);
  });

  it('of noises that point the same way is not undefined', () => {
    const noise = Float32Array.from({ length: 24 }, (_, i) => Math.sin(i));
    for (const value of slerp(0.3, noise, noise, [2, 4, 3])) expect(Number.isFinite(value)).toBe(true);
    // One column along another's line among columns that are not.
    const other = noise.map((value, i) => (i % 3 === 0 ? value : -value + 0.1 * i));
    for (const value of slerp(0.3, noise, other, [2, 4, 3])) expect(Number.isFinite(value)).toBe(true);
  });
});

describe('the text of a picture gives its options back', () => {
  const facts = { name: 'model' } as ModelFacts;
  const asked: Record<string, Partial<GenerateOptions>> = {
    variation: {
      ...{ seed: 3, subseed: 9, subseedStrength: 0.25, seedResizeFrom: { width: 64, height: 48 } },
      ...{ etaNoiseSeedDelta: 31337, eta: 0.5, sampler: 'Euler a', schedule: 'Karras', rng: 'cuda' },
      ...{ negative: 'blurry, red: not', clipSkip: 2, emphasis: 'no norm', discardPenultimate: true },
    },
    inpainting: {
      ...{ init: picture, mask: picture, strength: 0.4, resizeMode: 'crop', initialNoiseMultiplier: 0.9 },
      ...{ maskBlur: [3, 5], maskInvert: true, fill: 'noise', onlyMasked: true, padding: 12 },
    },
    'second pass': {
      hires: {
        ...{ width: 128, height: 96, steps: 4, strength: 0.6, upscaler: 'latent_bicubic' },
        ...{ prompt: 'a dog', negative: 'cats', sampler: 'DDIM' },
      },
    },
  };
  it.each(Object.entries(asked))('%s', (_, options) => {
    const given = { width: 64, height: 64, steps: 7, cfg: 4.5, seed: 1, ...options };
    const settings = resolve(given);
    const text = parametersOf(
      facts,
      settings,
      { width: 64, height: 64 },
      { seed: settings.seed, subseed: 9 },
    );
    const { options: read, model } = restoreOptions(text);
    expect(model).toBe('model');
    const again = resolve({ ...read, ...(given.init ? { init: picture, mask: picture } : {}) });
    const variation = {
      ...settings.variation,
      ...(given.subseed ? {} : { subseed: again.variation.subseed }),
    };
    expect(again).toEqual({ ...settings, variation });
  });

  it('of A1111 too, and what cannot be read is left out', () => {
    const { options, model } = restoreOptions(
      'a cat\nNegative prompt: dog\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: x, Seed: 12, Size: 512x768, Model hash: abc, Model: sd, Denoising strength: 0.5, RNG: NV, Hires upscale: 1.5, Hires steps: 0, Hires upscaler: Latent (nearest-exact), Version: v1.10.1',
    );
    expect(model).toBe('sd');
    expect(options).toEqual({
      ...{ prompt: 'a cat', negative: 'dog', steps: 20, sampler: 'DPM++ 2M', schedule: 'Karras', seed: 12 },
      ...{ width: 512, height: 768, rng: 'cuda' },
      hires: { scale: 1.5, upscaler: 'latent_nearest_exact', strength: 0.5 },
    });
  });
});
