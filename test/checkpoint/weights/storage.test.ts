import { describe, expect, test } from 'vitest';
import type { StorageType } from '../../../lib/binding/types.js';
import { starterModel } from '../../../lib/checkpoint/open.js';
import {
  fitting,
  sameShape,
  storageFor,
  storageTypes,
  storedBytes,
} from '../../../lib/checkpoint/weights/storage.js';
import { openModel } from '../../../lib/families/registry.js';
import { UNet } from '../../../lib/modules/unet.js';
import { Tensor } from '../../../lib/tensor/tensor.js';

describe('storageFor', () => {
  test.each<[StorageType, number, StorageType]>([
    ['q4_K', 1280, 'q4_K'],
    ['q4_K', 320, 'q5_0'],
    ['q4_K', 20, 'f16'],
    ['q5_K', 768, 'q5_K'],
    ['q5_K', 640, 'q8_0'],
    ['q6_K', 320, 'q8_0'],
    ['q6_K', 4, 'f16'],
    ['q8_0', 320, 'q8_0'],
    ['q8_0', 48, 'f16'],
    ['q5_0', 31, 'f16'],
    ['q4_0', 1, 'f16'],
    ['bf16', 3, 'bf16'],
  ])('stores %s of rows of %d as %s', (wanted, row, kept) => {
    expect(fitting(wanted, row)).toBe(kept);
    expect(storageFor({ role: 'matrix', shape: [7, row, 1, 1] }, 'F16', wanted)).toBe(kept);
  });

  test('quantizes only matrices', () => {
    for (const wanted of storageTypes) {
      const whole = wanted === 'f32' || wanted === 'bf16' ? wanted : 'f16';
      expect(storageFor({ role: 'vector', shape: [256] }, 'Q8_0', wanted)).toBe('f32');
      expect(storageFor({ role: 'conv', shape: [256, 256, 3, 3] }, 'F32', wanted)).toBe(whole);
      expect(storageFor({ role: 'embedding', shape: [9, 256] }, 'F32', wanted)).toBe(whole);
    }
  });
});

test('keeps the types of a GGUF file if possible', () => {
  const matrix = { role: 'matrix', shape: [512, 512] } as const;
  expect(storageFor(matrix, 'Q4_K')).toBe('q4_K');
  expect(storageFor(matrix, 'Q4_1')).toBe('q4_1');
  expect(storageFor(matrix, 'IQ4_NL')).toBe('iq4_nl');
  expect(storageFor(matrix, 'Q4_K', 'q8_0')).toBe('q8_0');
  // Weights that have to be rewritten are not quantized a second time.
  expect(storageFor(matrix, 'Q4_K', undefined, { op: 'transpose' })).toBe('f16');
  expect(storageFor(matrix, 'Q4_K', undefined, { op: 'rows', start: 0, end: 512 })).toBe('q4_K');
  expect(storageFor({ role: 'embedding', shape: [512, 512] }, 'Q4_K')).toBe('f16');
});

test('counts bytes of whole blocks', () => {
  const bytes = Object.fromEntries(storageTypes.map((type) => [type, storedBytes(512, type)]));
  expect(bytes).toEqual({
    f32: 2048,
    f16: 1024,
    bf16: 1024,
    q8_0: 16 * 34,
    q6_K: 2 * 210,
    q5_K: 2 * 176,
    q5_0: 16 * 22,
    q4_K: 2 * 144,
    q4_0: 16 * 18,
  });
});

test("compares shapes without the trailing ones that PyTorch's and ggml's writers drop", () => {
  expect(sameShape([4, 4, 1, 1], [4, 4])).toBe(true);
  expect(sameShape([4, 3, 3], [1, 4, 3, 3])).toBe(true);
  expect(sameShape([1], [1, 1])).toBe(true);
  expect(sameShape([4, 1, 4], [4, 4])).toBe(false);
  expect(sameShape([8], [4, 2])).toBe(false);
});

// The starter's rows have 64 to 384 elements, so that both the K types and their fallbacks are used.
test.each([
  {
    stockOps: false,
    tolerance: { q8_0: 0.015, q6_K: 0.018, q5_K: 0.022, q5_0: 0.16, q4_K: 0.17, q4_0: 0.25 },
  },
  {
    stockOps: true,
    tolerance: { q8_0: 0.026, q6_K: 0.028, q5_K: 0.034, q5_0: 0.16, q4_K: 0.18, q4_0: 0.25 },
  },
])(
  'predicts nearly the same in every storage (stock operations: $stockOps)',
  async ({ stockOps, tolerance }) => {
    const { unet: source } = await openModel(starterModel);
    const wave = (shape: number[], step: number) => {
      const tensor = Tensor.zeros(shape);
      tensor.data.forEach((_, i) => {
        tensor.data[i] = Math.sin(i * step);
      });
      return tensor;
    };
    const inputs = {
      sample: wave([1, source.config.in_channels, 8, 8], 0.7),
      timestep: Tensor.from(Float32Array.of(400), [1]),
      context: wave([1, 8, source.config.cross_attention_dim], 0.3),
    };
    const predict = async (storage: StorageType) => {
      await using unet = await UNet.load(source, { storage, stockOps });
      return { ...(await unet.forward(inputs)), bytes: unet.memory().weights };
    };
    const exact = await predict('f32');
    const power = exact.sample.data.reduce((sum, value) => sum + value * value, 0);
    const bytes: number[] = [exact.bytes];
    for (const [storage, most] of Object.entries(tolerance) as [StorageType, number][]) {
      const { sample, bytes: room } = await predict(storage);
      const error = sample.data.reduce((sum, value, i) => sum + (value - exact.sample.data[i]!) ** 2, 0);
      const relative = Math.sqrt(error / power);
      expect(relative, storage).toBeLessThan(most);
      expect(relative, storage).toBeGreaterThan(1e-4);
      bytes.push(room);
    }
    expect([...bytes].sort((a, b) => b - a)).toEqual(bytes);
  },
);
