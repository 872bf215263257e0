/** Registry of families, in the order of detection. To add one, create its file and add it here. */
import type { ModelSource, OpenModelOptions } from '../checkpoint/model-descriptor.js';
import { openWith } from '../checkpoint/open.js';
import { ddpm } from './ddpm.js';
import type { AutoregressiveFamily, DiffusionFamily } from './family.js';
import { latentDiffusionFamily } from './latent-diffusion.js';
import { sd1 } from './sd1.js';
import { sd2 } from './sd2.js';
import { sdxl } from './sdxl.js';
import { sdxlRefiner } from './sdxl-refiner.js';
import type { StableDiffusionDefinition } from './shared/stable-diffusion-definition.js';
import { vqgan } from './vqgan.js';

/** Stable Diffusion 1 is last, because the names of its text encoder also occur in files of the others. */
const STABLE_DIFFUSION = [sdxl, sdxlRefiner, sd2, sd1] as const;

const DIFFUSION = [latentDiffusionFamily, ddpm, ...STABLE_DIFFUSION] as const;

export type ModelFamily = (typeof DIFFUSION)[number]['name'];

export const diffusionFamilies: readonly DiffusionFamily<ModelSource>[] = DIFFUSION;
export const autoregressiveFamilies: readonly AutoregressiveFamily[] = [vqgan];

/**
 * Reads the description of a diffusion model: family, components, configs and the locations of weights, without
 * reading them.
 * @param path a diffusers folder, a single file (safetensors, GGUF, PyTorch checkpoint, or shard index) in CompVis'
 *   form, or the name of a bundled (`starter`) or downloaded model (`owner/name`, `civitai:VERSION_ID`)
 * @throws FILE_NOT_FOUND, MODEL_NOT_FOUND, INVALID_FILE, UNSUPPORTED_MODEL, MISSING_TENSOR, SHAPE_MISMATCH,
 *   INVALID_OPTION
 */
export async function openModel(path: string, options: OpenModelOptions = {}): Promise<ModelSource> {
  return (await openWith(path, options, diffusionFamilies)).model;
}

/** Returns the display name of a family. */
export function familyLabel(name: string): string {
  const all = [...diffusionFamilies, ...autoregressiveFamilies];
  return all.find((family) => family.name === name)?.label ?? name;
}

/**
 * Returns the definition of a Stable Diffusion family, which can be written as a single file; undefined for other
 * families.
 */
export function stableDiffusionDefinition(name: string): StableDiffusionDefinition | undefined {
  return STABLE_DIFFUSION.find((family) => family.name === name)?.definition;
}

/** Kind of a model: `diffusion` for `Pipeline`, `codes` for `VqganPipeline`. */
export type ModelKind = 'diffusion' | 'codes';

/**
 * Detects the kind of a model.
 * @param path a model's folder or file
 * @throws FILE_NOT_FOUND, INVALID_FILE
 */
export async function modelKind(path: string): Promise<ModelKind> {
  for (const family of autoregressiveFamilies) if (await family.detect(path)) return 'codes';
  return 'diffusion';
}
