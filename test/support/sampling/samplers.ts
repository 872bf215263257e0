/**
 * Reads test/fixtures/sampling-samplers and provides the denoiser and the noise that
 * test/reference/samplers.py used.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { DiscreteSchedule } from '../../../lib/sampling/discrete-schedule.js';
import { resolveSampler } from '../../../lib/sampling/samplers/index.js';
import type {
  Denoise,
  Latent,
  NoiseSource,
  SamplerOptions,
  SamplerStep,
} from '../../../lib/sampling/types.js';

/** Elements of one image; the latents are `[2, 3, 4, 4]`. */
export const SIZE = 48;
const DRAWS = 24;

export interface Case {
  readonly sampler: string;
  readonly sigmas: readonly number[];
  /** Number of noise latents that the reference sampled. */
  readonly draws: number;
  readonly schedule?: string;
  readonly options?: SamplerOptions;
  readonly prediction?: 'eps' | 'v' | 'x0';
  readonly zeroSnr?: boolean;
  /** Number of steps for a sampler that chooses its timesteps. */
  readonly n?: number;
  /** Index of the first sigma in image-to-image. */
  readonly start?: number;
  /** Steps taken by samplers that choose their number. */
  readonly steps?: number;
  readonly dtype?: 'f32';
  /** The images' seeds, if noise was PyTorch's instead of the table's. */
  readonly seeds?: readonly number[];
  /** Sigmas at which the reference queried its Brownian tree. */
  readonly times?: readonly (readonly [number, number])[];
  /** True if the latent after every step was kept, not only the last. */
  readonly all?: boolean;
}

const folder = new URL('../../fixtures/sampling-samplers/', import.meta.url);

/** Sigmas are the f32 numbers of the reference. */
export const cases: readonly Case[] = JSON.parse(
  readFileSync(new URL('cases.json', folder), 'utf8'),
  (key, value) => (key === 'sigmas' ? (value as number[]).map(Math.fround) : value),
);

const tensors = readTensors(fileURLToPath(new URL('latents.safetensors', folder)));
export const noiseLatent = tensor('latent');
export const centers = tensor('centers');

/** Returns the reference's latents of a case: after every step, or only the last. */
export function expectedLatents(index: number): Latent[] {
  return split(tensor(String(index)), centers.length);
}

/** SD's schedule, or the same rescaled to zero terminal SNR. */
export function stableDiffusion(zeroSnr = false): DiscreteSchedule {
  return DiscreteSchedule.fromConfig({
    prediction: 'eps',
    beta_schedule: 'scaled_linear',
    beta_start: 0.00085,
    beta_end: 0.012,
    num_train_timesteps: 1000,
    rescale_zero_snr: zeroSnr,
  });
}

/** Posterior mean of data N(c, 1), slightly bent: a rational function, which both languages compute alike. */
export const denoise: Denoise = async (x, sigma) => {
  const w = 1 / (1 + sigma * sigma);
  return x.map((value, i) => {
    const c = centers[i]!;
    const u = (value - c) * Math.sqrt(w);
    return c + (value - c) * w + (0.25 * u) / (1 + u * u);
  });
};

/**
 * Returns the recorded table in order, for every kind of noise; counts samples and records the Brownian
 * tree's times.
 */
export class TableNoise implements NoiseSource {
  readonly size = SIZE;
  readonly count = 2;
  draws = 0;
  readonly times: [number, number][] = [];
  readonly ranges: [number, number][] = [];
  private readonly table = split(tensor('noise'), noiseLatent.length);

  next(): Latent {
    return this.table[this.draws++ % DRAWS]!;
  }

  brownian(sigmaMin: number, sigmaMax: number) {
    this.ranges.push([sigmaMin, sigmaMax]);
    return (sigma: number, sigmaNext: number) => {
      this.times.push([sigma, sigmaNext]);
      return this.next();
    };
  }
}

export interface Run {
  readonly steps: SamplerStep[];
  readonly final: Latent;
}

/** Runs a sampler by name to its end; `x` is not copied. */
export async function run(
  name: string,
  x: Latent,
  sigmas: readonly number[],
  noise: NoiseSource,
  { prediction = 'eps', zeroSnr = false, options }: Partial<Case> = {},
): Promise<Run> {
  const { sampler } = resolveSampler(name);
  const model = { schedule: stableDiffusion(zeroSnr), prediction };
  const generator = sampler.create(model)(denoise, x, sigmas, noise, options);
  const steps: SamplerStep[] = [];
  for (;;) {
    const next = await generator.next();
    if (next.done) return { steps, final: next.value };
    steps.push(next.value);
  }
}

/** max|a - b| / max|b| */
export function relativeError(actual: Latent, expected: Latent): number {
  if (actual.length !== expected.length) throw new Error(`${actual.length} numbers, not ${expected.length}`);
  let [difference, largest] = [0, 0];
  expected.forEach((value, i) => {
    const error = Math.abs(actual[i]! - value);
    difference = Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(difference, error);
    largest = Math.max(largest, Math.abs(value));
  });
  return difference / largest;
}

function split(values: Float32Array, size: number): Float32Array[] {
  return Array.from({ length: values.length / size }, (_, i) => values.subarray(i * size, (i + 1) * size));
}

function tensor(name: string): Float32Array {
  const values = tensors.get(name);
  if (values === undefined) throw new Error(`No tensor ${name} in the fixture`);
  return values;
}

export function readTensors(path: string): Map<string, Float32Array> {
  const bytes = readFileSync(path);
  const headerEnd = 8 + Number(bytes.readBigUInt64LE(0));
  const header: Record<string, { data_offsets?: [number, number] }> = JSON.parse(
    bytes.toString('utf8', 8, headerEnd),
  );
  return new Map(
    Object.entries(header).flatMap(([name, { data_offsets: range }]) =>
      range === undefined
        ? []
        : [
            [
              name,
              new Float32Array(
                Uint8Array.from(bytes.subarray(headerEnd + range[0], headerEnd + range[1])).buffer,
              ),
            ],
          ],
    ),
  );
}
