/** Outputs that stay on a device: the same tests for the CPU and for the test device (test/gpu). */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NativeModule } from '../../lib/binding/module.js';
import type { ModuleInput, TensorRef } from '../../lib/binding/tensor-ref.js';
import type { ModuleKind, NativeConfig, NativeTensor, WeightPlan } from '../../lib/binding/types.js';
import { type Fixture, planOf, readFixture } from '../support/native-modules.js';
import { planOf as randomPlan, config as textConfig } from './tiny.js';

export interface Where {
  readonly backend: 'cpu' | 'vulkan';
  readonly device?: string;
  readonly stockOps?: boolean;
}

const params = { branch: 1 };
const IMAGES = 2;

/** Codes of 4 numbers for each place of an image of the same size. */
const CODEBOOK = {
  ...{ in_channels: 3, out_channels: 3, z_channels: 4, block_out_channels: [4], layers_per_block: 1 },
  ...{
    norm_num_groups: 2,
    norm_eps: 1e-6,
    mid_attention: false,
    down_attention: [false],
    up_attention: [false],
  },
  ...{ num_vq_embeddings: 16, vq_embed_dim: 4, quantizer: 'nearest', scaling_factor: 1 },
};

/** Values that look random. */
export function random(shape: readonly number[], seed = 1): NativeTensor {
  const size = shape.reduce((a, b) => a * b, 1);
  return { data: Float32Array.from({ length: size }, (_, i) => Math.sin(seed * 97 + i * 1.7)), shape };
}

/** Of two images. */
export function unetInputs({ config }: Fixture, seed = 1): Record<string, NativeTensor> {
  const width = config.cross_attention_dim as number;
  return {
    sample: random([IMAGES, config.in_channels as number, 8, 8], seed),
    timestep: { data: new Float32Array(IMAGES).fill(321), shape: [IMAGES] },
    context: random([IMAGES, 5, width], seed + 1),
  };
}

export function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
}

/** The whole evaluation of a U-Net, its features at the cut left on the device. */
export async function keepDeep(unet: NativeModule, inputs: Record<string, ModuleInput>): Promise<TensorRef> {
  return (await unet.run('forward', inputs, { params, keep: ['deep'] })).kept.deep!;
}

/** Registers the tests. */
export function tensorRefTests(where: Where): void {
  let fixture: Fixture;
  let maker: NativeModule;
  let taker: NativeModule;
  let inputs: Record<string, NativeTensor>;
  const modules: NativeModule[] = [];

  const create = async (kind: ModuleKind, config: NativeConfig, plan: WeightPlan): Promise<NativeModule> => {
    const module = await NativeModule.create(kind, config, plan, { threads: 1, ...where });
    modules.push(module);
    return module;
  };
  const load = (of = fixture) => create(of.kind, of.config, planOf(of, 'f32'));
  const shallow = async (
    unet: NativeModule,
    deep: ModuleInput,
    from: Record<string, NativeTensor> = inputs,
  ) => (await unet.run('shallow', { ...from, deep }, { params })).outputs.sample!;
  const deepOnHost = async (from: Record<string, NativeTensor> = inputs) =>
    (await maker.run('forward', from, { params })).outputs.deep!;

  beforeAll(async () => {
    fixture = await readFixture('unet-sd1');
    inputs = unetInputs(fixture);
    [maker, taker] = [await load(), await load()];
  });
  afterAll(() => {
    for (const module of modules) module.dispose();
  });

  it('stay there, with the values that the host would get', async () => {
    const { outputs } = await maker.run('forward', inputs, { params });
    const result = await maker.run('forward', inputs, { params, keep: ['deep'] });
    expect(Object.keys(result.outputs)).toEqual(['sample']);
    expect(result.outputs.sample).toEqual(outputs.sample);
    const { deep } = result.kept;
    expect(deep).toMatchObject({
      shape: outputs.deep!.shape,
      dtype: 'f32',
      bytes: outputs.deep!.data.byteLength,
    });
    expect(deep).toMatchObject({ backend: where.backend, disposed: false });
    expect(await deep!.read()).toEqual(outputs.deep);
    expect(maker.memory().kept).toBeGreaterThanOrEqual(deep!.bytes);
    deep!.dispose();
    expect(maker.memory().kept).toBe(0);
  });

  it('are an input of another module, to the last bit', async () => {
    using deep = await keepDeep(maker, inputs);
    const expected = await shallow(taker, await deepOnHost());
    const other = await shallow(taker, await deepOnHost(unetInputs(fixture, 9)));
    expect(expected).not.toEqual(other);
    expect(await shallow(taker, deep)).toEqual(expected);
    // From the graph that is kept, after one for tensors of the host, and as a list.
    expect(await shallow(taker, deep)).toEqual(expected);
    expect(await shallow(taker, await deepOnHost(unetInputs(fixture, 9)))).toEqual(other);
    expect(await shallow(taker, [deep])).toEqual(expected);
    expect(await shallow(maker, deep)).toEqual(expected);
  });

  it('are cut and joined along the batch', async () => {
    using deep = await keepDeep(maker, inputs);
    const { data, shape } = await deepOnHost();
    const row = data.length / IMAGES;
    using first = deep.slice(0, 1);
    using second = deep.slice(1, 2);
    using again = first.slice(0, 1);
    expect(second).toMatchObject({ shape: [1, ...shape.slice(1)], bytes: deep.bytes / 2 });
    expect((await second.read()).data).toEqual(data.slice(row));
    expect((await again.read()).data).toEqual(data.slice(0, row));
    const swapped = { data: Float32Array.of(...data.slice(row), ...data.slice(0, row)), shape };
    expect(await shallow(taker, [second, first])).toEqual(await shallow(taker, swapped));
    expect(await shallow(taker, [second, second])).not.toEqual(await shallow(taker, [second, first]));
    const three = [IMAGES + 1, ...shape.slice(1)];
    const joined = { data: Float32Array.of(...data, ...data.slice(0, row)), shape: three };
    const wide = Object.fromEntries(
      Object.entries(inputs).map(([name, one]) => [name, random([3, ...one.shape.slice(1)])]),
    );
    expect(await shallow(taker, [deep, first], wide)).toEqual(await shallow(taker, joined, wide));
  });

  it('can be numbers that the host computes with', async () => {
    const config = { ...textConfig, projection_dim: 6 };
    const text = await create('text_encoder', config, randomPlan(config));
    const words = {
      tokens: { data: Int32Array.of(1, 2, 3, 4, 5, 6), shape: [2, 3] },
      eos_index: { data: Int32Array.of(2, 1), shape: [2] },
    };
    const { kept } = await text.run('encode', words, { keep: ['pooled'] });
    const sdxl = await readFixture('unet-sdxl');
    const unet = await load(sdxl);
    const addition = sdxl.config.addition as { input_dim: number; time_embed_dim: number };
    const text_embeds = random([IMAGES, addition.input_dim - 6 * addition.time_embed_dim]);
    const rest = { ...unetInputs(sdxl), text_embeds };
    const there = await unet.run('forward', { ...rest, time_ids: kept.pooled! });
    const here = await unet.run('forward', { ...rest, time_ids: await kept.pooled!.read() });
    expect(there.outputs).toEqual(here.outputs);
    kept.pooled!.dispose();
  });

  it('can be indices, which are checked as those of the host are', async () => {
    const many = await create('vq_model', CODEBOOK, randomPlan(CODEBOOK, {}, 'vq_model'));
    const fewer = { ...CODEBOOK, num_vq_embeddings: 4 };
    const few = await create('vq_model', fewer, randomPlan(fewer, {}, 'vq_model'));
    const { kept } = await many.run('quantize', { latent: random([2, 4, 5, 5]) }, { keep: ['indices'] });
    using indices = kept.indices!;
    expect(indices).toMatchObject({ shape: [2, 5, 5], dtype: 'i32', bytes: 200 });
    const read = await indices.read();
    expect(read.data).toBeInstanceOf(Int32Array);
    expect(Math.max(...read.data)).toBeGreaterThan(3);
    const there = await many.run('lookup', { indices });
    expect(there.outputs).toEqual((await many.run('lookup', { indices: read })).outputs);
    for (const given of [indices, read])
      await expect(few.run('lookup', { indices: given })).rejects.toMatchObject({
        code: 'INVALID_OPTION',
        message: expect.stringContaining('between 0 and 3'),
      });
    await expect(many.run('quantize', { latent: indices })).rejects.toMatchObject({ code: 'SHAPE_MISMATCH' });
    await expect(taker.run('forward', { ...inputs, timestep: indices })).rejects.toMatchObject({
      code: 'SHAPE_MISMATCH',
    });
  });

  describe('are refused with a typed error', () => {
    const refused = async (code: string, deep: ModuleInput, message = /./) => {
      const run = taker.run('shallow', { ...inputs, deep }, { params });
      await expect(run).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    };

    it('under a name that is no output', async () => {
      for (const how of [{ params, keep: ['dep'] }, { keep: ['deep'] }]) {
        await expect(maker.run('forward', inputs, how)).rejects.toMatchObject({
          code: 'INVALID_OPTION',
          message: expect.stringMatching(/no output dee?p to keep; the outputs of this run are .*sample/),
        });
      }
      const junk = { params, keep: 'deep' as unknown as string[] };
      await expect(maker.run('forward', inputs, junk)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
      expect(maker.memory().kept).toBe(0);
    });

    it('in ranges that are not theirs', async () => {
      using deep = await keepDeep(maker, inputs);
      for (const [from, to] of [
        [0, 3],
        [-1, 1],
        [1, 1],
        [2, 3],
        [0.5, 1],
        [Number.NaN, 1],
      ] as const)
        expect(() => deep.slice(from, to)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
    });

    it('in another shape, type, or no list of them', async () => {
      using deep = await keepDeep(maker, inputs);
      using one = deep.slice(0, 1);
      const { kept } = await maker.run('forward', inputs, { params, keep: ['sample'] });
      using sample = kept.sample!;
      await refused('SHAPE_MISMATCH', one);
      await refused('SHAPE_MISMATCH', [deep, one]);
      await refused('SHAPE_MISMATCH', [one, sample], /differ in their first dimension only/);
      await refused('SHAPE_MISMATCH', sample);
      await refused('INVALID_OPTION', []);
      await refused('INVALID_OPTION', [deep, inputs.sample!] as unknown as TensorRef[]);
      await refused('INVALID_OPTION', [null] as unknown as TensorRef[]);
      await refused('INVALID_OPTION', {} as unknown as TensorRef);
      const asContext = maker.run('forward', { ...inputs, unknown: deep });
      await expect(asContext).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    });

    it('once they are disposed of', async () => {
      const deep = await keepDeep(maker, inputs);
      const part = deep.slice(0, 1);
      deep.dispose();
      deep.dispose();
      expect(deep.disposed).toBe(true);
      await refused('DISPOSED', deep);
      await refused('DISPOSED', [part, deep]);
      await expect(deep.read()).rejects.toMatchObject({ code: 'DISPOSED' });
      expect(() => deep.slice(0, 1)).toThrow(expect.objectContaining({ code: 'DISPOSED' }));
      // A part has the memory still.
      expect((await part.read()).shape[0]).toBe(1);
      expect(maker.memory().kept).toBeGreaterThan(0);
      part.dispose();
      expect(maker.memory().kept).toBe(0);
    });
  });

  it('are there for runs that were queued before they were disposed of', async () => {
    const deep = await keepDeep(maker, inputs);
    const expected = await shallow(taker, deep);
    const [running, queued] = [shallow(taker, deep), shallow(taker, [deep])];
    const read = deep.read();
    deep.dispose();
    expect(await running).toEqual(expected);
    expect(await queued).toEqual(expected);
    expect((await read).shape[0]).toBe(IMAGES);
    expect(maker.memory().kept).toBe(0);
  });

  it('are read by two modules at one time', async () => {
    using deep = await keepDeep(maker, inputs);
    const expected = await shallow(taker, deep);
    const runs = Array.from({ length: 6 }, (_, i) => shallow(i % 2 ? maker : taker, deep));
    const reads = Array.from({ length: 4 }, () => deep.read());
    for (const sample of await Promise.all(runs)) expect(sample).toEqual(expected);
    for (const read of await Promise.all(reads)) expect(read).toEqual(await deep.read());
  });

  it('outlive the module that computed them', async () => {
    const short = await load();
    using deep = await keepDeep(short, inputs);
    const expected = await shallow(taker, deep);
    short.dispose();
    expect(await shallow(taker, deep)).toEqual(expected);
    using part = deep.slice(1, 2);
    expect((await part.read()).shape[0]).toBe(1);
  });

  it('go with the garbage collector if nobody disposes of them', async () => {
    const keep = async () => {
      for (let i = 0; i < 3; i++) (await keepDeep(maker, inputs)).slice(0, 1);
    };
    await keep();
    expect(maker.memory().kept).toBeGreaterThan(0);
    await expect
      .poll(() => {
        collectGarbage();
        return maker.memory().kept;
      })
      .toBe(0);
  });

  it('are freed where the caller has left', async () => {
    const controller = new AbortController();
    const large = {
      sample: random([IMAGES, fixture.config.in_channels as number, 64, 64]),
      timestep: inputs.timestep!,
      context: inputs.context!,
    };
    const how = { params, keep: ['deep'], signal: controller.signal };
    const run = maker.run('forward', large, how);
    const stopped = expect(run).rejects.toMatchObject({ code: 'ABORTED' });
    await expect.poll(() => maker.memory().kept, { interval: 1 }).toBeGreaterThan(0);
    controller.abort();
    await stopped;
    await expect.poll(() => maker.memory().kept).toBe(0);
  });
}
