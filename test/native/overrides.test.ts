/** Values that a run gives in the place of what nodes compute. */
import { afterAll, describe, expect, it } from 'vitest';
import type { NativeModule } from '../../lib/binding/module.js';
import type { NativeTensor } from '../../lib/binding/types.js';
import { create, product, removeFiles, tokens } from './tiny.js';

afterAll(removeFiles);

const SHAPES = { tokens: [1, 3] };
const floats = (tensor: NativeTensor | undefined): Float32Array => tensor!.data as Float32Array;

describe('a run with overrides', () => {
  it('gives what a tapped one does where each is what the node computes, for every node', async () => {
    await using module = await create();
    for (const { name, shape } of module.nodes('encode', SHAPES)) {
      const tapped = await module.run('encode', tokens(1, 2, 3), { taps: [name] });
      const own = tapped.taps[name]!;
      expect(own.shape).toEqual(shape);
      const { outputs, taps } = await module.run('encode', tokens(1, 2, 3), {
        overrides: { [name]: own },
        taps: [name],
      });
      expect(floats(outputs.hidden), name).toEqual(floats(tapped.outputs.hidden));
      expect(floats(taps[name]), name).toEqual(floats(own));
    }
  });

  it('goes on with other values, for this run alone', async () => {
    await using module = await create();
    const plain = await module.run('encode', tokens(1, 2, 3));
    let changed = 0;
    for (const { name, shape } of module.nodes('encode', SHAPES)) {
      const zeros = { data: new Float32Array(product(shape)), shape };
      const { outputs } = await module.run('encode', tokens(1, 2, 3), { overrides: { [name]: zeros } });
      if (
        floats(outputs.hidden).some((value, i) => Math.abs(value - floats(plain.outputs.hidden)[i]!) > 1e-4)
      )
        changed++;
    }
    // What only the pooled output is made of leaves the states as they are.
    expect(changed).toBeGreaterThan(module.nodes('encode', SHAPES).length / 2);
    expect(await module.run('encode', tokens(1, 2, 3))).toMatchObject({ outputs: plain.outputs });
  });

  it.each<[string, (module: NativeModule) => Record<string, NativeTensor>, string]>([
    [
      'a node that there is not',
      () => ({ nothing: { data: new Float32Array(1), shape: [1] } }),
      'INVALID_OPTION',
    ],
    [
      'another shape of as many numbers',
      (module) => ofFirst(module, (shape) => [...shape].reverse().concat(1)),
      'SHAPE_MISMATCH',
    ],
    ['fewer numbers', (module) => ofFirst(module, () => [1]), 'SHAPE_MISMATCH'],
    ['data that is not of its shape', (module) => ofFirst(module, (shape) => shape, 1), 'SHAPE_MISMATCH'],
    ['whole numbers', (module) => ofFirst(module, (shape) => shape, undefined, Int32Array), 'INVALID_OPTION'],
  ])('refuses %s', async (_, overrides, code) => {
    await using module = await create();
    await expect(
      module.run('encode', tokens(1, 2, 3), { overrides: overrides(module) }),
    ).rejects.toMatchObject({ code });
    await module.run('encode', tokens(1, 2, 3));
  });
});

function ofFirst(
  module: NativeModule,
  shapeOf: (shape: readonly number[]) => readonly number[],
  count?: number,
  type: typeof Float32Array | typeof Int32Array = Float32Array,
): Record<string, NativeTensor> {
  const [{ name, shape }] = module.nodes('encode', SHAPES) as [{ name: string; shape: readonly number[] }];
  const own = shapeOf(shape);
  return { [name]: { data: new type(count ?? product(own)), shape: own } };
}
