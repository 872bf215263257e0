/** Warnings in results and callbacks, with the starter model (128 x 128 pixels). */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GenerateOptions, GenerateResult, Warning } from '../../../lib/index.js';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import { VqganPipeline } from '../../../lib/pipelines/vqgan/vqgan-pipeline.js';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await Pipeline.load(undefined, { threads: 1 });
});
afterAll(() => pipeline.dispose());

const image = (width: number, height: number) => ({
  data: Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 7) % 256),
  width,
  height,
});

async function generate(options: Partial<GenerateOptions>): Promise<GenerateResult & { told: Warning[] }> {
  const told: Warning[] = [];
  const result = await pipeline.generate({
    ...{ prompt: 'a red apple', seed: 1, steps: 1 },
    ...options,
    onWarning: (warning) => told.push(warning),
  });
  return { ...result, told };
}
const codes = ({ warnings }: GenerateResult) => warnings.map(({ code }) => code);

describe('unsupported prompt syntax', () => {
  it('is reported by name for each prompt, once, and images are generated', async () => {
    const made = await generate({
      ...{
        prompt: 'a <lora:x:1> [cat:dog:5] AND [a|b], (fine:1.2), [less]',
        negative: '<hypernet:y:1> AND z',
      },
      ...{ width: 32, height: 32, count: 2, batch: 1 },
      hires: { scale: 1.25, prompt: '<lyco:z:1>', negative: '[c:3]' },
    });
    expect(made.images).toHaveLength(2);
    expect(made.warnings.map(({ code, message }) => [code, message.split(' in A1111')[0]])).toEqual([
      ['PROMPT_SYNTAX', '<lora:x:1> in prompt is a LoRA'],
      ['PROMPT_SYNTAX', '[cat:dog:5] in prompt is prompt editing'],
      ['PROMPT_SYNTAX', 'AND in prompt is a combination of prompts'],
      ['PROMPT_SYNTAX', '[a|b] in prompt is alternation'],
      ['PROMPT_SYNTAX', '<hypernet:y:1> in negative is a hypernetwork'],
      ['PROMPT_SYNTAX', '<lyco:z:1> in hires.prompt is a LyCORIS network'],
      ['PROMPT_SYNTAX', '[c:3] in hires.negative is prompt editing'],
    ]);
    expect(made.told).toEqual(made.warnings);
    for (const { message } of made.warnings) expect(message).toContain('drawn as plain words');
  });

  it('is not reported for supported syntax', async () => {
    const made = await generate({ prompt: '(a:1.2) [b] \\[c:d:5\\] BREAK e', width: 32, height: 32 });
    expect(made.warnings).toEqual([]);
  });

  it('is reported by the encodeText stage, with a count if there are many constructs', async () => {
    const told: Warning[] = [];
    await pipeline.encodeText('[a:1]'.repeat(40), { onWarning: (warning) => told.push(warning) });
    expect(told).toHaveLength(2);
    await pipeline.encodeText(Array.from({ length: 20 }, (_, i) => `[${i}:1]`).join(), {
      onWarning: (warning) => told.push(warning),
    });
    expect(told).toHaveLength(2 + 17);
    expect(told.at(-1)!.message).toMatch(/^4 more constructs in the prompt/);
  });
});

describe('an initial image', () => {
  it('with more pixels than the model is scaled down if no size is given, with a warning', async () => {
    const made = await generate({ init: image(400, 300) });
    const { width, height } = made.images[0]!;
    expect([width % 8, height % 8, width > height]).toEqual([0, 0, true]);
    expect(width * height).toBeLessThanOrEqual(128 * 128);
    expect(made.warnings).toMatchObject([{ code: 'IMAGE_RESIZED' }]);
    expect(made.warnings[0]!.message).toContain('400 x 300');
    expect(made.warnings[0]!.message).toContain(`${width} x ${height}`);
  });

  it('keeps its size up to that limit, and a requested size', async () => {
    const small = await generate({ init: image(100, 60) });
    expect([small.images[0]!.width, small.images[0]!.height, codes(small)]).toEqual([96, 56, []]);
    const asked = await generate({ init: image(400, 300), width: 200, height: 152 });
    expect([asked.images[0]!.width, asked.images[0]!.height, codes(asked)]).toEqual([200, 152, []]);
  });

  it('is processed at the model’s pixel count with onlyMasked, too, and keeps its size', async () => {
    const mask = { ...image(300, 300), data: new Uint8Array(300 * 300 * 3).fill(255) };
    const made = await generate({ init: image(300, 300), mask, onlyMasked: true });
    expect([made.images[0]!.width, made.images[0]!.height, codes(made)]).toEqual([
      300,
      300,
      ['IMAGE_RESIZED'],
    ]);
  });

  it('that is encoded at its own large size causes a warning', async () => {
    const made = await generate({ init: image(280, 280), width: 64, height: 64, resizeMode: 'latent' });
    expect(codes(made)).toEqual(['LARGE_IMAGE']);
  });

  it('causes the same warning in the encode stage', async () => {
    const told: Warning[] = [];
    const onWarning = (warning: Warning) => void told.push(warning);
    expect((await pipeline.encode(image(320, 320), { onWarning })).shape).toEqual([1, 4, 16, 16]);
    expect(told.map(({ code }) => code)).toEqual(['IMAGE_RESIZED']);
    const asked = await pipeline.encode(image(320, 320), { width: 264, height: 256, onWarning });
    expect([asked.shape, told.map(({ code }) => code)]).toEqual([
      ...[
        [1, 4, 32, 33],
        ['IMAGE_RESIZED', 'LARGE_IMAGE'],
      ],
    ]);
  });
});

describe('a size above four times the model’s pixels', () => {
  it.each<[string, Partial<GenerateOptions>, string[]]>([
    ['from noise', { width: 264, height: 256 }, ['LARGE_IMAGE']],
    ['from noise, exactly four times', { width: 256, height: 256 }, []],
    ['of a second pass', { hires: { scale: 2.25, steps: 1, strength: 0.5 } }, ['LARGE_IMAGE']],
    ['of a typical second pass', { hires: { scale: 2, steps: 1, strength: 0.5 } }, []],
    ['from an image', { init: image(40, 40), width: 264, height: 256, strength: 0.5 }, ['LARGE_IMAGE']],
  ])('causes a warning: %s', async (_name, options, expected) => {
    expect(codes(await generate(options))).toEqual(expected);
  });

  it('causes a warning in the denoise stage', async () => {
    const told: string[] = [];
    const positive = await pipeline.encodeText('a');
    const asked = { positive, steps: 1, cfg: 1, width: 264, height: 256 };
    await pipeline.denoise({ ...asked, onWarning: ({ code }) => void told.push(code) });
    expect(told).toEqual(['LARGE_IMAGE']);
  });

  it('causes a warning for VQGAN models, which keep an image’s size except for scores', async () => {
    const model = await VqganPipeline.load(undefined, { threads: 1 });
    try {
      const made = await model.reconstruct(image(200, 200));
      expect([made.image.width, made.warnings.map(({ code }) => code)]).toEqual([200, ['LARGE_IMAGE']]);
      expect((await model.reconstruct(image(192, 192))).warnings).toEqual([]);
      const score = await model.score(image(200, 200));
      expect([score.original.width, score.warnings.map(({ code }) => code)]).toEqual([96, ['IMAGE_RESIZED']]);
    } finally {
      await model.dispose();
    }
  });
});
