import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import type { GenerateOptions } from '../../../lib/pipelines/options.js';

const APPLE: GenerateOptions = {
  prompt: 'a red apple',
  negative: 'blue',
  seed: 7,
  steps: 3,
  cfg: 4,
  width: 64,
  height: 96,
};

describe('memory: lean', () => {
  let balanced: Pipeline;
  let lean: Pipeline;
  beforeAll(async () => {
    balanced = await Pipeline.load(undefined, { threads: 1 });
    lean = await Pipeline.load(undefined, { threads: 1, memory: 'lean' });
  });
  afterAll(async () => {
    await balanced.dispose();
    await lean.dispose();
  });

  it('generates the same images, with weights in their files and one prompt at a time', async () => {
    const [a, b] = await Promise.all([balanced, lean].map((p) => p.generate({ ...APPLE, count: 2 })));
    expect(a!.images).toHaveLength(2);
    a!.images.forEach(({ data }, i) => {
      const worst = Math.max(...data.map((v, k) => Math.abs(v - b!.images[i]!.data[k]!)));
      expect(worst).toBeLessThanOrEqual(1);
    });
  });

  it('keeps no private copy of weights that the CPU can use from the file', () => {
    const [kept, left] = [balanced.memory(), lean.memory()];
    for (const part of ['text_encoder', 'unet', 'autoencoder']) {
      // Norms and biases remain, which are f32 in memory and f16 in the files.
      expect(left[part]!.weights).toBeLessThan(kept[part]!.weights / 20);
    }
  });

  it('reads the same taps', async () => {
    const options = { ...APPLE, word: 'apple' };
    const [a] = await balanced.attentionMap(options);
    const [b] = await lean.attentionMap(options);
    expect(b!.map.shape).toEqual(a!.map.shape);
    const worst = Math.max(...a!.map.data.map((v, i) => Math.abs(Number(v) - Number(b!.map.data[i]))));
    expect(worst).toBeLessThan(1e-4);
  });

  it('rejects unknown modes', async () => {
    const load = Pipeline.load(undefined, { memory: 'tiny' as never });
    await expect(load).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });
});
