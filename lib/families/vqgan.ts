/**
 * VQGAN and its transformers, which sample images as sequences of code indices. Esser et al. 2021, arXiv:2012.09841.
 */
import { join } from 'node:path';
import { openWeights } from '../checkpoint/formats/open-weights.js';
import { hasFirstStage } from '../checkpoint/open-first-stage.js';
import { kindOf } from '../files/read.js';
import type { AutoregressiveFamily } from './family.js';
import { onlyCheckpoint, openVqganModel } from './shared/vqgan/open-vqgan.js';

export const vqgan: AutoregressiveFamily = {
  kind: 'autoregressive',
  name: 'vqgan',
  label: 'VQGAN',
  detect: async (path) => {
    if ((await kindOf(path)) !== 'folder') return isCheckpoint(path);
    const has = async (...name: string[]) => (await kindOf(join(path, ...name))) === 'file';
    if (await has('model_index.json')) return false;
    if ((await has('config.json')) || (await has('vqvae', 'config.json'))) return true;
    return isCheckpoint(await onlyCheckpoint(path));
  },
  open: openVqganModel,
};

/** True for a checkpoint with an autoencoder and without a U-Net; with a U-Net it is a latent diffusion model. */
async function isCheckpoint(path: string): Promise<boolean> {
  const { tensors } = await openWeights(path);
  for (const name of tensors.keys()) if (name.startsWith('model.diffusion_model.')) return false;
  return hasFirstStage(tensors, '') || hasFirstStage(tensors, 'first_stage_model.');
}
