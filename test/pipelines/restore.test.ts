/**
 * Options restored from generation parameters: exactly from Safelight's own, and from A1111's with the
 * defaults that it omits.
 */
import { describe, expect, it } from 'vitest';
import type { ConditionSource } from '../../lib/checkpoint/model-descriptor.js';
import type { ModelFacts } from '../../lib/families/shared/loaded-model.js';
import { type Restored, restoreOptions } from '../../lib/options/infotext/restore.js';
import { parametersOf } from '../../lib/pipelines/metadata.js';
import { type GenerateOptions, resolveOptions, type Settings } from '../../lib/pipelines/options.js';
import { samplers } from '../../lib/sampling/samplers/index.js';
import { scheduleNames } from '../../lib/sampling/schedules/index.js';

const image = { data: new Uint8Array(3), width: 1, height: 1 };
const classes: ConditionSource = { kind: 'class', classes: 10, unconditional: 9, table: null };
const resolve = (options: Partial<GenerateOptions>, condition?: ConditionSource): Settings =>
  resolveOptions({ prompt: 'a cat', ...options }, {}, 8, condition);

/** Returns `name value` of everything that was not restored. */
const lost = ({ unrestored }: Restored) => unrestored.map(({ name, value }) => `${name} ${value}`);
const parsed = (line: string, prompt = 'a cat') => restoreOptions(`${prompt}\n${line}`);

describe('parameters written by Safelight', () => {
  const givenOptions: Record<string, Partial<GenerateOptions>> = {
    variation: {
      ...{ seed: 3, subseed: 9, subseedStrength: 0.25, seedResizeFrom: { width: 64, height: 48 } },
      ...{ etaNoiseSeedDelta: 31337, eta: 0.5, sampler: 'Euler a', schedule: 'Karras', rng: 'cuda' },
      ...{ negative: 'blurry, red: not', clipSkip: 2, emphasis: 'no norm', discardPenultimate: true },
    },
    inpainting: {
      ...{ init: image, mask: image, strength: 0.4, resizeMode: 'crop', initialNoiseMultiplier: 0.9 },
      ...{ maskBlur: [3, 5], maskInvert: true, fill: 'noise', onlyMasked: true, padding: 12 },
    },
    'a posterior sample and a soft mask': {
      ...{ init: image, mask: image, posterior: 'sample', maskRound: false },
    },
    'second pass': {
      hires: {
        ...{ width: 128, height: 96, steps: 4, strength: 0.6, upscaler: 'latent_bicubic' },
        ...{ prompt: 'a dog', negative: 'cats', sampler: 'DDIM' },
      },
    },
    'second pass with another schedule': {
      ...{ discardPenultimate: true, hires: { scale: 1.5, discardPenultimate: false, schedule: 'beta' } },
    },
    guidance: {
      ...{ guidanceRescale: 0.5, guidanceInterval: [0.3, Number.POSITIVE_INFINITY] },
      ...{ deepCache: { interval: 4, branch: 2 }, sigmaMin: 0.03, sigmaMax: 12, rho: 5 },
    },
    'adaptive projected guidance': { apg: { eta: 0.25, threshold: 7.5, momentum: -0.75 } },
    churn: { sampler: 'heun', sChurn: 3, sTmin: 0.1, sTmax: Number.POSITIVE_INFINITY, sNoise: 1.01 },
    'an adaptive sampler': { sampler: 'dpm_adaptive', schedule: 'discrete' },
    'a sampler with another default schedule in A1111': { sampler: 'dpmpp_3m_sde', schedule: 'exponential' },
    'text that resembles syntax': {
      prompt: 'a <lora:x:1> [b:c:5]',
      negative: 'Steps: 1, Seed: 2, Size: 3x3',
    },
  };
  it.each(Object.entries(givenOptions))('restore the settings: %s', (_, options) => {
    const given = { width: 64, height: 64, steps: 7, cfg: 4.5, seed: 1, ...options };
    expectRestored(given);
  });

  it.each(samplers.map(({ name }) => name))('restore the sampler %s', (sampler) => {
    expectRestored({ sampler, seed: 1, width: 64, height: 64 });
    expectRestored({ sampler, seed: 1, width: 64, height: 64, schedule: 'Automatic', rng: 'cuda' });
  });

  it.each(scheduleNames)('restore the schedule %s', (schedule) => {
    expectRestored({ sampler: 'dpmpp_2m', schedule, seed: 1, width: 64, height: 64 });
  });

  it('restore the class of a class-conditional model', () => {
    const settings = resolve({ prompt: '', class: 7, seed: 1 }, classes);
    const text = parametersOf(
      { name: 'model' } as ModelFacts,
      settings,
      { width: 8, height: 8 },
      { seed: 1, subseed: 1 },
    );
    expect(restoreOptions(text).options.class).toBe(7);
  });

  it('never become GPU noise or Automatic, even without those fields', () => {
    const { options } = parsed('Steps: 1, Sampler: Euler a, Seed: 1, Size: 8x8, Version: Safelight 0.1.0');
    expect(options).toEqual({ prompt: 'a cat', steps: 1, sampler: 'Euler a', seed: 1, width: 8, height: 8 });
  });

  function expectRestored(given: Partial<GenerateOptions>): void {
    const settings = resolve(given);
    const size = { width: 64, height: 64 };
    const seeds = { seed: settings.seed, subseed: settings.variation.subseed };
    const restored = restoreOptions(parametersOf({ name: 'model' } as ModelFacts, settings, size, seeds));
    expect(restored).toMatchObject({ model: 'model', unrestored: [], warnings: [] });
    const again = resolve({ ...restored.options, ...(given.init ? { init: image, mask: image } : {}) });
    const subseed = given.subseed ?? again.variation.subseed;
    // A sampler on its own timesteps has no schedule, which its text omits.
    const owns = settings.sampling.ownTimesteps ? { schedule: settings.sampling.schedule } : {};
    expect({ ...again, sampling: { ...again.sampling, ...owns } }).toEqual({
      ...settings,
      variation: { ...settings.variation, subseed },
    });
  }
});

describe('parameters written by A1111', () => {
  it('are read with its sizes and names, and unreadable fields are omitted and listed', () => {
    const restored = restoreOptions(
      'a cat\nNegative prompt: dog\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: x, Seed: 12, Size: 512x768, Model hash: abc, Model: sd, Denoising strength: 0.5, RNG: NV, Hires upscale: 1.5, Hires steps: 0, Hires upscaler: Latent (nearest-exact), Version: v1.10.1',
    );
    expect(restored.model).toBe('sd');
    expect(restored.options).toEqual({
      ...{ prompt: 'a cat', negative: 'dog', steps: 20, sampler: 'DPM++ 2M', schedule: 'Karras', seed: 12 },
      ...{ width: 512, height: 768, rng: 'cuda' },
      hires: { scale: 1.5, upscaler: 'latent_nearest_exact', strength: 0.5 },
    });
    expect(lost(restored)).toEqual(['CFG scale x', 'Model sd']);
  });

  it('default to GPU noise if no RNG is written', () => {
    const line = (rng: string) => `Steps: 20, Sampler: Euler a, Seed: 1, Size: 8x8${rng}, Version: v1.9.4`;
    const rngs = ['', ', RNG: GPU', ', RNG: NV', ', RNG: CPU'].map((rng) => parsed(line(rng)).options.rng);
    expect(rngs).toEqual(['cuda', 'cuda', 'cuda', 'cpu']);
    expect(parsed('Steps: 20, Sampler: Euler a, Seed: 1').options.rng).toBe('cuda');
    expect(restoreOptions('a cat, no parameters').options).toEqual({ prompt: 'a cat, no parameters' });
  });

  it.each([
    ['Sampler: Euler a', 'euler_a', 'discrete'],
    ['Sampler: DPM++ 2M', 'dpmpp_2m', 'karras'],
    ['Sampler: DPM++ 2M Karras', 'dpmpp_2m', 'karras'],
    ['Sampler: DPM++ 2M SDE Karras', 'dpmpp_2m_sde', 'karras'],
    ['Sampler: DPM++ 2M SDE Exponential', 'dpmpp_2m_sde', 'exponential'],
    ['Sampler: DPM++ 2M SDE', 'dpmpp_2m_sde', 'exponential'],
    ['Sampler: DPM++ 3M SDE', 'dpmpp_3m_sde', 'exponential'],
    ['Sampler: DPM2 a Karras', 'dpm2_a', 'karras'],
    ['Sampler: LMS Karras', 'lms', 'karras'],
    ['Sampler: LMS', 'lms', 'discrete'],
    ['Sampler: Restart', 'restart', 'karras'],
    ['Sampler: DPM++ SDE, Schedule type: Automatic', 'dpmpp_sde', 'karras'],
    ['Sampler: DPM++ SDE, Schedule type: SGM Uniform', 'dpmpp_sde', 'sgm_uniform'],
    ['Sampler: Euler, Schedule type: Normal', 'euler', 'discrete'],
    // Versions 1.6 to 1.8 could override the schedule in the name.
    ['Sampler: DPM++ 2M Karras, Schedule type: exponential', 'dpmpp_2m', 'exponential'],
    ['Sampler: DPM++ 2M SDE Karras, Schedule type: Automatic', 'dpmpp_2m_sde', 'karras'],
  ])('lead to the schedule of %s', (fields, sampler, schedule) => {
    const restored = parsed(`Steps: 20, ${fields}, Seed: 1, Size: 8x8`);
    const { sampling } = resolve(restored.options);
    expect([sampling.sampler.name, sampling.schedule]).toEqual([sampler, schedule]);
    expect(restored.unrestored).toEqual([]);
  });

  it('lead to the option Automatic if the schedule is not written', () => {
    expect(parsed('Steps: 20, Sampler: Euler a, Seed: 1').options.schedule).toBe('Automatic');
    expect(parsed('Steps: 20, Sampler: DPM++ 2M Karras, Seed: 1').options).toMatchObject({
      ...{ sampler: 'DPM++ 2M', schedule: 'Karras' },
    });
  });

  it("lead to A1111's sampler defaults", () => {
    const line = (fields: string) => parsed(`Steps: 20, ${fields}, Seed: 1, Size: 8x8`).options;
    expect(line('Sampler: DPM2 a').discardPenultimate).toBe(true);
    expect(line('Sampler: DPM++ 2M').discardPenultimate).toBeUndefined();
    expect(line('Sampler: DPM adaptive').eta).toBe(1);
    expect(line('Sampler: DPM adaptive, Eta: 0').eta).toBe(0);
    expect(line('Sampler: Euler a').eta).toBeUndefined();
    expect(line('Sampler: DPM2, Hires upscale: 2, Hires sampler: Euler').hires).toEqual({
      ...{ scale: 2, sampler: 'Euler', schedule: 'Automatic', discardPenultimate: false },
    });
    expect(line('Sampler: Euler, Hires upscale: 2, Hires sampler: DPM++ 2M SDE Karras').hires).toEqual({
      ...{ scale: 2, sampler: 'DPM++ 2M SDE', schedule: 'Karras' },
    });
    const same = 'Hires sampler: Use same sampler, Hires schedule type: Use same scheduler';
    expect(line(`Sampler: Euler, Schedule type: Beta, Hires upscale: 2, ${same}`).hires).toEqual({
      scale: 2,
    });
  });

  it('list by name what cannot be restored', () => {
    const text =
      'a cat <lora:detail:0.8> <lyco:b:1> <hypernet:bad:1>, [red:blue:0.5]\nNegative prompt: dogs AND cats\n' +
      'Steps: 20, Sampler: DPM++ 2M CFG++, Schedule type: Bong Tangent, CFG scale: 7, Seed: 1, Size: 512x512, Model hash: 6ce0161689, Model: v1-5, ' +
      'VAE hash: 735e4c3a44, VAE: mse.safetensors, Clip skip: 2, Face restoration: CodeFormer, Tiling: True, Refiner: xl [1], ' +
      'Refiner switch at: 0.8, Token merging ratio: 0.5, NGMS: 0.5, Hires upscale: 2, Hires upscaler: R-ESRGAN 4x+, ' +
      'Lora hashes: "detail: aaa, hidden: bbb", TI hashes: "easy: ccc", ControlNet 0: "Module: canny, Weight: 1", ' +
      'ADetailer model: face.pt, Style Selector Enabled: False, Pad conds: True, User: me, Version: v1.10.1';
    const restored = restoreOptions(text);
    expect(lost(restored)).toEqual([
      ...[
        'Hypernetwork <hypernet:bad:1>',
        'LoRA hidden',
        'Hires upscaler R-ESRGAN 4x+',
        'Sampler DPM++ 2M CFG++',
        'Schedule type Bong Tangent',
      ],
      ...['Model v1-5', 'VAE mse.safetensors', 'Face restoration CodeFormer', 'Refiner xl [1]'],
      ...['Refiner switch at 0.8', 'NGMS 0.5'],
      ...['ControlNet 0 Module: canny, Weight: 1', 'ADetailer model face.pt'],
    ]);
    expect(restored.options).toMatchObject({ clipSkip: 2, schedule: 'Automatic', hires: { scale: 2 } });
    expect(restored.options.sampler).toBeUndefined();
    expect(restored.warnings).toHaveLength(1);
    expect(restored.warnings[0]).toMatchObject({ code: 'NOT_RESTORED' });
    for (const name of [
      '<hypernet:bad:1>',
      'VAE (mse.safetensors)',
      'Hires upscaler (R-ESRGAN 4x+)',
      'Model (v1-5)',
    ])
      expect(restored.warnings[0]!.message).toContain(name);
    expect(() => resolve(restored.options)).not.toThrow();
    // Adapters are listed only if it is known which ones are available.
    const known = { loras: [{ name: 'other', alias: 'B' }], embeddings: [] };
    const missing = lost(restoreOptions(text, known)).filter((name) => /^(LoRA|Embedding)/.test(name));
    expect(missing).toEqual(['LoRA detail', 'LoRA hidden', 'Embedding easy']);
  });

  it('are read before lines that extensions add', () => {
    const text =
      'a cat\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 64x64, Version: v1.9.4\r\n' +
      'Template: a {cat|dog}, Seed: one, Steps: few\nNegative Template: dog\n' +
      'ADetailer model: face.pt, ADetailer confidence: 0.3, ADetailer mask blur: 4\n{"a": 1, "b": [2, 3]}';
    expect(restoreOptions(text).options).toEqual({
      ...{ prompt: 'a cat', negative: 'dog', steps: 20, sampler: 'Euler a', schedule: 'Automatic', cfg: 7 },
      ...{ seed: 5, width: 64, height: 64, rng: 'cuda' },
    });
  });

  it('may have such lines within prompts', () => {
    const prompt = 'Steps: 9, Sampler: x, Seed: 9\nNegative prompts are: bad, a: b, cd: e';
    const { options } = restoreOptions(
      `${prompt}\nNegative prompt: n\nSteps: 2, Sampler: Euler, Seed: 3, Size: 8x8\nTemplate: t`,
    );
    expect(options).toMatchObject({ prompt, negative: 'n', steps: 2, seed: 3 });
  });

  it('may have the old fields of the second pass, and names of other programs', () => {
    const old = parsed(
      'Steps: 20, Sampler: Euler, Seed: 1, Size: 1024x768, Denoising strength: 0.7, First pass size: 0x0',
    );
    expect(old.options).toMatchObject({
      ...{ width: 640, height: 448, hires: { width: 1024, height: 768, strength: 0.7 } },
    });
    const line =
      'Steps: 20, Sampler: Euler, Seed: 1, CFG Rescale φ: 0.7, Seed resize from: -1x-1, Size: 8 x 8';
    expect(parsed(line).options).toMatchObject({ guidanceRescale: 0.7, width: 8, height: 8 });
    expect(parsed(line).unrestored).toEqual([]);
    expect(parsed(line).options.seedResizeFrom).toBeUndefined();
  });

  it('keep seeds exact, and list one that exceeds exact integers', () => {
    const line = (seed: string) => parsed(`Steps: 20, Sampler: Euler, Seed: ${seed}, Size: 8x8`);
    expect(line('9007199254740991').options.seed).toBe(9007199254740991);
    expect(line('1125899906842624000').options.seed).toBeUndefined();
    expect(lost(line('1125899906842624000'))).toEqual(['Seed 1125899906842624000']);
  });

  it('never throw, whatever the fields are called', () => {
    for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'valueOf']) {
      const { options } = parsed(
        `Steps: 1, Seed: 2, Sampler: ${name}, ${name}: 3, Mask mode: ${name}, Emphasis: ${name}`,
      );
      expect(options).toEqual({ prompt: 'a cat', steps: 1, seed: 2, rng: 'cuda', schedule: 'Automatic' });
    }
    for (const text of [
      '',
      '\n\n',
      ': , : , :',
      'Steps: , Seed: , Size:',
      'Negative prompt:',
      '"'.repeat(1000),
    ])
      expect(() => restoreOptions(text)).not.toThrow();
  });
});
