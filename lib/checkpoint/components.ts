import type { AutoencoderConfig } from './config/types.js';
import type { LatentSource, ModelSource } from './model-descriptor.js';

/** The parts of an autoencoder's config that its tensors do not determine. */
export type LatentScale = Pick<AutoencoderConfig, 'scaling_factor' | 'shift_factor'>;

/** A model as read from its folder or file, before options and checks across components are applied. */
export interface UNetModelComponents
  extends Omit<ModelSource, 'path' | 'family' | 'autoencoder' | 'previewDecoder' | 'components' | 'ignored'> {
  /** Null if the `vae` option names another autoencoder. */
  readonly autoencoder: LatentSource | null;
  /** The latent scale of the model's scheduler, for a `vae` file without a config. */
  readonly latentScale: LatentScale;
}

/** Id of CLIP's end-of-text token. */
const END_OF_TEXT = 49407;

/** Returns the padding id of the standard vocabulary: the end token for OpenAI's CLIP, 0 ("!") for OpenCLIP. */
export function standardPadId(kind: 'clip' | 'openclip'): number {
  return kind === 'clip' ? END_OF_TEXT : 0;
}
