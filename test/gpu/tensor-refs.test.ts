/** Outputs that stay in the memory of a GPU, here of the test device, whose memory the host may not touch. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { addonOf } from '../../lib/binding/backends.js';
import { NativeModule } from '../../lib/binding/module.js';
import { Pipeline } from '../../lib/pipelines/diffusion/pipeline.js';
import { keepDeep, random, type Target, tensorRefTests, unetInputs } from '../native/tensor-refs.js';
import { removeFiles } from '../native/tiny.js';
import { planOf, readFixture } from '../support/native-modules.js';

const BINARIES = fileURLToPath(new URL('../../build/test-device', import.meta.url));
process.env.SAFELIGHT_GPU_BINARIES = BINARIES;
process.env.SAFELIGHT_TEST_DEVICES = '2';

const without = existsSync(`${BINARIES}/safelight-vulkan.node`)
  ? undefined
  : 'the test device is built on Linux only';
const GIB = 2 ** 30;

/** Returns the free memory of a device in bytes. */
const free = (name: string): number =>
  addonOf('vulkan')
    .backends()
    .find(({ device }) => device === name)!.memory.free;

const fixture = await readFixture('unet-sd1');
const unet = (target: Target): Promise<NativeModule> =>
  NativeModule.create(fixture.kind, fixture.config, planOf(fixture, 'f32'), { threads: 1, ...target });

afterEach(() => vi.unstubAllEnvs());
afterAll(removeFiles);

describe.skipIf(without)(`a GPU${without ? `: ${without}` : ''}`, () => {
  describe('outputs kept on the device', () => tensorRefTests({ backend: 'vulkan', device: 'Test0' }));

  it('are rejected on another device, unless they are read first', async () => {
    const places = [
      { backend: 'cpu', stockOps: true },
      { backend: 'vulkan', device: 'Test0' },
      { backend: 'vulkan', device: 'Test1' },
    ] as const;
    const modules = await Promise.all(places.map(unet));
    const inputs = unetInputs(fixture);
    const refs = await Promise.all(modules.map((module) => keepDeep(module, inputs)));
    expect(refs.map(({ device }) => device)).toEqual(['CPU', 'Test0', 'Test1']);
    const samples = new Set<string>();
    for (const [i, module] of modules.entries()) {
      for (const [j, deep] of refs.entries()) {
        const run = (given: Parameters<NativeModule['run']>[1][string]) =>
          module.run('shallow', { ...inputs, deep: given }, { params: { branch: 1 } });
        if (i !== j)
          await expect(run(deep)).rejects.toMatchObject({
            code: 'INVALID_OPTION',
            message: expect.stringMatching(/The input deep is on .*, but this module is on .*: call read/),
          });
        for (const given of i === j ? [deep, await deep.read()] : [await deep.read()])
          samples.add((await run(given)).outputs.sample!.data.join());
      }
    }
    expect(samples.size).toBe(1);
    for (const one of [...refs, ...modules]) one.dispose();
    await vi.waitFor(() => expect([free('Test0'), free('Test1')]).toEqual([16 * GIB, 16 * GIB]), 5000);
  });

  it('free all their memory', async () => {
    const module = await unet({ backend: 'vulkan', device: 'Test1' });
    await module.run('forward', unetInputs(fixture), { params: { branch: 1 } });
    const before = free('Test1');
    const deep = await keepDeep(module, unetInputs(fixture));
    expect(before - free('Test1')).toBeGreaterThanOrEqual(deep.bytes);
    expect(module.memory()).toMatchObject({ backend: 'vulkan', device: 'Test1' });
    deep.dispose();
    expect(free('Test1')).toBe(before);
    module.dispose();
    await vi.waitFor(() => expect(free('Test1')).toBe(16 * GIB), 5000);
  });

  it('are not allocated and nothing runs if memory is too small', async () => {
    const module = await unet({ backend: 'vulkan', device: 'Test1' });
    const large = { ...unetInputs(fixture), sample: random([2, 4, 32, 32]) };
    const { outputs } = await module.run('forward', large, { params: { branch: 1 } });
    const used = 16 * GIB - free('Test1');
    vi.stubEnv('SAFELIGHT_TEST_DEVICE_BYTES', `${used + 1000}`);
    await expect(keepDeep(module, large)).rejects.toMatchObject({
      code: 'OUT_OF_MEMORY',
      message: expect.stringContaining('A kept output needs'),
    });
    expect(module.memory().kept).toBe(0);
    const again = await module.run('forward', large, { params: { branch: 1 } });
    expect(again.outputs).toEqual(outputs);
    module.dispose();
  });

  it('cache the features of step caching during a generation, for the same image as the CPU', async () => {
    const options = {
      prompt: 'a red apple',
      seed: 1,
      steps: 4,
      width: 64,
      height: 64,
      deepCache: { interval: 2 },
    };
    const images: Uint8Array[] = [];
    for (const how of [{ backend: 'vulkan' }, { backend: 'cpu', stockOps: true }] as const) {
      await using pipeline = await Pipeline.load(undefined, { ...how, threads: 1 });
      const kept: number[] = [];
      const stream = pipeline.stream(options);
      for await (const _ of stream) kept.push(pipeline.memory().unet!.kept);
      expect(Math.min(...kept)).toBeGreaterThan(0);
      images.push(Uint8Array.from((await stream.result).images[0]!.data));
      expect(pipeline.memory().unet!.kept).toBe(0);
    }
    expect(Buffer.from(images[0]!).equals(Buffer.from(images[1]!))).toBe(true);
  });
});
