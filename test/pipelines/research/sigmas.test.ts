/** Custom noise levels, in every form in which options are given. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readPngText } from '../../../lib/image/png.js';
import { defaultLimits, jobSchemas } from '../../../lib/jobs/schemas.js';
import { restoreOptions } from '../../../lib/options/infotext/restore.js';
import { fullSigmas } from '../../../lib/pipelines/diffusion/denoising/sigmas.js';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import { type GenerateOptions, resolveOptions } from '../../../lib/pipelines/options.js';
import { FlowSchedule } from '../../../lib/sampling/flow-schedule.js';
import { run } from '../../support/cli.js';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await Pipeline.load(undefined, { threads: 1 });
});
afterAll(() => pipeline.dispose());

const APPLE = { prompt: 'a red apple', seed: 7, sampler: 'euler', width: 64, height: 64 } as const;

async function sigmasOf(options: GenerateOptions) {
  const stream = pipeline.stream(options);
  const sigmas: number[] = [];
  for await (const { sigma, sigmaNext, step } of stream)
    sigmas.push(...(step === 0 ? [sigma] : []), sigmaNext);
  return { sigmas, image: (await stream.result).images[0]! };
}

describe('sigmas', () => {
  it("equal to those of a schedule give the schedule's image", async () => {
    const own = await sigmasOf({ ...APPLE, steps: 3 });
    expect(own.sigmas).toHaveLength(4);
    for (const sigmas of [own.sigmas, own.sigmas.slice(0, -1)]) {
      const given = await sigmasOf({ ...APPLE, sigmas });
      expect(given.sigmas).toEqual(own.sigmas);
      expect(given.image.data).toEqual(own.image.data);
    }
    expect((await sigmasOf({ ...APPLE, sigmas: [12, 1] })).image.data).not.toEqual(own.image.data);
  });

  it('are cut by the strength of image-to-image like a schedule, and do not apply to the second pass', async () => {
    const init = { data: new Uint8Array(64 * 64 * 3).fill(90), width: 64, height: 64 };
    const sigmas = [10, 5, 2, 1];
    expect((await sigmasOf({ ...APPLE, init, strength: 0.5, sigmas })).sigmas).toEqual([5, 2, 1, 0]);
    const passes: number[] = [];
    const stream = pipeline.stream({
      ...APPLE,
      sigmas: [10, 1],
      hires: { scale: 1.5, steps: 3, strength: 0.9 },
    });
    for await (const { pass } of stream) passes.push(pass);
    expect(passes).toEqual([1, 1, 2, 2, 2]);
  });

  it('are written into the image and reproduce it', async () => {
    const { image } = await sigmasOf({ ...APPLE, sigmas: [14.6, 3.25, 0.1] });
    const { parameters = '', safelight = '' } = readPngText(await image.png());
    expect(parameters).toContain('Steps: 3, Sampler: Euler, CFG scale');
    expect(parameters).toContain('Sigmas: 14.6 3.25 0.1');
    for (const texts of [{ parameters }, { safelight }]) {
      const { options, unrestored } = restoreOptions(texts);
      expect(unrestored).toEqual([]);
      expect(options).toMatchObject({ sigmas: [14.6, 3.25, 0.1] });
      expect((await pipeline.generate(options)).images[0]!.data).toEqual(image.data);
    }
  });

  it.each<[string, object, RegExp]>([
    ['an empty list', { sigmas: [] }, /sigmas/],
    ['a number', { sigmas: 3 }, /sigmas/],
    ['ascending levels', { sigmas: [1, 2] }, /descending/],
    ['duplicate levels', { sigmas: [2, 2] }, /descending/],
    ['a 0 before the end', { sigmas: [2, 0, 0] }, /sigmas/],
    ['a single 0', { sigmas: [0] }, /sigmas/],
    ['negative levels', { sigmas: [2, -1] }, /sigmas/],
    ['infinite levels', { sigmas: [Number.POSITIVE_INFINITY, 1] }, /sigmas/],
    ['strings', { sigmas: ['2', '1'] }, /sigmas/],
    ['holes', { sigmas: new Array(2) }, /sigmas/],
    ['more than 1000 levels', { sigmas: Array.from({ length: 1001 }, (_, i) => 2000 - i) }, /at most 1000/],
    ['sigmas with steps', { sigmas: [2], steps: 1 }, /steps/],
    ['sigmas with a schedule', { sigmas: [2], schedule: 'karras' }, /schedule/],
    ["sigmas with a schedule in the sampler's name", { sigmas: [2], sampler: 'DPM++ 2M Karras' }, /sampler/],
    ['sigmas with a range', { sigmas: [2], sigmaMax: 3 }, /sigmaMax/],
    ['sigmas with discardPenultimate', { sigmas: [2], discardPenultimate: true }, /discardPenultimate/],
    ['sigmas with a sampler that has its own levels', { sigmas: [2], sampler: 'ddim' }, /sampler/],
  ])('reject %s', async (_, options, message) => {
    const error = await pipeline.generate({ ...APPLE, ...options }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'INVALID_OPTION', message: expect.stringMatching(message) });
  });

  it('are at most 1 on a flow-matching model', () => {
    const model = {
      noiseSchedule: () => new FlowSchedule({ shift: 3 }),
      alignYourSteps: undefined,
      shape: [1, 4, 8, 8],
    } as const;
    const resolved = (options: GenerateOptions) => resolveOptions(options, {}, 8).sampling;
    expect(fullSigmas(resolved({ sampler: 'euler', sigmas: [1, 0.5] }), model).sigmas).toEqual([1, 0.5, 0]);
    expect(() => fullSigmas(resolved({ sampler: 'euler', sigmas: [1.5, 0.5] }), model)).toThrow(/at most 1/);
  });

  it('are a comma-separated flag', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'safelight-sigmas-'));
    const size = ['-W', '64', '-H', '64'];
    const made = await run(['generate', 'apple', ...size, '--sigmas', '14,2,.5', '-o', 'a.png'], folder);
    expect([made.code, made.stderr]).toEqual([0, expect.anything()]);
    const { parameters } = readPngText(await readFile(join(folder, 'a.png')));
    expect(parameters).toContain('Sigmas: 14 2 0.5');
    await rm(folder, { recursive: true });
    const wrong = await run(['generate', 'apple', '--sigmas', '1,2']);
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('sigmas')]);
    const both = await run(['generate', 'apple', '--sigmas', '2,1', '--steps', '2']);
    expect([both.code, both.stderr]).toEqual([2, expect.stringContaining('steps')]);
  });

  it("are accepted in jobs, within the server's step limit, and not together with steps", () => {
    const schema = jobSchemas({ ...defaultLimits, maxSteps: 3 })['text-to-image'];
    const accepts = (options: object): boolean => schema.safeParse({ prompt: 'a', ...options }).success;
    expect(accepts({ sigmas: [3, 2, 1, 0] })).toBe(true);
    expect(accepts({ sigmas: [4, 3, 2, 1] })).toBe(false);
    expect(accepts({ sigmas: [1, 2] })).toBe(false);
    expect(accepts({ sigmas: [3, 2], steps: 2 })).toBe(false);
    expect(accepts({ sigmas: [3, 2], discardPenultimate: false })).toBe(true);
  });
});
