/** Encodings in place of prompts, and lists of prompts. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseParameters } from '../../../lib/image/parameters.js';
import { readPngText } from '../../../lib/image/png.js';
import { defaultLimits, jobSchemas } from '../../../lib/jobs/schemas.js';
import { restoreOptions } from '../../../lib/options/infotext/restore.js';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import type { GenerateOptions } from '../../../lib/pipelines/options.js';
import type { Progress } from '../../../lib/pipelines/progress.js';
import { Tensor } from '../../../lib/tensor/tensor.js';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await Pipeline.load(undefined, { threads: 1 });
});
afterAll(() => pipeline.dispose());

const SMALL = { seed: 7, steps: 2, sampler: 'euler', width: 64, height: 64 } as const;
const LONG = 'a red apple on a table '.repeat(12);
const images = async (options: GenerateOptions) => (await pipeline.generate({ ...SMALL, ...options })).images;

describe('embeddings', () => {
  it.each([
    ['a red apple', 'blurry'],
    ['a red apple', ''],
    [LONG, 'blurry'],
  ])('of the prompts %j and %j generate their image', async (prompt, negative) => {
    const [own] = await images({ prompt, negative });
    const positive = await pipeline.encodeText(prompt);
    const [given] = await images({
      embeddings: {
        positive,
        ...(negative === '' ? {} : { negative: await pipeline.encodeText(negative, { negative: true }) }),
      },
    });
    expect(given!.data).toEqual(own!.data);
    const [twice] = await images({
      embeddings: {
        positive: {
          ...positive,
          context: Tensor.from(
            positive.context.data.map((x) => 2 * x),
            positive.context.shape,
          ),
        },
      },
    });
    expect(twice!.data).not.toEqual(own!.data);
  });

  it('are marked in the image as missing from its texts', async () => {
    const [image] = await images({
      embeddings: { positive: await pipeline.encodeText('a red apple') },
      noise: Tensor.zeros([1, 4, 8, 8]),
    });
    const { parameters = '', safelight = '' } = readPngText(await image!.png());
    for (const texts of [{ parameters }, { safelight }]) {
      const { unrestored, warnings, options } = restoreOptions(texts);
      expect(options.seed).toBe(7);
      expect(unrestored.map(({ value }) => value).join()).toMatch(/noise.*embeddings/);
      expect(warnings).toMatchObject([{ code: 'NOT_RESTORED' }]);
    }
  });

  it.each<[string, (encoding: object) => object, string]>([
    ['together with a prompt', (positive) => ({ prompt: 'a', embeddings: { positive } }), 'INVALID_OPTION'],
    [
      'together with a negative prompt',
      (positive) => ({ negative: 'a', embeddings: { positive } }),
      'INVALID_OPTION',
    ],
    [
      'together with the prompt of a second pass',
      (positive) => ({ hires: { prompt: 'a' }, embeddings: { positive } }),
      'INVALID_OPTION',
    ],
    ['without tensors', () => ({ embeddings: {} }), 'INVALID_OPTION'],
    ['of type string', () => ({ embeddings: 'a red apple' }), 'INVALID_OPTION'],
    [
      'with a misspelt name',
      (positive) => ({ embeddings: { positive, negativ: positive } }),
      'INVALID_OPTION',
    ],
    [
      'of another width',
      () => ({ embeddings: { positive: { context: Tensor.zeros([1, 32, 5]) } } }),
      'SHAPE_MISMATCH',
    ],
  ])('are rejected %s', async (_, options, code) => {
    const positive = await pipeline.encodeText('a red apple');
    await expect(images(options(positive))).rejects.toMatchObject({ code });
  });
});

describe('a list of prompts', () => {
  it('returns the images of each prompt as if generated alone, from the same seed, in one result', async () => {
    const prompt = ['a red apple', 'a blue car'];
    const seen: Progress[] = [];
    const indices: number[] = [];
    const stream = pipeline.stream({
      ...SMALL,
      prompt,
      negative: 'blurry',
      count: 2,
      onProgress: (one) => void seen.push(one),
    });
    for await (const { promptIndex, seeds } of stream) {
      indices.push(promptIndex);
      expect(seeds).toEqual([7, 8]);
    }
    const { images: made, seed, warnings } = await stream.result;
    expect([made.length, seed, warnings, indices]).toEqual([4, 7, [], [0, 0, 1, 1]]);
    for (const [i, one] of prompt.entries()) {
      const alone = await images({ prompt: one, negative: 'blurry', count: 2 });
      const own = made.slice(2 * i, 2 * i + 2);
      expect(own.map(({ data }) => data)).toEqual(alone.map(({ data }) => data));
      expect(own.map(({ parameters }) => parameters)).toEqual(alone.map(({ parameters }) => parameters));
      expect(own.map(({ exactOptions }) => exactOptions)).toEqual(
        alone.map(({ exactOptions }) => exactOptions),
      );
      expect(parseParameters(own[1]!.parameters)).toMatchObject({ prompt: one, fields: { Seed: '8' } });
    }
    const denoise = seen
      .filter(({ phase }) => phase === 'denoise')
      .map(({ step, steps }) => `${step}/${steps}`);
    expect(denoise).toEqual(['0/4', '1/4', '2/4', '2/4', '3/4', '4/4']);
    expect(seen.every(({ elapsed }, i) => elapsed >= (seen[i - 1]?.elapsed ?? 0))).toBe(true);
  });

  it('chooses a random seed once, and accepts one negative prompt per prompt or one for all', async () => {
    const { images: made } = await pipeline.generate({
      ...SMALL,
      seed: -1,
      prompt: 'a car',
      negative: ['', 'blue'],
    });
    expect(made[0]!.seed).toBe(made[1]!.seed);
    expect(made[0]!.data).not.toEqual(made[1]!.data);
    const [, second] = await images({
      prompt: ['a car', 'a car'],
      negative: ['', 'blue'],
      seed: made[0]!.seed!,
    });
    expect(second!.data).toEqual(made[1]!.data);
  });

  it('stops when the loop is left, and omits prompts after finish', async () => {
    const stream = pipeline.stream({ ...SMALL, prompt: ['a', 'b'] });
    for await (const { promptIndex } of stream) if (promptIndex === 1) break;
    await expect(stream.result).rejects.toMatchObject({ code: 'ABORTED' });
    const finish = new AbortController();
    const ended = pipeline.stream({ ...SMALL, prompt: ['a', 'b', 'c'], finish: finish.signal });
    for await (const { promptIndex } of ended) if (promptIndex === 1) finish.abort();
    expect((await ended.result).images).toHaveLength(2);
  });

  it('warns about the tags of each prompt', async () => {
    const { warnings } = await pipeline.generate({
      ...SMALL,
      steps: 1,
      prompt: ['a <lora:x:1>', 'b <lora:y:1>'],
      missingAdapters: 'warn',
    });
    expect(warnings.map(({ message }) => message.slice(0, 12))).toEqual(
      ['<lora:x:1> i', '<lora:y:1> i'].map((text) => expect.stringContaining(text.slice(0, 10))),
    );
  });

  it.each<[string, object]>([
    ['without a prompt', { prompt: [] }],
    ['of numbers', { prompt: ['a', 7] }],
    ['with a hole', { prompt: new Array(2) }],
    ['of lists', { prompt: [['a']] }],
    ['with another number of negative prompts', { prompt: ['a', 'b'], negative: ['c', 'd', 'e'] }],
    ['of 1001 prompts', { prompt: new Array(1001).fill('a') }],
  ])('is rejected %s', async (_, options) => {
    await expect(images(options)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });

  it('is rejected over HTTP and by attentionMap', async () => {
    expect(jobSchemas(defaultLimits)['text-to-image'].safeParse({ prompt: ['a', 'b'] }).success).toBe(false);
    const call = pipeline.attentionMap({ ...SMALL, prompt: ['a', 'b'], word: 'a' });
    await expect(call).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });
});
