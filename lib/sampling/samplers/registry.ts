/** Every sampler, with what a pipeline must know to run it. To add one: a file with its generator, and an entry here. */
import type { SchedulerConfig } from '../../checkpoint/config/types.js';
import type { DiscreteSchedule } from '../denoiser.js';
import type { ScheduleName } from '../schedules/index.js';
import type { Sampler } from '../types.js';
import { ddim, ddpm } from './ddim.js';
import { dpmAdaptive } from './dpm/dpm-adaptive.js';
import { dpmFast } from './dpm/dpm-fast.js';
import { dpm2 } from './dpm/dpm2.js';
import { dpm2Ancestral } from './dpm/dpm2-ancestral.js';
import { dpmpp2m } from './dpm/dpmpp-2m.js';
import { dpmpp2mSde, dpmpp2mSdeHeun } from './dpm/dpmpp-2m-sde.js';
import { dpmpp2sAncestral } from './dpm/dpmpp-2s-ancestral.js';
import { dpmpp3mSde } from './dpm/dpmpp-3m-sde.js';
import { dpmppSde } from './dpm/dpmpp-sde.js';
import { euler } from './euler.js';
import { eulerAncestral } from './euler-ancestral.js';
import { heun } from './heun.js';
import { lcm } from './lcm.js';
import { lms } from './lms.js';
import { plms } from './plms.js';
import { restart } from './restart.js';
import { tcd } from './tcd.js';
import { distilledSigmas, leadingSigmas } from './timesteps.js';
import { unipc } from './unipc.js';

/** What a sampler may depend on of the model besides its `Denoise`. */
export interface SampledModel {
  readonly schedule: DiscreteSchedule;
  readonly prediction: SchedulerConfig['prediction'];
}

export interface SamplerInfo {
  readonly name: SamplerName;
  /** As A1111 displays and saves it. */
  readonly label: string;
  /** The names it has elsewhere (k-diffusion, A1111's aliases, ComfyUI). */
  readonly aliases: readonly string[];
  /** The sampler for a model; most are the same for all. */
  readonly create: (model: SampledModel) => Sampler;
  /** Model calls of a full step, for time estimates; 3 for the adaptive one are each attempt's. */
  readonly callsPerStep: 1 | 2 | 3;
  /** Adds fresh noise from each picture's generator while it runs, with its default eta. */
  readonly ancestral: boolean;
  /** Draws from the Brownian tree. */
  readonly usesBrownian: boolean;
  /** What `eta` is if not given; undefined where eta means nothing. */
  readonly defaultEta: number | undefined;
  /** The eta A1111 runs it with by default, where that is another than the reference's: for replaying saved settings. */
  readonly a1111Eta: number | undefined;
  /** Whether it listens to sChurn, sTmin and sTmax. */
  readonly churns: boolean;
  /** It ignores the schedule: run it on `ownSigmas`. */
  readonly ownsSchedule: boolean;
  /** Its sigmas for n steps, n + 1 of them; only where `ownsSchedule`. @throws INVALID_OPTION for too many steps. */
  readonly ownSigmas?: (schedule: DiscreteSchedule, steps: number) => number[];
  /**
   * How the first noise is scaled at the first sigma for text to image. `sigma`: x = noise * sigma (k-diffusion, A1111).
   * `vp`: x = noise * sqrt(1 + sigma^2), so that the network's first input is the noise itself (diffusers; A1111 for these).
   * Image to image starts from latent + noise * sigma in both.
   */
  readonly initialNoise: 'sigma' | 'vp';
  /** A1111 runs it without the penultimate sigma (of one step more); Safelight only where asked to. */
  readonly discardsPenultimate: boolean;
  /**
   * Images that may share a batch. 1 of samplers that size their steps by the latents: images of one batch share their noise levels, so
   * that each image would depend on the others.
   */
  readonly maxBatch: number;
  /** The schedule of A1111's "Automatic". */
  readonly automaticSchedule: ScheduleName;
}

/** An entry of the table: what differs from a plain sampler on the given schedule. */
type Entry = Partial<Omit<SamplerInfo, 'name' | 'ownsSchedule' | 'create'>> & { readonly label: string } & (
    | { readonly sampler: Sampler }
    | { readonly create: SamplerInfo['create'] }
  );

const ENTRIES = {
  euler: { label: 'Euler', sampler: euler, churns: true },
  euler_a: {
    label: 'Euler a',
    sampler: eulerAncestral,
    aliases: ['euler_ancestral'],
    ancestral: true,
    defaultEta: 1,
  },
  heun: { label: 'Heun', sampler: heun, churns: true, callsPerStep: 2 },
  dpm2: {
    label: 'DPM2',
    sampler: dpm2,
    aliases: ['dpm_2'],
    churns: true,
    callsPerStep: 2,
    discardsPenultimate: true,
    automaticSchedule: 'karras',
  },
  dpm2_a: {
    label: 'DPM2 a',
    sampler: dpm2Ancestral,
    aliases: ['dpm_2_a', 'dpm_2_ancestral', 'dpm2_ancestral'],
    ancestral: true,
    defaultEta: 1,
    callsPerStep: 2,
    discardsPenultimate: true,
    automaticSchedule: 'karras',
  },
  lms: { label: 'LMS', sampler: lms },
  dpmpp_2s_a: {
    label: 'DPM++ 2S a',
    sampler: dpmpp2sAncestral,
    aliases: ['dpmpp_2s_ancestral'],
    ancestral: true,
    defaultEta: 1,
    callsPerStep: 2,
    automaticSchedule: 'karras',
  },
  dpmpp_sde: {
    label: 'DPM++ SDE',
    sampler: dpmppSde,
    usesBrownian: true,
    defaultEta: 1,
    callsPerStep: 2,
    automaticSchedule: 'karras',
  },
  dpmpp_2m: { label: 'DPM++ 2M', sampler: dpmpp2m, automaticSchedule: 'karras' },
  dpmpp_2m_sde: {
    label: 'DPM++ 2M SDE',
    sampler: dpmpp2mSde,
    usesBrownian: true,
    defaultEta: 1,
    automaticSchedule: 'exponential',
  },
  dpmpp_2m_sde_heun: {
    label: 'DPM++ 2M SDE Heun',
    sampler: dpmpp2mSdeHeun,
    usesBrownian: true,
    defaultEta: 1,
    automaticSchedule: 'exponential',
  },
  dpmpp_3m_sde: {
    label: 'DPM++ 3M SDE',
    sampler: dpmpp3mSde,
    usesBrownian: true,
    defaultEta: 1,
    discardsPenultimate: true,
    automaticSchedule: 'exponential',
  },
  ddim: {
    label: 'DDIM',
    sampler: ddim,
    defaultEta: 0,
    ownSigmas: leadingSigmas,
    initialNoise: 'vp',
  },
  ddpm: {
    label: 'DDPM',
    sampler: ddpm,
    ancestral: true,
    defaultEta: 1,
    ownSigmas: leadingSigmas,
    initialNoise: 'vp',
  },
  plms: {
    label: 'PLMS',
    create: ({ prediction }) => plms(prediction),
    aliases: ['pndm'],
    ownSigmas: leadingSigmas,
    initialNoise: 'vp',
  },
  unipc: { label: 'UniPC', sampler: unipc, aliases: ['uni_pc', 'uni_pc_bh2'], initialNoise: 'vp' },
  lcm: {
    label: 'LCM',
    create: ({ schedule }) => lcm(schedule),
    ancestral: true,
    ownSigmas: (schedule, steps) => distilledSigmas(schedule, steps, 0),
    initialNoise: 'vp',
  },
  tcd: {
    label: 'TCD',
    create: ({ schedule }) => tcd(schedule),
    ancestral: true,
    defaultEta: 0.3,
    ownSigmas: (schedule, steps) => distilledSigmas(schedule, steps, schedule.sigmaMin),
    initialNoise: 'vp',
  },
  restart: {
    label: 'Restart',
    sampler: restart,
    ancestral: true,
    callsPerStep: 2,
    automaticSchedule: 'karras',
  },
  dpm_fast: { label: 'DPM fast', sampler: dpmFast, defaultEta: 0, a1111Eta: 1 },
  dpm_adaptive: {
    label: 'DPM adaptive',
    sampler: dpmAdaptive,
    aliases: ['dpm_ad'],
    defaultEta: 0,
    a1111Eta: 1,
    callsPerStep: 3,
    maxBatch: 1,
  },
} satisfies Record<string, Entry>;

export type SamplerName = keyof typeof ENTRIES;

export const samplerNames = Object.keys(ENTRIES) as SamplerName[];

/** In the order of the table. */
export const samplers: readonly SamplerInfo[] = samplerNames.map((name) => {
  const entry: Entry = ENTRIES[name];
  return {
    aliases: [],
    callsPerStep: 1,
    ancestral: false,
    usesBrownian: false,
    defaultEta: undefined,
    a1111Eta: undefined,
    churns: false,
    initialNoise: 'sigma',
    discardsPenultimate: false,
    maxBatch: Number.POSITIVE_INFINITY,
    automaticSchedule: 'discrete',
    ...entry,
    name,
    create: 'sampler' in entry ? () => entry.sampler : entry.create,
    ownsSchedule: entry.ownSigmas !== undefined,
  };
});

/** What the first noise of text to image is multiplied by, for a sampler that starts at `sigma`. */
export function initialNoiseScale({ initialNoise }: SamplerInfo, sigma: number): number {
  return initialNoise === 'vp' ? Math.sqrt(1 + sigma * sigma) : sigma;
}

/**
 * Leaves out the last sigma before the end: n + 1 steps become n (A1111's "Discard penultimate sigma", which asks the
 * schedule for one step more).
 */
export function discardPenultimate(sigmas: readonly number[]): number[] {
  return sigmas.length < 3 ? [...sigmas] : [...sigmas.slice(0, -2), sigmas[sigmas.length - 1]!];
}
