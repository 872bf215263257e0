/** Overrides: values that replace the results of nodes in a run. */
import { afterAll, describe, expect, it } from 'vitest';
import type { NativeModule } from '../../lib/binding/module.js';
import type { NativeTensor } from '../../lib/binding/types.js';
import { create, product, removeFiles, tokens } from './tiny.js';

afterAll(removeFiles);

const SHAPES = { tokens: [1, 3] };
const floats = (tensor: NativeTensor | undefined): Float32Array => tensor!.data as Float32Array;

describe('a run with overrides', () => {
  it('returns the same outputs if a node is overridden with its own value, for every node', async () => {
    await using module = await create();
    for (const { name, shape } of module.nodes('encode', SHAPES)) {
      const tapped = await module.run('encode', tokens(1, 2, 3), { taps: [name] });
      const value = tapped.taps[name]!;
      expect(value.shape).toEqual(shape);
      const { outputs, taps } = await module.run('encode', tokens(1, 2, 3), {
        overrides: { [name]: value },
        taps: [name],
      });
      expect(floats(outputs.hidden), name).toEqual(floats(tapped.outputs.hidden));
      expect(floats(taps[name]), name).toEqual(floats(value));
    }
  });

  it('continues with the overriding values, only in that run', async () => {
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
    // Nodes of the pooled output only do not affect the hidden states.
    expect(changed).toBeGreaterThan(module.nodes('encode', SHAPES).length / 2);
    expect(await module.run('encode', tokens(1, 2, 3))).toMatchObject({ outputs: plain.outputs });
  });

  it.each<[string, (module: NativeModule) => Record<string, NativeTensor>, string]>([
    ['an unknown node', () => ({ nothing: { data: new Float32Array(1), shape: [1] } }), 'INVALID_OPTION'],
    [
      'another shape with the same number of elements',
      (module) => overrideFirst(module, (shape) => [...shape].reverse().concat(1)),
      'SHAPE_MISMATCH',
    ],
    ['fewer elements', (module) => overrideFirst(module, () => [1]), 'SHAPE_MISMATCH'],
    [
      'data whose length does not match its shape',
      (module) => overrideFirst(module, (shape) => shape, 1),
      'SHAPE_MISMATCH',
    ],
    [
      'integers for a float node',
      (module) => overrideFirst(module, (shape) => shape, undefined, Int32Array),
      'INVALID_OPTION',
    ],
  ])('rejects %s', async (_, overrides, code) => {
    await using module = await create();
    await expect(
      module.run('encode', tokens(1, 2, 3), { overrides: overrides(module) }),
    ).rejects.toMatchObject({ code });
    await module.run('encode', tokens(1, 2, 3));
  });
});

function overrideFirst(
  module: NativeModule,
  shapeOf: (shape: readonly number[]) => readonly number[],
  count?: number,
  type: typeof Float32Array | typeof Int32Array = Float32Array,
): Record<string, NativeTensor> {
  const [{ name, shape }] = module.nodes('encode', SHAPES) as [{ name: string; shape: readonly number[] }];
  const overriding = shapeOf(shape);
  return { [name]: { data: new type(count ?? product(overriding)), shape: overriding } };
}
