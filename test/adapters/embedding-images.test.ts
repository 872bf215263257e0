/** Embeddings through the pipeline: whole images against diffusers after `load_textual_inversion`. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSafetensors } from '../../lib/checkpoint/formats/safetensors.js';
import { readRow } from '../../lib/checkpoint/weights/read-tensor.js';
import { readImage } from '../../lib/image/read.js';
import { Pipeline } from '../../lib/pipelines/diffusion/pipeline.js';
import type { GenerateOptions } from '../../lib/pipelines/options.js';
import {
  type EmbeddingModel,
  FIXTURES,
  models,
  names,
  record,
  tokenEmbedding,
  writeEmbedding,
} from '../support/embeddings.js';
import { removeFolders, tensorOf, writeLora } from '../support/lora.js';
import { largestDifference } from '../support/pipeline-cases.js';
import { writeFolder, writeSafetensors } from '../support/tiny-models.js';

const top = mkdtempSync(join(tmpdir(), 'safelight-embedding-images-'));
const folders = {} as Record<EmbeddingModel, string>;
const pipelines = {} as Record<EmbeddingModel, Pipeline>;
/** The same models without a folder of embeddings. */
const plain = {} as Record<EmbeddingModel, Pipeline>;

beforeAll(async () => {
  for (const model of models) {
    const path = writeFolder(model, join(top, model));
    folders[model] = join(top, `${model}-embeddings`);
    mkdirSync(folders[model]);
    for (const name of names) writeEmbedding(model, name, folders[model]);
    pipelines[model] = await Pipeline.load(path, { threads: 2, embeddingFolder: folders[model] });
    plain[model] = await Pipeline.load(path, { threads: 2 });
  }
});
afterAll(async () => {
  for (const pipeline of [...Object.values(pipelines), ...Object.values(plain)]) await pipeline.dispose();
  rmSync(top, { recursive: true });
  removeFolders();
});

async function generateImage(pipeline: Pipeline, options: GenerateOptions): Promise<Uint8Array> {
  const { images } = await pipeline.generate(options);
  return images[0]!.data;
}

function meanDifference(a: Uint8Array, b: Uint8Array): number {
  return a.reduce((sum, value, i) => sum + Math.abs(value - b[i]!), 0) / a.length;
}

const SMALL = { prompt: 'a red apple', steps: 2, width: 32, height: 32, seed: 5, cfg: 5 } as const;

describe('generate with a folder of embeddings', () => {
  it.each(record.images)(
    'matches the image of diffusers: $model, $options.prompt, $options.negative',
    async (one) => {
      const wanted = await readImage(join(FIXTURES, one.image));
      const options = one.options as unknown as GenerateOptions;
      const actual = await generateImage(pipelines[one.model], options);
      expect(largestDifference(actual, wanted.data)).toBeLessThanOrEqual(3);
      const words = await generateImage(plain[one.model], options);
      expect(meanDifference(actual, words)).toBeGreaterThan(8);
    },
  );

  it.each(models)('does not change an image whose prompts name none, %s', async (model) => {
    expect(await generateImage(pipelines[model], SMALL)).toEqual(await generateImage(plain[model], SMALL));
  });

  it('makes the image of a word with its vector as an embedding, under a LoRA of the text encoder, too', async () => {
    const [chunk] = await plain.sd1.tokenize('fox');
    expect(chunk!.tokens[1]).toBe('fox</w>');
    const { tensors } = await readSafetensors(join(top, 'sd1', 'text_encoder', 'model.safetensors'));
    const table = [...tensors.values()].find(({ name }) => name.endsWith('token_embedding.weight'))!;
    const row = await readRow(table, chunk!.ids[1]!);
    const path = join(folders.sd1, 'reynard.safetensors');
    writeSafetensors(path, new Map([['reynard', tensorOf(row, [row.length], 'F32')]]));
    const loras = [{ path: writeLora('sd1', 'whole'), weight: 0, textEncoderWeight: 1 }];
    const [word, named] = ['fox', 'reynard'].map((name) => ({
      ...SMALL,
      prompt: `a (${name}:1.2) in snow`,
      loras,
    }));
    const wanted = await generateImage(plain.sd1, word!);
    expect(await generateImage(pipelines.sd1, named!)).toEqual(wanted);
    expect(largestDifference(await generateImage(plain.sd1, named!), wanted)).toBeGreaterThan(8);
    const unpatched = await generateImage(pipelines.sd1, { ...named!, loras: [] });
    expect(largestDifference(unpatched, wanted)).toBeGreaterThan(8);
  });

  it('uses the embedding that a LoRA bundles, with that LoRA only', async () => {
    const values = tokenEmbedding('sd1', 'inky').tables[0]!;
    const extra = { 'bundle_emb.gilt.string_to_param.*': tensorOf(values.data, values.shape, 'F32') };
    const [bundle, lora] = [extra, {}].map((more) => writeLora('sd1', 'whole', 'kohya', { extra: more }));
    const prompt = { ...SMALL, prompt: 'a red apple in gilt' };
    const bundled = await plain.sd1.generate({ ...prompt, loras: [{ path: bundle! }] });
    expect(bundled.warnings).toEqual([]);
    const inky = { ...SMALL, prompt: 'a red apple in inky', loras: [{ path: lora! }] };
    expect(bundled.images[0]!.data).toEqual(await generateImage(pipelines.sd1, inky));
    const words = await generateImage(plain.sd1, { ...prompt, loras: [{ path: lora! }] });
    expect(largestDifference(bundled.images[0]!.data, words)).toBeGreaterThan(8);
  });

  it('reads an embedding that was added after the model was loaded', async () => {
    const options = { ...SMALL, prompt: 'a red apple in ruby' };
    const before = await generateImage(pipelines.sd1, options);
    const path = writeEmbedding('sd1', 'inky', top);
    copyFileSync(path, join(folders.sd1, 'ruby.safetensors'));
    const after = await generateImage(pipelines.sd1, options);
    const same = await generateImage(pipelines.sd1, { ...SMALL, prompt: 'a red apple in inky' });
    expect(largestDifference(after, before)).toBeGreaterThan(8);
    expect(after).toEqual(same);
  });

  it('warns of an embedding for another model that a prompt names, and keeps its name as a word', async () => {
    copyFileSync(writeEmbedding('sdxl', 'inky', top), join(folders.sd1, 'for-xl.safetensors'));
    const options = { ...SMALL, prompt: 'a red apple for-xl' };
    const { images, warnings } = await pipelines.sd1.generate(options);
    expect(warnings).toEqual([
      {
        code: 'ADAPTER_MISMATCH',
        message: expect.stringMatching(/for-xl\.safetensors.*128 and 192.*width 128/),
      },
    ]);
    expect(images[0]!.data).toEqual(await generateImage(plain.sd1, options));
    expect((await pipelines.sd1.generate(SMALL)).warnings).toEqual([]);
  });

  it('fails with the error of a damaged embedding only if a prompt names it', async () => {
    writeFileSync(join(folders.sd1, 'damaged.pt'), 'not an embedding');
    const named = pipelines.sd1.generate({ ...SMALL, negative: 'blurry damaged' });
    await expect(named).rejects.toMatchObject({
      code: 'INVALID_FILE',
      message: expect.stringMatching(/damaged\.pt/),
    });
    expect((await pipelines.sd1.generate(SMALL)).warnings).toEqual([]);
  });
});
