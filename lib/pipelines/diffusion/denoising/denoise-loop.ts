/** Denoising loop: one sampling pass of a batch of images. */

import { isAborted, throwIfAborted } from '../../../errors.js';
import type { DenoiseModel } from '../../../families/shared/denoise-model.js';
import { throwIfNotFinite } from '../../../tensor/finite.js';
import { Tensor } from '../../../tensor/tensor.js';
import type { DenoiseRun } from './denoise-run.js';
import type { DenoiseStep } from './denoise-step.js';
import { endSteps } from './end-steps.js';
import { GuidedDenoiser, keepOutside } from './guided-denoiser.js';

export type { DenoiseStep } from './denoise-step.js';

/** Result of a pass. */
export interface Denoised {
  /** `[B, C, h, w]`; if `finish` ended the pass before its first evaluation, of the size of `before`. */
  readonly latent: Tensor;
  /** Completed evaluations of the model. */
  readonly evaluations: number;
  /** True if `finish` ended the pass before its last step. */
  readonly unfinished: boolean;
}

/**
 * Runs a pass and yields after each step. Modifying the step's latent affects the following steps.
 * @throws NOT_FINITE, ABORTED, DISPOSED, INVALID_OPTION for an unknown tap
 */
export async function* denoiseSteps(
  model: DenoiseModel,
  run: DenoiseRun,
): AsyncGenerator<DenoiseStep, Denoised> {
  const { latent, sampler, signal, finish, keep } = run;
  const denoiser = new GuidedDenoiser(model, run);
  const { prediction } = model;
  const create = sampler.create({ schedule: run.noiseSchedule, prediction });
  const steps = create(denoiser.denoise, latent.data, run.sigmas, run.noise, run.samplerOptions);
  try {
    for (;;) {
      const next = await steps.next();
      if (next.done) {
        throwIfNotFinite(next.value, 'The latent');
        if (keep) keepOutside(next.value, keep.latent.data, keep.mask);
        const last = Tensor.from(next.value, latent.shape);
        return { latent: last, evaluations: denoiser.evaluations, unfinished: false };
      }
      const { latent: x, denoised, ...step } = next.value;
      throwIfNotFinite(x, 'The latent');
      const tensors = { latent: Tensor.from(x, latent.shape), x0: Tensor.from(denoised, latent.shape) };
      const { taps, conditions, predicted } = denoiser;
      yield { ...step, ...tensors, taps, conditions, ...predicted };
      throwIfAborted(signal);
    }
  } catch (error) {
    const ended = finish?.aborted && !signal?.aborted && isAborted(error);
    if (!ended) throw error;
    return { latent: denoiser.seen(), evaluations: denoiser.evaluations, unfinished: true };
  } finally {
    // Lets custom samplers free their resources.
    await endSteps(steps);
  }
}
