/** Image to image from an initial latent passed by the caller. */
import type { LoadedModel } from '../../families/shared/loaded-model.js';
import { addNoise } from '../../sampling/noise-schedule.js';
import { Tensor } from '../../tensor/tensor.js';
import { rowsOf } from '../initial-tensors.js';
import type { Settings } from '../options.js';
import { brownianRange, partialSigmas } from './denoising/sigmas.js';
import type { Plan } from './plan.js';
import { imageNoise } from './seeds.js';
import { maskedEverywhere } from './text-to-image.js';

/**
 * Plans a generation from a latent.
 * @param latent `[1 or count, C, h, w]`, validated and of the size in the settings
 */
export async function planFromLatent(loaded: LoadedModel, settings: Settings, latent: Tensor): Promise<Plan> {
  const { sampling, from, signal } = settings;
  const { downsampleFactor, alignYourSteps } = loaded.facts;
  const [, channels = 0, h = 0, w = 0] = latent.shape;
  const [width, height] = [w * downsampleFactor, h * downsampleFactor];
  const { noiseSchedule: trained } = await loaded.denoiser(signal);
  const { full, noiseSchedule, sigmas } = partialSigmas(
    sampling,
    { noiseSchedule: trained, alignYourSteps, shape: [1, channels, h, w] },
    { steps: sampling.steps, strength: from.strength, mode: 'share' },
  );
  const extra = await maskedEverywhere(loaded, width, height, signal);
  return {
    width,
    height,
    steps: sigmas.length - 1,
    pass: (batch) => {
      const noise = imageNoise(settings, batch, [channels, h, w], downsampleFactor, brownianRange(full));
      const before = rowsOf(latent, batch.first, batch.seeds.length);
      const noisy = addNoise(noiseSchedule, before.data, noise.first(), sigmas[0]!, from.noiseMultiplier);
      return { latent: Tensor.from(noisy, before.shape), sigmas, noiseSchedule, noise, extra, before };
    },
    finish: async (image) => image,
  };
}
