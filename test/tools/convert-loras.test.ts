/** Conversion with LoRAs: the written model generates what the model and the LoRAs generate. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LoraOption } from '../../lib/adapters/lora-options.js';
import type { WriteRequest } from '../../lib/binding/types.js';
import { writeWeights } from '../../lib/binding/write-weights.js';
import { readGguf } from '../../lib/checkpoint/formats/gguf.js';
import { Pipeline } from '../../lib/pipelines/diffusion/pipeline.js';
import { type ConvertOptions, convertModel } from '../../lib/tools/convert.js';
import {
  type LoraModel,
  removeFolders,
  temporaryFolder,
  tensorOf,
  writeLora,
  writeWithMetadata,
} from '../support/lora.js';
import { writeLycoris } from '../support/lycoris.js';
import { largestDifference } from '../support/pipeline-cases.js';
import { writeFolder, writeSingleFile } from '../support/tiny-models.js';

const folders = {} as Record<LoraModel, string>;
beforeAll(() => {
  for (const name of ['sd1', 'sdxl'] as const) folders[name] = writeFolder(name, temporaryFolder());
});
afterAll(removeFolders);

const SMALL = { prompt: 'a red apple', steps: 2, width: 32, height: 32, seed: 5, cfg: 5 } as const;

async function imageOf(model: string, loras: readonly LoraOption[] = []): Promise<Uint8Array> {
  await using pipeline = await Pipeline.load(model, { threads: 2 });
  const { images } = await pipeline.generate({ ...SMALL, loras });
  return images[0]!.data;
}

async function merged(
  model: string,
  loras: readonly LoraOption[],
  options: ConvertOptions = {},
): Promise<string> {
  const out = join(temporaryFolder(), 'merged.gguf');
  const { warnings } = await convertModel(model, out, { loras, threads: 2, ...options });
  expect(warnings).toEqual([]);
  return out;
}

async function bytesOf(path: string, name: string): Promise<Buffer> {
  const { offset, length } = (await readGguf(path)).tensors.get(name)!;
  return readFileSync(path).subarray(offset, offset + length);
}

function meanDifference(a: Uint8Array, b: Uint8Array): number {
  return a.reduce((sum, value, i) => sum + Math.abs(value - b[i]!), 0) / a.length;
}

describe('convertModel with loras', () => {
  it.each<LoraModel>(['sd1', 'sdxl'])(
    'writes a %s that generates the image of the model with the LoRAs',
    async (model) => {
      const loras = [
        { path: writeLora(model, 'whole'), weight: 0.9, textEncoderWeight: 0.5 },
        { path: writeLora(model, 'attention', 'peft'), weight: -0.5 },
      ];
      const [plain, applied] = [await imageOf(folders[model]), await imageOf(folders[model], loras)];
      const actual = await imageOf(await merged(folders[model], loras));
      expect(largestDifference(actual, applied)).toBeLessThanOrEqual(1);
      expect(meanDifference(actual, plain)).toBeGreaterThan(8);
      expect(meanDifference(applied, plain)).toBeGreaterThan(8);
    },
  );

  it.each([
    'tucker',
    'loha',
    'lokr',
    'dora',
    'dora-input',
    'ia3-output',
    'oft',
    'boft-bounded',
    'full',
    'norm',
  ])('merges the form %s as generation applies it', async (form) => {
    const loras = [{ path: writeLycoris(form), weight: 0.75 }];
    const [plain, applied] = [await imageOf(folders.sd1), await imageOf(folders.sd1, loras)];
    const actual = await imageOf(await merged(folders.sd1, loras));
    expect(largestDifference(actual, applied)).toBeLessThanOrEqual(1);
    expect(meanDifference(actual, plain)).toBeGreaterThan(8);
  });

  it('merges before it quantizes', async () => {
    const loras = [{ path: writeLycoris('lokr') }];
    const out = await merged(folders.sd1, loras, { storage: 'q8_0' });
    const unchanged = await merged(folders.sd1, [], { storage: 'q8_0' });
    const name = 'model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight';
    expect((await readGguf(out)).tensors.get(name)?.dtype).toBe('Q8_0');
    const actual = await imageOf(out);
    const twice = await imageOf(await merged(await merged(folders.sd1, loras), [], { storage: 'q8_0' }));
    expect(meanDifference(actual, twice)).toBeLessThan(2);
    expect(meanDifference(actual, await imageOf(unchanged))).toBeGreaterThan(8);
  });

  it('merges into a single file whose text encoder holds query, key and value in one matrix', async () => {
    const file = writeSingleFile('sdxl', join(temporaryFolder(), 'model.safetensors'));
    const loras = [{ path: writeLora('sdxl', 'whole', 'sgm') }];
    const [plain, applied] = [await imageOf(file), await imageOf(file, loras)];
    const actual = await imageOf(await merged(file, loras));
    expect(largestDifference(actual, applied)).toBeLessThanOrEqual(1);
    expect(meanDifference(actual, plain)).toBeGreaterThan(8);
  });

  it('merges into a component the weights that it merges into the model', async () => {
    const loras = [{ path: writeLora('sd1', 'attention') }];
    const out = join(temporaryFolder(), 'unet.gguf');
    await convertModel(join(folders.sd1, 'unet'), out, { loras });
    const name = 'model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight';
    const bytes = await bytesOf(out, name);
    expect(bytes.equals(await bytesOf(await merged(folders.sd1, loras), name))).toBe(true);
    expect(bytes.equals(await bytesOf(await merged(folders.sd1, []), name))).toBe(false);
    await expect(convertModel(join(folders.sd1, 'vae'), out, { loras })).rejects.toMatchObject({
      code: 'ADAPTER_MISMATCH',
    });
  });

  it('merges into quantized weights', async () => {
    const loras = [{ path: writeLora('sd1', 'whole') }];
    const quantized = await merged(folders.sd1, [], { storage: 'q8_0' });
    const [plain, applied] = [await imageOf(quantized), await imageOf(quantized, loras)];
    const actual = await imageOf(await merged(quantized, loras));
    expect(meanDifference(actual, applied)).toBeLessThan(2);
    expect(meanDifference(actual, plain)).toBeGreaterThan(8);
  });

  it('leaves the bytes unchanged at weight 0', async () => {
    const loras = [{ path: writeLora('sd1', 'whole'), weight: 0 }];
    const [zero, plain] = [await merged(folders.sd1, loras), await merged(folders.sd1, [])];
    expect(readFileSync(zero).equals(readFileSync(plain))).toBe(true);
  });

  it('rejects a LoRA with NaN and writes no file', async () => {
    const target = 'lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q';
    const path = writeLora('sd1', 'attention', 'kohya', {
      extra: {
        [`${target}.lora_down.weight`]: tensorOf(new Float32Array(2 * 64).fill(Number.NaN), [2, 64], 'F32'),
        [`${target}.lora_up.weight`]: tensorOf(new Float32Array(2 * 64).fill(1), [64, 2], 'F32'),
      },
    });
    const out = join(temporaryFolder(), 'out.gguf');
    await expect(convertModel(folders.sd1, out, { loras: [{ path }] })).rejects.toMatchObject({
      code: 'NOT_FINITE',
      message: expect.stringContaining('attn1.to_q'),
    });
    expect(existsSync(out)).toBe(false);
  });

  it('warns about tensors that match nothing', async () => {
    const extra = { 'lora_unet_nowhere.lora_up.weight': tensorOf(new Float32Array(4), [2, 2], 'F32') };
    const path = writeLora('sd1', 'attention', 'kohya', { extra });
    const seen: string[] = [];
    const { warnings } = await convertModel(folders.sd1, join(temporaryFolder(), 'out.gguf'), {
      loras: [{ path }],
      onWarning: ({ message }) => seen.push(message),
    });
    expect(warnings).toMatchObject([{ code: 'ADAPTER_KEYS_IGNORED' }]);
    expect(seen).toEqual(warnings.map(({ message }) => message));
    expect(seen[0]).toContain('lora_unet_nowhere');
  });

  it('rejects files that cannot be merged and leaves no file behind', async () => {
    const out = join(temporaryFolder(), 'out.gguf');
    const empty = join(temporaryFolder(), 'empty.safetensors');
    writeWithMetadata(empty, new Map([['a', tensorOf(new Float32Array(1), [1], 'F32')]]), {});
    const rejected: [loras: unknown, code: string][] = [
      [[{ path: 'none.safetensors' }], 'ADAPTER_NOT_FOUND'],
      [[{ path: writeLora('sdxl', 'whole') }], 'ADAPTER_MISMATCH'],
      [[{ path: empty }], 'ADAPTER_MISMATCH'],
      [[{ path: empty, weight: 1000 }], 'INVALID_OPTION'],
      ['ink.safetensors', 'INVALID_OPTION'],
    ];
    for (const [loras, code] of rejected)
      await expect(convertModel(folders.sd1, out, { loras: loras as LoraOption[] })).rejects.toMatchObject({
        code,
      });
    expect(existsSync(out)).toBe(false);
  });
});

describe('writeWeights with patches', () => {
  it('rejects malformed patches and targets that are not written', async () => {
    const path = join(temporaryFolder(), 'out.bin');
    writeFileSync(path, '');
    const weights = { files: [], entries: [] };
    const request = { path, plan: weights, offsets: [], threads: 1 };
    const patch = { target: 'a', kind: 'low_rank' as const, factors: {}, scale: 1 };
    const write = (patches: unknown, transposed: unknown = []) =>
      writeWeights({ ...request, patches, transposed } as WriteRequest);
    await expect(write({ weights, patches: [patch], merged: [] })).rejects.toMatchObject({
      code: 'ADAPTER_MISMATCH',
    });
    await expect(write({ weights, patches: [], merged: [] }, 5)).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
    await expect(write({ weights })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });
});
