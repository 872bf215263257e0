/**
 * The velocity field of test/reference/flow.py, whose denoiser is known exactly, and the latents that the
 * references computed with it.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createDenoise, type Predict } from '../../../lib/sampling/denoiser.js';
import { FlowSchedule } from '../../../lib/sampling/flow-schedule.js';
import { type SamplerName, samplers } from '../../../lib/sampling/samplers/index.js';
import type { Latent, NoiseSource, SamplerOptions, SamplerStep } from '../../../lib/sampling/types.js';
import { centers, readTensors } from './samplers.js';

export interface FlowCase {
  readonly sampler: SamplerName;
  readonly schedule: string;
  /** f32 values. */
  readonly sigmas: readonly number[];
  /** Number of noise latents that the reference sampled. */
  readonly draws: number;
  readonly options?: SamplerOptions;
  /** Index of the first sigma in its schedule: image-to-image from the centers. */
  readonly start?: number;
}

const folder = new URL('../../fixtures/sampling-flow/', import.meta.url);
const readJson = (name: string, reviver?: (key: string, value: unknown) => unknown) =>
  JSON.parse(readFileSync(new URL(name, folder), 'utf8'), reviver);

export const flowCases: readonly FlowCase[] = readJson('cases.json', (key, value) =>
  key === 'sigmas' && Array.isArray(value) ? value.map(Math.fround) : value,
);
export const flowSchedules = readJson('schedules.json');
const tensors = readTensors(fileURLToPath(new URL('latents.safetensors', folder)));

/** Returns the reference's last latent of a case. */
export function expectedFlowLatent(index: number): Latent {
  const values = tensors.get(String(index));
  if (values === undefined) throw new Error(`No tensor ${index} in the fixture`);
  return values;
}

export const schedule = new FlowSchedule({ shift: 3 });

const SPREAD = 0.3;

/** E[noise - x0 | x] for data 0.7 N(c, 0.3^2) + 0.3 N(-c / 2, 0.3^2) around each of the centers. */
export function velocity(x: Latent, sigma: number): Latent {
  const alpha = 1 - sigma;
  const variance = (alpha * SPREAD) ** 2 + sigma ** 2;
  return x.map((value, i) => {
    const parts = [0.7, 0.3].map((weight, k) => {
      const mean = centers[i]! * (k === 0 ? 1 : -0.5);
      const rest = value - alpha * mean;
      const logShare = Math.log(weight) - rest ** 2 / (2 * variance);
      return { logShare, v: ((sigma - alpha * SPREAD ** 2) * rest) / variance - mean };
    });
    const highest = Math.max(...parts.map(({ logShare }) => logShare));
    const shares = parts.map(({ logShare }) => Math.exp(logShare - highest));
    const total = shares.reduce((sum, share) => sum + share, 0);
    return parts.reduce((sum, { v }, k) => sum + (shares[k]! * v) / total, 0);
  });
}

/** The field as a network, which receives the timestep. */
export const network: Predict = async (x, t) => velocity(x, t / 1000);

/** Runs a sampler on the field to its end; `x` is not copied. */
export async function runFlow(
  name: SamplerName,
  x: Latent,
  sigmas: readonly number[],
  noise: NoiseSource,
  options?: SamplerOptions,
  onStep: (step: SamplerStep) => void = () => {},
): Promise<{ readonly steps: readonly SamplerStep[]; readonly final: Latent }> {
  const sampler = samplers.find((each) => each.name === name)!;
  const model = { schedule, prediction: 'flow' } as const;
  const generator = sampler.create(model)(
    createDenoise(schedule, 'flow', network),
    x,
    sigmas,
    noise,
    options,
  );
  const steps: SamplerStep[] = [];
  for (;;) {
    const next = await generator.next();
    if (next.done) return { steps, final: next.value };
    steps.push(next.value);
    onStep(next.value);
  }
}
