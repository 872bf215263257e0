/** From noise alone. */
import { initialNoiseScale } from '../../sampling/samplers/index.js';
import { Tensor } from '../../tensor/tensor.js';
import type { Engine } from '../model/loaded-model.js';
import type { Settings } from '../options.js';
import { pictureNoise } from '../variation-options.js';
import { joinChannels } from './guided-denoiser.js';
import type { Plan } from './plan.js';
import { fullSigmas } from './sigmas.js';

export async function planTextToImage(engine: Engine, settings: Settings): Promise<Plan> {
  const { defaults } = engine.facts;
  const { width = defaults.width, height = defaults.height, signal } = settings;
  const extra = await maskedEverywhere(engine, width, height, signal);
  return planFromNoise(engine, settings, { width, height, extra });
}

/** @param picture its size, and what the U-Net sees beside the latent: `[1, n, h, w]` */
export async function planFromNoise(
  engine: Engine,
  settings: Settings,
  picture: { readonly width: number; readonly height: number; readonly extra: Tensor | undefined },
): Promise<Plan> {
  const { signal, sampling } = settings;
  const { schedule } = await engine.denoiser(signal);
  const { factor, family, latentChannels: channels } = engine.facts;
  const { width, height, extra } = picture;
  const sigmas = fullSigmas(sampling, schedule, family);
  const scale = initialNoiseScale(sampling.sampler, sigmas[0]!);
  const [h, w] = [height / factor, width / factor];
  return {
    width,
    height,
    steps: sigmas.length - 1,
    pass: (seeds) => {
      const noise = pictureNoise(settings, seeds, [channels, h, w], factor);
      const first = noise.first().map((value) => value * scale);
      return { latent: Tensor.from(first, [noise.count, channels, h, w]), sigmas, noise, extra };
    },
    finish: async (image) => image,
  };
}

/**
 * What an inpainting model is told where all of the picture is to be made: a full mask over a gray picture, `[1, 1 + C, h, w]`.
 * Undefined for other models.
 */
export async function maskedEverywhere(
  engine: Engine,
  width: number,
  height: number,
  signal: AbortSignal | undefined,
): Promise<Tensor | undefined> {
  if (engine.facts.extra !== 'inpainting') return undefined;
  const codec = await engine.codec(signal);
  const gray = (await codec.encode(Tensor.zeros([1, 3, height, width]), { signal })).latents();
  const [, , h = 0, w = 0] = gray.shape;
  return joinChannels(Tensor.from(new Float32Array(h * w).fill(1), [1, 1, h, w]), gray);
}
