import { afterAll, beforeAll, expect, it } from 'vitest';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import type { GenerateOptions } from '../../../lib/pipelines/options.js';
import { samplerNames } from '../../../lib/sampling/samplers/index.js';
import { scheduleNames } from '../../../lib/sampling/schedules/index.js';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await Pipeline.load(undefined, { threads: 1 });
});
afterAll(() => pipeline.dispose());

const APPLE: GenerateOptions = { prompt: 'a red apple', seed: 3, steps: 5, width: 32, height: 32 };
const init = { data: new Uint8Array(32 * 32 * 3).fill(200), width: 32, height: 32 };

/** Runs a generation and returns the share of work done in each progress report. */
async function run(options: Partial<GenerateOptions>): Promise<{ shares: number[]; data: Uint8Array }> {
  const shares: number[] = [];
  const { images } = await pipeline.generate({
    ...APPLE,
    ...options,
    onProgress: ({ phase, step, steps }) => void (phase === 'denoise' && shares.push(step / steps)),
  });
  return { shares, data: images[0]!.data };
}

it.each(samplerNames)(
  '%s generates images from noise and from an image, and reports progress',
  async (sampler) => {
    const [text, image] = [await run({ sampler }), await run({ sampler, init, strength: 0.6 })];
    expect(text.data).not.toEqual(image.data);
    for (const { shares } of [text, image]) {
      expect(shares[0]).toBe(0);
      // The adaptive sampler learns its number of steps only during the run.
      if (sampler !== 'dpm_adaptive') expect(shares.at(-1)).toBe(1);
      expect(shares.every((share) => share >= 0 && share <= 1)).toBe(true);
    }
    expect((await run({ sampler })).data).toEqual(text.data);
  },
);

it.each(scheduleNames)('the schedule %s leads to a different image', async (schedule) => {
  const { data } = await run({ schedule, sampler: 'euler' });
  expect(data).not.toEqual(
    (await run({ schedule: schedule === 'karras' ? 'beta' : 'karras', sampler: 'euler' })).data,
  );
});
