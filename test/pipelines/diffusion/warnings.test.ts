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

async function generate(
  options: Partial<GenerateOptions>,
): Promise<GenerateResult & { reported: Warning[] }> {
  const reported: Warning[] = [];
  const result = await pipeline.generate({
    ...{ prompt: 'a red apple', seed: 1, steps: 1 },
    ...options,
    onWarning: (warning) => reported.push(warning),
  });
  return { ...result, reported };
}
const codes = ({ warnings }: GenerateResult) => warnings.map(({ code }) => code);

const SMALL = { width: 32, height: 32 };

describe('tags of networks that cannot be applied', () => {
  it('are reported once, ignored, and images are generated', async () => {
    const made = await generate({
      ...{ prompt: 'a <hypernet:y:1> <foo:1>, (fine:1.2), [less]', negative: '<lora:x:1> AND z' },
      ...{ ...SMALL, count: 2, batch: 1 },
      hires: { scale: 1.25, prompt: '<lyco:z:1>' },
      missingAdapters: 'warn',
    });
    expect(made.images).toHaveLength(2);
    expect(made.warnings.map(({ code, message }) => [code, message.split('; ')[0]])).toEqual([
      ['PROMPT_SYNTAX', 'Hypernetworks are not supported'],
      ['PROMPT_SYNTAX', 'Networks of this kind are not supported'],
      ['PROMPT_SYNTAX', '<lora:x:1> in the negative prompt is text, as in A1111'],
      ['ADAPTER_NOT_FOUND', expect.stringMatching(/^<lyco:z:1> is ignored: The prompt names the LoRA "z"/)],
    ]);
    expect(made.reported).toEqual(made.warnings);
    const plain = await generate({
      ...{ prompt: 'a  , (fine:1.2), [less]', negative: '<lora:x:1> AND z' },
      ...{ ...SMALL, count: 2, batch: 1 },
      hires: { scale: 1.25, prompt: '' },
    });
    expect(made.images.map(({ data }) => data)).toEqual(plain.images.map(({ data }) => data));
  });

  it('are rejected by default if they name a LoRA', async () => {
    await expect(generate({ prompt: 'a <lora:x:1>', ...SMALL })).rejects.toMatchObject({
      code: 'ADAPTER_NOT_FOUND',
    });
  });

  it.each(['<lora:x:heavy>', '<lora:x:1:1:0>', '<lora:x:1:lbw=a>'])('are rejected: %s', async (tag) => {
    await expect(generate({ prompt: tag, ...SMALL })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });

  it('are counted if there are many', async () => {
    const prompt = Array.from({ length: 20 }, (_, i) => `<foo:${i}>`).join();
    const { warnings } = await generate({ prompt, ...SMALL });
    expect(warnings).toHaveLength(17);
    expect(warnings.at(-1)!.message).toMatch(/^4 more tags/);
  });
});

describe('comments in prompts', () => {
  it('are removed and not recorded', async () => {
    const [commented, plain] = [
      await generate({ prompt: 'a red apple # or a pear\n# and more', negative: 'dark # very', ...SMALL }),
      await generate({ prompt: 'a red apple', negative: 'dark', ...SMALL }),
    ];
    expect(commented.images[0]!.data).toEqual(plain.images[0]!.data);
    expect(commented.images[0]!.parameters).toBe(plain.images[0]!.parameters);
    expect((await pipeline.tokenize('apple # pear')).flatMap(({ tokens }) => tokens)).not.toContain(
      'pear</w>',
    );
  });
});

describe('a prompt with several texts', () => {
  it('causes a warning where a single text is encoded, and none in a generation', async () => {
    const reported: Warning[] = [];
    const onWarning = (warning: Warning) => void reported.push(warning);
    const encoded = await pipeline.encodeText('[cat:dog:5] AND b', { onWarning });
    expect(reported.map(({ code }) => code)).toEqual(['PROMPT_SYNTAX']);
    expect(encoded.context.data).toEqual((await pipeline.encodeText('cat ')).context.data);
    const made = await generate({ prompt: '[cat:dog:1] AND [a|b] BREAK \\[c:d:5\\]', ...SMALL });
    expect(made.warnings).toEqual([]);
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
    const sized = await generate({ init: image(400, 300), width: 200, height: 152 });
    expect([sized.images[0]!.width, sized.images[0]!.height, codes(sized)]).toEqual([200, 152, []]);
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
    const reported: Warning[] = [];
    const onWarning = (warning: Warning) => void reported.push(warning);
    expect((await pipeline.encode(image(320, 320), { onWarning })).shape).toEqual([1, 4, 16, 16]);
    expect(reported.map(({ code }) => code)).toEqual(['IMAGE_RESIZED']);
    const sized = await pipeline.encode(image(320, 320), { width: 264, height: 256, onWarning });
    expect([sized.shape, reported.map(({ code }) => code)]).toEqual([
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
    const reported: string[] = [];
    const positive = await pipeline.encodeText('a');
    const sized = { positive, steps: 1, cfg: 1, width: 264, height: 256 };
    await pipeline.denoise({ ...sized, onWarning: ({ code }) => void reported.push(code) });
    expect(reported).toEqual(['LARGE_IMAGE']);
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
