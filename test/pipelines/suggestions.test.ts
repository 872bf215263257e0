/** Errors about unknown options and values suggest the most likely name. */
import { Command, CommanderError, Option } from 'commander';
import { describe, expect, it } from 'vitest';
import { addGenerateOptions } from '../../lib/cli/generate-options.js';
import { addRunOptions } from '../../lib/cli/model-options.js';
import { withSuggestion } from '../../lib/cli/suggest-flags.js';
import type { SafelightError } from '../../lib/errors.js';
import { knownKeys } from '../../lib/known-keys.js';
import { checkLoadOptions } from '../../lib/pipelines/model/load-options.js';
import { resolveOptions } from '../../lib/pipelines/options.js';
import { checkLoadVqganOptions } from '../../lib/pipelines/vqgan/load-options.js';
import { checkSampleOptions } from '../../lib/pipelines/vqgan/sample-options.js';
import { editDistance, nearest, suggestOption, suggestValue } from '../../lib/suggest.js';

const generate = (options: object) => resolveOptions({ prompt: 'a', ...options }, {}, 8, { kind: 'text' });

function messageOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    expect(error).toMatchObject({ name: 'SafelightError', code: 'INVALID_OPTION' });
    return (error as SafelightError).message;
  }
  return expect.fail('nothing was thrown');
}

describe('an unknown option of generate', () => {
  it.each([
    ['negativePrompt', 'negative'],
    ['negative_prompt', 'negative'],
    ['negitive', 'negative'],
    ['guidance_scale', 'cfg'],
    ['guidanceScale', 'cfg'],
    ['cfgScale', 'cfg'],
    ['cfg_scale', 'cfg'],
    ['CFG', 'cfg'],
    ['num_inference_steps', 'steps'],
    ['numInferenceSteps', 'steps'],
    ['step', 'steps'],
    ['n', 'count'],
    ['num_images', 'count'],
    ['numImages', 'count'],
    ['num_images_per_prompt', 'count'],
    ['n_iter', 'count'],
    ['batchSize', 'batch'],
    ['batch_size', 'batch'],
    ['denoising_strength', 'strength'],
    ['strenght', 'strength'],
    ['image', 'init'],
    ['initImage', 'init'],
    ['init_image', 'init'],
    ['mask_image', 'mask'],
    ['sampler_name', 'sampler'],
    ['samplerName', 'sampler'],
    ['scheduler', 'schedule'],
    ['generator', 'seed'],
    ['sed', 'seed'],
    ['manual_seed', 'seed'],
    ['clip_skip', 'clipSkip'],
    ['clipskip', 'clipSkip'],
    ['size', 'width and height'],
    ['hr_scale', 'hires.scale'],
    ['enable_hr', 'hires'],
    ['abortSignal', 'signal'],
    ['variation_seed', 'subseed'],
    ['inpainting_fill', 'fill'],
    ['widht', 'width'],
    ['heigth', 'height'],
  ])('%s leads to the suggestion %s', (name, meant) => {
    const message = messageOf(() => generate({ [name]: 1 }));
    expect(message).toContain(`"${name}"`);
    expect(message).toContain(`did you mean ${meant}?`);
  });

  it.each(['colour', 'constructor', '__proto__x', 'toString', 'zzzzzz', '\u{1f98a}'])(
    '%s leads to no suggestion',
    (name) => {
      const message = messageOf(() => generate({ [name]: 1 }));
      expect(message).toContain(name);
      expect(message).toContain('accepted options: prompt, negative');
      expect(message).not.toContain('did you mean');
    },
  );
});

describe('unknown options of other functions', () => {
  it('lead to suggestions', () => {
    expect(messageOf(() => generate({ hires: { denoising_strength: 1 } }))).toMatch(
      /of hires: did you mean strength\?/,
    );
    expect(messageOf(() => generate({ hires: { factor: 2 } }))).toMatch(/did you mean scale\?/);
    expect(messageOf(() => generate({ deepCache: { intervall: 2 } }))).toMatch(
      /of deepCache: did you mean interval\?/,
    );
    expect(messageOf(() => checkLoadOptions({ device: 'cuda' } as never))).toMatch(/did you mean backend\?/);
    expect(messageOf(() => checkLoadOptions({ torch_dtype: 'f16' } as never))).toMatch(
      /did you mean storage\?/,
    );
    expect(messageOf(() => checkLoadVqganOptions({ thread: 1 } as never))).toMatch(/did you mean threads\?/);
    expect(messageOf(() => checkLoadVqganOptions({ parts: [] } as never))).toMatch(/"parts"/);
    expect(messageOf(() => checkSampleOptions({ top_k: 1 } as never))).toMatch(/did you mean topK\?/);
    expect(
      messageOf(() => knownKeys('options', { force: true }, new Set(['metadata', 'overwrite']))),
    ).toMatch(/did you mean overwrite\?/);
  });
});

describe('an unknown value', () => {
  it.each([
    [{ rng: 'gpu' }, 'cuda'],
    [{ rng: 'CPU' }, 'cpu'],
    [{ emphasis: 'No norm' }, 'no norm'],
    [{ fill: 'latent noise' }, 'noise'],
    [{ resizeMode: 'Crop and resize' }, 'crop'],
    [{ posterior: 'means' }, 'mean'],
    [{ sampler: 'eulr' }, 'euler'],
    [{ sampler: 'DPM++ 2M Karas' }, "dpmpp_2m with schedule: 'karras'"],
    [{ sampler: 'dpm++2s a exponentail' }, "dpmpp_2s_a with schedule: 'exponential'"],
    [{ sampler: 'EulerAncestralDiscreteScheduler' }, 'euler_a'],
    [{ sampler: 'DPMSolverMultistepScheduler' }, 'dpmpp_2m'],
    [{ sampler: 'dpmpp_2m_sde_gpu' }, 'dpmpp_2m_sde'],
    [{ schedule: 'karas' }, 'karras'],
    [{ schedule: 'sgm-unifrom' }, 'sgm_uniform'],
  ])('%j leads to the suggestion %s', (options, meant) => {
    expect(messageOf(() => generate(options))).toContain(`did you mean ${meant}?`);
  });

  it('of a sampler that is a schedule leads to the option schedule', () => {
    expect(messageOf(() => generate({ sampler: 'Karras' }))).toContain("set schedule: 'karras'");
  });

  it('of load leads to suggestions', () => {
    expect(messageOf(() => checkLoadOptions({ storage: 'fp16' as never }))).toContain('did you mean f16?');
    expect(messageOf(() => checkLoadOptions({ storage: 'Q4_K_M' as never }))).toContain('did you mean q4_K?');
    expect(messageOf(() => checkLoadOptions({ prediction: 'v_prediction' as never }))).toContain(
      'did you mean v?',
    );
    expect(messageOf(() => checkLoadOptions({ backend: 'CUDA' as never }))).toContain('did you mean cuda?');
    expect(messageOf(() => checkLoadOptions({ parts: ['vae' as never] }))).toContain(
      'did you mean autoencoder?',
    );
  });

  it('that is a known alias stays accepted', () => {
    expect(generate({ sampler: 'dpm++2m karras' }).sampling).toMatchObject({
      sampler: { name: 'dpmpp_2m' },
      schedule: 'karras',
    });
    expect(generate({ sampler: 'Euler A' }).sampling.sampler.name).toBe('euler_a');
  });
});

describe('flags of the command line', () => {
  const command = new Command('generate').exitOverride().configureOutput({ outputError: () => undefined });
  addGenerateOptions(command);
  addRunOptions(command);
  const answer = (...args: string[]): string => {
    try {
      command.parse(args, { from: 'user' });
    } catch (error) {
      return (withSuggestion(error, command) as CommanderError).message;
    }
    return expect.fail('nothing was thrown');
  };

  it.each([
    ['--guidance-scale', '--cfg'],
    ['--negative-prompt', '--negative'],
    ['--num-inference-steps', '--steps'],
    ['--denoising-strength', '--strength'],
    ['--negitive', '--negative'],
    ['--init-image', '--init'],
    ['--size', '--width and --height'],
    ['--hr-scale', '--hires-scale'],
    ['--scheduler', '--schedule'],
    ['--device', '--backend'],
    ['--mask-rund', '--no-mask-round'],
  ])('%s leads to the suggestion %s', (flag, meant) => {
    expect(answer(flag, '1')).toContain(`(Did you mean ${meant}?)`);
  });

  it('lead to suggestions for unknown values, too', () => {
    expect(answer('--storage', 'fp16')).toMatch(/Allowed choices are .*\(Did you mean f16\?\)/);
    expect(answer('--resize-mode', 'cropp')).toContain('(Did you mean crop?)');
    expect(answer('--rng', 'zzz')).not.toContain('Did you mean');
  });

  it('do not change other errors', () => {
    const error = new Error("unknown option '--guidance-scale'");
    expect(withSuggestion(error, command)).toBe(error);
    expect(withSuggestion(new CommanderError(1, 'x', 'y'), undefined)).toMatchObject({ message: 'y' });
    expect(new Option('--a').argChoices).toBeUndefined();
  });
});

describe('the nearest name', () => {
  it('counts insertions, deletions, replacements and swaps', () => {
    const pairs: [string, string, number][] = [
      ['', '', 0],
      ['abc', 'abc', 0],
      ['abc', 'ab', 1],
      ['abc', 'abcd', 1],
      ['abc', 'axc', 1],
      ['abc', 'acb', 1],
      ['kitten', 'sitting', 3],
      ['', 'abc', 3],
    ];
    for (const [a, b, distance] of pairs) expect([a, b, editDistance(a, b)]).toEqual([a, b, distance]);
    for (const [a, b] of pairs) expect(editDistance(a, b)).toBe(editDistance(b, a));
  });

  it('is undefined if the words have little in common or are extremely long', () => {
    expect(nearest('steps', ['width', 'height'])).toBeUndefined();
    expect(nearest('x'.repeat(1e6), ['width'])).toBeUndefined();
    expect(suggestOption('', ['width'])).toBeUndefined();
    expect(suggestValue(7, ['a'])).toBeUndefined();
    expect(nearest('neg', ['positive', 'negative'])).toBe('negative');
  });
});
