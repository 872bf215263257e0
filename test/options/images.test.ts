/** A PNG contains exactly how its image was made and suffices to generate it again. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readPngText } from '../../lib/image/png.js';
import { restoreOptions } from '../../lib/options/infotext/restore.js';
import { Pipeline } from '../../lib/pipelines/diffusion/pipeline.js';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await Pipeline.load();
});
afterAll(() => pipeline.dispose());

it('generates each image of a call again from its exact options', async () => {
  const { images } = await pipeline.generate({
    ...{ prompt: 'a red apple', negative: 'Negative prompt: none', seed: 3, count: 2, width: 64, height: 64 },
    ...{
      steps: 2,
      batch: 1,
      sampler: 'Euler a',
      eta: 0.7,
      guidanceInterval: [0.5, Number.POSITIVE_INFINITY],
    },
    ...{ subseed: 5, subseedStrength: 0.3, clipSkip: 2, emphasis: 'no norm', deepCache: { interval: 2 } },
  });
  for (const image of images) {
    const texts = readPngText(await image.png());
    expect(Object.keys(texts)).toEqual(['parameters', 'safelight']);
    const { options, unrestored } = restoreOptions(texts);
    expect(unrestored).toEqual([]);
    const [again] = (await pipeline.generate(options)).images;
    expect(Buffer.from(again!.data).equals(image.data)).toBe(true);
    expect(again!.exactOptions).toBe(image.exactOptions);
  }
  expect(images[0]!.exactOptions).not.toBe(images[1]!.exactOptions);
});

it('writes neither text into a PNG without metadata nor into an image that was only decoded', async () => {
  const { images } = await pipeline.generate({ prompt: 'x', seed: 1, steps: 1, width: 64, height: 64 });
  expect(readPngText(await images[0]!.png({ metadata: false }))).toEqual({});
  const [decoded] = await pipeline.decode(images[0]!.latent);
  expect(readPngText(await decoded!.png())).toEqual({});
});
