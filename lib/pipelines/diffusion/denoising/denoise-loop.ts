/** One pass of a batch of images through the sampler. */

import { isAborted, throwIfAborted } from '../../../errors.js';
import type { DenoiseModel } from '../../../families/shared/denoise-model.js';
import { throwIfNotFinite } from '../../../tensor/finite.js';
import { Tensor } from '../../../tensor/tensor.js';
import type { DenoiseRun } from './denoise-run.js';
import type { DenoiseStep } from './denoise-step.js';
import { endSteps } from './end-steps.js';
import { GuidedDenoiser, keepOutside } from './guided-denoiser.js';

export type { DenoiseStep } from './denoise-step.js';

/** The end of a pass. */
export interface Denoised {
  /** `[B, C, h, w]`; after `finish` that of `before` in place of h and w if no evaluation was done. */
  readonly latent: Tensor;
  /** Evaluations of the model that were done. */
  readonly evaluations: number;
  /** Ended by `finish` before its last step. */
  readonly unfinished: boolean;
}

/**
 * Yields after each step; what is written into the step's latent counts from then on.
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
    // A sampler of the caller's own may hold something to free.
    await endSteps(steps);
  }
}
