import { execFileSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { readPacked } from '../../lib/checkpoint/formats/packed-file.js';
import { Pipeline } from '../../lib/pipelines/diffusion/pipeline.js';
import type { LoadPipelineOptions } from '../../lib/pipelines/model/load-options.js';
import { convertModel } from '../../lib/tools/convert.js';
import { type PackOptions, packedModules, packModel, removePacked } from '../../lib/tools/pack.js';
import { scratch } from '../support/checkpoint/sparse-files.js';
import { writeFolder, writeSingleFile } from '../support/tiny-models.js';
import { tensorsOf, writeTorch } from '../support/torch/checkpoint.js';

const root = scratch();
const cache = join(root, 'cache');
const packed = join(cache, 'packed');
const file = writeSingleFile('sd1', join(root, 'sd1.safetensors'));

beforeEach(() => void vi.stubEnv('SAFELIGHT_CACHE', cache));
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(cache, { recursive: true, force: true });
});

/**
 * Generates an image and measures the private memory of the weights, which excludes those mapped from a
 * packed file.
 */
async function generateImage(path: string, load: LoadPipelineOptions = {}) {
  const pipeline = await Pipeline.load(path, { threads: 1, ...load });
  try {
    const size = { width: 32, height: 32, steps: 1, seed: 3 };
    const { images } = await pipeline.generate({ prompt: 'a (red:1.2) apple', negative: '', ...size });
    const weights = Object.values(pipeline.memory()).map((memory) => memory.weights);
    return { pixels: [...images[0]!.data], latent: [...images[0]!.latent.data], weights };
  } finally {
    await pipeline.dispose();
  }
}

/** Returns true if a load reads all its weights from packed files. */
async function takesPacked(path: string, load: LoadPipelineOptions = {}): Promise<boolean> {
  const pipeline = await Pipeline.load(path, { threads: 1, ...load });
  const taken = Object.values(pipeline.memory()).map(({ weights }) => weights);
  await pipeline.dispose();
  const none = taken.every((bytes) => bytes === 0);
  expect(none || taken.every((bytes) => bytes > 0)).toBe(true);
  return none;
}

const files = (): string[] => (existsSync(packed) ? readdirSync(packed) : []);

async function packAgain(path: string, options: PackOptions = {}): Promise<string[]> {
  return (await packModel(path, options)).map(({ state }) => state);
}

describe('a packed model', () => {
  const folder = writeFolder('sdxl', join(root, 'sdxl'));

  test.each<[string, () => Promise<string>, LoadPipelineOptions]>([
    ['a single file', async () => file, {}],
    ['a single file, quantized', async () => file, { storage: 'q8_0' }],
    ['a single file, lean', async () => file, { storage: 'q4_K', memory: 'lean' }],
    ['a single file, fast', async () => file, { storage: 'f16', memory: 'fast' }],
    ['a folder', async () => folder, {}],
    ['a GGUF file', () => written('sd1.gguf', (path) => convertModel(file, path, { storage: 'q5_0' })), {}],
    [
      'a PyTorch checkpoint',
      () => written('sd1.ckpt', async (path) => writeTorch(path, await tensorsOf(file))),
      {},
    ],
    [
      'an old PyTorch checkpoint',
      () => written('sd1.pt', async (path) => writeTorch(path, await tensorsOf(file), 'legacy')),
      { storage: 'bf16' },
    ],
  ])('generates byte-identical images from %s', async (_, source, load) => {
    const path = await source();
    const { pixels, latent, weights } = await generateImage(path, load);
    expect(Math.max(...weights)).toBeGreaterThan(0);
    const { storage } = load;
    const modules = await packModel(path, storage ? { storage } : {});
    expect(modules.map(({ state }) => state)).toEqual(weights.map(() => 'packed'));
    expect(await generateImage(path, load)).toEqual({ pixels, latent, weights: weights.map(() => 0) });
  });

  async function written(name: string, write: (path: string) => Promise<unknown>): Promise<string> {
    await write(join(root, name));
    return join(root, name);
  }

  test('is used only with the load options it was packed with', async () => {
    await packModel(file, { storage: 'q8_0' });
    expect(await takesPacked(file, { storage: 'q8_0' })).toBe(true);
    expect(await takesPacked(file)).toBe(false);
    expect(await takesPacked(file, { storage: 'q4_0' })).toBe(false);
  });
});

describe('weights packed for products', () => {
  const total = (weights: readonly number[]): number => weights.reduce((a, b) => a + b, 0);

  test.each(['bf16', 'int8'] as const)('in %s are mapped by runs in this precision', async (precision) => {
    const expected = await generateImage(file, { precision });
    const modules = await packModel(file, { precision });
    expect(modules.map((module) => module.precision)).toEqual([precision, precision, precision]);
    const found = await generateImage(file, { precision });
    expect([found.pixels, found.latent]).toEqual([expected.pixels, expected.latent]);
    // In int8, the small maps of this image are products, which are packed when they are first computed.
    if (precision === 'bf16') expect(total(found.weights)).toBe(0);
    expect(total(found.weights)).toBeLessThan(0.7 * total(expected.weights));
    const other = await generateImage(file, { precision: precision === 'bf16' ? 'int8' : 'bf16' });
    expect(total(other.weights)).toBeGreaterThan(0.7 * total(expected.weights));
    expect(await packAgain(file, { precision, verify: true })).toEqual(['kept', 'kept', 'kept']);
    expect(await packAgain(file)).toEqual(['packed', 'packed', 'packed']);
    expect((await packedModules(file)).map((module) => module.precision).sort()).toEqual([
      ...[precision, precision, precision],
      ...[null, null, null],
    ]);
  });

  test('are ignored by kernels of another instruction set', async () => {
    await packModel(file, { precision: 'bf16' });
    const [packedWeights] = await Promise.all(files().map((name) => readPacked(join(packed, name))));
    expect(packedWeights?.header.packed?.length).toBeGreaterThan(3);
    vi.stubEnv('SAFELIGHT_ISA', 'portable');
    const script = `
      const { Pipeline } = await import(${JSON.stringify(join(process.cwd(), 'dist/index.js'))});
      const pipeline = await Pipeline.load(${JSON.stringify(file)}, { precision: 'bf16', threads: 1 });
      await pipeline.generate({ prompt: 'a', width: 32, height: 32, steps: 1, seed: 3 });
      console.log(Object.values(pipeline.memory()).reduce((sum, { weights }) => sum + weights, 0));`;
    const bytes = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    expect(Number(bytes)).toBeGreaterThan(1000);
  });
});

/** Copies the model, with a modification time that can be set again. */
function copyOf(name: string): string {
  const path = join(root, name);
  copyFileSync(file, path);
  utimesSync(path, 1e9, 1e9);
  return path;
}

/** Changes one byte and restores the file's modification time. */
function editKeepingTime(path: string, at: number): void {
  const { mtime } = statSync(path);
  const handle = openSync(path, 'r+');
  writeSync(handle, Buffer.from([readFileSync(path)[at]! ^ 1]), 0, 1, at);
  closeSync(handle);
  utimesSync(path, mtime, mtime);
}

describe('packed weights of a changed model', () => {
  test.each<[string, (path: string) => void]>([
    ['modification time', (path) => utimesSync(path, 1e9, 1e9 + 1)],
    ['size', (path) => truncateSync(path, statSync(path).size - 2)],
    ['header, with the same time and size', (path) => editKeepingTime(path, 100)],
  ])("are not used and are replaced if the model's %s changes", async (_, change) => {
    const path = copyOf('changing.safetensors');
    await packModel(path);
    const before = files();
    expect(await takesPacked(path)).toBe(true);
    change(path);
    // A model that is damaged now reports the same error as without packed files.
    expect(await takesPacked(path).catch((error: { code: string }) => error.code)).not.toBe(true);
    expect((await packedModules(path)).map(({ state }) => state)).toEqual(['stale', 'stale', 'stale']);
    copyFileSync(file, path);
    expect(await packAgain(path)).toEqual(['packed', 'packed', 'packed']);
    expect(files()).toHaveLength(3);
    expect(files().filter((name) => before.includes(name))).toEqual([]);
    expect(await takesPacked(path)).toBe(true);
  });

  test('are found by --verify if only values change, with the same time and size', async () => {
    const path = copyOf('secret.safetensors');
    await packModel(path);
    expect(await packAgain(path, { verify: true })).toEqual(['kept', 'kept', 'kept']);
    editKeepingTime(path, statSync(path).size - 1);
    const verified = packModel(path, { verify: true });
    await expect(verified).rejects.toMatchObject({
      code: 'INVALID_FILE',
      message: expect.stringMatching(/^The checksum of .* does not match; the packed/),
    });
    // The outdated file has been removed.
    expect(files()).toHaveLength(2);
  });
});

describe('a damaged packed file', () => {
  test.each<[string, (path: string) => void]>([
    ['that is truncated', (path) => truncateSync(path, statSync(path).size - 1)],
    ['that is empty', (path) => truncateSync(path, 0)],
    ['that is longer than before', (path) => writeFileSync(path, Buffer.alloc(64), { flag: 'a' })],
    ['with another header', (path) => writeFileSync(path, 'SLPACK1\n\x10\0\0\0\0\0\0\0{"key":"nothing"}')],
    ['with an arbitrary header length', (path) => writeFileSync(path, Buffer.alloc(4096, 0xff))],
  ])('%s is not used and is written again', async (_, damage) => {
    await packModel(file);
    for (const name of files()) damage(join(packed, name));
    expect(await takesPacked(file)).toBe(false);
    expect((await packedModules()).map(({ state }) => state)).toEqual(['stale', 'stale', 'stale']);
    expect(await packAgain(file)).toEqual(['packed', 'packed', 'packed']);
    expect(await takesPacked(file)).toBe(true);
  });

  test('in which a weight has changed is found by --verify and removed', async () => {
    await packModel(file);
    for (const name of files()) editKeepingTime(join(packed, name), statSync(join(packed, name)).size - 1);
    await expect(packModel(file, { verify: true })).rejects.toMatchObject({
      code: 'INVALID_FILE',
      message: expect.stringMatching(/^The checksum of .*slpack does not match; .*pack the model again/),
    });
    expect(files()).toHaveLength(2);
  });

  test('that was renamed to another key is not used', async () => {
    const [text, unet] = await packModel(file);
    writeFileSync(text!.file, readFileSync(unet!.file));
    const pipeline = await Pipeline.load(file, { threads: 1 });
    expect(pipeline.memory().text_encoder!.weights).toBeGreaterThan(0);
    expect(pipeline.memory().unet!.weights).toBe(0);
    await pipeline.dispose();
  });
});

describe('interrupted packing', () => {
  test.each(['signal', 'callback'])('leaves no file after an abort by its %s', async (how) => {
    const controller = new AbortController();
    const stop = new Error('enough');
    let calls = 0;
    const packing = packModel(file, {
      signal: controller.signal,
      threads: 1,
      onProgress: () => {
        calls++;
        if (how === 'callback') throw stop;
        controller.abort();
      },
    });
    if (how === 'callback') await expect(packing).rejects.toBe(stop);
    else await expect(packing).rejects.toMatchObject({ code: 'ABORTED' });
    expect(calls).toBe(1);
    expect(files()).toEqual([]);
    expect(await takesPacked(file)).toBe(false);
  });

  test('leaves an unused file when its process dies, which the next run removes', async () => {
    const [{ file: kept } = { file: '' }] = await packModel(file);
    const left = join(packed, '.0123.slpack.abcdef.tmp');
    writeFileSync(left, readFileSync(kept).subarray(0, 5000));
    expect(await packedModules()).toHaveLength(3);
    expect(await packAgain(file)).toEqual(['kept', 'kept', 'kept']);
    expect(existsSync(left)).toBe(true); // it may belong to another running process
    utimesSync(left, new Date(0), new Date(0));
    await packAgain(file);
    expect(existsSync(left)).toBe(false);
  });
});

describe('packed files', () => {
  test('are listed and removed, for one model or all', async () => {
    const folder = writeFolder('sd2', join(root, 'sd2'));
    await packModel(file);
    await packModel(file, { storage: 'q8_0' });
    await packModel(folder);
    expect(await packedModules()).toHaveLength(9);
    const ours = await packedModules(file);
    expect(ours.map(({ module, storage }) => `${module} ${storage}`).sort()).toEqual(
      ['U-Net', 'autoencoder', 'text encoder'].flatMap((name) => [`${name} null`, `${name} q8_0`]).sort(),
    );
    expect(ours.every(({ file: path, bytes }) => statSync(path).size === bytes)).toBe(true);
    expect(await removePacked(file)).toHaveLength(6);
    expect(await packedModules()).toHaveLength(3);
    expect(await takesPacked(folder)).toBe(true);
    await removePacked();
    expect(files()).toEqual([]);
    expect(await takesPacked(folder)).toBe(false);
  });

  test('are written to a writable folder, or an error reports that there is none', async () => {
    writeFileSync(join(root, 'no-folder'), '');
    vi.stubEnv('SAFELIGHT_CACHE', join(root, 'no-folder'));
    await expect(packModel(file)).rejects.toMatchObject({
      code: 'FILE_NOT_WRITTEN',
      message: expect.stringContaining('SAFELIGHT_CACHE'),
    });
    expect(await takesPacked(file)).toBe(false);
  });

  test('do not exist for a path that is not a model', async () => {
    await expect(packModel(join(root, 'no-such'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await expect(packModel(file, { storage: 'q3_K' as never })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
    await expect(packModel(file, { threads: 0.5 })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    expect(files()).toEqual([]);
  });
});
