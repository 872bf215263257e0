import type { AutoencoderConfig } from './config/types.js';
import type { LatentSource, ModelSource } from './model-descriptor.js';

/** What an autoencoder's tensors do not say. */
export type LatentScale = Pick<AutoencoderConfig, 'scaling_factor' | 'shift_factor'>;

/** A model as its folder or file tells it, before options and the checks across components. */
export interface UNetModelComponents
  extends Omit<ModelSource, 'path' | 'family' | 'autoencoder' | 'components' | 'ignored'> {
  /** Null where another one was asked for. */
  readonly autoencoder: LatentSource | null;
  /** How its sampler sees latents, for another autoencoder that does not say. */
  readonly latentScale: LatentScale;
}

/** CLIP's vocabulary: the end token's id. */
const END = 49407;

/** What fills windows with the standard vocabulary: the end token for OpenAI's CLIP, 0 ("!") for OpenCLIP. */
export function standardPadId(kind: 'clip' | 'openclip'): number {
  return kind === 'clip' ? END : 0;
}
