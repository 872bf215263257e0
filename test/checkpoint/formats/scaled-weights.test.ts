import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, test } from 'vitest';
import { writeWeights } from '../../../lib/binding/write-weights.js';
import { openWeights } from '../../../lib/checkpoint/formats/open-weights.js';
import { readSafetensors } from '../../../lib/checkpoint/formats/safetensors.js';
import type { CanonicalPart } from '../../../lib/checkpoint/naming/naming.js';
import { starterModel } from '../../../lib/checkpoint/open.js';
import { ComponentWeights } from '../../../lib/checkpoint/weights/component.js';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import { inspectModel } from '../../../lib/tools/inspect.js';
import { relativeError } from '../../support/pipeline-cases.js';

interface Expected {
  readonly shape: readonly [number, number];
  readonly rows: readonly number[];
  readonly values: readonly (readonly number[])[];
}

interface Stored {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

const FIXTURES = new URL('../../fixtures/scaled-weights/', import.meta.url);
const FILE = new URL('layers.safetensors', FIXTURES).pathname;
const expected: Readonly<Record<string, Expected>> = JSON.parse(
  readFileSync(new URL('expected.json', FIXTURES), 'utf8'),
);
const folder = mkdtempSync(join(tmpdir(), 'safelight-scaled-'));
let files = 0;

afterAll(() => rmSync(folder, { recursive: true }));

/** Returns the weights of a file's layers by their own names, each with the transform. */
async function weightsOf(path: string, transform?: CanonicalPart['transform']): Promise<ComponentWeights> {
  const { tensors } = await openWeights(path);
  return new ComponentWeights('model', path, tensors, {
    dialect: 'own',
    canonical: (name) => [{ name, ...(transform ? { transform } : {}) }],
    source: (name) => name,
  });
}

/** Returns the values of a layer's weight. */
async function valuesOf(
  weights: ComponentWeights,
  layer: string,
  shape: readonly number[],
): Promise<Float32Array> {
  const plan = weights.plan([{ name: `${layer}.weight`, shape, role: 'matrix' }], 'f32');
  const path = join(folder, `${files++}.bin`);
  writeFileSync(path, new Uint8Array(4 * shape.reduce((a, b) => a * b)));
  await writeWeights({ path, plan, offsets: [0], threads: 2 });
  return new Float32Array(new Uint8Array(readFileSync(path)).buffer);
}

/** Writes a safetensors file with these tensors. */
function write(
  tensors: Readonly<Record<string, Stored>>,
  metadata?: Readonly<Record<string, string>>,
  path = join(folder, `${files++}.safetensors`),
): string {
  let end = 0;
  const header: Record<string, unknown> = metadata ? { __metadata__: metadata } : {};
  for (const [name, { dtype, shape, bytes }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [end, end + bytes.length] };
    end += bytes.length;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  writeFileSync(path, Buffer.concat([length, json, ...Object.values(tensors).map(({ bytes }) => bytes)]));
  return path;
}

const bytes = (...values: readonly number[]) => Uint8Array.from(values);
const floats = (...values: readonly number[]) => new Uint8Array(Float32Array.from(values).buffer);
const text = (value: unknown) => {
  const encoded = new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
  return { dtype: 'U8', shape: [encoded.length], bytes: encoded };
};

describe('restores the values of', () => {
  it.each(Object.entries(expected))('%s', async (layer, { shape: [rows, columns], rows: some, values }) => {
    const found = await valuesOf(await weightsOf(FILE), layer, [rows, columns]);
    for (const [i, row] of some.entries()) {
      const ours = found.subarray(row * columns, (row + 1) * columns);
      expect(relativeError(ours, Float32Array.from(values[i]!))).toBeLessThan(1e-6);
    }
  });

  it('some rows, in groups', async () => {
    for (const layer of ['int8_rotated', 'nvfp4', 'w4a4']) {
      const [rows, columns] = expected[layer]!.shape;
      const all = await valuesOf(await weightsOf(FILE), layer, [rows, columns]);
      const part = await valuesOf(await weightsOf(FILE, { op: 'rows', start: 1, end: 3, groups: 2 }), layer, [
        4,
        columns,
      ]);
      const chosen = [1, 2, rows / 2 + 1, rows / 2 + 2].flatMap((row) => [
        ...all.subarray(row * columns, (row + 1) * columns),
      ]);
      expect([...part]).toEqual(chosen);
    }
  });

  it('filters, whose rows are shorter than those of the scales', async () => {
    const codes = bytes(...Array.from({ length: 2 * 3 * 9 }, (_, i) => i));
    const path = write({
      'a.weight': { dtype: 'I8', shape: [2, 3, 3, 3], bytes: codes },
      'a.weight_scale': { dtype: 'F32', shape: [2, 1], bytes: floats(2, 3) },
    });
    const values = await valuesOf(await weightsOf(path), 'a', [2, 3, 3, 3]);
    expect([...values]).toEqual(Array.from({ length: 54 }, (_, i) => (i < 27 ? 2 * i : 3 * i)));
  });
});

test('weights are stored as f16 unless another type is requested', async () => {
  const weights = await weightsOf(FILE);
  for (const [layer, { shape }] of Object.entries(expected)) {
    const { entries } = weights.plan([{ name: `${layer}.weight`, shape, role: 'matrix' }]);
    expect(entries.map(({ storage }) => storage)).toEqual(['f16']);
  }
});

describe('rejects', () => {
  const weight = { dtype: 'I8', shape: [2, 4], bytes: bytes(1, 2, 3, 4, 5, 6, 7, 8) };
  const scale = { dtype: 'F32', shape: [2], bytes: floats(1, 2) };
  it.each([
    ['an unknown format', { 'a.comfy_quant': text({ format: 'fp3' }) }, 'UNSUPPORTED_MODEL', 'fp3'],
    ['a description that is no JSON', { 'a.comfy_quant': text('{') }, 'INVALID_FILE', 'a.comfy_quant'],
    ['codes of another type', { 'a.comfy_quant': text({ format: 'nvfp4' }) }, 'INVALID_FILE', 'nvfp4'],
    [
      'scales of inputs that change the weight',
      { 'a.pre_quant_scale': { dtype: 'F32', shape: [4], bytes: floats(1, 1, 1, 2) } },
      'UNSUPPORTED_MODEL',
      'a.pre_quant_scale',
    ],
    [
      'a rotation that does not divide the columns',
      { 'a.comfy_quant': text({ format: 'int8_tensorwise', convrot: true, convrot_groupsize: 16 }) },
      'INVALID_FILE',
      'groups of 16',
    ],
    [
      'groups that are no power of 4',
      { 'a.comfy_quant': text({ format: 'int8_tensorwise', convrot: true, convrot_groupsize: 2 }) },
      'INVALID_FILE',
      'groups of 2',
    ],
    [
      'scales of another number of rows',
      { 'a.weight_scale': { dtype: 'F32', shape: [3], bytes: floats(1, 2, 3) } },
      'INVALID_FILE',
      'a.weight_scale',
    ],
    [
      'scales of another type',
      { 'a.weight_scale': { dtype: 'I8', shape: [2], bytes: bytes(1, 2) } },
      'INVALID_FILE',
      'a.weight_scale',
    ],
  ])('%s', async (_, changed, code, message) => {
    const path = write({ 'a.weight': weight, 'a.weight_scale': scale, ...changed });
    await expect(openWeights(path)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
    });
  });

  it('a described layer without scales', async () => {
    const path = write({ 'a.weight': weight, 'a.comfy_quant': text({ format: 'int8_tensorwise' }) });
    await expect(openWeights(path)).rejects.toMatchObject({
      code: 'INVALID_FILE',
      message: expect.stringContaining('has no scales'),
    });
  });
});

test('metadata that describes no layers is ignored', async () => {
  for (const value of ['', '[', '{"layers":3}', '{"layers":{"b":{"format":"fp3"}}}']) {
    const path = write(
      {
        'a.weight': { dtype: 'F8_E4M3', shape: [1, 2], bytes: bytes(0x38, 0xb8) },
        'a.scale_weight': { dtype: 'F32', shape: [], bytes: floats(3) },
      },
      { _quantization_metadata: value },
    );
    expect([...(await valuesOf(await weightsOf(path), 'a', [1, 2]))]).toEqual([3, -3]);
  }
});

test('a model with int8 weights generates the images of its original, and inspect lists no tensor as ignored', async () => {
  const model = join(folder, 'int8');
  await quantizeStarter(model);
  const { ignored, problem } = await inspectModel(model);
  expect([ignored, problem]).toEqual([[], null]);
  const images = [];
  for (const path of [undefined, model]) {
    await using pipeline = await Pipeline.load(path);
    images.push((await pipeline.generate({ prompt: 'a red apple', seed: 3, steps: 8 })).images[0]!.data);
  }
  const [exact, int8] = [images[0]!, images[1]!];
  const difference = exact.reduce((sum, value, i) => sum + Math.abs(value - int8[i]!), 0) / exact.length;
  expect(difference).toBeGreaterThan(0);
  expect(difference).toBeLessThan(3);
});

/** Writes a copy of the bundled model whose linear layers of the U-Net are int8 with a scale per row. */
async function quantizeStarter(to: string): Promise<void> {
  cpSync(starterModel, to, { recursive: true });
  const path = join(to, 'unet', 'diffusion_pytorch_model.safetensors');
  const { tensors } = await readSafetensors(path);
  const file = readFileSync(path);
  const out: Record<string, Stored> = {};
  for (const { name, dtype, shape, offset, length } of tensors.values()) {
    const stored = file.subarray(offset, offset + length);
    const [rows = 0, columns = 0] = shape;
    if (dtype !== 'F16' || shape.length !== 2) {
      out[name] = { dtype, shape, bytes: stored };
      continue;
    }
    const values = Float32Array.from({ length: rows * columns }, (_, i) => half(stored.readUInt16LE(2 * i)));
    const scales = new Float32Array(rows);
    const codes = new Int8Array(values.length);
    for (let row = 0; row < rows; row++) {
      const line = values.subarray(row * columns, (row + 1) * columns);
      const scale = Math.max(...line.map(Math.abs)) / 127 || 1;
      scales[row] = scale;
      codes.set(
        line.map((value) => Math.round(value / scale)),
        row * columns,
      );
    }
    out[name] = { dtype: 'I8', shape, bytes: new Uint8Array(codes.buffer) };
    const layer = name.replace(/weight$/, '');
    out[`${layer}weight_scale`] = { dtype: 'F32', shape: [rows, 1], bytes: new Uint8Array(scales.buffer) };
    out[`${layer}comfy_quant`] = text({ format: 'int8_tensorwise' });
  }
  write(out, undefined, path);
}

function half(bits: number): number {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  const magnitude = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}
