/**
 * Computations that every GPU backend has to support: each kind of module and whole pipelines, as functions
 * of how modules are loaded. The tests of the test device compare them with the CPU's stock operations byte
 * for byte, those of Vulkan with a tolerance (test/gpu/vulkan.test.ts).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NativeModule } from '../../lib/binding/module.js';
import type { NativeTensor, StorageType } from '../../lib/binding/types.js';
import { usualLosses } from '../../lib/checkpoint/config/omegaconf/losses.js';
import { openUpscaler } from '../../lib/checkpoint/open-upscaler.js';
import { openVqganModel } from '../../lib/families/shared/vqgan/open-vqgan.js';
import { Autoencoder } from '../../lib/modules/autoencoder.js';
import { Lpips } from '../../lib/modules/lpips.js';
import { PatchDiscriminator } from '../../lib/modules/patch-discriminator.js';
import { UpscalerNetwork } from '../../lib/modules/upscaler-network.js';
import { VQModel } from '../../lib/modules/vq-model.js';
import { vqganLosses } from '../../lib/modules/vqgan-losses.js';
import { Pipeline } from '../../lib/pipelines/diffusion/pipeline.js';
import { VqganPipeline } from '../../lib/pipelines/vqgan/vqgan-pipeline.js';
import { Tensor } from '../../lib/tensor/tensor.js';
import { randomPatches } from '../native/random-patches.js';
import { caseNamed, generateOptions, cases as ldmCases, writeModel } from '../support/latent-diffusion.js';
import { type Fixture, planOf, readFixture } from '../support/native-modules.js';
import { reference, writeNetwork } from '../support/upscale/networks.js';
import {
  expected,
  sections,
  tensorsOf,
  writeCheckpoint,
  writeDiffusers,
} from '../support/vqgan/autoencoders.js';

/** Device and options with which modules are loaded. */
export interface Where {
  readonly backend: 'cpu' | 'vulkan';
  readonly stockOps?: boolean;
}

/** Results by name: numbers, code indices, or bytes of images. */
export type Results = Record<string, Float32Array | Int32Array | Uint8Array>;

export interface GpuCase {
  readonly name: string;
  /** Compiles many shaders on a software Vulkan device. */
  readonly large?: boolean;
  run(where: Where): Promise<Results>;
}

const folder = mkdtempSync(join(tmpdir(), 'safelight-gpu-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const data = (
  tensors: Readonly<Record<string, { readonly data: NativeTensor['data'] }>>,
  prefix: string,
): Results =>
  Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [prefix + name, tensor.data]));

async function fixtureModule(fixture: Fixture, where: Where, storage: StorageType): Promise<NativeModule> {
  const { kind, config } = fixture;
  return NativeModule.create(kind, config, planOf(fixture, storage), { threads: 1, ...where });
}

/** Runs every entry of a fixture at every size, then the first one with all of its nodes read. */
function moduleCase(name: string, storage: StorageType = 'f32'): GpuCase {
  return {
    name: storage === 'f32' ? name : `${name} in ${storage}`,
    async run(where) {
      const fixture = await readFixture(name);
      await using module = await fixtureModule(fixture, where, storage);
      const results: Results = {};
      for (const round of ['first', 'again'])
        for (const [i, { entry, inputs, params }] of fixture.cases.entries())
          Object.assign(
            results,
            data((await module.run(entry, inputs, { params })).outputs, `${round} ${i} `),
          );
      const { entry, inputs, params } = fixture.cases[0]!;
      const shapes = Object.fromEntries(Object.entries(inputs).map(([key, { shape }]) => [key, shape]));
      const taps = module.nodes(entry, shapes, params).map((node) => node.name);
      const read = await module.run(entry, inputs, { params, taps });
      return { ...results, ...data(read.taps, 'node '), ...data(read.outputs, 'tapped ') };
    },
  };
}

/** Overrides each node in turn with twice its value. */
function overriddenCase(name: string): GpuCase {
  return {
    name: `${name}, overridden`,
    async run(where) {
      const fixture = await readFixture(name);
      await using module = await fixtureModule(fixture, where, 'f32');
      const { entry, inputs, params } = fixture.cases[0]!;
      const shapes = Object.fromEntries(Object.entries(inputs).map(([key, { shape }]) => [key, shape]));
      const taps = module.nodes(entry, shapes, params).map((node) => node.name);
      const read = await module.run(entry, inputs, { params, taps });
      const results: Results = {};
      for (const [node, { data: own, shape }] of Object.entries(read.taps)) {
        const twice = { data: Float32Array.from(own, (value) => 2 * value), shape };
        const { outputs } = await module.run(entry, inputs, { params, overrides: { [node]: twice } });
        Object.assign(results, data(outputs, `${node} `));
      }
      return results;
    },
  };
}

/** A module with patches of all of its weights: whole ones in f32, parts of them in f16. */
function patchedCase(name: string, storage: StorageType = 'f32'): GpuCase {
  return {
    name: `${name} in ${storage}, patched`,
    async run(where) {
      const fixture = await readFixture(name);
      const { kind, config } = fixture;
      await using module = await fixtureModule(fixture, where, storage);
      await module.setPatches('whole', randomPatches(kind, config, folder, { rank: 3 }));
      await module.setPatches('part', randomPatches(kind, config, folder, { type: 'F16', part: true }));
      const copies = randomPatches(kind, config, folder, { rank: 2 });
      const merged = copies.patches.map(({ target }) => ({ target, storage: 'f16' as const }));
      await module.setPatches('copies', { ...copies, merged });
      const results: Results = {};
      for (const patches of ['whole', 'part', 'copies', 'whole'])
        for (const [i, { entry, inputs, params }] of fixture.cases.entries()) {
          const { outputs } = await module.run(entry, inputs, { params, patches });
          Object.assign(results, data(outputs, `${patches} ${i} `));
        }
      return results;
    },
  };
}

/** A latent transformer that samples position by position, with keys and values on the device. */
function sessionCase(name: string): GpuCase {
  return {
    name: `${name}, a session`,
    async run(where) {
      const fixture = await readFixture(name);
      await using module = await fixtureModule(fixture, where, 'f32');
      const { n_unmasked: unmasked } = fixture.config as { n_unmasked: number };
      const { codes } = fixture.cases.find((one) => !one.inputs.embeddings)!.inputs as {
        codes: NativeTensor;
      };
      const [batch = 0, length = 0] = codes.shape;
      const results: Results = {};
      for (const piece of [1, 3, length]) {
        for (let from = 0; from < length; ) {
          const to = from === 0 ? Math.max(piece, unmasked) : Math.min(length, from + piece);
          const rows = Array.from({ length: batch }, (_, b) => [
            ...codes.data.subarray(b * length + from, b * length + to),
          ]);
          const step = {
            codes: { data: Int32Array.from(rows.flat()), shape: [batch, to - from] },
            position: { data: Int32Array.of(from), shape: [1] },
          };
          const { outputs } = await module.run('step', step, { session: `${piece}` });
          results[`${piece} ${from}`] = outputs.logits!.data;
          from = to;
        }
        module.release(`${piece}`);
      }
      return results;
    },
  };
}

const autoencoders = sections('autoencoders');

function codebookCase(name: string): GpuCase {
  const section = autoencoders[name]!;
  const place = join(folder, name);
  return {
    name: `autoencoder ${name}`,
    async run(where) {
      const { target, params, config } = section.about;
      const path = config
        ? writeDiffusers(place, name, section)
        : writeCheckpoint(place, tensorsOf(name, section), { target, params });
      const { autoencoder } = await openVqganModel(path);
      const image = await expected('autoencoders', name).f32('image');
      const how = { threads: 1, storage: 'f32', ...where } as const;
      if (autoencoder.kind === 'autoencoder_kl') {
        await using model = await Autoencoder.load(autoencoder, how);
        const moments = await model.encode(image);
        const latent = moments.slice(null, [0, model.config.latent_channels]);
        return { moments: moments.data, decoded: (await model.decode(latent)).data };
      }
      await using model = await VQModel.load(autoencoder, how);
      const { latent } = await model.encode(image);
      const { indices, quantized } = await model.quantize(latent);
      const looked = await model.lookup(indices);
      const decoded = (await model.decode(quantized)).image;
      return {
        ...{ latent: latent.data, indices: indices.data, quantized: quantized.data },
        ...{ looked: looked.data, decoded: decoded.data },
      };
    },
  };
}

function lossCase(name: string): GpuCase {
  return {
    name: `discriminator and losses of ${name}`,
    async run(where) {
      const section = sections('losses')[name]!;
      const { target, params } = section.about;
      const path = writeCheckpoint(join(folder, `losses-${name}`), tensorsOf(name, section), {
        target,
        params,
      });
      const { autoencoder, discriminator, lpips, losses, logvar } = await openVqganModel(path);
      const how = { threads: 1, storage: 'f32', ...where } as const;
      const isVq = autoencoder.kind === 'vq_model';
      const modules = {
        autoencoder: isVq ? await VQModel.load(autoencoder, how) : await Autoencoder.load(autoencoder, how),
        config: losses ?? usualLosses(isVq ? 'vq' : 'kl'),
        discriminator: discriminator && (await PatchDiscriminator.load(discriminator, how)),
        lpips: lpips && (await Lpips.load(lpips, how)),
        logvar,
      };
      const { tensors } = await vqganLosses(modules, await expected('losses', 'pictures').f32('image'), {
        step: 100_000,
      });
      for (const module of [modules.autoencoder, modules.discriminator, modules.lpips]) module?.dispose();
      const found = Object.entries(tensors).filter(
        (entry): entry is [string, Tensor] => entry[1] instanceof Tensor,
      );
      return data(Object.fromEntries(found), '');
    },
  };
}

/** A whole generation of a tiny model: class-conditional, BERT, pixel space, inpainting, super-resolution. */
function pipelineCase(name: string): GpuCase {
  return {
    name: `latent diffusion: ${name}`,
    large: true,
    async run(where) {
      const one = caseNamed(name);
      const path = writeModel(one, join(folder, `ldm-${name}`));
      await using pipeline = await Pipeline.load(path, { storage: 'f32', threads: 1, ...where });
      const [height, width] = one.size.map((side) => side * pipeline.info.factor) as [number, number];
      const { images } = await pipeline.generate({ ...generateOptions(one), height, width });
      return Object.fromEntries(
        images.flatMap((image, i) => [
          [`image ${i}`, image.data],
          [`latent ${i}`, image.latent.data],
        ]),
      );
    },
  };
}

function upscalerCase(name: string): GpuCase {
  return {
    name: `upscaler ${name}`,
    async run(where) {
      const source = await openUpscaler(writeNetwork(folder, name));
      await using network = await UpscalerNetwork.load(source, { threads: 1, storage: 'f32', ...where });
      const image = await reference(name, 'image');
      const taps = network.nodes().map((node) => node.name);
      const tapped = await network.upscale(image, { taps });
      return {
        ...{ image: (await network.upscale(image)).image.data, tapped: tapped.image.data },
        ...data(tapped.taps, 'node '),
      };
    },
  };
}

const starterCase: GpuCase = {
  name: 'the starter, at two sizes',
  large: true,
  async run(where) {
    await using pipeline = await Pipeline.load(undefined, { threads: 1, ...where });
    const results: Results = {};
    for (const [width, height] of [
      [64, 64],
      [96, 64],
    ] as const) {
      const { images } = await pipeline.generate({ prompt: 'a red apple', seed: 1, steps: 2, width, height });
      results[`${width}x${height}`] = images[0]!.data;
    }
    return results;
  },
};

const sketchCase: GpuCase = {
  name: 'the sketch starter',
  large: true,
  async run(where) {
    await using pipeline = await VqganPipeline.load(undefined, { threads: 1, ...where });
    const { image, codes } = await pipeline.sketch(drawing(96), { seed: 3 }).result;
    const { codes: own } = await pipeline.codes(drawing(96));
    return { image: image.data, codes: Int32Array.from(codes.flat()), own: Int32Array.from(own.flat()) };
  },
};

function drawing(side: number) {
  const pixels = new Uint8Array(side * side).fill(255);
  for (let i = side / 4; i < (3 * side) / 4; i++)
    for (const j of [side / 4, (3 * side) / 4]) {
      pixels[i * side + j] = 0;
      pixels[j * side + i] = 0;
    }
  return { data: pixels, width: side, height: side, channels: 1 as const };
}

const FIXTURES = [
  ...['clip', 'openclip', 'unet-sd1', 'unet-sd2', 'unet-sdxl', 'unet-inpaint', 'unet-plain'],
  ...['kl', 'kl-plain', 'taesd', 'taesd-pooled', 'latent-transformer', 'latent-transformer-unmasked', 't5'],
];

export const gpuCases: readonly GpuCase[] = [
  ...FIXTURES.map((name) => moduleCase(name)),
  ...(['f16', 'bf16', 'q8_0'] as const).flatMap((storage) =>
    ['clip', 'unet-sd1', 'kl', 'latent-transformer', 't5'].map((name) => moduleCase(name, storage)),
  ),
  ...['clip', 'unet-sd1', 'unet-sdxl', 'kl'].map((name) => patchedCase(name)),
  ...['clip', 'unet-sd1'].map((name) => patchedCase(name, 'q8_0')),
  ...['clip', 'unet-sd1'].map(overriddenCase),
  sessionCase('latent-transformer'),
  sessionCase('latent-transformer-unmasked'),
  ...Object.keys(autoencoders).map(codebookCase),
  ...Object.keys(sections('losses'))
    .filter((name) => name !== 'pictures')
    .map(lossCase),
  ...[
    'esrgan-plus',
    'esrgan-x2',
    'compact',
    'swinir',
    'swinir-real',
    'swinir-unshuffle',
    'dat',
    'dat-light',
  ].map(upscalerCase),
  ...ldmCases.map(({ name }) => pipelineCase(name)),
  starterCase,
  sketchCase,
];
