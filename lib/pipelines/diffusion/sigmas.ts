/** The noise levels of a run: which schedule, and where in it image to image begins. */
import type { ModelFamily } from '../../checkpoint/config/types.js';
import type { DiscreteSchedule } from '../../sampling/denoiser.js';
import { discardPenultimate } from '../../sampling/samplers/index.js';
import { scheduleSigmas } from '../../sampling/schedules/index.js';
import type { SamplingSettings } from '../sampling-options.js';

/** The whole schedule for `steps` steps, ending where sampling ends. @throws INVALID_OPTION for steps that it cannot give */
export function fullSigmas(
  settings: SamplingSettings,
  schedule: DiscreteSchedule,
  family: ModelFamily,
  steps = settings.steps,
): number[] {
  const { sampler, range } = settings;
  if (sampler.ownSigmas) return sampler.ownSigmas(schedule, steps);
  const context = { schedule, family, ...range };
  if (!settings.discardPenultimate) return scheduleSigmas(settings.schedule, steps, context);
  return discardPenultimate(scheduleSigmas(settings.schedule, steps + 1, context));
}

/** Where image to image begins: the schedule it belongs to, and the part of it that runs. */
export interface PartialSigmas {
  readonly full: readonly number[];
  readonly sigmas: readonly number[];
}

/**
 * A1111's share of the schedule: of n steps, the last ⌊min(strength, 0.999) * n⌋ + 1 run.
 * @param mode `share`: `steps` is the whole schedule's; `exact`: so many steps run, and the schedule is as much longer
 *   as the strength asks for (hires fix)
 */
export function partialSigmas(
  settings: SamplingSettings,
  schedule: DiscreteSchedule,
  family: ModelFamily,
  run: { readonly steps: number; readonly strength: number; readonly mode: 'share' | 'exact' },
): PartialSigmas {
  const share = Math.min(run.strength, 0.999);
  const steps = run.mode === 'exact' ? Math.trunc(run.steps / share) : run.steps;
  const last = run.mode === 'exact' ? run.steps - 1 : Math.trunc(share * run.steps);
  const full = fullSigmas(settings, schedule, family, steps);
  return { full, sigmas: full.slice(Math.max(0, steps - last - 1)) };
}

/** The Brownian tree's range in A1111: the whole schedule, also where only its end runs. */
export function brownianRange(full: readonly number[]): readonly [number, number] {
  const positive = full.filter((sigma) => sigma > 0);
  return [Math.fround(Math.min(...positive)), Math.fround(Math.max(...positive))];
}
