/**
 * Stable Diffusion families: one or two CLIP text encoders, a U-Net and a KL autoencoder. A family consists of its
 * definition.
 */
import { readEmbeddedConfig } from '../../checkpoint/config/embedded-config.js';
import { openEmbedded } from '../../checkpoint/embedded-model.js';
import type { ModelSource } from '../../checkpoint/model-descriptor.js';
import type { ModelFile, ModelFiles } from '../../checkpoint/model-files.js';
import { findUNet } from '../../checkpoint/naming/find-unet.js';
import type { EncoderLayout } from '../../checkpoint/text-encoder-layout.js';
import type { DiffusionFamily } from '../family.js';
import type { StableDiffusionDefinition } from './stable-diffusion-definition.js';
import { openStableDiffusionFile } from './stable-diffusion-file.js';
import { openStableDiffusionFolder, stableDiffusionFolder } from './stable-diffusion-folder.js';
import { completeUNetModel } from './unet/unet-model.js';
import { loadUNetModel } from './unet/unet-spec.js';

export interface StableDiffusionFamily<Name extends string> extends DiffusionFamily<ModelSource> {
  readonly name: Name;
  readonly definition: StableDiffusionDefinition;
}

/** Creates a family from its definition. */
export function stableDiffusion<const Name extends string>(
  definition: StableDiffusionDefinition & { readonly name: Name },
): StableDiffusionFamily<Name> {
  const { name, label } = definition;
  return {
    ...{ kind: 'diffusion', name, label, definition },
    detect: async (files, options) => {
      if (files.form === 'file') return layoutOf(files, definition) !== undefined;
      const traits = await stableDiffusionFolder(files, options);
      return traits !== undefined && definition.folder(traits);
    },
    open: async (files, options) => {
      const parts = await openParts(files);
      const model = await completeUNetModel(files, parts, definition, options);
      return { model, load: (settings, warnings) => loadUNetModel(model, definition, settings, warnings) };

      async function openParts(source: ModelFiles) {
        if (source.form === 'folder') return openStableDiffusionFolder(source, options, definition);
        const { tensors, metadata, path } = source;
        const embedded = metadata && openEmbedded(tensors, metadata, path, options, definition.layouts[0]);
        return (
          embedded ?? openStableDiffusionFile(source, layoutOf(source, definition)!, options, definition)
        );
      }
    },
  };
}

/**
 * Returns the layout of a file's text encoders: CompVis' for files with an embedded config of this family; undefined
 * for other families.
 */
function layoutOf(
  { tensors, metadata, path, has }: ModelFile,
  { name, layouts }: StableDiffusionDefinition,
): EncoderLayout | undefined {
  const family = metadata && readEmbeddedConfig(metadata, path)?.family;
  if (family) return family === name ? layouts[0] : undefined;
  const place = findUNet(tensors.keys());
  if (place === null) return undefined;
  return layouts.find((layout) => layout.detect(has, place.prefix));
}
