/** Families of CompVis' latent diffusion: a U-Net that is told a class, BERT's text or nothing, over latents of either kind or pixels. */

import type { ModelSource, OpenModelOptions } from '../../checkpoint/model-descriptor.js';
import { type ModelFiles, requireVariant } from '../../checkpoint/model-files.js';
import type { DiffusionFamily } from '../family.js';
import { drawsPixels, isLatentDiffusion, openLatentDiffusionFile } from './latent-diffusion-file.js';
import { isLatentDiffusionFolder, openLatentDiffusionFolder } from './latent-diffusion-folder.js';
import { completeUNetModel, type UNetFamilyFacts } from './unet/unet-model.js';
import { loadUNetModel } from './unet/unet-spec.js';

/** @param pixels the family whose models draw pixels, instead of that whose models draw latents */
export function latentDiffusion<const Name extends string>(
  { name, label }: { readonly name: Name; readonly label: string },
  pixels: boolean,
): DiffusionFamily<ModelSource> & { readonly name: Name } {
  // Their configs always name a size.
  const facts: UNetFamilyFacts = { name, imageSide: () => 512, encoderName: () => 'bert' };
  return {
    ...{ kind: 'diffusion', name, label },
    detect: async (files, options) =>
      (await isRelated(files, options)) && (await samplesPixels(files, options)) === pixels,
    open: async (files, options) => {
      const parts =
        files.form === 'folder'
          ? await openLatentDiffusionFolder(files, options)
          : await openLatentDiffusionFile(files, options);
      const model = await completeUNetModel(files, parts, facts, options);
      return { model, load: (settings, warnings) => loadUNetModel(model, facts, settings, warnings) };
    },
  };
}

async function isRelated(files: ModelFiles, { variant }: OpenModelOptions): Promise<boolean> {
  if (files.form === 'file') return isLatentDiffusion(files.tensors);
  if (!isLatentDiffusionFolder(files)) return false;
  await requireVariant(files, variant);
  return true;
}

/** Pixels that another autoencoder is to replace count as latents. */
async function samplesPixels(files: ModelFiles, options: OpenModelOptions): Promise<boolean> {
  if (files.form === 'folder') return !files.has('vqvae');
  return options.vae === undefined && drawsPixels(files, options);
}
