/**
 * diffusers folders of latent diffusion models (`LDMTextToImagePipeline`, `LDMSuperResolutionPipeline`,
 * `LDMPipeline`) and pixel-space models (`DDPMPipeline`, `DDIMPipeline`).
 */

import { join } from 'node:path';
import type { LatentScale, UNetModelComponents } from '../../checkpoint/components.js';
import { readSampling, readSchedulerConfig } from '../../checkpoint/config/diffusers/scheduler.js';
import type { SchedulerConfig, UNetConfig } from '../../checkpoint/config/types.js';
import { readConfig, unsupported } from '../../checkpoint/config/validate.js';
import { openAutoencoderFolder, openUNetFolder, readDefaults } from '../../checkpoint/folder.js';
import { pixelSource } from '../../checkpoint/latent-source.js';
import type { ConditionSource, LatentSource, OpenModelOptions } from '../../checkpoint/model-descriptor.js';
import type { ModelFolder } from '../../checkpoint/model-files.js';
import { openBertFolder } from '../../checkpoint/open-bert.js';
import { openVQModelFolder } from '../../checkpoint/open-first-stage.js';
import { defined } from '../../defined.js';
import { defaultsOf } from './latent-diffusion-file.js';

/** True for a folder with the components of such a model: `bert` or `vqvae` next to the U-Net, or only a U-Net. */
export function isLatentDiffusionFolder({ has }: ModelFolder): boolean {
  if (!has('unet')) return false;
  if (has('bert') || has('vqvae')) return true;
  return !['text_encoder', 'text_encoder_2', 'text_encoder_3', 'vae'].some(has);
}

/** Reads the description of a folder. @throws UNSUPPORTED_MODEL, INVALID_FILE, FILE_NOT_FOUND, MISSING_TENSOR */
export async function openLatentDiffusionFolder(
  { path, index, has }: ModelFolder,
  { variant, vae, prediction }: OpenModelOptions,
): Promise<UNetModelComponents> {
  const unet = await openUNetFolder(join(path, 'unet'), variant);
  const superResolution = index._class_name === 'LDMSuperResolutionPipeline';
  const latents = has('vqvae')
    ? await openFirstStageFolder(join(path, 'vqvae'), variant, superResolution)
    : pixelSource(path, unet.config.out_channels);
  const textEncoders = has('bert')
    ? [await openBertFolder(join(path, 'bert'), join(path, 'tokenizer'), variant)]
    : [];
  const condition: ConditionSource =
    textEncoders.length > 0 ? { kind: 'text' } : conditionOf(path, unet.config);
  const scheduler = await readTraining(join(path, 'scheduler', 'scheduler_config.json'));
  return {
    form: 'folder',
    ownSize: true,
    textEncoders,
    condition,
    unet,
    autoencoder: vae === undefined ? latents : null,
    latentScale: scaleOf(latents),
    scheduler: { ...scheduler, ...defined({ prediction }) },
    defaults: { ...defaultsOf(condition), ...(await readDefaults(path)) },
    forceZerosForEmptyPrompt: false,
    predictionUncertain: false,
  };
}

/**
 * @param unscaled true for super-resolution, whose pipeline in diffusers decodes latents without scaling regardless
 *   of the config
 */
async function openFirstStageFolder(
  folder: string,
  variant: string | undefined,
  unscaled: boolean,
): Promise<LatentSource> {
  const path = join(folder, 'config.json');
  const fields = await readConfig(path);
  if (fields._class_name === 'VQModel') {
    const { config, ...source } = await openVQModelFolder(folder, variant, fields);
    return {
      kind: 'vq_model',
      ...source,
      config: unscaled ? { ...config, scaling_factor: 1 } : config,
    };
  }
  if (fields._class_name === 'AutoencoderKL') {
    const { config, weights } = await openAutoencoderFolder(folder, variant);
    return {
      kind: 'autoencoder_kl',
      weights,
      config: unscaled ? { ...config, scaling_factor: 1 } : config,
    };
  }
  throw unsupported(path, '_class_name', fields._class_name ?? null, 'expected VQModel or AutoencoderKL');
}

function conditionOf(path: string, { class_embedding: label }: UNetConfig): ConditionSource {
  if (!label) return { kind: 'none' };
  if (label.type !== 'table')
    throw unsupported(
      join(path, 'unet', 'config.json'),
      'class_embed_type',
      label.type,
      'only class indices (a table of embeddings) are supported',
    );
  return { kind: 'class', classes: label.size, unconditional: null, table: null };
}

/** Reads the noise schedule and the timestep spacing of a folder. */
async function readTraining(path: string): Promise<SchedulerConfig> {
  const fields = await readConfig(path);
  return { ...readSchedulerConfig(fields, path), ...readSampling(fields, path) };
}

function scaleOf(latents: LatentSource): LatentScale {
  if (latents.kind === 'autoencoder_kl') return latents.config;
  return { scaling_factor: latents.kind === 'pixels' ? 1 : latents.config.scaling_factor, shift_factor: 0 };
}
