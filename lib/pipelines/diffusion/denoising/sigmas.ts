/** Sigmas of a run, and the part of them that image to image uses. */
import { invalidOption } from '../../../errors.js';
import type { DenoiseModel } from '../../../families/shared/denoise-model.js';
import type { SamplingSettings } from '../../../options/settings/sampling.js';
import type { LatentShape } from '../../../sampling/network.js';
import { isFlow, type NoiseSchedule } from '../../../sampling/noise-schedule.js';
import { checkSampler, discardPenultimate, type RunnableSampler } from '../../../sampling/samplers/index.js';
import { scheduleSigmas } from '../../../sampling/schedules/index.js';

/** Properties of the model and the latent on which sigmas depend. */
export interface ScheduledModel extends Pick<DenoiseModel, 'noiseSchedule'> {
  readonly alignYourSteps: readonly number[] | undefined;
  readonly shape: LatentShape;
}

export interface RunSigmas {
  /** Noise schedule of the model. */
  readonly noiseSchedule: NoiseSchedule;
  /** Descending sigmas, including the final one. */
  readonly sigmas: readonly number[];
}

/**
 * Computes the full schedule of `steps` steps.
 * @throws INVALID_OPTION for a number of steps that the schedule does not support
 */
export function fullSigmas(
  settings: SamplingSettings,
  { alignYourSteps, shape, ...model }: ScheduledModel,
  steps = settings.steps,
): RunSigmas {
  const { sampler, range } = settings;
  const noiseSchedule = model.noiseSchedule({ shape, steps });
  checkSampler(sampler, noiseSchedule, settings.sampling);
  if (settings.sigmas) {
    checkSigmas(settings.sigmas, sampler, noiseSchedule);
    return { noiseSchedule, sigmas: settings.sigmas };
  }
  if (settings.ownTimesteps && sampler.ownSigmas && !isFlow(noiseSchedule))
    return { noiseSchedule, sigmas: sampler.ownSigmas(noiseSchedule, steps) };
  const context = { schedule: noiseSchedule, alignYourSteps, ...range };
  const sigmas = settings.discardPenultimate
    ? discardPenultimate(scheduleSigmas(settings.schedule, steps + 1, context))
    : scheduleSigmas(settings.schedule, steps, context);
  return { noiseSchedule, sigmas };
}

/** @throws INVALID_OPTION for a sampler that computes its own sigmas, and for sigmas above 1 in flow matching */
function checkSigmas(sigmas: readonly number[], sampler: RunnableSampler, schedule: NoiseSchedule): void {
  const [highest = 0] = sigmas;
  if (!isFlow(schedule) && sampler.ownSigmas)
    throw invalidOption('sampler', 'a sampler that accepts sigmas, such as euler', sampler.name);
  if (isFlow(schedule) && highest > 1)
    throw invalidOption('sigmas', 'numbers of at most 1 (for a flow-matching model)', highest);
}

/** The part of a schedule that image to image uses. */
export interface PartialSigmas extends RunSigmas {
  /** Sigmas of the full schedule. */
  readonly full: readonly number[];
}

/**
 * Selects the part of the schedule as A1111 does: the last ⌊min(strength, 0.999) * n⌋ + 1 of n steps run.
 * @param run.mode `share`: `steps` is the length of the full schedule; `exact`: `steps` steps run, and the full
 *   schedule is longer by the inverse of the strength (hires fix)
 */
export function partialSigmas(
  settings: SamplingSettings,
  model: ScheduledModel,
  run: { readonly steps: number; readonly strength: number; readonly mode: 'share' | 'exact' },
): PartialSigmas {
  const share = Math.min(run.strength, 0.999);
  const steps = run.mode === 'exact' ? Math.trunc(run.steps / share) : run.steps;
  const last = run.mode === 'exact' ? run.steps - 1 : Math.trunc(share * run.steps);
  const { noiseSchedule, sigmas } = fullSigmas(settings, model, steps);
  return { noiseSchedule, full: sigmas, sigmas: sigmas.slice(Math.max(0, steps - last - 1)) };
}

/** Returns the range of the Brownian tree, which in A1111 is that of the full schedule even if only a part runs. */
export function brownianRange(full: readonly number[]): readonly [number, number] {
  const positive = full.filter((sigma) => sigma > 0);
  return [Math.fround(Math.min(...positive)), Math.fround(Math.max(...positive))];
}
