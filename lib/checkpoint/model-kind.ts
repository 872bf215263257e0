/** Which of the two pipelines a model is for, by the names of its tensors: nothing is loaded. */
import { join } from 'node:path';
import { onlyCheckpoint } from '../families/shared/vqgan/open-vqgan.js';
import { kindOf } from '../files/read.js';
import { openWeights } from './formats/open-weights.js';
import { hasFirstStage } from './open-first-stage.js';

/** `diffusion`: a U-Net draws latents (`Pipeline`). `codes`: an autoencoder, and perhaps a transformer that writes its codes (`CodesPipeline`). */
export type ModelKind = 'diffusion' | 'codes';

/**
 * @param path a model's folder or file
 * @throws FILE_NOT_FOUND, INVALID_FILE
 */
export async function modelKind(path: string): Promise<ModelKind> {
  if ((await kindOf(path)) !== 'folder') return kindOfFile(path);
  const has = async (...name: string[]) => (await kindOf(join(path, ...name))) === 'file';
  if (await has('model_index.json')) return 'diffusion';
  if ((await has('config.json')) || (await has('vqvae', 'config.json'))) return 'codes';
  return kindOfFile(await onlyCheckpoint(path));
}

/** CompVis' latent diffusion has an autoencoder too, so its U-Net decides. */
async function kindOfFile(path: string): Promise<ModelKind> {
  const { tensors } = await openWeights(path);
  for (const name of tensors.keys()) if (name.startsWith('model.diffusion_model.')) return 'diffusion';
  const codes = hasFirstStage(tensors, '') || hasFirstStage(tensors, 'first_stage_model.');
  return codes ? 'codes' : 'diffusion';
}
