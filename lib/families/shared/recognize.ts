/** Finds out by headers and configs whether a file or folder is a model that Safelight runs: no weights are read. */

import { SafelightError } from '../../errors.js';
import { type ModelKind, modelKind, openModel } from '../registry.js';
import { openVqganModel } from './vqgan/open-vqgan.js';

/**
 * The kind of a model that can be loaded as it is, without options.
 * @param path absolute path of a file or folder
 * @throws UNSUPPORTED_MODEL for a LoRA, an embedding, an upscaler, a VAE by itself and the like; MISSING_TENSOR, SHAPE_MISMATCH, INVALID_FILE,
 *   FILE_NOT_FOUND for a model that is incomplete, broken or unreadable
 */
export async function recognizeModel(path: string): Promise<ModelKind> {
  const kind = await modelKind(path);
  if (kind === 'diffusion') {
    await openModel(path);
    return kind;
  }
  const { autoencoder, transformer, discriminator } = await openVqganModel(path);
  // VqganPipeline reconstructs with it, but a folder of models has it for the checkpoints it belongs to.
  if (autoencoder.kind === 'autoencoder_kl' && !transformer && !discriminator)
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${path} is an autoencoder (VAE) by itself, not a whole model; name it by --model to offer it for reconstructing`,
    );
  return kind;
}
