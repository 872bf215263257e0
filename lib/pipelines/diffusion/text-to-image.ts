/** Text to image: generation from noise. */

import type { LoadedModel } from '../../families/shared/loaded-model.js';
import { initialNoiseScale } from '../../sampling/samplers/index.js';
import { Tensor } from '../../tensor/tensor.js';
import type { Settings } from '../options.js';
import { fullSigmas } from './denoising/sigmas.js';
import type { Plan } from './plan.js';
import { imageNoise } from './seeds.js';

/** Plans text to image. @throws INVALID_OPTION for unsupported steps, and errors of loading modules */
export async function planTextToImage(loaded: LoadedModel, settings: Settings): Promise<Plan> {
  const { defaults } = loaded.facts;
  const { width = defaults.width, height = defaults.height, signal } = settings;
  const extra = await maskedEverywhere(loaded, width, height, signal);
  return planFromNoise(loaded, settings, { width, height, extra });
}

/** Plans a generation from noise. @param image its size in pixels and the additional input channels `[1, n, h, w]` */
export async function planFromNoise(
  loaded: LoadedModel,
  settings: Settings,
  image: { readonly width: number; readonly height: number; readonly extra: Tensor | undefined },
): Promise<Plan> {
  const { signal, sampling } = settings;
  const { noiseSchedule } = await loaded.denoiser(signal);
  const { downsampleFactor, alignYourSteps, latentChannels: channels } = loaded.facts;
  const { width, height, extra } = image;
  const [h, w] = [height / downsampleFactor, width / downsampleFactor];
  const levels = fullSigmas(sampling, { noiseSchedule, alignYourSteps, shape: [1, channels, h, w] });
  const { sigmas } = levels;
  const scale = initialNoiseScale(sampling.sampler, sigmas[0]!, levels.noiseSchedule);
  return {
    width,
    height,
    steps: sigmas.length - 1,
    pass: (seeds) => {
      const noise = imageNoise(settings, seeds, [channels, h, w], downsampleFactor);
      const first = noise.first().map((value) => value * scale);
      return { latent: Tensor.from(first, [noise.count, channels, h, w]), ...levels, noise, extra };
    },
    finish: async (image) => image,
  };
}

/**
 * Returns the additional input channels `[1, 1 + C, h, w]` of an inpainting model for generating the full image: a
 * full mask over a grey image. Undefined for other models.
 */
export async function maskedEverywhere(
  loaded: LoadedModel,
  width: number,
  height: number,
  signal: AbortSignal | undefined,
): Promise<Tensor | undefined> {
  if (loaded.facts.extra !== 'inpainting') return undefined;
  const codec = await loaded.codec(signal);
  const gray = (await codec.encode(Tensor.zeros([1, 3, height, width]), { signal })).latents();
  const [, , h = 0, w = 0] = gray.shape;
  return Tensor.cat([Tensor.from(new Float32Array(h * w).fill(1), [1, 1, h, w]), gray], 1);
}
