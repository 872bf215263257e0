/** Merging: each file form as A and as B, with itself and with another, against the formula computed in f32 here. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { WeightPlanEntry, WriteRequest } from '../../lib/binding/types.js';
import { writeWeights } from '../../lib/binding/write-weights.js';
import { readGguf } from '../../lib/checkpoint/formats/gguf.js';
import { readSafetensors } from '../../lib/checkpoint/formats/safetensors.js';
import { openModel } from '../../lib/families/registry.js';
import { convertModel } from '../../lib/tools/convert.js';
import { type MergeOptions, mergeModels } from '../../lib/tools/merge.js';
import { latentOf } from '../support/gguf/models.js';
import { removeFolders, temporaryFolder } from '../support/lora.js';
import {
  ALL_F32,
  FORMS,
  type Form,
  floatsOf,
  type Weights,
  weightsOf,
  writeModel,
  writeSpanningUNet,
} from '../support/merge.js';
import type { TinyModel } from '../support/tiny-models.js';

let root = '';
beforeAll(() => {
  root = temporaryFolder();
});
afterAll(removeFolders);

type Floats = Map<string, Float32Array>;
const made = new Map<string, Promise<string>>();

/** Returns the path of a model, which is written once. */
function model(name: TinyModel, form: Form, weights: Weights): Promise<string> {
  const key = `${name}-${form}-${weights}`;
  const known = made.get(key) ?? writeModel(name, form, weights, join(root, key));
  made.set(key, known);
  return known;
}

const known = new Map<string, Promise<Floats>>();
function floats(path: string): Promise<Floats> {
  const found = known.get(path) ?? weightsOf(path, join(root, `${known.size}-f32.gguf`));
  known.set(path, found);
  return found;
}

let outputs = 0;
async function merged(models: readonly string[], options: MergeOptions = {}) {
  const out = join(root, `merged-${outputs++}.gguf`);
  const result = await mergeModels(models, out, { keep: ALL_F32, threads: 2, ...options });
  return { out, result, floats: await floatsOf(out) };
}

type Formula = (a: number, b: number, c: number) => number;
const { fround } = Math;
const weightedSum =
  (alpha: number): Formula =>
  (a, b) =>
    fround(fround(a * fround(1 - alpha)) + fround(b * fround(alpha)));
const addDifference =
  (alpha: number): Formula =>
  (a, b, c) =>
    fround(a + fround(fround(b - c) * fround(alpha)));

/** Expects each tensor to follow the formula within f32 rounding, and most of them to differ from A. */
function expectFormula(actual: Floats, [a, b, c]: readonly Floats[], formula: Formula): void {
  expect([...actual.keys()]).toEqual([...a!.keys()]);
  let changed = 0;
  for (const [name, values] of actual) {
    const [from, other, third] = [a!.get(name)!, b!.get(name)!, c?.get(name)];
    let [worst, apart] = [0, 0];
    for (const [i, value] of values.entries()) {
      const bound = 4e-7 * (Math.abs(from[i]!) + Math.abs(other[i]!) + Math.abs(third?.[i] ?? 0)) + 1e-12;
      worst = Math.max(worst, Math.abs(value - formula(from[i]!, other[i]!, third?.[i] ?? 0)) / bound);
      apart = Math.max(apart, Math.abs(value - from[i]!) / bound);
    }
    expect(worst, name).toBeLessThanOrEqual(1);
    if (apart > 1000) changed++;
  }
  expect(changed).toBeGreaterThan(0.8 * actual.size);
}

/** Expects equal values; the zeros of a sum may differ in sign. */
function expectSame(actual: Floats, wanted: Floats, names: Iterable<string> = wanted.keys()): void {
  for (const name of names) {
    const [a, b] = [actual.get(name)!, wanted.get(name)!];
    expect(a.length, name).toBe(b.length);
    expect(
      a.every((value, i) => value === b[i]),
      name,
    ).toBe(true);
  }
}

describe('mergeModels', () => {
  it.each(FORMS.flatMap((a, i) => [a, FORMS[(i + 1) % FORMS.length]!].map((b) => [a, b] as const)))(
    'computes the weighted sum of a %s and a %s',
    async (a, b) => {
      const paths = [await model('sd1', a, 'plain'), await model('sd1', b, 'reversed')];
      const { floats: actual, result } = await merged(paths, { alpha: 0.3 });
      expectFormula(actual, await Promise.all(paths.map(floats)), weightedSum(0.3));
      expect(result).toMatchObject({ family: 'sd1', kept: [], tensors: actual.size });
      expect(result.merged).toBeGreaterThanOrEqual(actual.size);
    },
  );

  it.each<[Form, Form, Form]>([
    ['folder', 'file', 'gguf'],
    ['pickle', 'q8_0', 'folder'],
  ])('adds the difference of models with fused and transposed weights (%s, %s, %s)', async (...forms) => {
    const weights = ['plain', 'reversed', 'rotated'] as const;
    const paths = await Promise.all(forms.map((form, i) => model('sdxl', form, weights[i]!)));
    const { floats: actual } = await merged(paths, { method: 'add-difference', alpha: 0.75 });
    expectFormula(actual, await Promise.all(paths.map(floats)), addDifference(0.75));
  });

  it('keeps the parameters that B lacks, and reports them', async () => {
    // Single files of SD2 have one more layer in their text encoder than folders.
    const paths = [await model('sd2', 'file', 'plain'), await model('sd2', 'folder', 'reversed')];
    const { result, floats: actual } = await merged(paths, { alpha: 1 });
    const [a, b] = await Promise.all(paths.map(floats));
    expect(result.kept.length).toBeGreaterThan(5);
    for (const name of result.kept) expect(name).toMatch(/^text_encoder .*layers\.\d+\./);
    const last = [...a!.keys()].filter((name) => !b!.has(name));
    expect(last.length).toBeGreaterThan(5);
    expectSame(actual, a!, last);
    expectSame(actual, b!);
  });

  it('writes A at alpha 0 and B at alpha 1, in f16 and quantized', async () => {
    const paths = [await model('sd1', 'folder', 'plain'), await model('sd1', 'file', 'reversed')];
    for (const [alpha, path] of paths.entries())
      for (const storage of ['f16', 'q8_0'] as const) {
        const [out, plain] = [join(root, 'edge.gguf'), join(root, 'plain.gguf')];
        await mergeModels(paths, out, { alpha, storage });
        await convertModel(path, plain, { storage });
        expectSame(
          await weightsOf(out, join(root, 'edge-f32.gguf')),
          await weightsOf(plain, join(root, 'f32.gguf')),
        );
      }
  });

  it('keeps the additional input channels of an inpainting model', async () => {
    const paths = [
      await model('inpaint', 'file', 'plain'),
      await model('sd1', 'folder', 'reversed'),
      await model('sd1', 'gguf', 'plain'),
    ];
    const [a, b, c] = await Promise.all(paths.map(floats));
    const { floats: actual } = await merged(paths, { method: 'add-difference', alpha: 1 });
    const name = 'model.diffusion_model.input_blocks.0.0.weight';
    const [values, own] = [actual.get(name)!, a!.get(name)!];
    expect(own.length / 9).toBe(b!.get(name)!.length / 4);
    for (const [i, value] of values.entries()) {
      const [row, column] = [Math.floor(i / 81), i % 81];
      const other = column < 36 ? row * 36 + column : -1;
      const wanted =
        other < 0 ? own[i]! : addDifference(1)(own[i]!, b!.get(name)![other]!, c!.get(name)![other]!);
      expect(Math.abs(value - wanted)).toBeLessThan(1e-6);
    }
    expect(values.some((value, i) => value !== own[i])).toBe(true);
    await expect(merged([paths[1]!, paths[0]!])).rejects.toMatchObject({
      code: 'SHAPE_MISMATCH',
      message: expect.stringMatching(
        /"conv_in\.weight" has shape \[\d+, 4, 3, 3\] in A .* the inpainting model must be A/,
      ),
    });
  });

  it('replaces the autoencoder instead of merging it with the option vae', async () => {
    const paths = [await model('sd1', 'folder', 'plain'), await model('sd1', 'file', 'reversed')];
    const vae = join(await model('sd1', 'folder', 'rotated'), 'vae');
    const { floats: actual } = await merged(paths, { vae });
    const [own, b] = [await floats(await model('sd1', 'folder', 'rotated')), await floats(paths[1]!)];
    const names = [...actual.keys()].filter((name) => name.startsWith('first_stage_model.'));
    expect(names.length).toBeGreaterThan(20);
    expectSame(actual, own, names);
    expect(
      names.some((name) => !Buffer.from(own.get(name)!.buffer).equals(Buffer.from(b.get(name)!.buffer))),
    ).toBe(true);
  });

  it('merges single components', async () => {
    const [a, b] = [await model('sd1', 'folder', 'plain'), await model('sd1', 'folder', 'reversed')];
    for (const part of ['unet', 'vae', 'text_encoder']) {
      const paths = [join(a, part), join(b, part)];
      const { floats: actual, result } = await merged(paths, { alpha: 0.4 });
      expectFormula(actual, await Promise.all(paths.map(floats)), weightedSum(0.4));
      expect(result.family).toBeNull();
    }
  });
});

describe('mergeModels with blocks that span rows', () => {
  it('reads them in A and in B', async () => {
    const comfy = await writeSpanningUNet('sd1', join(root, 'comfy'));
    const { tensors } = await readGguf(comfy);
    const spans = [...tensors.values()].filter(
      ({ dtype, shape }) => dtype === 'Q8_0' && shape.at(-1)! % 32 !== 0,
    );
    expect(spans.length).toBeGreaterThan(5);
    const unet = join(await model('sd1', 'folder', 'reversed'), 'unet');
    for (const paths of [
      [comfy, unet],
      [unet, comfy],
    ]) {
      const { floats: actual } = await merged(paths, { alpha: 0.25 });
      expectFormula(actual, await Promise.all(paths.map(floats)), weightedSum(0.25));
    }
  });
});

describe('the output of mergeModels', () => {
  it('generates the same as GGUF and as safetensors, and neither as A nor as B', async () => {
    const paths = [await model('sd1', 'folder', 'plain'), await model('sd1', 'file', 'reversed')];
    const [gguf, safetensors] = [join(root, 'mix.gguf'), join(root, 'mix.safetensors')];
    await mergeModels(paths, gguf);
    await mergeModels(paths, safetensors);
    const latents = await Promise.all([gguf, safetensors, ...paths].map((path) => latentOf(path)));
    expect(latents[0]).toEqual(latents[1]);
    const apart = (i: number) =>
      Math.hypot(...latents[0]!.map((x, at) => x - latents[i]![at]!)) / Math.hypot(...latents[0]!);
    expect(apart(2)).toBeGreaterThan(0.05);
    expect(apart(3)).toBeGreaterThan(0.05);
  });

  it("contains A1111's recipe with the hashes of the files", async () => {
    const paths = [await model('sd1', 'file', 'plain'), await model('sd1', 'folder', 'reversed')];
    const out = join(root, 'recipe.safetensors');
    await mergeModels(paths, out, { alpha: 0.25 });
    const { metadata } = await readSafetensors(out);
    const { createHash } = await import('node:crypto');
    const hash = createHash('sha256').update(readFileSync(paths[0]!)).digest('hex');
    const recipe = JSON.parse(metadata.get('sd_merge_recipe')!) as Record<string, unknown>;
    expect(recipe).toMatchObject({
      ...{ type: 'webui', interp_method: 'Weighted sum', multiplier: 0.25, custom_name: 'recipe' },
      ...{ primary_model_hash: hash, secondary_model_hash: null, tertiary_model_hash: null },
      ...{ bake_in_vae: 'None', is_inpainting: false },
    });
    expect(Object.keys(JSON.parse(metadata.get('sd_merge_models')!) as object)).toEqual([hash]);
    const gguf = join(root, 'recipe.gguf');
    await mergeModels(paths, gguf, { alpha: 0.25 });
    expect((await readGguf(gguf)).metadata.get('sd_merge_recipe')).toEqual({
      type: 'string',
      value: JSON.stringify(recipe),
    });
  });

  it('states the prediction type of A', async () => {
    const paths = [await model('sd2', 'folder', 'plain'), await model('sd2', 'file', 'reversed')];
    const out = join(root, 'prediction.safetensors');
    await mergeModels(paths, out, { prediction: 'v' });
    const { scheduler, predictionFrom } = await openModel(out);
    expect(scheduler.prediction).toBe('v');
    expect(predictionFrom).toMatchObject({ kind: 'metadata', name: 'modelspec.prediction_type' });
  });

  it('is reported in bytes, and removed when the merge is cancelled', async () => {
    const paths = [await model('sd1', 'file', 'plain'), await model('sd1', 'file', 'reversed')];
    const seen: [number, number][] = [];
    const out = join(root, 'progress.gguf');
    await mergeModels(paths, out, { onProgress: (done, total) => seen.push([done, total]) });
    const size = paths.reduce((sum, path) => sum + readFileSync(path).length, 0);
    expect(seen.map(([done]) => done)).toEqual([...seen.map(([done]) => done)].sort((x, y) => x - y));
    expect(seen.at(-1)![0]).toBe(seen.at(-1)![1]);
    expect(seen.at(-1)![0]).toBeGreaterThan(size);
    const before = readdirSync(root).length;
    const controller = new AbortController();
    const cancelled = mergeModels(paths, join(root, 'cancelled.gguf'), {
      signal: controller.signal,
      threads: 1,
      onProgress: (done) => done > size && controller.abort(),
    });
    await expect(cancelled).rejects.toMatchObject({ code: 'ABORTED' });
    const early = mergeModels(paths, join(root, 'cancelled.gguf'), { signal: AbortSignal.abort() });
    await expect(early).rejects.toMatchObject({ code: 'ABORTED' });
    expect(readdirSync(root)).toHaveLength(before);
  });
});

describe('writeWeights with blends', () => {
  it('rejects malformed blends, and tensors of another size', async () => {
    const path = join(root, 'blend.bin');
    const data = join(root, 'data.bin');
    writeFileSync(data, new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer));
    const entry = (name: string, count: number): WeightPlanEntry => ({
      ...{ name, shape: [count], storage: 'f32' },
      source: { file: 0, offset: 0, length: 4 * count, type: 'F32', shape: [count] },
    });
    const plan = { files: [data], entries: [entry('a', 4)] };
    const other = { files: [data], entries: [entry('b', 4), entry('c', 3)] };
    const blend = { target: 'a', scale: 0.5, terms: [{ entry: 0, scale: 2 }] };
    const write = (blends: unknown, more: object = {}) => {
      writeFileSync(path, new Uint8Array(16));
      return writeWeights({ path, plan, offsets: [0], threads: 1, blends, ...more } as WriteRequest);
    };
    await write({ weights: other, blends: [blend] });
    expect([...new Float32Array(Uint8Array.from(readFileSync(path)).buffer)]).toEqual([2.5, 5, 7.5, 10]);
    const rejected: [unknown, string, object?][] = [
      [{ weights: other, blends: [{ ...blend, terms: [{ entry: 1, scale: 1 }] }] }, 'SHAPE_MISMATCH'],
      [{ weights: other, blends: [{ ...blend, terms: [{ entry: 2, scale: 1 }] }] }, 'INVALID_OPTION'],
      [{ weights: other, blends: [{ ...blend, target: 'b' }] }, 'INVALID_OPTION'],
      [{ weights: other, blends: [{ ...blend, scale: Number.NaN }] }, 'INVALID_OPTION'],
      [{ weights: other, blends: [{ ...blend, columns: 5 }] }, 'INVALID_OPTION'],
      [{ weights: other, blends: [{ ...blend, columns: -1 }] }, 'INVALID_OPTION'],
      [{ weights: other, blends: [{ ...blend, terms: 5 }] }, 'INVALID_OPTION'],
      [{ weights: other }, 'INVALID_OPTION'],
      [{ weights: { files: [data], entries: [entry('b', 400)] }, blends: [blend] }, 'INVALID_FILE'],
      [5, 'INVALID_OPTION'],
      [
        { weights: other, blends: [] },
        'INVALID_OPTION',
        { patches: { weights: plan, patches: [], merged: [] }, transposed: [] },
      ],
    ];
    for (const [blends, code, more] of rejected)
      await expect(write(blends, more), JSON.stringify(blends)).rejects.toMatchObject({ code });
  });
});

describe('mergeModels with models that cannot be merged', () => {
  const out = () => join(root, 'refused.gguf');

  it('names the families, and the first parameter that differs', async () => {
    const [sd1, sdxl] = [await model('sd1', 'folder', 'plain'), await model('sdxl', 'folder', 'plain')];
    await expect(mergeModels([sd1, sdxl], out())).rejects.toMatchObject({
      code: 'UNSUPPORTED_MODEL',
      message: expect.stringMatching(
        /A \(.*\) is a model of family sd1, but B \(.*\) is a model of family sdxl/,
      ),
    });
    await expect(mergeModels([sd1, join(sd1, 'unet')], out())).rejects.toMatchObject({
      code: 'UNSUPPORTED_MODEL',
      message: expect.stringContaining('B'),
    });
    await expect(mergeModels([join(sd1, 'unet'), join(sdxl, 'unet')], out())).rejects.toMatchObject({
      code: 'SHAPE_MISMATCH',
      message: expect.stringMatching(/U-Net parameter ".*" has shape \[.*\] in A .* but \[.*\] in B/),
    });
    expect(existsSync(out())).toBe(false);
  });

  it.each<[string, unknown[], unknown, unknown]>([
    ['a third model for weighted-sum', ['a', 'a', 'a'], 'x.gguf', {}],
    ['two models for add-difference', ['a', 'a'], 'x.gguf', { method: 'add-difference' }],
    ['a path that is no string', ['a', 5], 'x.gguf', {}],
    ['models that are no array', 'a' as unknown as unknown[], 'x.gguf', {}],
    ['an unknown method', ['a', 'a'], 'x.gguf', { method: 'sum' }],
    ['an alpha beyond 2', ['a', 'a'], 'x.gguf', { alpha: 2.5 }],
    ['an alpha that is no number', ['a', 'a'], 'x.gguf', { alpha: Number.NaN }],
    ['another output format', ['a', 'a'], 'x.ckpt', {}],
    ['an output that is no path', ['a', 'a'], 7, {}],
    ['an unknown storage', ['a', 'a'], 'x.gguf', { storage: 'q2_K' }],
    ['quantized safetensors', ['a', 'a'], 'x.safetensors', { storage: 'q8_0' }],
    ['a pattern that matches no tensor', ['a', 'a'], 'x.gguf', { keep: [{ pattern: 'none', type: 'f32' }] }],
    ['an unknown option', ['a', 'a'], 'x.gguf', { loras: [] }],
  ])('rejects %s', async (_, models, output, options) => {
    const path = await model('sd1', 'file', 'plain');
    const given = Array.isArray(models) ? models.map((one) => (one === 'a' ? path : one)) : models;
    const target = typeof output === 'string' ? join(root, output) : output;
    const result = mergeModels(given as string[], target as string, options as MergeOptions);
    await expect(result).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    expect(readdirSync(root).filter((name) => /^x\.|\.tmp$/.test(name))).toEqual([]);
  });

  it('rejects a file that does not exist, and a vocabulary that safetensors cannot contain', async () => {
    const path = await model('sd1', 'file', 'plain');
    await expect(mergeModels([path, join(root, 'none.safetensors')], out())).rejects.toMatchObject({
      code: expect.stringMatching(/FILE_NOT_FOUND|MODEL_NOT_FOUND/),
    });
    const { writeFolder } = await import('../support/tiny-models.js');
    const own = writeFolder('sd1', join(root, 'own-vocabulary'));
    await expect(mergeModels([own, own], join(root, 'own.safetensors'))).rejects.toMatchObject({
      code: 'UNSUPPORTED_MODEL',
      message: expect.stringContaining('has its own vocabulary'),
    });
    await expect(mergeModels([own, path], out())).rejects.toMatchObject({
      code: 'SHAPE_MISMATCH',
      message: expect.stringContaining('embed'),
    });
  });
});
