/** Every schedule by its names. To add one: a file with its formula, and an entry here. */
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
import type { Schedule, ScheduleContext } from './types.js';

export type { Schedule, ScheduleContext } from './types.js';

export interface ScheduleInfo {
  readonly name: ScheduleName;
  /** As A1111 displays and saves it. */
  readonly label: string;
  /** Other names it is known by. */
  readonly aliases: readonly string[];
}

/** `flow: false` of those that are found or derived for x = x0 + sigma * noise alone. */
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
  schedules.flatMap(({ name, label, aliases }) => [name, label, ...aliases].map((each) => [key(each), name])),
);

/** More steps than anybody waits for; a bound on what a typing error may allocate. */
const MOST_STEPS = 10_000;

/**
 * The schedule of a name: ours, A1111's displayed one or an alias, in any case and with spaces, underscores or hyphens.
 * @param automatic what A1111's "Automatic" stands for, which depends on the sampler.
 * @throws INVALID_OPTION for another name, with all names in the message.
 */
export function resolveSchedule(name: string, automatic: ScheduleName = 'discrete'): ScheduleName {
  const wanted = key(String(name));
  const found = wanted === 'automatic' ? automatic : BY_KEY.get(wanted);
  if (found === undefined) {
    const near = nearest(wanted, [...BY_KEY.keys()]);
    const hint = didYouMean(near && BY_KEY.get(near));
    throw invalidOption('schedule', `one of ${[...scheduleNames, 'automatic'].join(', ')}`, name, hint);
  }
  return found;
}

/**
 * Strictly descending sigmas for `n` steps, n + 1 of them (`ddim` may give more or fewer); the last is 0, but sigmaMin for
 * `kl_optimal`.
 *
 * @param name as `resolveSchedule` takes it. @param n integer in [1, 10000].
 * @throws INVALID_OPTION for an unknown name, an n or a range that is impossible, or more steps than the schedule can keep apart.
 */
export function scheduleSigmas(name: string, n: number, context: ScheduleContext): number[] {
  const resolved = resolveSchedule(name);
  if (!(Number.isInteger(n) && n >= 1 && n <= MOST_STEPS)) {
    throw invalidOption('steps', `integer between 1 and ${MOST_STEPS}`, n);
  }
  const entry: Entry = ENTRIES[resolved];
  if (entry.flow === false && isFlow(context.schedule)) {
    const others = scheduleNames.filter((each) => (ENTRIES[each] as Entry).flow !== false);
    throw invalidOption('schedule', `one of ${others.join(', ')} on a flow-matching model`, resolved);
  }
  const { sigmaMin = context.schedule.sigmaMin, sigmaMax = context.schedule.sigmaMax, rho } = context;
  if (!(sigmaMin > 0)) throw invalidOption('sigmaMin', 'positive number', sigmaMin);
  if (!(sigmaMax > sigmaMin && Number.isFinite(sigmaMax))) {
    throw invalidOption('sigmaMax', `finite number above sigmaMin (${sigmaMin})`, sigmaMax);
  }
  if (isFlow(context.schedule) && sigmaMax > 1) {
    throw invalidOption('sigmaMax', 'number of at most 1 on a flow-matching model', sigmaMax);
  }
  if (rho !== undefined && !(rho > 0 && Number.isFinite(rho)))
    throw invalidOption('rho', 'positive number', rho);
  const sigmas = entry.schedule(n, { ...context, sigmaMin, sigmaMax });
  if (sigmas.some((sigma, i) => i > 0 && !(sigma < sigmas[i - 1]!))) {
    throw new SafelightError(
      'INVALID_OPTION',
      `The schedule ${resolved} cannot keep ${n} steps apart: ask for fewer steps or another schedule`,
    );
  }
  return sigmas;
}

/** The same for all spellings of a name: `SGM Uniform` and `sgm_uniform` are `sgmuniform`. */
function key(name: string): string {
  return name.toLowerCase().replace(/[\s_-]+/g, '');
}
