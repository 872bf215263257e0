import { describe, expect, test } from 'vitest';
import { addon, createModule, NAMES, readFixture, worst } from '../support/native-modules.js';
import { tolerance } from '../support/stock.js';

// The documented tolerance is 1e-3; f32 arithmetic in another order is two orders of magnitude better.
const TOLERANCE = tolerance(2e-5);

describe.each(NAMES)('%s against diffusers and transformers', (name) => {
  test('requires exactly the parameters of the reference', async () => {
    const { kind, config, file } = await readFixture(name);
    const required = addon.requirements(kind, config).map(({ name, shape }) => `${name} ${without1(shape)}`);
    const there = [...file.tensors.values()].filter((t) => t.name.startsWith('weights/'));
    expect(required.sort()).toEqual(there.map((t) => `${t.name.slice(8)} ${without1(t.shape)}`).sort());
  });

  test('returns the outputs of the reference', async () => {
    const fixture = await readFixture(name);
    const module = await createModule(fixture);
    for (const { entry, params, inputs, outputs } of fixture.cases) {
      const result = await module.run(entry, inputs, { params }).promise;
      expect(Object.keys(result.outputs).sort()).toEqual(Object.keys(outputs).sort());
      expect(worst(result.outputs, outputs)).toBeLessThan(TOLERANCE);
    }
    module.dispose();
  });

  test("returns inner layers by the reference's names", async () => {
    const fixture = await readFixture(name);
    const module = await createModule(fixture);
    for (const { entry, params, inputs, outputs, taps } of fixture.cases) {
      const names = Object.keys(taps);
      if (names.length === 0) continue;
      const result = await module.run(entry, inputs, { params, taps: names }).promise;
      for (const tap of names) expect(worst(result.taps, { [tap]: taps[tap]! }), tap).toBeLessThan(TOLERANCE);
      expect(worst(result.outputs, outputs)).toBeLessThan(TOLERANCE);
    }
    module.dispose();
  });

  test('returns every listed node, all at once, in the listed shape', async () => {
    const fixture = await readFixture(name);
    const module = await createModule(fixture);
    const { entry, params, inputs, outputs } = fixture.cases[0]!;
    const shapes = Object.fromEntries(Object.entries(inputs).map(([key, { shape }]) => [key, shape]));
    const nodes = module.nodes(entry, shapes, params);
    const result = await module.run(entry, inputs, { params, taps: nodes.map((node) => node.name) }).promise;
    for (const node of nodes) {
      expect(result.taps[node.name]!.shape, node.name).toEqual(node.shape);
      expect(result.taps[node.name]!.data.every(Number.isFinite), node.name).toBe(true);
    }
    expect(worst(result.outputs, outputs)).toBeLessThan(TOLERANCE);
    module.dispose();
  });
});

function without1(shape: readonly number[]): string {
  return shape.filter((n) => n !== 1).join('x');
}
