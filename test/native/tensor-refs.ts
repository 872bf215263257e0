/** Tests of outputs kept on a device (`keep`, TensorRef), shared by the CPU and the test device (test/gpu). */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NativeModule } from '../../lib/binding/module.js';
import type { ModuleInput, TensorRef } from '../../lib/binding/tensor-ref.js';
import type { ModuleKind, NativeConfig, NativeTensor, WeightPlan } from '../../lib/binding/types.js';
import { type Fixture, planOf, readFixture } from '../support/native-modules.js';
import { planOf as randomPlan, config as textConfig } from './tiny.js';

export interface Target {
  readonly backend: 'cpu' | 'vulkan';
  readonly device?: string;
  readonly stockOps?: boolean;
}

const params = { branch: 1 };
const IMAGES = 2;

/** A VQ model with a codebook of vectors of 4 numbers, whose latents are as large as the image. */
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

/** Returns deterministic pseudo-random values. */
export function random(shape: readonly number[], seed = 1): NativeTensor {
  const size = shape.reduce((a, b) => a * b, 1);
  return { data: Float32Array.from({ length: size }, (_, i) => Math.sin(seed * 97 + i * 1.7)), shape };
}

/** Returns U-Net inputs for a batch of two images. */
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

/** Runs a full U-Net evaluation and returns its features at the cut point, kept on the device. */
export async function keepDeep(unet: NativeModule, inputs: Record<string, ModuleInput>): Promise<TensorRef> {
  return (await unet.run('forward', inputs, { params, keep: ['deep'] })).kept.deep!;
}

/** Registers the tests. */
export function tensorRefTests(target: Target): void {
  let fixture: Fixture;
  let producer: NativeModule;
  let consumer: NativeModule;
  let inputs: Record<string, NativeTensor>;
  const modules: NativeModule[] = [];

  const create = async (kind: ModuleKind, config: NativeConfig, plan: WeightPlan): Promise<NativeModule> => {
    const module = await NativeModule.create(kind, config, plan, { threads: 1, ...target });
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
    (await producer.run('forward', from, { params })).outputs.deep!;

  beforeAll(async () => {
    fixture = await readFixture('unet-sd1');
    inputs = unetInputs(fixture);
    [producer, consumer] = [await load(), await load()];
  });
  afterAll(() => {
    for (const module of modules) module.dispose();
  });

  it('keeps an output on the device with the values that the host would receive', async () => {
    const { outputs } = await producer.run('forward', inputs, { params });
    const result = await producer.run('forward', inputs, { params, keep: ['deep'] });
    expect(Object.keys(result.outputs)).toEqual(['sample']);
    expect(result.outputs.sample).toEqual(outputs.sample);
    const { deep } = result.kept;
    expect(deep).toMatchObject({
      shape: outputs.deep!.shape,
      dtype: 'f32',
      bytes: outputs.deep!.data.byteLength,
    });
    expect(deep).toMatchObject({ backend: target.backend, disposed: false });
    expect(await deep!.read()).toEqual(outputs.deep);
    expect(producer.memory().kept).toBeGreaterThanOrEqual(deep!.bytes);
    deep!.dispose();
    expect(producer.memory().kept).toBe(0);
  });

  it('accepts a kept output as input of another module, with bit-identical results', async () => {
    using deep = await keepDeep(producer, inputs);
    const expected = await shallow(consumer, await deepOnHost());
    const other = await shallow(consumer, await deepOnHost(unetInputs(fixture, 9)));
    expect(expected).not.toEqual(other);
    expect(await shallow(consumer, deep)).toEqual(expected);
    // Again with the cached graph, after a graph for host tensors, and as a list.
    expect(await shallow(consumer, deep)).toEqual(expected);
    expect(await shallow(consumer, await deepOnHost(unetInputs(fixture, 9)))).toEqual(other);
    expect(await shallow(consumer, [deep])).toEqual(expected);
    expect(await shallow(producer, deep)).toEqual(expected);
  });

  it('slices and concatenates kept outputs along the batch', async () => {
    using deep = await keepDeep(producer, inputs);
    const { data, shape } = await deepOnHost();
    const row = data.length / IMAGES;
    using first = deep.slice(0, 1);
    using second = deep.slice(1, 2);
    using again = first.slice(0, 1);
    expect(second).toMatchObject({ shape: [1, ...shape.slice(1)], bytes: deep.bytes / 2 });
    expect((await second.read()).data).toEqual(data.slice(row));
    expect((await again.read()).data).toEqual(data.slice(0, row));
    const swapped = { data: Float32Array.of(...data.slice(row), ...data.slice(0, row)), shape };
    expect(await shallow(consumer, [second, first])).toEqual(await shallow(consumer, swapped));
    expect(await shallow(consumer, [second, second])).not.toEqual(await shallow(consumer, [second, first]));
    const three = [IMAGES + 1, ...shape.slice(1)];
    const joined = { data: Float32Array.of(...data, ...data.slice(0, row)), shape: three };
    const wide = Object.fromEntries(
      Object.entries(inputs).map(([name, input]) => [name, random([3, ...input.shape.slice(1)])]),
    );
    expect(await shallow(consumer, [deep, first], wide)).toEqual(await shallow(consumer, joined, wide));
  });

  it('reads kept outputs for inputs that are computed on the host', async () => {
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
    const fromDevice = await unet.run('forward', { ...rest, time_ids: kept.pooled! });
    const fromHost = await unet.run('forward', { ...rest, time_ids: await kept.pooled!.read() });
    expect(fromDevice.outputs).toEqual(fromHost.outputs);
    kept.pooled!.dispose();
  });

  it('checks the range of kept indices like that of host indices', async () => {
    const many = await create('vq_model', CODEBOOK, randomPlan(CODEBOOK, {}, 'vq_model'));
    const fewer = { ...CODEBOOK, num_vq_embeddings: 4 };
    const few = await create('vq_model', fewer, randomPlan(fewer, {}, 'vq_model'));
    const { kept } = await many.run('quantize', { latent: random([2, 4, 5, 5]) }, { keep: ['indices'] });
    using indices = kept.indices!;
    expect(indices).toMatchObject({ shape: [2, 5, 5], dtype: 'i32', bytes: 200 });
    const read = await indices.read();
    expect(read.data).toBeInstanceOf(Int32Array);
    expect(Math.max(...read.data)).toBeGreaterThan(3);
    const fromDevice = await many.run('lookup', { indices });
    expect(fromDevice.outputs).toEqual((await many.run('lookup', { indices: read })).outputs);
    for (const input of [indices, read])
      await expect(few.run('lookup', { indices: input })).rejects.toMatchObject({
        code: 'INVALID_OPTION',
        message: expect.stringContaining('between 0 and 3'),
      });
    await expect(many.run('quantize', { latent: indices })).rejects.toMatchObject({ code: 'SHAPE_MISMATCH' });
    await expect(consumer.run('forward', { ...inputs, timestep: indices })).rejects.toMatchObject({
      code: 'SHAPE_MISMATCH',
    });
  });

  describe('invalid uses of kept outputs', () => {
    const expectRejection = async (code: string, deep: ModuleInput, message = /./) => {
      const run = consumer.run('shallow', { ...inputs, deep }, { params });
      await expect(run).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    };

    it('rejects a name in keep that is not an output', async () => {
      for (const options of [{ params, keep: ['dep'] }, { keep: ['deep'] }]) {
        await expect(producer.run('forward', inputs, options)).rejects.toMatchObject({
          code: 'INVALID_OPTION',
          message: expect.stringMatching(/no output dee?p to keep; the outputs of this run are .*sample/),
        });
      }
      const junk = { params, keep: 'deep' as unknown as string[] };
      await expect(producer.run('forward', inputs, junk)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
      expect(producer.memory().kept).toBe(0);
    });

    it('rejects slices outside of the batch', async () => {
      using deep = await keepDeep(producer, inputs);
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

    it('rejects inputs of another shape or type and invalid lists', async () => {
      using deep = await keepDeep(producer, inputs);
      using part = deep.slice(0, 1);
      const { kept } = await producer.run('forward', inputs, { params, keep: ['sample'] });
      using sample = kept.sample!;
      await expectRejection('SHAPE_MISMATCH', part);
      await expectRejection('SHAPE_MISMATCH', [deep, part]);
      await expectRejection('SHAPE_MISMATCH', [part, sample], /differ only in their first dimension/);
      await expectRejection('SHAPE_MISMATCH', sample);
      await expectRejection('INVALID_OPTION', []);
      await expectRejection('INVALID_OPTION', [deep, inputs.sample!] as unknown as TensorRef[]);
      await expectRejection('INVALID_OPTION', [null] as unknown as TensorRef[]);
      await expectRejection('INVALID_OPTION', {} as unknown as TensorRef);
      const asContext = producer.run('forward', { ...inputs, unknown: deep });
      await expect(asContext).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    });

    it('throws DISPOSED for disposed tensors', async () => {
      const deep = await keepDeep(producer, inputs);
      const part = deep.slice(0, 1);
      deep.dispose();
      deep.dispose();
      expect(deep.disposed).toBe(true);
      await expectRejection('DISPOSED', deep);
      await expectRejection('DISPOSED', [part, deep]);
      await expect(deep.read()).rejects.toMatchObject({ code: 'DISPOSED' });
      expect(() => deep.slice(0, 1)).toThrow(expect.objectContaining({ code: 'DISPOSED' }));
      // A slice keeps the memory alive.
      expect((await part.read()).shape[0]).toBe(1);
      expect(producer.memory().kept).toBeGreaterThan(0);
      part.dispose();
      expect(producer.memory().kept).toBe(0);
    });
  });

  it('keeps a disposed tensor alive for runs that are already in the queue', async () => {
    const deep = await keepDeep(producer, inputs);
    const expected = await shallow(consumer, deep);
    const [running, queued] = [shallow(consumer, deep), shallow(consumer, [deep])];
    const read = deep.read();
    deep.dispose();
    expect(await running).toEqual(expected);
    expect(await queued).toEqual(expected);
    expect((await read).shape[0]).toBe(IMAGES);
    expect(producer.memory().kept).toBe(0);
  });

  it('can be read by two modules at the same time', async () => {
    using deep = await keepDeep(producer, inputs);
    const expected = await shallow(consumer, deep);
    const runs = Array.from({ length: 6 }, (_, i) => shallow(i % 2 ? producer : consumer, deep));
    const reads = Array.from({ length: 4 }, () => deep.read());
    for (const sample of await Promise.all(runs)) expect(sample).toEqual(expected);
    for (const read of await Promise.all(reads)) expect(read).toEqual(await deep.read());
  });

  it('outlives the module that computed it', async () => {
    const temporary = await load();
    using deep = await keepDeep(temporary, inputs);
    const expected = await shallow(consumer, deep);
    temporary.dispose();
    expect(await shallow(consumer, deep)).toEqual(expected);
    using part = deep.slice(1, 2);
    expect((await part.read()).shape[0]).toBe(1);
  });

  it('is freed by the garbage collector if it is not disposed', async () => {
    const keep = async () => {
      for (let i = 0; i < 3; i++) (await keepDeep(producer, inputs)).slice(0, 1);
    };
    await keep();
    expect(producer.memory().kept).toBeGreaterThan(0);
    await expect
      .poll(() => {
        collectGarbage();
        return producer.memory().kept;
      })
      .toBe(0);
  });

  it('frees kept outputs when the run is aborted', async () => {
    const controller = new AbortController();
    const large = {
      sample: random([IMAGES, fixture.config.in_channels as number, 64, 64]),
      timestep: inputs.timestep!,
      context: inputs.context!,
    };
    const run = producer.run('forward', large, { params, keep: ['deep'], signal: controller.signal });
    const stopped = expect(run).rejects.toMatchObject({ code: 'ABORTED' });
    await expect.poll(() => producer.memory().kept, { interval: 1 }).toBeGreaterThan(0);
    controller.abort();
    await stopped;
    await expect.poll(() => producer.memory().kept).toBe(0);
  });
}
