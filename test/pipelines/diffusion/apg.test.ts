import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import type { GenerateOptions } from '../../../lib/pipelines/options.js';
import { GuidanceProjection } from '../../../lib/sampling/adaptive-projection.js';
import type { Tensor } from '../../../lib/tensor/tensor.js';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await Pipeline.load(undefined, { threads: 2 });
});
afterAll(() => pipeline.dispose());

const base: GenerateOptions = { prompt: 'a red apple', seed: 5, steps: 4, width: 64, height: 64, cfg: 9 };

/** Returns the largest difference of values relative to the largest value of the second. */
function difference(a: Float32Array, b: Float32Array): number {
  return Math.max(...a.map((value, i) => Math.abs(value - b[i]!))) / Math.max(...b.map(Math.abs));
}

async function latentOf(options: Partial<GenerateOptions>): Promise<Float32Array> {
  const { images } = await pipeline.generate({ ...base, ...options });
  return images[0]!.latent.data;
}

describe('apg', () => {
  it('equals guidance if it limits and reduces nothing, and has its defaults otherwise', async () => {
    const plain = await latentOf({});
    expect(difference(await latentOf({ apg: { eta: 1, threshold: 0, momentum: 0 } }), plain)).toBeLessThan(
      1e-4,
    );
    const projected = await latentOf({ apg: {} });
    expect(difference(projected, plain)).toBeGreaterThan(0.05);
    expect(await latentOf({ apg: { eta: 0, threshold: 15, momentum: -0.5 } })).toEqual(projected);
  });

  it('changes the guided prediction of every step, with the momentum of the pass', async () => {
    const settings = { eta: 0.2, threshold: 6, momentum: -0.5 };
    const projection = new GuidanceProjection(settings, 9);
    const steps = pipeline.stream({ ...base, apg: settings, predictions: true });
    let count = 0;
    for await (const { predictions, guided } of steps) {
      const { positive, negative } = predictions as Record<string, Tensor>;
      const expected = negative!.data.map((value, i) => value + 9 * (positive!.data[i]! - value));
      projection.apply({ base: negative!.data, positive: positive!.data, guided: expected }, expected.length);
      expect(difference(guided!.data, expected)).toBeLessThan(1e-5);
      count++;
    }
    expect(count).toBe(4);
  });

  it('has no effect without guidance', async () => {
    expect(await latentOf({ apg: {}, cfg: 1 })).toEqual(await latentOf({ cfg: 1 }));
  });

  it.each([[{ eta: -1 }], [{ threshold: -1 }], [{ momentum: 2 }], [{ scale: 1 }], [3]])(
    'rejects %j',
    async (apg) => {
      await expect(pipeline.generate({ ...base, apg: apg as object })).rejects.toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining('apg') }),
      );
    },
  );
});
