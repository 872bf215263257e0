import { describe, expect, test } from 'vitest';
import type { NativeModuleHandle, NativeTensor } from '../../lib/binding/types.js';
import {
  type Case,
  createModule,
  difference,
  NAMES,
  readFixture,
  worst,
  worstOutput,
} from '../support/native-modules.js';

/** Returns one image's part of a batch. */
function item({ data, shape }: NativeTensor, index: number): NativeTensor {
  const size = data.length / shape[0]!;
  return { data: data.slice(index * size, (index + 1) * size), shape: [1, ...shape.slice(1)] };
}

function items(tensors: Record<string, NativeTensor>, index: number): Record<string, NativeTensor> {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, item(tensor, index)]));
}

async function outputs(module: NativeModuleHandle, { entry, inputs, params }: Case) {
  return (await module.run(entry, inputs, { params }).promise).outputs;
}

describe.each(NAMES)('%s', (name) => {
  test('computes the same for a batch of two as for two batches of one', async () => {
    const fixture = await readFixture(name);
    const module = await createModule(fixture);
    for (const { entry, params, inputs } of fixture.cases) {
      const batch = Object.values(inputs)[0]!.shape[0]!;
      const together = (await module.run(entry, inputs, { params }).promise).outputs;
      for (let i = 0; i < batch; i++) {
        const alone = (await module.run(entry, items(inputs, i), { params }).promise).outputs;
        expect(worst(items(together, i), alone)).toBeLessThan(1e-5);
      }
    }
    module.dispose();
  });

  // One after the other: ggml's threads spin while they wait, and more threads than cores would wait for each
  // other's time slices.
  test('returns identical bits for any number of threads', async () => {
    const fixture = await readFixture(name);
    const results = [];
    for (const threads of [1, 2]) {
      const module = await createModule(fixture, 'f16', { threads });
      const all = [];
      for (const one of fixture.cases) all.push(await outputs(module, one));
      results.push(all);
      module.dispose();
    }
    expect(results[1]).toEqual(results[0]);
  });

  test('returns the same from a cached graph', async () => {
    const fixture = await readFixture(name);
    const module = await createModule(fixture);
    for (const one of fixture.cases) {
      const first = await outputs(module, one);
      expect(await outputs(module, one)).toEqual(first);
    }
    module.dispose();
  });

  test('loses nothing with f16 weights, as in the file, and little with bf16 and q8_0', async () => {
    const fixture = await readFixture(name);
    const [f32, f16, bf16, q8] = await Promise.all(
      (['f32', 'f16', 'bf16', 'q8_0'] as const).map((storage) => createModule(fixture, storage)),
    );
    for (const one of fixture.cases) expect(await outputs(f16!, one)).toEqual(await outputs(f32!, one));
    expect(await worstOutput(bf16!, fixture)).toBeLessThan(3e-2);
    expect(await worstOutput(q8!, fixture)).toBeLessThan(3e-2);
    expect(q8!.memory().weights).toBeLessThan(f32!.memory().weights);
    for (const module of [f32, f16, bf16, q8]) module!.dispose();
  });

  test('agrees with stock ggml operations, which other backends run', async () => {
    const fixture = await readFixture(name);
    const f32 = await createModule(fixture, 'f32', { stockOps: true });
    expect(await worstOutput(f32, fixture)).toBeLessThan(2e-5);
    f32.dispose();
    // There, matrix products round activations to the type of the weights.
    for (const [storage, tolerance] of [
      ['f16', 1e-2],
      ['bf16', 5e-2],
      ['q8_0', 5e-2],
    ] as const) {
      const module = await createModule(fixture, storage, { stockOps: true });
      expect(await worstOutput(module, fixture), storage).toBeLessThan(tolerance);
      module.dispose();
    }
  });
});

test('cross-attention maps sum to one and do not depend on taps', async () => {
  const fixture = await readFixture('unet-sd1');
  const module = await createModule(fixture);
  const one = fixture.cases[1]!; // 8x16: as many pixels as the tiled attention needs
  const name = 'down_blocks.0.attentions.0.transformer_blocks.0.attn2.probs';
  const seen = await module.run(one.entry, one.inputs, { params: one.params, taps: [name] }).promise;
  const { data, shape } = seen.taps[name]!;
  expect(shape).toEqual([1, 2, 128, 3]);
  for (let row = 0; row < data.length; row += 3) {
    expect(data[row]! + data[row + 1]! + data[row + 2]!).toBeCloseTo(1, 5);
  }
  const unseen = await outputs(module, one);
  expect(difference(seen.outputs.sample, unseen.sample!)).toBeLessThan(1e-5);
  module.dispose();
});
