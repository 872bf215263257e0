/** Decoding of a generation's latents to images with their texts. */

import { combineSignals, isAborted, throwIfAborted } from '../../errors.js';
import type { LoadedModel } from '../../families/shared/loaded-model.js';
import type { RgbImage } from '../../tensor/render.js';
import type { Tensor } from '../../tensor/tensor.js';
import { GeneratedImage, toPixels } from '../image-result.js';
import { exactOptionsOf, parametersOf } from '../metadata.js';
import type { Settings } from '../options.js';
import { codecOf } from './codec-of.js';
import type { Plan } from './plan.js';
import { productsOfModel } from './products.js';
import type { HashFields } from './prompts/adapter-hashes.js';

/** An image that is sampled but not decoded. */
export interface SampledImage {
  readonly plan: Pick<Plan, 'width' | 'height' | 'finish'>;
  readonly latent: Tensor;
  readonly seeds: { readonly seed: number; readonly subseed: number };
  /** Hashes of the adapters for its texts. */
  readonly hashes: Promise<HashFields>;
}

/**
 * Decodes one image of a call and adds its texts.
 * @param late aborted at the time limit for decoding an unfinished batch
 */
export async function decodeOne(
  loaded: LoadedModel,
  settings: Settings,
  { plan, latent, seeds, hashes }: SampledImage,
  late: AbortSignal | undefined,
): Promise<GeneratedImage> {
  const products = productsOfModel(loaded);
  const image = await plan.finish(await imageOf(loaded, settings, latent, late));
  return new GeneratedImage(image, {
    seed: seeds.seed,
    latent,
    parameters: parametersOf(loaded.facts, settings, plan, seeds, {
      ...(await hashes),
      ...(products === 'f32' ? {} : { Precision: products }),
    }),
    exactOptions: exactOptionsOf(loaded.facts, settings, plan, seeds),
  });
}

/**
 * Decodes a latent. Returns its preview instead, which is much faster, once `hurry` is aborted, or `late` if the CPU
 * decodes.
 */
async function imageOf(
  loaded: LoadedModel,
  { signal, hurry, sampling }: Settings,
  latent: Tensor,
  late: AbortSignal | undefined,
): Promise<RgbImage> {
  const codec = await codecOf(loaded, sampling.changes, signal);
  const early = codec.memory()?.backend === 'cpu' ? combineSignals(hurry, late) : hurry;
  try {
    return toPixels(await codec.decode(latent, { signal: combineSignals(signal, early) }));
  } catch (error) {
    throwIfAborted(signal);
    if (!early?.aborted || !isAborted(error)) throw error;
  }
  const { downsampleFactor } = loaded.facts;
  const [, , height = 0, width = 0] = latent.shape;
  return loaded.preview.render(latent.at(0), width * downsampleFactor, height * downsampleFactor);
}
