/** The noise levels of a run, and where in them image to image begins. */
import type { DenoiseModel } from '../../../families/shared/denoise-model.js';
import type { SamplingSettings } from '../../../options/settings/sampling.js';
import type { LatentShape } from '../../../sampling/network.js';
import { isFlow, type NoiseSchedule } from '../../../sampling/noise-schedule.js';
import { checkSampler, discardPenultimate } from '../../../sampling/samplers/index.js';
import { scheduleSigmas } from '../../../sampling/schedules/index.js';

/** What the noise levels depend on besides the options. */
export interface ScheduledModel extends Pick<DenoiseModel, 'noiseSchedule'> {
  readonly alignYourSteps: readonly number[] | undefined;
  readonly shape: LatentShape;
}

export interface RunSigmas {
  /** The trained noise levels. */
  readonly noiseSchedule: NoiseSchedule;
  /** Descending, ending where sampling ends. */
  readonly sigmas: readonly number[];
}

/** The whole schedule for `steps` steps. @throws INVALID_OPTION for steps that it cannot give */
export function fullSigmas(
  settings: SamplingSettings,
  { alignYourSteps, shape, ...model }: ScheduledModel,
  steps = settings.steps,
): RunSigmas {
  const { sampler, range } = settings;
  const noiseSchedule = model.noiseSchedule({ shape, steps });
  checkSampler(sampler, noiseSchedule, settings.sampling);
  if (sampler.ownSigmas && !isFlow(noiseSchedule))
    return { noiseSchedule, sigmas: sampler.ownSigmas(noiseSchedule, steps) };
  const context = { schedule: noiseSchedule, alignYourSteps, ...range };
  const sigmas = settings.discardPenultimate
    ? discardPenultimate(scheduleSigmas(settings.schedule, steps + 1, context))
    : scheduleSigmas(settings.schedule, steps, context);
  return { noiseSchedule, sigmas };
}

/** The part of a schedule that image to image runs. */
export interface PartialSigmas extends RunSigmas {
  readonly full: readonly number[];
}

/**
 * A1111's share of the schedule: of n steps, the last ⌊min(strength, 0.999) * n⌋ + 1 run.
 * @param mode `share`: `steps` is the whole schedule's; `exact`: so many steps run, and the schedule is as much longer
 *   as the strength asks for (hires fix)
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

/** The Brownian tree's range in A1111: the whole schedule, also where only its end runs. */
export function brownianRange(full: readonly number[]): readonly [number, number] {
  const positive = full.filter((sigma) => sigma > 0);
  return [Math.fround(Math.min(...positive)), Math.fround(Math.max(...positive))];
}
