/** Few-step sampling against diffusers: a U-Net that embeds the guidance scale, and whole images. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openModel } from '../../../lib/families/registry.js';
import { UNet } from '../../../lib/modules/unet.js';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import { Tensor } from '../../../lib/tensor/tensor.js';
import {
  cases,
  expected,
  expectedImage,
  unetCase,
  writeLcmFolder,
  writePlainFolder,
} from '../../support/few-steps.js';
import { largestDifference, relativeError } from '../../support/pipeline-cases.js';
import { noise } from '../../support/tiny-models.js';

const root = mkdtempSync(join(tmpdir(), 'safelight-few-steps-'));
const pipelines: Record<string, Pipeline> = {};

beforeAll(async () => {
  pipelines.lcm = await Pipeline.load(writeLcmFolder(join(root, 'consistent')), { storage: 'f32' });
  pipelines.plain = await Pipeline.load(writePlainFolder(join(root, 'plain')), { storage: 'f32' });
});
afterAll(async () => {
  for (const pipeline of Object.values(pipelines)) await pipeline.dispose();
  rmSync(root, { recursive: true, force: true });
});

const embedsGuidance = (name: string): boolean => /^lcm(-weak|-more)?$/.test(name);

describe('whole images of few steps', () => {
  it.each(cases)('match diffusers: $name', async ({ name, options }) => {
    const pipeline = pipelines[embedsGuidance(name) ? 'lcm' : 'plain']!;
    const { images } = await pipeline.generate(options);
    expect(relativeError(images[0]!.latent.data, await expected(`${name}.latent`))).toBeLessThan(1e-3);
    const pixels = await expectedImage(name);
    if (pixels) expect(largestDifference(images[0]!.data, pixels)).toBeLessThanOrEqual(3);
  });

  it.each([
    ['lcm', 'lcm-weak'],
    ['lcm-lora', 'tcd-eta'],
    ['turbo', 'lightning'],
    ['tcd-lora', 'lcm-trailing'],
  ])('differ by more than five times the tolerance if scale, sampler or eta differ: %s, %s', async (a, b) => {
    const error = relativeError(await expected(`${a}.latent`), await expected(`${b}.latent`));
    expect(error).toBeGreaterThan(5e-3);
  });
});

describe('a U-Net that embeds the guidance scale', () => {
  it('predicts the same as diffusers for a batch with different scales', async () => {
    const { unet } = await openModel(join(root, 'consistent'));
    for (const stockOps of [false, true]) {
      const module = await UNet.load(unet, { storage: 'f32', stockOps });
      const { sample } = await module.forward(inputs(unetCase.scales));
      expect(relativeError(sample.data, await expected('unet'))).toBeLessThan(1e-3);
      module.dispose();
    }
  });

  it('rejects inputs without scales, and scales are rejected by other U-Nets', async () => {
    const consistent = await UNet.load((await openModel(join(root, 'consistent'))).unet);
    const plain = await UNet.load((await openModel(join(root, 'plain'))).unet);
    const { guidance, ...others } = inputs(unetCase.scales);
    await expect(consistent.forward(others)).rejects.toThrow(/guidance/);
    await expect(plain.forward({ ...others, guidance })).rejects.toThrow(/guidance/);
    await expect(consistent.forward(inputs([1]))).rejects.toMatchObject({ code: 'SHAPE_MISMATCH' });
    consistent.dispose();
    plain.dispose();
  });
});

function inputs(scales: readonly number[]) {
  const doubled = (name: string, shape: number[]): Tensor =>
    Tensor.from(
      noise(
        `few-steps.${name}`,
        shape.reduce((a, b) => a * b),
      ).map((value) => 2 * value),
      shape,
    );
  return {
    sample: doubled('sample', [2, 4, 7, 6]),
    timestep: Tensor.from(Float32Array.from(unetCase.timesteps), [2]),
    context: doubled('context', [2, 5, 128]),
    guidance: Tensor.from(Float32Array.from(scales), [scales.length]),
  };
}
