/** Detection of models that Safelight can run, by headers and configs; no weights are read. */

import { SafelightError } from '../../errors.js';
import { type ModelKind, modelKind, openModel } from '../registry.js';
import { openVqganModel } from './vqgan/open-vqgan.js';

/**
 * Returns the kind of a model that can be loaded without further options.
 * @param path absolute path of a file or folder
 * @throws UNSUPPORTED_MODEL for other files, such as a LoRA, embedding, upscaler or separate VAE; MISSING_TENSOR,
 *   SHAPE_MISMATCH, INVALID_FILE, FILE_NOT_FOUND for an incomplete, damaged or unreadable model
 */
export async function recognizeModel(path: string): Promise<ModelKind> {
  const kind = await modelKind(path);
  if (kind === 'diffusion') {
    await openModel(path);
    return kind;
  }
  const { autoencoder, transformer, discriminator } = await openVqganModel(path);
  // VqganPipeline can reconstruct with a VAE, but VAEs in a models folder usually belong to a checkpoint.
  if (autoencoder.kind === 'autoencoder_kl' && !transformer && !discriminator)
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${path} is a separate autoencoder (VAE), not a complete model; name it with --model to offer it for reconstruction`,
    );
  return kind;
}
