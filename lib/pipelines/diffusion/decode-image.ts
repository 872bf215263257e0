/** The end of a generation: latents decoded, each with what its image's texts say. */
import { eitherOf, isAborted, throwIfAborted } from '../../errors.js';
import type { LoadedModel } from '../../families/shared/loaded-model.js';
import type { RgbImage } from '../../tensor/render.js';
import type { Tensor } from '../../tensor/tensor.js';
import { GeneratedImage, toPixels } from '../image-result.js';
import { exactOptionsOf, parametersOf } from '../metadata.js';
import type { Settings } from '../options.js';
import type { Plan } from './plan.js';

/** One image of a call, with what its texts say. @param late aborted once a batch that ended early has waited long enough */
export async function decodeOne(
  loaded: LoadedModel,
  settings: Settings,
  plan: Pick<Plan, 'width' | 'height' | 'finish'>,
  latent: Tensor,
  seeds: { readonly seed: number; readonly subseed: number },
  late: AbortSignal | undefined,
): Promise<GeneratedImage> {
  const image = await plan.finish(await imageOf(loaded, settings, latent, late));
  return new GeneratedImage(image, {
    seed: seeds.seed,
    latent,
    parameters: parametersOf(loaded.facts, settings, plan, seeds),
    exactOptions: exactOptionsOf(loaded.facts, settings, plan, seeds),
  });
}

/**
 * Decodes a latent. Draws its preview instead, which takes a small part of the time, once `hurry` is aborted, or `late` where the CPU
 * decodes.
 */
async function imageOf(
  loaded: LoadedModel,
  { signal, hurry }: Settings,
  latent: Tensor,
  late: AbortSignal | undefined,
): Promise<RgbImage> {
  const codec = await loaded.codec(signal);
  const early = codec.memory()?.backend === 'cpu' ? eitherOf(hurry, late) : hurry;
  try {
    return toPixels(await codec.decode(latent, { signal: eitherOf(signal, early) }));
  } catch (error) {
    throwIfAborted(signal);
    if (!early?.aborted || !isAborted(error)) throw error;
  }
  const { downsampleFactor } = loaded.facts;
  const [, , height = 0, width = 0] = latent.shape;
  return loaded.preview.render(latent.at(0), width * downsampleFactor, height * downsampleFactor);
}
