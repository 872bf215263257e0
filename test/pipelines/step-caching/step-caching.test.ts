import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { describe, expect, it, test, vi } from 'vitest';
import { addGenerateOptions, toGenerateOptions } from '../../../lib/cli/generate-options.js';
import { UNet } from '../../../lib/modules/unet.js';
import { sequentialGuidance } from '../../../lib/pipelines/diffusion/denoising/sequential-guidance.js';
import { stepCached } from '../../../lib/pipelines/diffusion/denoising/step-caching/step-cache.js';
import type { GenerateOptions } from '../../../lib/pipelines/options.js';
import type { CutState, DiffusionNetwork, NetworkSession } from '../../../lib/sampling/network.js';
import { Tensor } from '../../../lib/tensor/tensor.js';
import { readLatent, relativeError } from '../../support/pipeline-cases.js';
import { readJson, type TinyModel } from '../../support/tiny-models.js';
import { latentOf, tinyPipelines } from '../../support/tiny-pipelines.js';

interface Case {
  readonly name: string;
  readonly model: TinyModel;
  readonly options: GenerateOptions;
}

const FIXTURES = fileURLToPath(new URL('../../fixtures/step-caching/', import.meta.url));
const cases = readJson<Case[]>(join(FIXTURES, 'cases.json'));
const pipelineFor = tinyPipelines();

const SMALL: GenerateOptions = {
  prompt: 'a red apple',
  negative: 'blurry',
  seed: 3,
  width: 32,
  height: 32,
  steps: 5,
};

describe('step caching against the packages and formulas of its methods', () => {
  it.each(cases.map((one) => [one.name, one] as const))(
    'matches for %s',
    async (name, { model, options }) => {
      const latent = await latentOf(await pipelineFor(model), options);
      expect(relativeError(latent, readLatent(join(FIXTURES, `${name}.npy`)).data)).toBeLessThan(1e-3);
    },
  );
});

describe('step caching', () => {
  const deepCache = { interval: 3, branch: 0 };
  const methods: readonly GenerateOptions[] = [
    { deepCache },
    { stepCache: 'tgate' },
    { stepCache: 'spectrum', steps: 10 },
    { stepCache: 'first-block', stepCacheStrength: 1, batch: 1 },
  ];

  test('gives the same with sequential guidance as with both branches in one batch', async () => {
    for (const method of methods) {
      for (const sampler of ['heun', 'dpmpp_2m_sde']) {
        const options = { ...SMALL, sampler, ...method, count: 2 };
        const together = await latentOf(await pipelineFor('sd1'), options);
        const alone = await latentOf(await pipelineFor('sd1', { memory: 'lean' }), options);
        expect(relativeError(alone, together)).toBeLessThan(1e-4);
      }
    }
  });

  test('has no effect with an interval of 1', async () => {
    const pipeline = await pipelineFor('sd1');
    const plain = await latentOf(pipeline, SMALL);
    expect(await latentOf(pipeline, { ...SMALL, deepCache: { interval: 1 } })).toEqual(plain);
    expect(relativeError(await latentOf(pipeline, { ...SMALL, deepCache }), plain)).toBeGreaterThan(1e-3);
  });

  test('restarts in each pass of hires and in each batch', async () => {
    const pipeline = await pipelineFor('sd1');
    const hires = { scale: 1.5, steps: 3, strength: 0.6 };
    for (const method of methods) {
      const one = await latentOf(pipeline, { ...SMALL, seed: 4, hires, ...method });
      const two = await latentOf(pipeline, { ...SMALL, count: 2, hires, ...method, batch: 1 });
      expect([...two.subarray(one.length)]).toEqual([...one]);
    }
  });

  test('runs fewer complete evaluations with a higher strength', async () => {
    const pipeline = await pipelineFor('sd1');
    const forward = vi.spyOn(UNet.prototype, 'forward');
    const completeOnes = async (options: GenerateOptions): Promise<number> => {
      forward.mockClear();
      await pipeline.generate({ ...SMALL, steps: 16, ...options });
      return forward.mock.calls.length;
    };
    for (const stepCache of ['deepcache', 'tgate', 'spectrum', 'first-block'] as const) {
      const [none, weak, strong] = [
        await completeOnes({}),
        await completeOnes({ stepCache, stepCacheStrength: 0.1 }),
        await completeOnes({ stepCache, stepCacheStrength: 1 }),
      ];
      expect(weak).toBeLessThanOrEqual(none);
      expect(strong).toBeLessThan(weak);
    }
    forward.mockRestore();
  });

  test('leaves images unchanged with the method none', async () => {
    const pipeline = await pipelineFor('sd1');
    const plain = await latentOf(pipeline, SMALL);
    expect(await latentOf(pipeline, { ...SMALL, stepCache: 'none', stepCacheStrength: 1 })).toEqual(plain);
  });

  test('uses the interval and branch of DeepCache instead of the strength', async () => {
    const pipeline = await pipelineFor('sd1');
    const latent = (options: GenerateOptions) => latentOf(pipeline, { ...SMALL, ...options });
    expect(await latent({ stepCache: 'deepcache' })).toEqual(await latent({ deepCache }));
    expect(await latent({ stepCache: 'deepcache', stepCacheStrength: 1, deepCache })).toEqual(
      await latent({ deepCache }),
    );
    expect(await latent({ deepCache: { branch: 1 }, stepCacheStrength: 0.25 })).toEqual(
      await latent({ deepCache: { interval: 2, branch: 1 } }),
    );
  });

  test('keeps its features on the device during a generation and frees them', async () => {
    for (const memory of ['balanced', 'lean'] as const) {
      const pipeline = await pipelineFor('sd1', { memory });
      const kept = () => pipeline.memory().unet!.kept;
      const hires = { scale: 1.5, steps: 3, strength: 0.6 };
      for (const method of methods) {
        const held: number[] = [];
        const stream = pipeline.stream({ ...SMALL, hires, ...method });
        for await (const _ of stream) held.push(kept());
        await stream.result;
        // 2 branches with 16 channels, in the second pass at 6 x 6 instead of 4 x 4.
        expect(Math.max(...held)).toBeGreaterThan(0);
        if (method.deepCache) expect(held.at(-1)).toBeGreaterThan(held[0]!);
        expect(kept()).toBe(0);
      }
    }
  });

  test('frees its features when it is aborted', async () => {
    for (const memory of ['balanced', 'lean'] as const) {
      const pipeline = await pipelineFor('sd1', { memory });
      for (const method of methods) {
        const controller = new AbortController();
        const stopped = pipeline.generate({
          ...{ ...SMALL, ...method, signal: controller.signal },
          onProgress: ({ phase, step }) => phase === 'denoise' && step > 2 && controller.abort(),
        });
        await expect(stopped).rejects.toMatchObject({ code: 'ABORTED' });
        await expect.poll(() => pipeline.memory().unet!.kept).toBe(0);
      }
    }
  });

  test('works on inpainting models', async () => {
    const pipeline = await pipelineFor('inpaint');
    for (const method of methods) {
      const cached = await latentOf(pipeline, { ...SMALL, ...method });
      const off = relativeError(cached, await latentOf(pipeline, { ...SMALL, steps: method.steps ?? 5 }));
      expect(off).toBeGreaterThan(1e-4);
      expect(off).toBeLessThan(1);
    }
  });

  test("and its strength are written into the image's parameters", async () => {
    const { images } = await (await pipelineFor('sd1')).generate({
      ...{ ...SMALL, steps: 1, stepCache: 'spectrum', stepCacheStrength: 0.25 },
    });
    expect(images[0]!.parameters).toMatch(/Step cache: spectrum, Step cache strength: 0.25/);
    expect(images[0]!.parameters).not.toContain('DeepCache');
  });

  test("is written into the image's parameters", async () => {
    const { images } = await (await pipelineFor('sd1')).generate({
      ...SMALL,
      steps: 1,
      deepCache: { interval: 4, branch: 1 },
      guidanceInterval: [1, 5],
    });
    expect(images[0]!.parameters).toMatch(
      /Guidance interval: 1 to 5, DeepCache interval: 4, DeepCache branch: 1/,
    );
  });

  test('is rejected before anything runs if the model does not support it', async () => {
    const pipeline = await pipelineFor('sd1');
    const rejected = async (options: object) =>
      expect(pipeline.generate({ ...SMALL, ...options })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    await rejected({ deepCache: { interval: 0 } });
    await rejected({ deepCache: { interval: 2.5 } });
    await rejected({ deepCache: { branch: 9 } });
    await rejected({ deepCache: { depth: 1 } });
    await rejected({ deepCache, taps: ['mid_block'] });
    await rejected({ stepCache: 'tgate', taps: ['mid_block'] });
    await rejected({ stepCache: 'spectrum', edit: { mid_block: () => undefined } });
    await rejected({ stepCache: 'spectrum', sag: 1 });
    await rejected({ stepCache: 'tgate', deepCache });
    await rejected({ stepCache: 'none', deepCache });
    await rejected({ stepCache: 'teacache' });
    await rejected({ stepCache: 'tgate', stepCacheStrength: 1.1 });
    await expect(pipeline.attentionMap({ ...SMALL, word: 'apple', deepCache })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
  });
});

test('is enabled on the command line by either flag', () => {
  const requested = (...flags: string[]) => {
    const command = new Command();
    addGenerateOptions(command);
    return toGenerateOptions('x', command.parse(flags, { from: 'user' }).opts()).deepCache;
  };
  expect(requested('--deepcache-interval', '4', '--deepcache-branch', '1')).toEqual({
    interval: 4,
    branch: 1,
  });
  expect(requested('--deepcache-branch', '2')).toEqual({ branch: 2 });
  expect(requested('--deepcache-interval', '5')).toEqual({ interval: 5 });
  expect(requested()).toBeUndefined();
});

describe('the choice of full evaluations', () => {
  /** A network that records its calls and whose states are numbered by its latents. */
  function counting() {
    const requested: string[] = [];
    const held = new Set<CutState>();
    const keepState = (features: Tensor): CutState => {
      const state = { features, [Symbol.dispose]: () => expect(held.delete(state)).toBe(true) };
      held.add(state);
      return state;
    };
    const session: NetworkSession = {
      run: async ({ latents, branches, resume, keep }) => {
        const rows = branches.map((_, i) => (latents instanceof Tensor ? latents.at(i) : latents[i]!));
        const numbers = (tensors: readonly Tensor[]) => tensors.map(({ data }) => data[0]).join();
        const resumed = resume?.terms[0]?.states.map((state) => {
          expect(held.has(state)).toBe(true);
          return (state as CutState & { features: Tensor }).features;
        });
        requested.push(resumed ? `shallow ${numbers(resumed)}` : `whole ${numbers(rows)}`);
        const kept = keep ? rows.map(keepState) : [];
        return { prediction: Tensor.cat(rows), taps: {}, ...(keep ? { kept } : {}) };
      },
      [Symbol.dispose]: () => undefined,
    };
    const network: DiffusionNetwork = {
      inputs: [],
      cutPoints: [{ name: 'only', kind: 'deep', bytes: () => 4 }],
      prepare: () => session,
      bytes: async () => ({ run: 0, session: 0 }),
      nodes: () => [],
    };
    return { requested, held, network };
  }
  const BOTH = ['negative', 'positive'].map((name) => ({ name, conditioning: { tensors: {} }, weight: 1 }));

  async function evaluations(interval: number, runs: readonly (readonly [number[], ...number[]])[][]) {
    const { requested, held, network } = counting();
    const session = stepCached(network, { method: 'deepcache', interval, branch: 0 }, []).prepare(
      BOTH,
      [1, 1, 1, 1],
    );
    for (const [index, evaluation] of runs.entries()) {
      for (const [branches, ...values] of evaluation) {
        const latents = values.map((value) => Tensor.from(Float32Array.of(value), [1]));
        await session.run({ latents, timestep: 0, evaluation: { sigma: 1, index }, branches });
        expect(held.size).toBeLessThanOrEqual(BOTH.length);
      }
    }
    session[Symbol.dispose]();
    expect(held.size).toBe(0);
    return requested;
  }

  test('selects every nth evaluation, and one that needs a branch that was left out', async () => {
    expect(
      await evaluations(3, [
        [[[1], 1]],
        [[[1], 2]],
        [[[0, 1], 3, 4]], // guidance begins
        [[[0, 1], 5, 6]],
        [[[1], 7]], // guidance ends
        [[[1], 8]],
      ]),
    ).toEqual(['whole 1', 'shallow 1', 'whole 3,4', 'shallow 3,4', 'shallow 4', 'whole 8']);
  });

  test('shares one full evaluation between branches that run one by one', async () => {
    const evaluation = (first: number): (readonly [number[], ...number[]])[] => [
      [[0], first],
      [[1], first + 1],
    ];
    expect(await evaluations(2, [1, 3, 5].map(evaluation))).toEqual([
      'whole 1',
      'whole 2',
      'shallow 1',
      'shallow 2',
      'whole 5',
      'whole 6',
    ]);
  });

  test('frees the cached features when a later branch fails or the session has ended', async () => {
    const { held, network } = counting();
    const latents = BOTH.map(() => Tensor.from(Float32Array.of(1), [1, 1]));
    const request = { latents, timestep: 0, evaluation: { sigma: 1, index: 0 }, branches: [0, 1] };
    const failing: DiffusionNetwork = {
      ...network,
      prepare: (...given) => {
        const session = network.prepare(...given);
        const run: NetworkSession['run'] = async (one) => {
          if (one.branches[0] === 1) throw new Error('no memory');
          return session.run(one);
        };
        return { ...session, run };
      },
    };
    const settings = { method: 'deepcache', interval: 2, branch: 0 } as const;
    const first = stepCached(sequentialGuidance(failing), settings, []).prepare(BOTH, [1, 1, 1, 1]);
    await expect(first.run(request)).rejects.toThrow('no memory');
    expect(held.size).toBe(0);

    const second = stepCached(network, settings, []).prepare(BOTH, [1, 1, 1, 1]);
    const running = second.run({ ...request, branches: [0] });
    second[Symbol.dispose]();
    await running;
    expect(held.size).toBe(0);
  });

  test('rejects a network without cut points', () => {
    const { network } = counting();
    const uncut = { ...network, cutPoints: [] };
    expect(() => stepCached(uncut, { method: 'deepcache', interval: 2, branch: 0 }, [])).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION' }),
    );
  });
});
