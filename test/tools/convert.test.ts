import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readGguf } from '../../lib/checkpoint/formats/gguf.js';
import { starterModel } from '../../lib/checkpoint/open.js';
import { openModel } from '../../lib/families/registry.js';
import { type ConvertOptions, convertModel } from '../../lib/tools/convert.js';
import { planPart } from '../../lib/tools/convert-plan.js';
import { openConvertSource } from '../../lib/tools/convert-source.js';
import { TypeChoice } from '../../lib/tools/convert-types.js';
import { writeFolder as writeSparseFolder } from '../support/checkpoint/folders.js';
import { checkpoint, reference } from '../support/checkpoint/reference-names.js';
import { scratch } from '../support/checkpoint/sparse-files.js';
import { latentOf } from '../support/gguf/models.js';
import { type TinyModel, writeFolder } from '../support/tiny-models.js';

const root = scratch();

async function typesOf(path: string): Promise<Map<string, string>> {
  const { tensors } = await readGguf(path);
  return new Map([...tensors.values()].map(({ name, dtype }) => [name, dtype]));
}

describe('a converted model', () => {
  test.each<TinyModel>(['sd1', 'sd2', 'sdxl', 'inpaint'])(
    'of %s generates the same latent as its source folder with its own vocabulary',
    async (model) => {
      const folder = writeFolder(model, join(root, model));
      const out = join(root, `${model}.gguf`);
      const { family, tensors } = await convertModel(folder, out);
      expect(family).toBe(model === 'inpaint' ? 'sd1' : model);
      const found = await readGguf(out);
      expect(found.tensors.size).toBe(tensors);
      expect(found.metadata.get('general.architecture')).toEqual({ type: 'string', value: family });
      expect(found.metadata.get('general.file_type')).toEqual({ type: 'uint32', value: 1 });
      expect(found.metadata.get('general.quantization_version')).toEqual({ type: 'uint32', value: 2 });
      const { path: _, form: __, ...was } = summary(await openModel(folder));
      expect(summary(await openModel(out))).toMatchObject(was);
      if (model === 'inpaint') return; // its pipeline needs an image
      expect(await latentOf(out)).toEqual(await latentOf(folder));
    },
  );

  test('in q8_0 generates the same as its source loaded in q8_0, except for 1x1 convolutions, which files keep in f16', async () => {
    const folder = writeFolder('sdxl', join(root, 'sdxl-q8'));
    const out = join(root, 'sdxl-q8.gguf');
    await convertModel(folder, out, { storage: 'q8_0' });
    const [exact, file, loaded] = [
      await latentOf(folder),
      await latentOf(out),
      await latentOf(folder, { storage: 'q8_0' }),
    ];
    const apart = (a: number[], b: number[]) => Math.hypot(...a.map((x, i) => x - b[i]!)) / Math.hypot(...b);
    expect(apart(file, exact)).toBeGreaterThan(1e-5);
    expect(apart(file, exact)).toBeLessThan(2 * apart(loaded, exact));
    // Quantized weights are not converted again: a second conversion writes the same bytes.
    await convertModel(out, join(root, 'twice.gguf'), { storage: 'q8_0' });
    expect(readFileSync(join(root, 'twice.gguf')).equals(readFileSync(out))).toBe(true);
  });
});

function summary({
  textEncoders,
  unet,
  autoencoder,
  scheduler,
  defaults,
  family,
  forceZerosForEmptyPrompt,
  path,
  form,
}: Awaited<ReturnType<typeof openModel>>) {
  return {
    path,
    form,
    family,
    scheduler,
    defaults,
    forceZerosForEmptyPrompt,
    text: textEncoders.map(({ weights: _, ...rest }) => rest),
    unet: unet.config,
    autoencoder: autoencoder.config,
  };
}

describe('names and shapes at real model sizes', () => {
  test.each(['sd1', 'sdxl'])('match CompVis for %s', async (family) => {
    const folder = await writeSparseFolder(join(root, `real-${family}`), reference[family]!);
    const { parts } = await openConvertSource(folder, {});
    const choice = new TypeChoice('q4_K', []);
    const written = parts.flatMap((part) => planPart(part, choice).tensors);
    const expected = checkpoint(reference[family]!);
    expect(new Map(written.map(({ name, shape }) => [name, shape]))).toEqual(
      new Map(Object.entries(expected).map(([name, { shape }]) => [name, shape])),
    );
    // Only matrices are quantized, and rows that do not fill whole blocks fall back to another type.
    for (const { name, type, shape } of written) {
      if (shape.length === 1) expect(type, name).toBe('f32');
      else if (shape.length === 4 || /time_embed|label_emb|embedding|text_projection/.test(name))
        expect(type, name).toBe('f16');
      else expect(type, name).toBe(shape[1]! % 256 === 0 ? 'q4_K' : 'q5_0');
    }
  });
});

describe('--keep', () => {
  const kept = async (keep: ConvertOptions['keep']) => {
    const out = join(root, 'kept.gguf');
    await convertModel(starterModel, out, { storage: 'q4_0', ...(keep ? { keep } : {}) });
    return typesOf(out);
  };
  const UNET = 'model.diffusion_model.';

  test('matches whole ldm names, and the last matching pattern decides', async () => {
    const plain = await kept([]);
    const types = await kept([
      { pattern: '*.attn2.*', type: 'q8_0' },
      { pattern: '*.attn2.to_?.weight', type: 'f16' },
      { pattern: `${UNET}out.2.weight`, type: 'f32' },
      { pattern: `${UNET}time_embed.0.weight`, type: 'q8_0' },
      { pattern: '*norm1.bias', type: 'q8_0' },
    ]);
    let changed = 0;
    for (const [name, type] of types) {
      const expected = /\.attn2\.to_[qkv]\.weight$/.test(name)
        ? 'F16'
        : /\.attn2\.to_out\.0\.weight$/.test(name)
          ? 'Q8_0'
          : name === `${UNET}out.2.weight`
            ? 'F32'
            : name === `${UNET}time_embed.0.weight`
              ? 'Q8_0'
              : plain.get(name);
      expect(type, name).toBe(expected);
      if (type !== plain.get(name)) changed++;
    }
    expect(changed).toBeGreaterThan(20);
  });

  test.each([
    ['nothing matches', { pattern: 'attn2', type: 'f16' as const }],
    ['characters of a pattern are literal', { pattern: '*.attn2.to_q[.]weight', type: 'f16' as const }],
    ['the type is unknown', { pattern: '*', type: 'q3_K' as 'f16' }],
    ['the pattern is empty', { pattern: '', type: 'f16' as const }],
  ])('is rejected if %s', async (_, keep) => {
    const out = join(root, 'refused.gguf');
    await expect(convertModel(starterModel, out, { keep: [keep] })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('for keep'),
    });
    expect(readdirSync(root)).not.toContain('refused.gguf');
  });
});
