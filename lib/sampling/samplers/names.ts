/** Resolution of sampler names: Safelight's, A1111's, k-diffusion's, and old A1111 names that end in a schedule. */
import { invalidOption } from '../../errors.js';
import { didYouMean, nearest } from '../../suggest.js';
import { type ScheduleName, schedules } from '../schedules/index.js';
import { type SamplerInfo, type SamplerName, samplerNames, samplers } from './registry.js';

export interface ResolvedSampler {
  readonly sampler: SamplerInfo;
  /** Schedule in the name ("DPM++ 2M Karras"); undefined for most names. */
  readonly schedule: ScheduleName | undefined;
}

/** Endings of A1111's names before 1.9 ("DPM++ 2M Karras") and of its aliases (`k_dpmpp_2m_ka`). */
const ENDINGS: readonly (readonly [ending: string, schedule: ScheduleName])[] = [
  ['ka', 'karras'],
  ['exp', 'exponential'],
  ...schedules.flatMap(({ name, label, aliases }) =>
    [name, label, ...aliases].map((ending) => [key(ending), name] as const),
  ),
];

const BY_KEY = new Map(
  samplers.flatMap((sampler) =>
    [sampler.name, sampler.label, ...sampler.aliases].map((name) => [key(name), sampler] as const),
  ),
);

/**
 * Resolves a sampler by name, ignoring case, spaces, underscores and hyphens: `dpmpp_2m`, `DPM++ 2M`, `k_dpmpp_2m`,
 * `sample_dpmpp_2m`, `DPM++ 2M Karras`.
 * @throws INVALID_OPTION for an unknown name; the message lists all names
 */
export function resolveSampler(name: string): ResolvedSampler {
  const wanted = key(String(name));
  const exact = BY_KEY.get(wanted);
  if (exact !== undefined) return { sampler: exact, schedule: undefined };
  for (const [ending, schedule] of ENDINGS) {
    const sampler = wanted.endsWith(ending) ? BY_KEY.get(wanted.slice(0, -ending.length)) : undefined;
    if (sampler !== undefined) return { sampler, schedule };
  }
  throw invalidOption('sampler', `one of ${samplerNames.join(', ')}`, name, suggestion(wanted));
}

/** Names of diffusers' scheduler classes and of ComfyUI's samplers, for suggestions. */
const FOREIGN_NAMES: Readonly<Record<string, SamplerName>> = {
  eulerdiscrete: 'euler',
  eulerancestraldiscrete: 'euler_a',
  heundiscrete: 'heun',
  kdpm2discrete: 'dpm2',
  kdpm2ancestraldiscrete: 'dpm2_a',
  lmsdiscrete: 'lms',
  dpmsolver: 'dpmpp_2m',
  dpmsolvermultistep: 'dpmpp_2m',
  dpmsolversinglestep: 'dpmpp_2s_a',
  dpmsolversde: 'dpmpp_sde',
  unipcmultistep: 'unipc',
  dpmpp2mgpu: 'dpmpp_2m',
  dpmppsdegpu: 'dpmpp_sde',
  dpmpp2msdegpu: 'dpmpp_2m_sde',
  dpmpp3msdegpu: 'dpmpp_3m_sde',
};

/** Returns the hint for an unknown name, with the schedule at its end, if any ("DPM++ 2M Karas"). */
function suggestion(wanted: string): string | undefined {
  const schedule = schedules.find(({ name, label }) => [key(name), key(label)].includes(wanted));
  if (schedule) return `that is a schedule; set schedule: '${schedule.name}'`;
  const stem = wanted.replace(/(scheduler|sampler)$/, '');
  const known =
    BY_KEY.get(stem)?.name ?? (Object.hasOwn(FOREIGN_NAMES, stem) ? FOREIGN_NAMES[stem] : undefined);
  if (known !== undefined) return didYouMean(known);
  const meanings = new Map([...BY_KEY].map(([spelling, { name }]) => [spelling, String(name)]));
  for (const [spelling, { name }] of BY_KEY) {
    for (const [ending, its] of ENDINGS) {
      const both = `${name} with schedule: '${its}'`;
      if (!meanings.has(spelling + ending)) meanings.set(spelling + ending, both);
    }
  }
  const near = nearest(stem, [...meanings.keys()]);
  return didYouMean(near && meanings.get(near));
}

/** Normalizes the spellings of a name: `DPM++ 2S a` and `k_dpmpp_2s_a` become `dpmpp2sa`. */
function key(name: string): string {
  return name
    .trim()
    .toLowerCase()
    .replace(/^(k|sample)[_ ]/, '')
    .replaceAll('++', 'pp')
    .replace(/[\s_-]+/g, '');
}
