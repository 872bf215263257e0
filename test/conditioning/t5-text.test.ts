import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LoadT5Options, loadT5, type T5TextOptions } from '../../lib/conditioning/t5-text.js';
import { readT5Fixture, tokenizerJson } from '../support/text/t5.js';
import { f16Tensor, type Row, writeSafetensors } from '../support/tiny-models.js';

interface Expected {
  readonly config: Record<string, unknown>;
  readonly weights: readonly [string, string, number[], number, number][];
  readonly texts: readonly string[];
  readonly length: number;
  readonly ids: readonly number[][];
  readonly mask: readonly number[][];
  readonly hidden: readonly number[];
  readonly masked: readonly number[];
}

const expected = readT5Fixture<Expected>('texts');
const root = mkdtempSync(join(tmpdir(), 'safelight-t5-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Writes the weights that Python computed with, under the given names. */
function writeWeights(path: string, name: (canonical: string) => string): string {
  const rows = expected.weights.map((row): Row => [...row, '', null]);
  writeSafetensors(path, new Map(rows.map((row) => [name(row[1]), f16Tensor(row)])));
  return path;
}

function writeFolder(folder: string, changes: Record<string, unknown> = {}): string {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...expected.config, ...changes }));
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(tokenizerJson()));
  writeWeights(join(folder, 'model.safetensors'), (name) => name);
  return folder;
}

const folder = join(root, 'model');
beforeAll(() => {
  writeFolder(folder);
});

async function encoded(path: string, options: T5TextOptions = {}, load: LoadT5Options = {}) {
  await using model = await loadT5(path, { backend: 'cpu', threads: 1, ...load });
  // Awaited before the module is disposed.
  return await model.encode(expected.texts, { length: expected.length, ...options });
}

/** Returns the largest difference, relative to the largest value. */
function difference(a: ArrayLike<number>, b: readonly number[]): number {
  expect(a.length).toBe(b.length);
  const largest = Math.max(...b.map(Math.abs));
  return Math.max(...b.map((value, i) => Math.abs(value - a[i]!))) / largest;
}

describe('loadT5', () => {
  test('matches the hidden states of transformers for texts encoded from a folder', async () => {
    const { hidden, tokens, mask } = await encoded(folder);
    expect(Array.from(tokens.data)).toEqual(expected.ids.flat());
    expect(Array.from(mask.data)).toEqual(expected.mask.flat());
    expect(hidden.shape).toEqual([expected.texts.length, expected.length, expected.config.d_model]);
    expect(difference(hidden.data, expected.hidden)).toBeLessThan(1e-5);
  });

  test('masks padding as transformers does', async () => {
    const { hidden } = await encoded(folder, { mask: true });
    expect(difference(hidden.data, expected.masked)).toBeLessThan(1e-5);
    expect(difference(hidden.data, expected.hidden)).toBeGreaterThan(1e-2);
  });

  test('reads its config from the tensors of a single file, under any prefix', async () => {
    const prefix = 'text_encoders.t5xxl.transformer.';
    const path = writeWeights(join(root, 'sd3.safetensors'), (name) => prefix + name);
    const { hidden } = await encoded(path, {}, { tokenizer: folder });
    expect(difference(hidden.data, expected.hidden)).toBeLessThan(1e-5);
  });

  test.each([
    ['f16', 1e-5],
    ['bf16', 5e-2],
    ['q8_0', 5e-2],
  ] as const)('keeps weights in %s', async (storage, tolerance) => {
    const { hidden } = await encoded(folder, {}, { storage });
    expect(difference(hidden.data, expected.hidden)).toBeLessThan(tolerance);
  });

  test('leaves weights in their file in lean mode and computes the same values', async () => {
    const { hidden } = await encoded(folder, {}, { memory: 'lean' });
    expect(hidden.data).toEqual((await encoded(folder)).hidden.data);
  });

  test("reads diffusers' tokenizer_2 next to text_encoder_2", async () => {
    const whole = join(root, 'flux');
    writeFolder(join(whole, 'text_encoder_2'));
    mkdirSync(join(whole, 'tokenizer_2'));
    renameSync(join(whole, 'text_encoder_2', 'tokenizer.json'), join(whole, 'tokenizer_2', 'tokenizer.json'));
    const { tokens } = await encoded(join(whole, 'text_encoder_2'));
    expect(Array.from(tokens.data)).toEqual(expected.ids.flat());
  });

  test('encodes a whole window of 512 tokens by default', async () => {
    await using model = await loadT5(folder, { backend: 'cpu' });
    const { hidden } = await model.encode(['a photo of an image']);
    expect(hidden.shape).toEqual([1, 512, 32]);
    expect(hidden.data.every(Number.isFinite)).toBe(true);
  });

  test('rejects the first version of T5, another model and an unrelated tokenizer with typed errors', async () => {
    const failure = (path: string, options?: LoadT5Options) =>
      loadT5(path, options).then(
        () => ({}),
        (error: unknown) => error,
      );
    const relu = writeFolder(join(root, 'relu'), { feed_forward_proj: 'relu', dense_act_fn: 'relu' });
    expect(await failure(relu)).toMatchObject({ code: 'UNSUPPORTED_MODEL' });
    const other = writeFolder(join(root, 'umt5'), { model_type: 'umt5' });
    expect(await failure(other)).toMatchObject({ code: 'UNSUPPORTED_MODEL' });
    const wide = writeFolder(join(root, 'wide'), { d_ff: 65 });
    expect(await failure(wide)).toMatchObject({ code: 'SHAPE_MISMATCH' });
    const small = writeFolder(join(root, 'small'), { vocab_size: 100 });
    expect(await failure(small)).toMatchObject({ code: 'SHAPE_MISMATCH' });
    expect(await failure(join(root, 'nowhere'))).toMatchObject({ code: 'FILE_NOT_FOUND' });
    await using model = await loadT5(folder, { backend: 'cpu' });
    for (const [texts, options] of [
      [[], {}],
      ['text', {}],
      [['a'], { length: 0 }],
      [['a'], { mask: 1 }],
      [['a'], { lenght: 5 }],
    ] as [string[], T5TextOptions][])
      await expect(model.encode(texts, options)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });
});
