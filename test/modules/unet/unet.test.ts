import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { stringify } from 'yaml';
import type { UNetConfig } from '../../../lib/checkpoint/config/types.js';
import { openUNetFolder } from '../../../lib/checkpoint/folder.js';
import type { UNetSource } from '../../../lib/checkpoint/model-descriptor.js';
import { openComponentFile } from '../../../lib/families/shared/lone-component.js';
import { UNet } from '../../../lib/modules/unet.js';
import { relativeError } from '../../support/pipeline-cases.js';
import { writeSafetensors } from '../../support/tiny-models.js';
import {
  type Case,
  caseNamed,
  cases,
  expectedOutputs,
  inputsOf,
  tensorsOf,
} from '../../support/unet-cases.js';

// The documented tolerance is 1e-3; f32 arithmetic in another order is two orders of magnitude better.
const TOLERANCE = 2e-5;

const root = mkdtempSync(join(tmpdir(), 'safelight-unets-'));
let expected: ReadonlyMap<string, Float32Array>;

beforeAll(async () => {
  expected = await expectedOutputs();
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

let written = 0;
function folder(): string {
  const path = join(root, `${written++}`);
  mkdirSync(path);
  return path;
}

const sources = new Map<string, Promise<UNetSource>>();

/** Writes the checkpoint of a case once for all its tests. */
function open(one: Case): Promise<UNetSource> {
  const known = sources.get(one.name);
  if (known) return known;
  const source = one.kind === 'diffusers' ? openDiffusers(one) : openLdm(one);
  sources.set(one.name, source);
  return source;
}

async function openDiffusers(one: Case, rename?: (name: string) => string): Promise<UNetSource> {
  const path = folder();
  writeFileSync(join(path, 'config.json'), JSON.stringify(one.config));
  writeSafetensors(join(path, 'diffusion_pytorch_model.safetensors'), tensorsOf(one, rename));
  return openUNetFolder(path);
}

/** Opens a checkpoint with its training YAML next to it, or without it for null. */
async function openLdm(one: Case, params: Record<string, unknown> | null = one.config): Promise<UNetSource> {
  const path = folder();
  const file = join(path, 'model.safetensors');
  writeSafetensors(
    file,
    tensorsOf(one, (name) => `model.diffusion_model.${name}`),
  );
  if (params) {
    const model = {
      target: 'ldm.models.diffusion.ddpm.LatentDiffusion',
      params: { unet_config: { params } },
    };
    writeFileSync(join(path, 'config.yaml'), stringify({ model }));
  }
  const component = await openComponentFile(file);
  if (component?.kind !== 'unet') throw new Error(`${one.name} was not taken for a U-Net`);
  return { weights: component.weights, config: component.config as UNetConfig };
}

async function check(one: Case, source: UNetSource, options: { stockOps?: boolean } = {}): Promise<void> {
  const unet = await UNet.load(source, { storage: 'f32', threads: 1, backend: 'cpu', ...options });
  for (const number of one.sizes.keys()) {
    const output = await unet.forward(inputsOf(one, number));
    const off = relativeError(output.sample.data, expected.get(`${one.name}/${number}/sample`)!);
    expect(off, `size ${number}`).toBeLessThan(TOLERANCE);
  }
  unet.dispose();
}

describe.each(cases.map((one) => [one.name, one] as const))('%s against the reference', (_, one) => {
  it('matches with our kernels', async () => check(one, await open(one)));

  it('matches with stock operations', async () => check(one, await open(one), { stockOps: true }));

  it('matches layer by layer, and every listed node can be read', async () => {
    const unet = await UNet.load(await open(one), { storage: 'f32', threads: 1, backend: 'cpu' });
    const [batch, height, width] = one.sizes[0]!;
    const nodes = unet.nodes({ batch, height, width, length: one.context?.[0] ?? 1 });
    const { taps, sample } = await unet.forward(inputsOf(one, 0), { taps: nodes.map(({ name }) => name) });
    expect(relativeError(sample.data, expected.get(`${one.name}/0/sample`)!)).toBeLessThan(TOLERANCE);
    for (const tap of one.taps) {
      const off = relativeError(taps[tap]!.data, expected.get(`${one.name}/0/${tap}`)!);
      expect(off, tap).toBeLessThan(TOLERANCE);
    }
    for (const { name, shape } of nodes) expect(taps[name]!.shape, name).toEqual(shape);
    unet.dispose();
  });
});

describe('other forms of U-Nets', () => {
  test('are read from diffusers files before mid 2023, whose attention has other names', async () => {
    const old = { to_q: 'query', to_k: 'key', to_v: 'value', 'to_out.0': 'proj_attn' };
    const rename = (name: string) =>
      name.replace(/\.(to_[qkv]|to_out\.0)\./, (_, part: keyof typeof old) => `.${old[part]}.`);
    const one = caseNamed('ddpm');
    const source = await openDiffusers(one, rename);
    expect(source.weights.dialect).toContain('query');
    await check(one, source);
  });

  test('can be cut at any position by step caching', async () => {
    for (const name of ['scale-shift', 'joined-inputs', 'ldm-resampling']) {
      const one = caseNamed(name);
      const unet = await UNet.load(await open(one), { storage: 'f32', threads: 1, backend: 'cpu' });
      const inputs = inputsOf(one, 0);
      const whole = expected.get(`${name}/0/sample`)!;
      for (let branch = 0; branch < 3 * unet.config.block_out_channels.length; branch++) {
        const { deep, sample } = await unet.forward(inputs, { branch });
        expect(relativeError(sample.data, whole)).toBeLessThan(TOLERANCE);
        const again = await unet.shallow(inputs, deep!, branch);
        expect(relativeError(again.sample.data, whole), `branch ${branch}`).toBeLessThan(TOLERANCE);
      }
      unet.dispose();
    }
  });

  test('reject a label outside of the table, and a missing label', async () => {
    const one = caseNamed('scale-shift');
    const unet = await UNet.load(await open(one), { storage: 'f32', threads: 1, backend: 'cpu' });
    const { classLabels, ...inputs } = inputsOf(one, 0);
    await expect(unet.forward(inputs)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    const labels = classLabels!.clone();
    labels.data[0] = 7;
    await expect(unet.forward({ ...inputs, classLabels: labels })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
    unet.dispose();
  });

  test('reject a latent that cannot be halved often enough', async () => {
    const one = caseNamed('ddpm');
    const unet = await UNet.load(await open(one), { storage: 'f32', threads: 1, backend: 'cpu' });
    const { sample, timestep } = inputsOf(one, 1);
    const flat = sample.slice(null, null, [0, 1], null);
    await expect(unet.forward({ sample: flat, timestep })).rejects.toMatchObject({ code: 'SHAPE_MISMATCH' });
    unet.dispose();
  });
});

describe("a checkpoint of CompVis' latent diffusion", () => {
  test('defines its layers, but not its heads without a YAML', async () => {
    await expect(openLdm(caseNamed('ldm-resampling'), null)).rejects.toMatchObject({
      code: 'UNSUPPORTED_MODEL',
      message: expect.stringContaining('YAML'),
    });
    const { config } = await open(caseNamed('ldm-layers'));
    expect(config).toMatchObject({
      in_channels: 6,
      layers_per_block: [1, 2],
      attention_blocks: true,
      down_attention: [false, true],
      up_attention: [true, false],
      num_attention_heads: [0, 2],
      resnet_downsample: [true, false],
      resnet_upsample: [true, false],
      class_embedding: { type: 'table', size: 5 },
      sample_size: 8,
    });
  });

  test('is rejected if its YAML requires unsupported features', async () => {
    const one = caseNamed('ldm-head-channels');
    for (const more of [
      { dims: 3 },
      { conv_resample: false },
      { n_embed: 16 },
      { num_heads_upsample: 4, num_heads: 2, num_head_channels: -1 },
    ])
      await expect(openLdm(one, { ...one.config, ...more })).rejects.toMatchObject({
        code: 'UNSUPPORTED_MODEL',
      });
    await expect(openLdm(one, { ...one.config, num_head_channels: 'x' })).rejects.toMatchObject({
      code: 'INVALID_FILE',
    });
  });

  test('keeps quantized weights on request', async () => {
    const one = caseNamed('ldm-resampling');
    const unet = await UNet.load(await open(one), { storage: 'q8_0', threads: 1, backend: 'cpu' });
    const { sample } = await unet.forward(inputsOf(one, 0));
    expect(relativeError(sample.data, expected.get(`${one.name}/0/sample`)!)).toBeLessThan(0.05);
    unet.dispose();
  });
});
