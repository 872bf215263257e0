/** Registry of schedules. To add one, create a file with its formula and add an entry here. */
import { invalidOption, SafelightError } from '../../errors.js';
import { didYouMean, nearest } from '../../suggest.js';
import { isFlow } from '../noise-schedule.js';
import { alignYourSteps } from './align-your-steps.js';
import { beta } from './beta.js';
import { ddim } from './ddim.js';
import { discrete } from './discrete.js';
import { exponential } from './exponential.js';
import { karras } from './karras.js';
import { klOptimal } from './kl-optimal.js';
import { polyexponential } from './polyexponential.js';
import { sgmUniform } from './sgm-uniform.js';
import { simple } from './simple.js';
import { trailing } from './trailing.js';
import type { Schedule, ScheduleContext } from './types.js';

export type { Schedule, ScheduleContext } from './types.js';

export interface ScheduleInfo {
  readonly name: ScheduleName;
  /** A1111's name, as displayed and saved. */
  readonly label: string;
  /** Other accepted names. */
  readonly aliases: readonly string[];
}

/** `flow: false` marks schedules that were fitted or derived for x = x0 + sigma * noise only. */
interface Entry {
  readonly label: string;
  readonly schedule: Schedule;
  readonly aliases: readonly string[];
  readonly flow?: false;
}

const ENTRIES = {
  discrete: { label: 'Uniform', schedule: discrete, aliases: ['Normal'] },
  karras: { label: 'Karras', schedule: karras, aliases: [] },
  exponential: { label: 'Exponential', schedule: exponential, aliases: [] },
  polyexponential: { label: 'Polyexponential', schedule: polyexponential, aliases: [] },
  sgm_uniform: { label: 'SGM Uniform', schedule: sgmUniform, aliases: [] },
  simple: { label: 'Simple', schedule: simple, aliases: [] },
  beta: { label: 'Beta', schedule: beta, aliases: [] },
  ddim: { label: 'DDIM', schedule: ddim, aliases: ['ddim_uniform'] },
  // Forge's label; A1111 does not have this schedule.
  trailing: { label: 'Turbo', schedule: trailing, aliases: [] },
  align_your_steps: { label: 'Align Your Steps', schedule: alignYourSteps, aliases: ['ays'], flow: false },
  kl_optimal: { label: 'KL Optimal', schedule: klOptimal, aliases: [], flow: false },
} satisfies Record<string, Entry>;

export type ScheduleName = keyof typeof ENTRIES;

export const scheduleNames = Object.keys(ENTRIES) as readonly ScheduleName[];

export const schedules: readonly ScheduleInfo[] = scheduleNames.map((name) => ({
  name,
  label: ENTRIES[name].label,
  aliases: ENTRIES[name].aliases,
}));

const BY_KEY = new Map(
  schedules.flatMap(({ name, label, aliases }) =>
    [name, label, ...aliases].map((spelling) => [key(spelling), name]),
  ),
);

/** Bounds the memory that a typing error may allocate. */
const MAX_STEPS = 10_000;

/**
 * Resolves a schedule by Safelight's name, A1111's name or an alias, ignoring case, spaces, underscores and hyphens.
 * @param automatic schedule of A1111's "Automatic", which depends on the sampler
 * @throws INVALID_OPTION for an unknown name; the message lists all names
 */
export function resolveSchedule(name: string, automatic: ScheduleName = 'discrete'): ScheduleName {
  const wanted = key(String(name));
  const resolved = isAutomatic(name) ? automatic : BY_KEY.get(wanted);
  if (resolved === undefined) {
    const near = nearest(wanted, [...BY_KEY.keys()]);
    const hint = didYouMean(near && BY_KEY.get(near));
    throw invalidOption('schedule', `one of ${[...scheduleNames, 'automatic'].join(', ')}`, name, hint);
  }
  return resolved;
}

/** Returns true for A1111's "Automatic", which selects the sampler's schedule or timesteps. */
export function isAutomatic(name: string): boolean {
  return key(name) === 'automatic';
}

/**
 * Computes the n + 1 strictly descending sigmas of `n` steps (`ddim` may return more or fewer). The last is 0, or
 * sigmaMin for `kl_optimal`.
 *
 * @param name as accepted by `resolveSchedule`
 * @param n integer between 1 and 10000
 * @throws INVALID_OPTION for an unknown name, an invalid n or range, or more steps than f32 sigmas can distinguish
 */
export function scheduleSigmas(name: string, n: number, context: ScheduleContext): number[] {
  const resolved = resolveSchedule(name);
  if (!(Number.isInteger(n) && n >= 1 && n <= MAX_STEPS)) {
    throw invalidOption('steps', `an integer between 1 and ${MAX_STEPS}`, n);
  }
  const entry: Entry = ENTRIES[resolved];
  if (entry.flow === false && isFlow(context.schedule)) {
    const others = scheduleNames.filter((other) => (ENTRIES[other] as Entry).flow !== false);
    throw invalidOption('schedule', `one of ${others.join(', ')} (for a flow-matching model)`, resolved);
  }
  const { sigmaMin = context.schedule.sigmaMin, sigmaMax = context.schedule.sigmaMax, rho } = context;
  if (!(sigmaMin > 0)) throw invalidOption('sigmaMin', 'a positive number', sigmaMin);
  if (!(sigmaMax > sigmaMin && Number.isFinite(sigmaMax))) {
    throw invalidOption('sigmaMax', `a finite number above sigmaMin (${sigmaMin})`, sigmaMax);
  }
  if (isFlow(context.schedule) && sigmaMax > 1) {
    throw invalidOption('sigmaMax', 'a number of at most 1 (for a flow-matching model)', sigmaMax);
  }
  if (rho !== undefined && !(rho > 0 && Number.isFinite(rho)))
    throw invalidOption('rho', 'a positive number', rho);
  const sigmas = entry.schedule(n, { ...context, sigmaMin, sigmaMax });
  if (sigmas.some((sigma, i) => i > 0 && !(sigma < sigmas[i - 1]!))) {
    throw new SafelightError(
      'INVALID_OPTION',
      `The sigmas of schedule ${resolved} coincide with ${n} steps; use fewer steps or another schedule`,
    );
  }
  return sigmas;
}

/** Normalizes the spellings of a name: `SGM Uniform` and `sgm_uniform` become `sgmuniform`. */
function key(name: string): string {
  return name.toLowerCase().replace(/[\s_-]+/g, '');
}
