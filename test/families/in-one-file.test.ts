/**
 * A family defined in this file alone: no U-Net, its own latent format, guidance branches of different
 * lengths, a tap and a cut point. Pipelines run it without any mention of it elsewhere.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ModelDescriptor } from '../../lib/checkpoint/model-descriptor.js';
import { readValues } from '../../lib/checkpoint/weights/read-tensor.js';
import type { TensorInfo } from '../../lib/checkpoint/weights/tensor-index.js';
import type { DiffusionFamily } from '../../lib/families/family.js';
import { diffusionFamilies } from '../../lib/families/registry.js';
import type { LatentCodec } from '../../lib/families/shared/latent-codec.js';
import { LazyModel, type ModelSpec } from '../../lib/families/shared/lazy-model.js';
import { Pipeline } from '../../lib/pipelines/diffusion/pipeline.js';
import { loadModel } from '../../lib/pipelines/model/load-pipeline.js';
import { FlowSchedule } from '../../lib/sampling/flow-schedule.js';
import { constantSchedule } from '../../lib/sampling/guidance.js';
import {
  type Conditioning,
  type CutState,
  checkConditioning,
  type DiffusionNetwork,
  type NetworkRequest,
  type NetworkResult,
} from '../../lib/sampling/network.js';
import { Tensor } from '../../lib/tensor/tensor.js';
import { framed } from '../support/checkpoint/sparse-files.js';

/** Latents have 3 channels, one position per 4 x 4 pixels, and values around 0.5 instead of 0. */
const CHANNELS = 3;
const FACTOR = 4;
const MEAN = 0.5;
const CUT = { name: 'features', kind: 'deep', bytes: () => 4 * CHANNELS } as const;

interface Painting extends ModelDescriptor {
  readonly colors: TensorInfo;
}

interface PaintState extends CutState {
  readonly features: Tensor;
}

/**
 * A "network" whose prediction leads to one flat color, the mean of its context: `[T, 3]`, one row per word.
 */
class PaintNetwork implements DiffusionNetwork {
  readonly inputs = [{ name: 'words', shape: [null, null, CHANNELS] }];
  readonly cutPoints = [CUT];
  /** Recorded runs: whole or resumed, and the lengths of their branches. */
  readonly runs: string[] = [];
  sessions = 0;
  /** Number of cut-point states that have not been disposed. */
  states = 0;

  prepare(...[branches, [images, , h, w]]: Parameters<DiffusionNetwork['prepare']>) {
    checkConditioning(this.inputs, branches);
    this.sessions++;
    const run = async (request: NetworkRequest): Promise<NetworkResult> => {
      const given = request.branches.map((i) => branches[i]!.conditioning.tensors.words!);
      this.runs.push(`${request.resume ? 'resumed' : 'whole'} ${given.map(({ shape }) => shape[1])}`);
      const features =
        request.resume?.terms[0]?.states.map((state) => (state as PaintState).features) ??
        given.map((words) => meanOfRows(words.data));
      const { latents } = request;
      const x = latents instanceof Tensor ? latents : latents[0]!;
      // v = (x - x0) / sigma
      const predictions = features.map((color) =>
        Tensor.from(
          x.data.map(
            (value, i) =>
              (value - (color.data[Math.floor(i / (h * w)) % CHANNELS]! - MEAN)) / request.evaluation.sigma,
          ),
          [images, CHANNELS, h, w],
        ),
      );
      const tapped = request.taps?.includes('color') ? { color: Tensor.stack(features) } : {};
      return {
        prediction: Tensor.cat(predictions),
        taps: tapped,
        ...(request.keep ? { kept: features.map((one) => this.keep(one)) } : {}),
      };
    };
    return { run, [Symbol.dispose]: () => void this.sessions-- };
  }

  private keep(features: Tensor): PaintState {
    this.states++;
    return { features, [Symbol.dispose]: () => void this.states-- };
  }

  async bytes() {
    return { run: 1, session: 1 };
  }

  nodes() {
    return [{ name: 'color', shape: [1, CHANNELS] }];
  }
}

function meanOfRows(rows: ArrayLike<number>): Tensor {
  const count = rows.length / CHANNELS;
  const mean = new Float32Array(CHANNELS);
  for (let i = 0; i < rows.length; i++) mean[i % CHANNELS]! += rows[i]! / count;
  return Tensor.from(mean, [CHANNELS]);
}

/** Each position of a latent becomes 4 x 4 pixels. */
const codec: LatentCodec = {
  encode: async () => {
    throw new Error('not needed here');
  },
  decode: async (latent) => {
    const [batch = 0, , h = 0, w = 0] = latent.shape;
    const out = Tensor.zeros([batch, 3, h * FACTOR, w * FACTOR]);
    const side = w * FACTOR;
    out.data.forEach((_, i) => {
      const [plane, y, x] = [
        Math.floor(i / (h * FACTOR * side)),
        Math.floor(i / side) % (h * FACTOR),
        i % side,
      ];
      out.data[i] =
        (latent.data[(plane * h + Math.floor(y / FACTOR)) * w + Math.floor(x / FACTOR)]! + MEAN) * 2 - 1;
    });
    return out;
  },
  tapEncoder: async () => ({}),
  tapDecoder: async () => ({}),
  decodeBytes: async () => 0,
  nodes: () => [],
  memory: () => undefined,
  dispose: () => undefined,
};

interface Components {
  readonly palette: ReadonlyMap<string, readonly number[]>;
  readonly network: PaintNetwork;
}

const WORDS = ['black', 'red', 'green', 'blue'];

const spec: ModelSpec<Painting, Components> = {
  components: {
    palette: {
      part: 'text_encoder',
      label: 'palette',
      load: async ({ colors }) => {
        const values = await readValues(colors, 4 * CHANNELS);
        return new Map(WORDS.map((word, i) => [word, [...values.slice(i * CHANNELS, (i + 1) * CHANNELS)]]));
      },
      release: () => undefined,
      memory: () => ({}),
    },
    network: {
      part: 'unet',
      label: 'network',
      load: async () => network,
      release: () => undefined,
      memory: () => ({}),
    },
  },
  facts: ({ path, family, condition, defaults }) => ({
    ...{ name: 'painter', path, family, condition, latentChannels: CHANNELS, downsampleFactor: FACTOR },
    ...{
      prediction: 'flow',
      extra: 'none',
      modules: ['unet'],
      text: { width: CHANNELS, pooledWidth: undefined },
    },
    defaults: { ...defaults, width: 32, height: 16 },
  }),
  encode: async (_model, get, { prompt, negative }) => {
    const palette = await get('palette');
    const encode = (text: string): Conditioning => {
      const words = text.split(' ').map((word) => palette.get(word) ?? [0, 0, 0]);
      return {
        tensors: { words: Tensor.from(Float32Array.from(words.flat()), [1, words.length, CHANNELS]) },
      };
    };
    return constantSchedule(encode(prompt), encode(negative));
  },
  denoiser: async (_model, get) => ({
    network: await get('network'),
    prediction: 'flow',
    noiseSchedule: () => new FlowSchedule({ shift: 3 }),
    memory: () => undefined,
  }),
  codec: async () => codec,
};

const painter: DiffusionFamily<Painting> = {
  kind: 'diffusion',
  name: 'painter',
  label: 'A painter of flat colors',
  detect: (files) => files.form === 'file' && files.has('palette.colors'),
  open: async (files) => {
    if (files.form !== 'file') throw new Error('a painter is a file');
    const model: Painting = {
      ...{ path: files.path, form: 'file', family: 'painter', components: [], ignored: [] },
      condition: { kind: 'text' },
      defaults: { sampler: 'euler', schedule: 'simple', steps: 6, cfg: 1.5 },
      colors: files.tensors.get('palette.colors')!,
    };
    return { model, load: (settings, warnings) => new LazyModel(model, spec, settings, warnings) };
  },
};

const network = new PaintNetwork();
const root = mkdtempSync(join(tmpdir(), 'safelight-painter-'));
const file = join(root, 'painter.safetensors');
let pipeline: Pipeline;

beforeAll(async () => {
  const colors = Float32Array.of(0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1);
  const header = { 'palette.colors': { dtype: 'F32', shape: [12], data_offsets: [0, 48] } };
  writeFileSync(file, Buffer.concat([framed(JSON.stringify(header)), Buffer.from(colors.buffer)]));
  pipeline = new Pipeline(await loadModel(file, {}, [...diffusionFamilies, painter]));
});
afterAll(async () => {
  await pipeline.dispose();
  rmSync(root, { recursive: true, force: true });
});

describe('a family defined in one file', () => {
  it('generates the image that guidance between branches of different lengths leads to', async () => {
    const { images } = await pipeline.generate({ prompt: 'red red green', negative: 'blue', seed: 1 });
    const [image] = images;
    expect([image!.width, image!.height, pipeline.info.family]).toEqual([32, 16, 'painter']);
    // negative + 1.5 * (positive - negative), in sRGB bytes
    const expected = [2 / 3, 1 / 3, 0].map((value, c) => {
      const base = c === 2 ? 1 : 0;
      return Math.round(255 * Math.min(1, Math.max(0, base + 1.5 * (value - base))));
    });
    for (let i = 0; i < image!.data.length; i++)
      expect(Math.abs(image!.data[i]! - expected[i % 3]!)).toBeLessThan(2);
    expect(new Set(network.runs)).toEqual(new Set(['whole 1', 'whole 3']));
    expect(network.sessions).toBe(0);
  });

  it('runs branches of equal length in one batch', async () => {
    network.runs.length = 0;
    await pipeline.generate({ prompt: 'red', negative: 'blue', steps: 2, seed: 1 });
    expect(network.runs).toEqual(['whole 1,1', 'whole 1,1']);
  });

  it('can be tapped at each step', async () => {
    const seen: (readonly number[])[] = [];
    for await (const { taps, conditions } of pipeline.stream({
      prompt: 'red',
      cfg: 1,
      steps: 2,
      taps: ['color'],
    })) {
      seen.push([...taps.color!.data]);
      expect(conditions).toEqual(['positive']);
    }
    expect(seen).toEqual([
      [1, 0, 0],
      [1, 0, 0],
    ]);
    expect((await pipeline.nodes({ module: 'unet' })).map(({ name }) => name)).toEqual(['color']);
  });

  it('is cut by step caching and returns the same image', async () => {
    const options = { prompt: 'green', negative: 'red blue', steps: 4, seed: 2 };
    const whole = await pipeline.generate(options);
    network.runs.length = 0;
    const cached = await pipeline.generate({ ...options, deepCache: { interval: 2 } });
    expect(network.runs).toEqual([
      'whole 2',
      'whole 1',
      'resumed 2',
      'resumed 1',
      'whole 2',
      'whole 1',
      'resumed 2',
      'resumed 1',
    ]);
    expect(cached.images[0]!.data).toEqual(whole.images[0]!.data);
    expect(network.states).toBe(0);
  });

  it('starts a flow from noise and rejects samplers that do not support flows', async () => {
    await expect(pipeline.generate({ prompt: 'red', sampler: 'ddim' })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
    await expect(Pipeline.load(file)).rejects.toMatchObject({ code: 'UNSUPPORTED_MODEL' });
  });
});
