/** The deep features of step caching in the memory of a U-Net's device. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TensorRef } from '../../../lib/binding/tensor-ref.js';
import { openUNetFolder } from '../../../lib/checkpoint/folder.js';
import { UNet } from '../../../lib/modules/unet.js';
import { Tensor } from '../../../lib/tensor/tensor.js';
import { noise, writeFolder } from '../../support/tiny-models.js';

const root = mkdtempSync(join(tmpdir(), 'safelight-deep-ref-'));
const LENGTH = 9;
let unet: UNet;
let other: UNet;

beforeAll(async () => {
  const source = await openUNetFolder(join(writeFolder('sd1', join(root, 'sd1')), 'unet'));
  const how = { storage: 'f32', threads: 1, backend: 'cpu' } as const;
  [unet, other] = [await UNet.load(source, how), await UNet.load(source, how)];
});
afterAll(() => {
  for (const one of [unet, other]) one.dispose();
  rmSync(root, { recursive: true, force: true });
});

/** Noise `[2, 4, 8, 8]` at fixed timesteps. */
const inputs = () => ({
  sample: Tensor.from(noise('sample', 512), [2, 4, 8, 8]),
  timestep: Tensor.from(Float32Array.of(400, 400), [2]),
  context: Tensor.from(noise('context', 2 * LENGTH * 128), [2, LENGTH, 128]),
});

test.each([0, 1, 2])(
  'deep features of branch %i equal those returned to the host, for any U-Net on the device',
  async (branch) => {
    const { sample, deep, deepRef: none } = await unet.forward(inputs(), { branch });
    const kept = await unet.forward(inputs(), { branch, keepDeep: true });
    expect(none).toBeUndefined();
    expect(kept.deep).toBeUndefined();
    expect(kept.sample).toEqual(sample);
    using deepRef = kept.deepRef!;
    expect(deepRef).toBeInstanceOf(TensorRef);
    expect(deepRef.shape).toEqual(deep!.shape);
    expect(await deepRef.read()).toEqual({ data: deep!.data, shape: deep!.shape });
    using first = deepRef.slice(0, 1);
    using second = deepRef.slice(1, 2);
    const expected = await unet.shallow(inputs(), deep!, branch);
    for (const given of [deepRef, [deepRef], [first, second]])
      for (const one of [unet, other])
        expect((await one.shallow(inputs(), given, branch)).sample).toEqual(expected.sample);
    expect(unet.memory().kept).toBeGreaterThan(0);
    expect(other.memory().kept).toBe(0);
  },
);

test('deep features are rejected with a typed error if they do not fit', async () => {
  expect(unet.memory().kept).toBe(0);
  const invalid = { code: 'INVALID_OPTION' };
  await expect(unet.forward(inputs(), { keepDeep: true })).rejects.toMatchObject(invalid);
  const junk = 1 as unknown as boolean;
  await expect(unet.forward(inputs(), { branch: 0, keepDeep: junk })).rejects.toMatchObject(invalid);
  for (const given of [[], [null], {}, null] as unknown as TensorRef[])
    await expect(unet.shallow(inputs(), given, 0)).rejects.toMatchObject(invalid);
  using deep = (await unet.forward(inputs(), { branch: 0, keepDeep: true })).deepRef!;
  await expect(unet.shallow(inputs(), [deep, deep], 0)).rejects.toMatchObject({ code: 'SHAPE_MISMATCH' });
  await expect(unet.shallow(inputs(), deep, 3)).rejects.toMatchObject({ code: 'SHAPE_MISMATCH' });
  deep.dispose();
  await expect(unet.shallow(inputs(), deep, 0)).rejects.toMatchObject({ code: 'DISPOSED' });
  expect(unet.memory().kept).toBe(0);
});
