/** Table of samplers. To add one, create a file with its generator and add an entry here. */
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
import type { SamplerFacts } from './facts.js';
import { heun } from './heun.js';
import { lcm } from './lcm.js';
import { lms } from './lms.js';
import { plms } from './plms.js';
import { restart } from './restart.js';
import { tcd } from './tcd.js';
import { distilledSigmas, leadingSigmas } from './timesteps.js';
import { unipc } from './unipc.js';

/** Entry of a sampler: its properties that differ from the defaults in registry.ts. */
export type Entry = Partial<Omit<SamplerFacts, 'ownsSchedule' | 'create'>> &
  Pick<SamplerFacts, 'label' | 'flow'> &
  ({ readonly sampler: Sampler } | { readonly create: SamplerFacts['create'] });

export const ENTRIES = {
  euler: { label: 'Euler', flow: 'same', sampler: euler, churns: true },
  euler_a: {
    label: 'Euler a',
    flow: 'renoise',
    create: ({ schedule }) => eulerAncestral(schedule),
    aliases: ['euler_ancestral'],
    ancestral: true,
    defaultEta: 1,
  },
  heun: { label: 'Heun', flow: 'same', sampler: heun, churns: true, callsPerStep: 2 },
  dpm2: {
    label: 'DPM2',
    flow: 'same',
    sampler: dpm2,
    aliases: ['dpm_2'],
    churns: true,
    callsPerStep: 2,
    discardsPenultimate: true,
    automaticSchedule: 'karras',
  },
  dpm2_a: {
    label: 'DPM2 a',
    flow: 'renoise',
    create: ({ schedule }) => dpm2Ancestral(schedule),
    aliases: ['dpm_2_a', 'dpm_2_ancestral', 'dpm2_ancestral'],
    ancestral: true,
    defaultEta: 1,
    callsPerStep: 2,
    discardsPenultimate: true,
    automaticSchedule: 'karras',
  },
  lms: { label: 'LMS', flow: 'same', sampler: lms },
  dpmpp_2s_a: {
    label: 'DPM++ 2S a',
    flow: 'renoise',
    create: ({ schedule }) => dpmpp2sAncestral(schedule),
    aliases: ['dpmpp_2s_ancestral'],
    ancestral: true,
    defaultEta: 1,
    callsPerStep: 2,
    automaticSchedule: 'karras',
  },
  dpmpp_sde: {
    label: 'DPM++ SDE',
    flow: 'lambda',
    create: ({ schedule }) => dpmppSde(schedule),
    usesBrownian: true,
    defaultEta: 1,
    callsPerStep: 2,
    automaticSchedule: 'karras',
  },
  // For flow matching, lambda is -log(sigma) as in Stability AI's SD3 code and ComfyUI; diffusers uses log(alpha /
  // sigma).
  dpmpp_2m: { label: 'DPM++ 2M', flow: 'same', sampler: dpmpp2m, automaticSchedule: 'karras' },
  dpmpp_2m_sde: {
    label: 'DPM++ 2M SDE',
    flow: 'lambda',
    create: ({ schedule }) => dpmpp2mSde(schedule),
    usesBrownian: true,
    defaultEta: 1,
    automaticSchedule: 'exponential',
  },
  dpmpp_2m_sde_heun: {
    label: 'DPM++ 2M SDE Heun',
    flow: 'lambda',
    create: ({ schedule }) => dpmpp2mSdeHeun(schedule),
    usesBrownian: true,
    defaultEta: 1,
    automaticSchedule: 'exponential',
  },
  dpmpp_3m_sde: {
    label: 'DPM++ 3M SDE',
    flow: 'lambda',
    create: ({ schedule }) => dpmpp3mSde(schedule),
    usesBrownian: true,
    defaultEta: 1,
    discardsPenultimate: true,
    automaticSchedule: 'exponential',
  },
  // Rejected for flow matching, where its step would equal that of euler (eta 0) or euler_a.
  ddim: {
    label: 'DDIM',
    flow: 'none',
    sampler: ddim,
    defaultEta: 0,
    ownSigmas: leadingSigmas,
    a1111IgnoresSchedule: true,
    initialNoise: 'vp',
  },
  ddpm: {
    label: 'DDPM',
    flow: 'none',
    sampler: ddpm,
    ancestral: true,
    defaultEta: 1,
    ownSigmas: leadingSigmas,
    initialNoise: 'vp',
  },
  // Extrapolates eps or v of the variance-preserving process, which flow-matching models do not predict.
  plms: {
    label: 'PLMS',
    flow: 'none',
    create: ({ prediction }) => plms(prediction),
    aliases: ['pndm'],
    ownSigmas: leadingSigmas,
    a1111IgnoresSchedule: true,
    initialNoise: 'vp',
  },
  unipc: {
    label: 'UniPC',
    flow: 'lambda',
    create: ({ schedule }) => unipc(schedule),
    aliases: ['uni_pc', 'uni_pc_bh2'],
    initialNoise: 'vp',
  },
  lcm: {
    label: 'LCM',
    flow: 'renoise',
    create: ({ schedule }) => lcm(schedule),
    ancestral: true,
    ownSigmas: (schedule, steps) => distilledSigmas(schedule, steps, 0),
    initialNoise: 'vp',
  },
  // Uses the timesteps that U-Nets were distilled on.
  tcd: {
    label: 'TCD',
    flow: 'none',
    create: ({ schedule }) => tcd(schedule),
    ancestral: true,
    defaultEta: 0.3,
    ownSigmas: (schedule, steps) => distilledSigmas(schedule, steps, schedule.sigmaMin),
    initialNoise: 'vp',
  },
  // Its restart interval was tuned for U-Nets.
  restart: {
    label: 'Restart',
    flow: 'none',
    sampler: restart,
    ancestral: true,
    callsPerStep: 2,
    automaticSchedule: 'karras',
  },
  // dpm_fast and dpm_adaptive end at the schedule's last sigma above 0, where flow-matching latents still contain 5
  // to 30 % noise.
  dpm_fast: { label: 'DPM fast', flow: 'none', sampler: dpmFast, defaultEta: 0, a1111Eta: 1 },
  dpm_adaptive: {
    label: 'DPM adaptive',
    flow: 'none',
    sampler: dpmAdaptive,
    aliases: ['dpm_ad'],
    defaultEta: 0,
    a1111Eta: 1,
    callsPerStep: 3,
    maxBatch: 1,
  },
} satisfies Record<string, Entry>;
