/**
 * LoRAs on tiny modules against results of PEFT (test/reference/lora.py), for every naming scheme, storage
 * and kind of graph.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readLora } from '../../lib/adapters/lora-file.js';
import { matchLora } from '../../lib/adapters/lora-patches.js';
import { type AdaptedComponent, type ModelLayers, modelLayers } from '../../lib/adapters/model-layers.js';
import type { StorageType } from '../../lib/binding/types.js';
import type { ModelSource } from '../../lib/checkpoint/model-descriptor.js';
import { openModel } from '../../lib/families/registry.js';
import { adaptedModules } from '../../lib/families/shared/unet/lora-target.js';
import type { LoadOptions } from '../../lib/modules/loaded-module.js';
import { TextEncoder } from '../../lib/modules/text-encoder.js';
import { UNet } from '../../lib/modules/unet.js';
import type { WeightPatch } from '../../lib/modules/weight-patch.js';
import type { Tensor } from '../../lib/tensor/tensor.js';
import {
  cases,
  expected,
  type LoraModel,
  type LoraName,
  type Naming,
  removeFolders,
  temporaryFolder,
  writeLora,
} from '../support/lora.js';
import { relativeError } from '../support/pipeline-cases.js';
import { writeFolder } from '../support/tiny-models.js';

const models = {} as Record<LoraModel, ModelSource>;
let tensor: Awaited<ReturnType<typeof expected>>;

beforeAll(async () => {
  tensor = await expected();
  for (const name of ['sd1', 'sdxl'] as const)
    models[name] = await openModel(writeFolder(name, temporaryFolder()));
});
afterAll(removeFolders);

type Patches = Readonly<Record<AdaptedComponent, readonly WeightPatch[]>>;

const known = new Map<LoraModel, ModelLayers>();

async function read(
  model: LoraModel,
  path: string,
): Promise<{ patches: Patches; ignored: readonly string[] }> {
  const places = known.get(model) ?? modelLayers(adaptedModules(models[model]));
  known.set(model, places);
  const { family } = models[model];
  return matchLora(await readLora(path), places, { name: model, family, textWidth: 0 });
}

const written = new Map<string, ReturnType<typeof read>>();

/** Writes and reads a LoRA once per model, naming scheme and type. */
function readOnce(
  model: LoraModel,
  name: LoraName,
  naming: Naming,
  dtype: 'F16' | 'F32',
): ReturnType<typeof read> {
  const key = `${model} ${name} ${naming} ${dtype}`;
  const found = written.get(key) ?? read(model, writeLora(model, name, naming, { dtype }));
  written.set(key, found);
  return found;
}

/** Returns the patches of a case at its weights. */
async function patchesOf(
  model: LoraModel,
  component: AdaptedComponent,
  weights: Readonly<Partial<Record<LoraName, [number, number]>>>,
  naming: Naming = 'kohya',
  dtype: 'F16' | 'F32' = 'F32',
): Promise<WeightPatch[]> {
  const all: WeightPatch[] = [];
  for (const [name, both] of Object.entries(weights) as [LoraName, [number, number]][]) {
    const { patches, ignored } = await readOnce(model, name, naming, dtype);
    expect(ignored).toEqual([]);
    const weight = both[component === 'unet' ? 0 : 1];
    all.push(...patches[component].map((patch) => ({ ...patch, scale: patch.scale * weight })));
  }
  return all;
}

interface Runnable {
  run(patches?: string, taps?: readonly string[]): Promise<Tensor>;
  setPatches(id: string, patches: readonly WeightPatch[]): Promise<void>;
  memory(): { readonly patches: number };
  dispose(): void;
}

async function load(model: LoraModel, component: AdaptedComponent, options: LoadOptions): Promise<Runnable> {
  const source = models[model];
  const given = (name: string) => tensor(`${model}/inputs/${name}`);
  if (component === 'unet') {
    const unet = await UNet.load(source.unet, { threads: 2, ...options });
    const inputs = {
      sample: given('sample') as Tensor,
      timestep: given('timestep') as Tensor,
      context: given('context') as Tensor,
      ...(model === 'sdxl'
        ? { textEmbeds: given('text_embeds') as Tensor, timeIds: given('time_ids') as Tensor }
        : {}),
    };
    return {
      run: async (patches, taps) => (await unet.forward(inputs, { patches, taps })).sample,
      setPatches: (id, patches) => unet.setPatches(id, patches),
      memory: () => unet.memory(),
      dispose: () => unet.dispose(),
    };
  }
  const of = source.textEncoders[component === 'text_encoder' ? 0 : 1]!;
  const encoder = await TextEncoder.load(of, { threads: 2, ...options });
  const tokens = given('tokens') as Tensor<Int32Array>;
  const layer = of.config.num_hidden_layers;
  return {
    run: async (patches, taps) =>
      (await encoder.encode({ tokens }, { layer, finalNorm: false, patches, taps })).hidden,
    setPatches: (id, patches) => encoder.setPatches(id, patches),
    memory: () => encoder.memory(),
    dispose: () => encoder.dispose(),
  };
}

const parts: readonly (readonly [LoraModel, AdaptedComponent])[] = [
  ['sd1', 'unet'],
  ['sd1', 'text_encoder'],
  ['sdxl', 'unet'],
  ['sdxl', 'text_encoder'],
  ['sdxl', 'text_encoder_2'],
];
/** Rounding changed weights to f16 moves the outputs of these random models by up to this much. */
const ROUNDED = 3e-2;
/** Storage, the reference's weights, and the error: f16 weights, and the convolutions of q8_0, are patched in copies in f16. */
const stored: readonly (readonly [StorageType, 'f16' | 'q8_0', number])[] = [
  ['f32', 'f16', 2e-4],
  ['f16', 'f16', ROUNDED],
  ['q8_0', 'q8_0', ROUNDED],
];

describe.each(parts)('a LoRA on the %s %s', (model, component) => {
  it.each(stored)(
    'matches PEFT in %s at every weight and with several LoRAs at once',
    async (storage, of, tolerance) => {
      const module = await load(model, component, { storage });
      const plain = await module.run();
      for (const [name, weights] of cases) {
        await module.setPatches('case', await patchesOf(model, component, weights));
        const patched = Object.keys(weights).length > 0;
        const actual = await module.run(patched ? 'case' : undefined);
        const wanted = tensor(`${model}/${of}/${component}/${name}`).data;
        expect(relativeError(actual.data, wanted), name).toBeLessThan(tolerance);
        if (patched) expect(relativeError(actual.data, plain.data), name).toBeGreaterThan(0.05);
      }
      // The module's own weights are unchanged.
      expect(await module.run()).toEqual(plain);
      module.dispose();
    },
  );

  it('returns the same for each naming scheme, in f16 and f32', async () => {
    const module = await load(model, component, { storage: 'f32' });
    const [, weights] = cases.find(([name]) => name === 'two')!;
    const wanted = tensor(`${model}/f16/${component}/two`).data;
    for (const naming of ['kohya', 'sgm', 'peft', 'processor'] as const) {
      for (const dtype of ['F16', 'F32'] as const) {
        await module.setPatches('a', await patchesOf(model, component, weights, naming, dtype));
        const actual = await module.run('a');
        expect(relativeError(actual.data, wanted), `${naming} ${dtype}`).toBeLessThan(2e-4);
      }
    }
    module.dispose();
  });

  it('returns the same in stock operations, with taps and from mapped weights', async () => {
    const [, weights] = cases.find(([name]) => name === 'full')!;
    const patches = await patchesOf(model, component, weights);
    const wanted = tensor(`${model}/f16/${component}/full`).data;
    for (const options of [{ stockOps: true, storage: 'f32' }, { memory: 'lean' }, {}] as const) {
      const module = await load(model, component, options);
      await module.setPatches('a', patches);
      const tap = component === 'unet' ? 'mid_block' : 'text_model.embeddings';
      for (const taps of [[], [tap]]) {
        const actual = await module.run('a', taps);
        const tolerance = Object.keys(options).length === 0 ? ROUNDED : 2e-4;
        expect(relativeError(actual.data, wanted), JSON.stringify(options)).toBeLessThan(tolerance);
      }
      module.dispose();
    }
  });
});

describe('patch sets of a module', () => {
  it('are selected per run and do not affect unpatched runs between them', async () => {
    const module = await load('sd1', 'unet', { storage: 'f32' });
    const plain = await module.run();
    await module.setPatches('a', await patchesOf('sd1', 'unet', { whole: [1, 1] }));
    await module.setPatches('b', await patchesOf('sd1', 'unet', { attention: [1, 1] }));
    const [a, none, b] = await Promise.all([module.run('a'), module.run(), module.run('b')]);
    expect(none).toEqual(plain);
    expect(relativeError(a.data, tensor('sd1/f16/unet/full').data)).toBeLessThan(2e-4);
    expect(relativeError(b.data, tensor('sd1/f16/unet/no-alpha').data)).toBeLessThan(2e-4);
    module.dispose();
  });

  it('count in the bytes that an evaluation needs', async () => {
    const unet = await UNet.load(models.sd1.unet, { threads: 2, memory: 'lean' });
    const size = { batch: 2, height: 12, width: 8, length: 9 };
    const plain = await unet.forwardBytes(size);
    await unet.setPatches('a', await patchesOf('sd1', 'unet', { whole: [1, 1] }));
    expect(await unet.forwardBytes(size, undefined, 'a')).toBeGreaterThan(plain);
    expect(await unet.forwardBytes(size)).toBe(plain);
    await expect(unet.forwardBytes(size, undefined, 'b')).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    unet.dispose();
  });

  it('count as memory until they are replaced or removed', async () => {
    const module = await load('sd1', 'unet', { storage: 'f32' });
    expect(module.memory().patches).toBe(0);
    await module.setPatches('a', await patchesOf('sd1', 'unet', { whole: [1, 1] }));
    const whole = module.memory().patches;
    expect(whole).toBeGreaterThan(100_000);
    await module.setPatches('b', await patchesOf('sd1', 'unet', { whole: [1, 1] }));
    expect(module.memory().patches).toBe(2 * whole);
    await module.setPatches('b', await patchesOf('sd1', 'unet', { attention: [1, 1] }));
    expect(module.memory().patches).toBeLessThan(1.6 * whole);
    // A run that was queued before keeps its patch set.
    const run = module.run('a');
    await Promise.all([module.setPatches('a', []), module.setPatches('b', [])]);
    expect(module.memory().patches).toBe(0);
    expect(relativeError((await run).data, tensor('sd1/f16/unet/full').data)).toBeLessThan(2e-4);
    await expect(module.run('a')).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('There is no patch set a'),
    });
    module.dispose();
  });
});
