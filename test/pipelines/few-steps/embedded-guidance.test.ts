/** Models that embed the guidance scale: one branch per evaluation, with every other feature of a generation. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import type { GenerateOptions } from '../../../lib/pipelines/options.js';
import { convertModel } from '../../../lib/tools/convert.js';
import { writeLcmFile, writeLcmFolder } from '../../support/few-steps.js';
import { removeFolders, writeLora } from '../../support/lora.js';
import { imagePath, relativeError } from '../../support/pipeline-cases.js';

const root = mkdtempSync(join(tmpdir(), 'safelight-embedded-'));
let pipeline: Pipeline;

beforeAll(async () => {
  pipeline = await Pipeline.load(writeLcmFolder(join(root, 'folder')), { storage: 'f32' });
});
afterAll(async () => {
  await pipeline.dispose();
  rmSync(root, { recursive: true, force: true });
  removeFolders();
});

const SMALL = { prompt: 'a red apple', seed: 3, width: 32, height: 32, steps: 3 } as const;

async function latentOf(options: GenerateOptions, of = pipeline): Promise<Float32Array> {
  return Float32Array.from((await of.generate({ ...SMALL, ...options })).images[0]!.latent.data);
}

/** Returns the branches of each step. */
async function branchesOf(options: GenerateOptions): Promise<string[]> {
  const branches: string[] = [];
  for await (const { conditions } of pipeline.stream({ ...SMALL, ...options }))
    branches.push(conditions.join());
  return branches;
}

describe('a model that embeds the guidance scale', () => {
  it.each([undefined, 8.5, 1, 0])('runs only the positive branch, for scale %s', async (cfg) => {
    expect(await branchesOf(cfg === undefined ? {} : { cfg })).toEqual(['positive', 'positive', 'positive']);
  });

  it('defaults to four steps of lcm with scale 8.5', async () => {
    const { steps: _, ...options } = SMALL;
    const defaults = await pipeline.generate(options);
    expect(defaults.defaults).toEqual({ steps: 4, cfg: 8.5, sampler: 'lcm' });
    const given = await latentOf({ steps: 4, cfg: 8.5, sampler: 'lcm' });
    expect([...defaults.images[0]!.latent.data]).toEqual([...given]);
  });

  it('averages prompts that are joined by AND', async () => {
    const [both, apple, fox] = [
      { prompt: 'a red apple AND a fox', cfg: 4 },
      { prompt: 'a red apple', cfg: 4 },
      { prompt: 'a fox', cfg: 4 },
    ];
    expect(await branchesOf({ ...both, steps: 1 })).toEqual(['positive,positive 2']);
    const one = { steps: 1, sampler: 'euler' } as const;
    const [mean, a, b] = [
      await latentOf({ ...both, ...one }),
      await latentOf({ ...apple, ...one }),
      await latentOf({ ...fox, ...one }),
    ];
    expect(relativeError(a, b)).toBeGreaterThan(5e-3);
    expect(
      relativeError(
        mean,
        a.map((value, i) => (value + b[i]!) / 2),
      ),
    ).toBeLessThan(1e-4);
  });

  it('limits prompts to regions', async () => {
    const mask = { data: new Uint8Array(32 * 32 * 3), width: 32, height: 32 };
    mask.data.fill(255, 0, (32 * 32 * 3) / 2);
    const regions = [{ mask, prompt: 'a fox' }];
    const one = { steps: 1, sampler: 'euler' } as const;
    const [split, top, bottom] = [
      await latentOf({ ...one, regions }),
      await latentOf({ ...one, prompt: 'a fox' }),
      await latentOf(one),
    ];
    const half = split.length / 4 / 2; // rows of the first channel
    expect(relativeError(split.subarray(0, half), top.subarray(0, half))).toBeLessThan(1e-4);
    expect(relativeError(split.subarray(half, 2 * half), bottom.subarray(half, 2 * half))).toBeLessThan(1e-4);
  });

  it('follows prompt editing', async () => {
    const edited = await latentOf({ prompt: 'a red [apple:fox:1]', steps: 4 });
    expect(relativeError(edited, await latentOf({ steps: 4 }))).toBeGreaterThan(5e-3);
  });

  it.each<[string, GenerateOptions]>([
    ['a second pass', { hires: { scale: 1.5, steps: 2, strength: 0.6 } }],
    ['image to image', { init: imagePath('init.png'), strength: 0.6 }],
    ['step caching', { steps: 6, deepCache: { interval: 2 } }],
    ['several images', { count: 2 }],
    ['two prompts', { prompt: 'a fox AND a dog' }],
  ])('applies the scale with %s', async (_, options) => {
    const [weak, strong] = [await latentOf({ ...options, cfg: 1 }), await latentOf({ ...options, cfg: 8 })];
    expect(relativeError(weak, strong)).toBeGreaterThan(5e-3);
    expect([...(await latentOf({ ...options, cfg: 8 }))]).toEqual([...strong]);
  });

  it('applies LoRAs', async () => {
    const loras = [{ path: writeLora('sd1', 'whole', 'kohya', { name: 'style.safetensors' }) }];
    expect(relativeError(await latentOf({ loras }), await latentOf({}))).toBeGreaterThan(5e-3);
  });

  it('ignores the negative prompt with a warning, and omits it from the image', async () => {
    const plain = await latentOf({});
    // Longer than the positive prompt, to which it would add chunks.
    const negative = 'blurry '.repeat(90);
    const { images, warnings } = await pipeline.generate({ ...SMALL, negative });
    expect([...images[0]!.latent.data]).toEqual([...plain]);
    expect(warnings.map(({ code }) => code)).toContain('NEGATIVE_UNUSED');
    expect(images[0]!.parameters).not.toContain('blurry');
    expect((await pipeline.generate(SMALL)).warnings.map(({ code }) => code)).not.toContain(
      'NEGATIVE_UNUSED',
    );
  });

  it('is denoised in stages with the same result', async () => {
    const { prompt, ...size } = SMALL;
    const positive = await pipeline.encodeText(prompt);
    const warnings: string[] = [];
    const latent = await pipeline.denoise({
      ...{ ...size, positive, negative: await pipeline.encodeText('blurry') },
      onWarning: ({ code }) => warnings.push(code),
    });
    expect([...latent.data]).toEqual([...(await latentOf({}))]);
    expect(warnings).toContain('NEGATIVE_UNUSED');
  });
});

describe('a single file of such a model', () => {
  it.each(['time_embed.cond_proj.weight', 'time_embedding.cond_proj.weight'])(
    'is detected by its tensor %s, and survives conversion',
    async (name) => {
      const path = writeLcmFile(join(root, `${name}.safetensors`), name);
      const gguf = join(root, `${name}.gguf`);
      await convertModel(path, gguf, { storage: 'f16' });
      const file = await Pipeline.load(path);
      const converted = await Pipeline.load(gguf);
      const [weak, strong] = [await latentOf({ cfg: 1 }, file), await latentOf({ cfg: 8 }, file)];
      expect(relativeError(weak, strong)).toBeGreaterThan(5e-3);
      expect(relativeError(await latentOf({ cfg: 8 }, converted), strong)).toBeLessThan(1e-3);
      const { defaults } = await converted.generate({ ...SMALL, steps: 1 });
      expect(defaults).toEqual({ cfg: 8.5, sampler: 'lcm' });
      await file.dispose();
      await converted.dispose();
    },
  );
});
