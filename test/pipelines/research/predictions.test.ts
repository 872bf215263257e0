/** The guided and unguided predictions of each step. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import { combinePredictions } from '../../../lib/sampling/guidance.js';
import { Tensor } from '../../../lib/tensor/tensor.js';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await Pipeline.load(undefined, { threads: 1 });
});
afterAll(() => pipeline.dispose());

const APPLE = { prompt: 'a red apple', seed: 7, steps: 2, sampler: 'euler', width: 64, height: 64 } as const;

describe('predictions of a step', () => {
  it('are those of the branches, from which guidance computes the guided one', async () => {
    const options = { ...APPLE, count: 2, cfg: 3, guidanceRescale: 0.5 };
    const stream = pipeline.stream({ ...options, predictions: true });
    let before = Tensor.zeros([0]);
    for await (const { predictions, guided, x0, sigma, step, latent } of stream) {
      expect(Object.keys(predictions!)).toEqual(['negative', 'positive']);
      const { negative, positive } = predictions!;
      expect([negative!.shape, positive!.shape, guided!.shape]).toEqual(new Array(3).fill([2, 4, 8, 8]));
      expect(negative!.data).not.toEqual(positive!.data);
      const branches = [
        { name: 'negative', conditioning: { tensors: {} }, weight: 1, base: true },
        { name: 'positive', conditioning: { tensors: {} }, weight: 3 },
      ];
      const both = Tensor.cat([negative!, positive!]).data;
      expect(guided!.data).toEqual(combinePredictions(branches, both, 2, { rescale: 0.5 }));
      // The starter predicts v: x0 = x / (1 + sigma^2) - v * sigma / sqrt(1 + sigma^2).
      if (step === 1) {
        const [skip, out] = [1 / (1 + sigma ** 2), -sigma / Math.sqrt(1 + sigma ** 2)];
        const wanted = before.data.map((x, i) => x * skip + guided!.data[i]! * out);
        const distance = Math.max(...wanted.map((value, i) => Math.abs(value - x0.data[i]!)));
        expect(distance).toBeLessThan(1e-4);
      }
      before = latent.clone();
      guided!.data.fill(0); // a copy: writing into it has no effect
    }
    const plain = await pipeline.generate(options);
    expect((await stream.result).images.map(({ data }) => data)).toEqual(
      plain.images.map(({ data }) => data),
    );
  });

  it('contain only branches that ran', async () => {
    const names: string[][] = [];
    const stream = pipeline.stream({ ...APPLE, cfg: 1, predictions: true });
    for await (const { predictions, guided } of stream) {
      names.push(Object.keys(predictions!));
      expect(guided!.data).toEqual(predictions!.positive!.data);
    }
    expect(names).toEqual([['positive'], ['positive']]);
  });

  it('are absent unless requested, also in the denoise stage', async () => {
    for await (const step of pipeline.stream(APPLE))
      expect([step.predictions, step.guided]).toEqual([undefined, undefined]);
    const positive = await pipeline.encodeText('a red apple');
    const seen: (number[] | undefined)[] = [];
    const { steps, width, height } = APPLE;
    for (const predictions of [true, false])
      await pipeline.denoise({
        positive,
        steps,
        width,
        height,
        predictions,
        onStep: ({ guided }) => void seen.push(guided?.shape as number[]),
      });
    expect(seen).toEqual([[1, 4, 8, 8], [1, 4, 8, 8], undefined, undefined]);
    await expect(pipeline.generate({ ...APPLE, predictions: 1 as never })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
  });
});
