/** diffusers folders of Stable Diffusion: their components, and the traits by which families are distinguished. */
import { join } from 'node:path';
import type { LatentScale, UNetModelComponents } from '../../checkpoint/components.js';
import { readAutoencoderConfig } from '../../checkpoint/config/diffusers/autoencoder.js';
import { readDefaultSchedule, readSchedulerConfig } from '../../checkpoint/config/diffusers/scheduler.js';
import { readUNetConfig } from '../../checkpoint/config/diffusers/unet.js';
import { readConfig, unsupported } from '../../checkpoint/config/validate.js';
import {
  type EncoderRole,
  openAutoencoderFolder,
  openTextEncoderFolder,
  openUNetFolder,
  readDefaults,
} from '../../checkpoint/folder.js';
import type { OpenModelOptions, TextEncoderSource } from '../../checkpoint/model-descriptor.js';
import { type ModelFolder, requireVariant } from '../../checkpoint/model-files.js';
import { kindOf } from '../../files/read.js';
import type { FolderTraits, StableDiffusionDefinition } from './stable-diffusion-definition.js';

/**
 * Returns the traits of a folder; undefined for a folder without a U-Net.
 * @throws UNSUPPORTED_MODEL for an unsupported or missing component, INVALID_FILE, FILE_NOT_FOUND
 */
export function stableDiffusionFolder(
  folder: ModelFolder,
  options: OpenModelOptions,
): Promise<FolderTraits | undefined> {
  let traits = traitsCache.get(folder);
  if (!traits) {
    traits = readTraits(folder, options);
    traitsCache.set(folder, traits);
  }
  return traits;
}

/** Traits of folders, which are read once although each family requests them during detection. */
const traitsCache = new WeakMap<ModelFolder, Promise<FolderTraits | undefined>>();

async function readTraits(
  folder: ModelFolder,
  { variant, vae }: OpenModelOptions,
): Promise<FolderTraits | undefined> {
  const { path, index, has } = folder;
  if (!has('unet')) return undefined;
  await requireVariant(folder, variant);
  const indexPath = join(path, 'model_index.json');
  if (has('text_encoder_3')) throw unsupported(indexPath, 'text_encoder_3', index.text_encoder_3);
  if (!has('vae') && vae === undefined)
    throw unsupported(indexPath, 'vae', index.vae ?? null, 'pass an autoencoder with the vae option');
  const config = join(path, 'unet', 'config.json');
  const { addition } = readUNetConfig(await readConfig(config), config);
  const first = ['text_encoder', 'text_encoder_2'].find(has);
  const fields = first ? await readConfig(join(path, first, 'config.json')) : {};
  return {
    addition: addition !== null,
    textEncoder: has('text_encoder'),
    openClip: fields.hidden_act === 'gelu',
  };
}

/**
 * Reads the description of a folder.
 * @throws UNSUPPORTED_MODEL, INVALID_FILE, FILE_NOT_FOUND, MISSING_TENSOR, SHAPE_MISMATCH
 */
export async function openStableDiffusionFolder(
  { path, index, has }: ModelFolder,
  options: OpenModelOptions,
  family: StableDiffusionDefinition,
): Promise<UNetModelComponents> {
  const { variant } = options;
  const unet = await openUNetFolder(join(path, 'unet'), variant);
  const second = has('text_encoder_2');
  const roles: [name: string, tokenizer: string, role: EncoderRole][] = [];
  if (has('text_encoder')) roles.push(['text_encoder', 'tokenizer', second ? 'first' : 'only']);
  if (second) roles.push(['text_encoder_2', 'tokenizer_2', 'second']);
  const textEncoders: TextEncoderSource[] = [];
  for (const [name, tokenizer, role] of roles) {
    textEncoders.push(await openTextEncoderFolder(join(path, name), join(path, tokenizer), role, variant));
  }
  const zeros = index.force_zeros_for_empty_prompt;
  const schedulerPath = join(path, 'scheduler', 'scheduler_config.json');
  const scheduler = await readConfig(schedulerPath);
  return {
    form: 'folder',
    ownSize: true,
    textEncoders,
    condition: { kind: 'text' },
    unet,
    autoencoder:
      options.vae === undefined
        ? { kind: 'autoencoder_kl', ...(await openAutoencoderFolder(join(path, 'vae'), variant)) }
        : null,
    latentScale: await readScale(join(path, 'vae', 'config.json'), family.scalingFactor),
    scheduler: readSchedulerConfig(scheduler, schedulerPath),
    defaults: { ...readDefaultSchedule(scheduler), ...(await readDefaults(path)) },
    forceZerosForEmptyPrompt: typeof zeros === 'boolean' ? zeros : family.zeroEmptyNegative,
    predictionUncertain: false,
  };
}

/**
 * Reads the scale of the folder's autoencoder, which also applies to a replacement; the family's scale if the folder
 * has none.
 */
async function readScale(path: string, scalingFactor: number): Promise<LatentScale> {
  if ((await kindOf(path)) !== 'file') return { scaling_factor: scalingFactor, shift_factor: 0 };
  const { scaling_factor, shift_factor } = readAutoencoderConfig(await readConfig(path), path);
  return { scaling_factor, shift_factor };
}
