/**
 * Families of CompVis' latent diffusion: a text-, class- or unconditional U-Net over KL latents, VQ latents or
 * pixels.
 */

import type { ModelSource, OpenModelOptions } from '../../checkpoint/model-descriptor.js';
import { type ModelFiles, requireVariant } from '../../checkpoint/model-files.js';
import type { DiffusionFamily } from '../family.js';
import { isLatentDiffusion, isPixelSpace, openLatentDiffusionFile } from './latent-diffusion-file.js';
import { isLatentDiffusionFolder, openLatentDiffusionFolder } from './latent-diffusion-folder.js';
import { completeUNetModel, type UNetFamilyFacts } from './unet/unet-model.js';
import { loadUNetModel } from './unet/unet-spec.js';

/** Creates a family. @param pixels true for the family of pixel-space models, false for that of latent-space models */
export function latentDiffusion<const Name extends string>(
  { name, label }: { readonly name: Name; readonly label: string },
  pixels: boolean,
): DiffusionFamily<ModelSource> & { readonly name: Name } {
  // Configs of these models always contain the size, so imageSide is not used.
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

/** True for pixel-space models; false if the caller specifies an autoencoder. */
async function samplesPixels(files: ModelFiles, options: OpenModelOptions): Promise<boolean> {
  if (files.form === 'folder') return !files.has('vqvae');
  return options.vae === undefined && isPixelSpace(files, options);
}
