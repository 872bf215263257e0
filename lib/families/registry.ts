/** All families, in the order in which they are asked whether a model is theirs. To add one: its file, and a line here. */
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

/** Before Stable Diffusion 1, whose text encoder's names others have too, come those. */
const STABLE_DIFFUSION = [sdxl, sdxlRefiner, sd2, sd1] as const;

const DIFFUSION = [latentDiffusionFamily, ddpm, ...STABLE_DIFFUSION] as const;

export type ModelFamily = (typeof DIFFUSION)[number]['name'];

export const diffusionFamilies: readonly DiffusionFamily<ModelSource>[] = DIFFUSION;
export const autoregressiveFamilies: readonly AutoregressiveFamily[] = [vqgan];

/**
 * Finds out what a model is and where its weights lie, without reading them.
 * @param path a diffusers folder, a single file (safetensors, GGUF, PyTorch checkpoint, or shard index) in CompVis' form, or the name of a bundled
 *   (`starter`) or downloaded model (`owner/name`, `civitai:VERSION_ID`)
 * @throws FILE_NOT_FOUND, MODEL_NOT_FOUND, INVALID_FILE, UNSUPPORTED_MODEL, MISSING_TENSOR, SHAPE_MISMATCH, INVALID_OPTION
 */
export async function openModel(path: string, options: OpenModelOptions = {}): Promise<ModelSource> {
  return (await openWith(path, options, diffusionFamilies)).model;
}

/** The label of a family, for people. */
export function familyLabel(name: string): string {
  const all = [...diffusionFamilies, ...autoregressiveFamilies];
  return all.find((family) => family.name === name)?.label ?? name;
}

/** The definition of a family that is written as a single file; undefined for others. */
export function stableDiffusionDefinition(name: string): StableDiffusionDefinition | undefined {
  return STABLE_DIFFUSION.find((family) => family.name === name)?.definition;
}

/** The pipeline that a model is for: `Pipeline`, or `VqganPipeline`, whose models turn images into code indices. */
export type ModelKind = 'diffusion' | 'codes';

/**
 * @param path a model's folder or file
 * @throws FILE_NOT_FOUND, INVALID_FILE
 */
export async function modelKind(path: string): Promise<ModelKind> {
  for (const family of autoregressiveFamilies) if (await family.detect(path)) return 'codes';
  return 'diffusion';
}
