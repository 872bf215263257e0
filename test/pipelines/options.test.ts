import { describe, expect, it } from 'vitest';
import type { SafelightError } from '../../lib/errors.js';
import { checkLoadOptions } from '../../lib/pipelines/model/load-options.js';
import { type GenerateOptions, resolveOptions } from '../../lib/pipelines/options.js';

const resolve = (options: Record<string, unknown>, defaults = {}) =>
  resolveOptions({ prompt: 'a', ...options } as unknown as GenerateOptions, defaults, 8, { kind: 'text' });

function errorOf(run: () => unknown): SafelightError {
  try {
    run();
  } catch (error) {
    return error as SafelightError;
  }
  throw new Error('nothing was thrown');
}

const image = { data: new Uint8Array(3), width: 1, height: 1 };

describe('options of generate', () => {
  it("are Safelight's defaults, overridden by the model's, overridden by the caller's", () => {
    const own = resolve({});
    expect(own).toMatchObject({
      negative: '',
      count: 1,
      rng: 'cpu',
      text: { clipSkip: 1, emphasis: 'original' },
    });
    expect(own.sampling).toMatchObject({ steps: 20, cfg: 7, schedule: 'karras', discardPenultimate: false });
    expect(own.sampling.sampler.name).toBe('dpmpp_2m');
    expect([own.width, own.init, own.mask, own.hires]).toEqual([undefined, undefined, undefined, undefined]);
    const models = { steps: 8, cfg: 4, sampler: 'euler', schedule: 'beta' };
    expect(resolve({}, models).sampling).toMatchObject({ steps: 8, cfg: 4, schedule: 'beta' });
    expect(resolve({ steps: 3, schedule: 'simple' }, models).sampling).toMatchObject({
      steps: 3,
      schedule: 'simple',
    });
  });

  it("accept A1111's sampler names, and a schedule in a sampler's name", () => {
    const { sampling } = resolve({ sampler: 'DPM++ 2M SDE Exponential' }, { schedule: 'beta' });
    expect([sampling.sampler.name, sampling.schedule]).toEqual(['dpmpp_2m_sde', 'exponential']);
    expect(resolve({ sampler: 'DPM2 a', schedule: 'Automatic' }).sampling.schedule).toBe('karras');
  });

  it('default to a random 32-bit seed', () => {
    const seeds = new Set(Array.from({ length: 20 }, () => resolve({}).seed));
    expect(seeds.size).toBeGreaterThan(15);
    for (const seed of seeds) expect(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32).toBe(true);
  });

  it('accept -1 for a random seed and reject other negative seeds', () => {
    const seeds = Array.from({ length: 20 }, () => resolve({ seed: -1, subseed: -1 }));
    for (const each of [seeds.map(({ seed }) => seed), seeds.map(({ variation }) => variation.subseed)]) {
      expect(new Set(each).size).toBeGreaterThan(15);
      expect(each.every((seed) => Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32)).toBe(true);
    }
    expect(errorOf(() => resolve({ seed: -2 })).message).toBe(
      `Expected an integer between 0 and ${Number.MAX_SAFE_INTEGER - 1} or -1 (random) for seed, received -2.`,
    );
  });

  it('reject a prompt of more than 120,000 characters with its length and the limit', () => {
    const long = 'a'.repeat(120_001);
    expect(resolve({ prompt: long.slice(1) }).prompt).toHaveLength(120_000);
    for (const [name, options] of Object.entries({
      prompt: { prompt: long },
      negative: { negative: long },
      'hires.prompt': { hires: { prompt: long } },
      'hires.negative': { hires: { negative: long } },
    }))
      expect(errorOf(() => resolve(options))).toMatchObject({
        code: 'INVALID_OPTION',
        message: `Expected at most 120000 characters for ${name}, received 120001.`,
      });
  });

  it.each([
    ['prompt', undefined],
    ['prompt', 7],
    ['negative', 7],
    ['width', 0],
    ['width', 2 ** 32],
    ['width', 100],
    ['height', -8],
    ['height', 64.5],
    ['height', Number.NaN],
    ['steps', 0],
    ['steps', 1001],
    ['steps', '20'],
    ['cfg', Number.NaN],
    ['cfg', -1],
    ['seed', -2],
    ['seed', '-1'],
    ['seed', 2 ** 53],
    ['seed', 0.5],
    ['count', 0],
    ['count', 1e9],
    ['batch', 0],
    ['sampler', 'nosuch'],
    ['schedule', 'nosuch'],
    ['clipSkip', 0],
    ['emphasis', 'loud'],
    ['rng', 'gpu'],
    ['eta', -1],
    ['eta', Number.POSITIVE_INFINITY],
    ['sNoise', 'x'],
    ['rho', 0],
    ['guidanceRescale', 2],
    ['guidanceInterval', [3, 1]],
    ['guidanceInterval', 3],
    ['discardPenultimate', 1],
    ['strength', 1.1],
    ['posterior', 'mode'],
    ['resizeMode', 'stretch'],
    ['initialNoiseMultiplier', 2],
    ['subseed', -2],
    ['subseedStrength', 1.5],
    ['seedResizeFrom', 512],
    ['seedResizeFrom', { width: 512 }],
    ['seedResizeFrom', { width: 512, height: 0 }],
    ['etaNoiseSeedDelta', 0.5],
    ['maskBlur', [1, 2, 3]],
    ['maskBlur', [1, 65]],
    ['maskInvert', 1],
    ['maskRound', 'no'],
    ['maskBlur', -1],
    ['fill', 'red'],
    ['onlyMasked', 'yes'],
    ['padding', 1.5],
    ['taps', 'unet'],
    ['signal', {}],
    ['onProgress', 'print'],
    ['hires', 2],
    ['colour', 'red'],
  ])('reject %s of %s', (name, value) => {
    const error = errorOf(() => resolve({ [name]: value }));
    expect(error.code).toBe('INVALID_OPTION');
    expect(error.message).toContain(name);
  });

  it('reject contradictory options', () => {
    expect(errorOf(() => resolve({ mask: image })).message).toContain('init');
    expect(errorOf(() => resolve({ init: image, hires: {} })).message).toContain('hires');
    expect(errorOf(() => resolve({ width: 16384, height: 16384 })).message).toContain('pixels');
    for (const hires of [
      { scale: 0.5 },
      { steps: 0 },
      { strength: 0 },
      { upscaler: '' },
      { width: 7 },
      { factor: 2 },
      { sampler: 'nosuch' },
      { schedule: 'nosuch' },
      { prompt: 7 },
      { discardPenultimate: 1 },
    ]) {
      expect(errorOf(() => resolve({ hires })).code).toBe('INVALID_OPTION');
    }
  });
});

describe('options of load', () => {
  it.each([
    [{ backend: 'tpu' }],
    [{ storage: 'f8' }],
    [{ threads: 0 }],
    [{ threads: 1e6 }],
    [{ stockOps: 1 }],
    [{ parts: 'unet' }],
    [{ parts: ['brain'] }],
    [{ prediction: 'noise' }],
    [{ vae: 7 }],
    [{ signal: 'now' }],
    [{ modell: 'x' }],
  ])('reject %o', (options) => {
    expect(errorOf(() => checkLoadOptions(options as never)).code).toBe('INVALID_OPTION');
  });
});
