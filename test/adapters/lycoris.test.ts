/** LyCORIS adapters and DoRA against lycoris_lora and PEFT (test/reference/lora_forms.py): modules in every storage, and whole images. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readLora } from '../../lib/adapters/lora-file.js';
import { matchLora } from '../../lib/adapters/lora-patches.js';
import { type AdaptedComponent, modelLayers } from '../../lib/adapters/model-layers.js';
import type { ModelSource } from '../../lib/checkpoint/model-descriptor.js';
import { openModel } from '../../lib/families/registry.js';
import { adaptedModules } from '../../lib/families/shared/unet/lora-target.js';
import { readImage } from '../../lib/image/read.js';
import type { LoadOptions } from '../../lib/modules/loaded-module.js';
import { TextEncoder } from '../../lib/modules/text-encoder.js';
import { UNet } from '../../lib/modules/unet.js';
import type { WeightPatch } from '../../lib/modules/weight-patch.js';
import { Pipeline } from '../../lib/pipelines/diffusion/pipeline.js';
import type { GenerateOptions } from '../../lib/pipelines/options.js';
import type { Tensor } from '../../lib/tensor/tensor.js';
import { expected, removeFolders, temporaryFolder } from '../support/lora.js';
import { cases, FIXTURES, images, writeLycoris, writePeftDora } from '../support/lycoris.js';
import { largestDifference, relativeError } from '../support/pipeline-cases.js';
import { writeFolder } from '../support/tiny-models.js';

let model: ModelSource;
let folder: string;
let tensor: (name: string) => Tensor<Float32Array | Int32Array>;

beforeAll(async () => {
  folder = writeFolder('sd1', temporaryFolder());
  model = await openModel(folder);
  tensor = await expected(FIXTURES);
});
afterAll(removeFolders);

async function patchesOf(path: string, component: AdaptedComponent, strength = 1): Promise<WeightPatch[]> {
  const target = { name: 'tiny', family: model.family, textWidth: 0 };
  const { patches, ignored } = matchLora(await readLora(path), modelLayers(adaptedModules(model)), target);
  expect(ignored).toEqual([]);
  return patches[component].map((patch) => ({ ...patch, scale: patch.scale * strength }));
}

type Component = 'unet' | 'text_encoder';

interface Runnable {
  run(patches?: string): Promise<Float32Array>;
  setPatches(id: string, patches: readonly WeightPatch[]): Promise<void>;
  dispose(): void;
}

async function load(component: Component, options: LoadOptions): Promise<Runnable> {
  const input = (name: string) => tensor(`inputs/${name}`);
  if (component === 'unet') {
    const unet = await UNet.load(model.unet, { threads: 2, ...options });
    const [sample, timestep, context] = ['sample', 'timestep', 'context'].map(input) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    return {
      run: async (patches) => (await unet.forward({ sample, timestep, context }, { patches })).sample.data,
      setPatches: (id, patches) => unet.setPatches(id, patches),
      dispose: () => unet.dispose(),
    };
  }
  const source = model.textEncoders[0]!;
  const encoder = await TextEncoder.load(source, { threads: 2, ...options });
  const tokens = input('tokens') as Tensor<Int32Array>;
  const layer = source.config.num_hidden_layers;
  return {
    run: async (patches) =>
      (await encoder.encode({ tokens }, { layer, finalNorm: false, patches })).hidden.data,
    setPatches: (id, patches) => encoder.setPatches(id, patches),
    dispose: () => encoder.dispose(),
  };
}

const EXACT: readonly (readonly [LoadOptions, number])[] = [
  [{ storage: 'f32' }, 2e-4],
  [{ storage: 'f32', stockOps: true }, 2e-4],
];
/**
 * Storage and memory mode, with the error they allow: f16 rounds the changed weights, q8_0 the model's. The U-Net of random
 * weights magnifies that rounding too much to be compared; the images below are of f16 weights.
 */
const STORED = {
  unet: EXACT,
  text_encoder: [
    ...EXACT,
    [{}, 4e-3],
    [{ memory: 'lean' }, 4e-3],
    [{ storage: 'q8_0' }, 6e-2],
  ] as typeof EXACT,
};

describe.each(['unet', 'text_encoder'] as const)('an adapter on the %s', (component) => {
  it.each(STORED[component])('computes what LyCORIS computes, with %j', async (options, tolerance) => {
    const module = await load(component, options);
    const plain = await module.run();
    for (const [form, strength, of] of cases) {
      if (of !== component) continue;
      await module.setPatches('a', await patchesOf(writeLycoris(form), component, strength));
      const wanted = tensor(`${form}/${strength}/${component}`).data;
      const actual = await module.run('a');
      expect(relativeError(actual, wanted), `${form} at ${strength}`).toBeLessThan(tolerance);
      expect(relativeError(plain, wanted), form).toBeGreaterThan(0.04);
    }
    expect(await module.run()).toEqual(plain);
    module.dispose();
  });
});

describe('DoRA', () => {
  it("computes what PEFT computes, from a file with diffusers' names", async () => {
    const module = await load('unet', { storage: 'f32' });
    await module.setPatches('a', await patchesOf(writePeftDora(), 'unet'));
    expect(relativeError(await module.run('a'), tensor('peft-dora/unet').data)).toBeLessThan(2e-4);
    module.dispose();
  });
});

describe('a generation', () => {
  it.each(images)(
    'returns the image that diffusers returns with the $form of LyCORIS',
    async ({ form, options, image }) => {
      await using pipeline = await Pipeline.load(folder, { threads: 2 });
      const wanted = await readImage(join(FIXTURES, image));
      const loras = [{ path: writeLycoris(form) }];
      const { images: generated } = await pipeline.generate({ ...options, loras } as GenerateOptions);
      expect(largestDifference(generated[0]!.data, wanted.data)).toBeLessThanOrEqual(3);
    },
  );
});
