/** A diffusers folder: `model_index.json` and one folder a component, each with its config and weights. */
import { join } from 'node:path';
import { z } from 'zod';
import { SafelightError } from '../errors.js';
import { kindOf } from '../files/read.js';
import { readAutoencoderConfig } from './config/diffusers/autoencoder.js';
import { readSchedulerConfig } from './config/diffusers/scheduler.js';
import { type ConfigFields, checkConfig, readConfig, unsupported } from './config/validate.js';
import {
  type EncoderRole,
  openAutoencoderFolder,
  openTextEncoderFolder,
  openUNetFolder,
  readDefaults,
} from './folder-components.js';
import { isLdmFolder, openLdmFolder } from './folder-ldm.js';
import type { OpenModelOptions, TextEncoderSource } from './model-descriptor.js';
import type { LatentScale, ModelParts } from './parts.js';
import { checkVariant, hasVariant } from './weights/find-weights.js';

/** @param path absolute path of the folder */
export async function openFolder(path: string, options: OpenModelOptions): Promise<ModelParts> {
  const { variant } = options;
  if (options.ema) {
    throw new SafelightError(
      'INVALID_OPTION',
      `${path} is a folder, which holds weights or their moving average but not both; leave the ema option out`,
    );
  }
  if (options.config !== undefined) {
    throw new SafelightError(
      'INVALID_OPTION',
      `${path} is a folder, whose parts have configs of their own; leave the config option out`,
    );
  }
  if ((await kindOf(join(path, 'model_index.json'))) !== 'file') {
    throw new SafelightError(
      'FILE_NOT_FOUND',
      `${path} has no model_index.json, so it is no diffusers model; name a folder that has one, or a .safetensors checkpoint itself`,
    );
  }
  const index = await readConfig(join(path, 'model_index.json'));
  const has = (component: string): boolean => isListed(index, component, path);
  if (!has('unet'))
    throw unsupported(join(path, 'model_index.json'), '_class_name', index._class_name, 'it has no U-Net');
  if (variant !== undefined) await requireVariant(path, variant, has);
  if (isLdmFolder(has)) return openLdmFolder(path, index, has, options);
  if (has('text_encoder_3'))
    throw unsupported(join(path, 'model_index.json'), 'text_encoder_3', index.text_encoder_3);
  if (!has('vae') && options.vae === undefined) {
    throw unsupported(
      join(path, 'model_index.json'),
      'vae',
      index.vae ?? null,
      'name an autoencoder by the vae option',
    );
  }

  const unet = await openUNetFolder(join(path, 'unet'), variant);
  const second = has('text_encoder_2');
  const roles: [name: string, tokenizer: string, role: EncoderRole][] = [];
  if (has('text_encoder')) roles.push(['text_encoder', 'tokenizer', second ? 'first' : 'only']);
  if (second) roles.push(['text_encoder_2', 'tokenizer_2', 'second']);
  const textEncoders: TextEncoderSource[] = [];
  for (const [name, tokenizer, role] of roles) {
    textEncoders.push(await openTextEncoderFolder(join(path, name), join(path, tokenizer), role, variant));
  }
  const xl = unet.config.addition !== null;
  const zeros = index.force_zeros_for_empty_prompt;
  return {
    form: 'folder',
    ownSize: true,
    family: xl
      ? has('text_encoder')
        ? 'sdxl'
        : 'sdxl_refiner'
      : textEncoders[0]?.kind === 'openclip'
        ? 'sd2'
        : 'sd1',
    textEncoders,
    condition: { kind: 'text' },
    unet,
    autoencoder:
      options.vae === undefined
        ? { kind: 'autoencoder_kl', ...(await openAutoencoderFolder(join(path, 'vae'), variant)) }
        : null,
    latentScale: await readScale(join(path, 'vae', 'config.json'), xl),
    scheduler: readSchedulerConfig(
      await readConfig(join(path, 'scheduler', 'scheduler_config.json')),
      join(path, 'scheduler', 'scheduler_config.json'),
    ),
    defaults: await readDefaults(path),
    forceZerosForEmptyPrompt: typeof zeros === 'boolean' ? zeros : xl,
    predictionUncertain: false,
  };
}

/** How the folder's own autoencoder is scaled, should another take its place; the family's scale if it has none. */
async function readScale(path: string, xl: boolean): Promise<LatentScale> {
  if ((await kindOf(path)) !== 'file') return { scaling_factor: xl ? 0.13025 : 0.18215, shift_factor: 0 };
  const { scaling_factor, shift_factor } = readAutoencoderConfig(await readConfig(path), path);
  return { scaling_factor, shift_factor };
}

/** `["diffusers", "UNet2DConditionModel"]`, or `[null, null]` for a component that is left out. */
function isListed(index: ConfigFields, component: string, path: string): boolean {
  const entry = checkConfig(
    z.tuple([z.string().nullable(), z.string().nullable()]).nullish(),
    Object.hasOwn(index, component) ? index[component] : undefined,
    `${join(path, 'model_index.json')}: ${component}`,
  );
  return (entry?.[1] ?? null) !== null;
}

async function requireVariant(
  path: string,
  variant: string,
  has: (component: string) => boolean,
): Promise<void> {
  checkVariant(variant);
  for (const component of ['unet', 'text_encoder', 'text_encoder_2', 'vae', 'vqvae', 'bert']) {
    if (has(component) && (await hasVariant(join(path, component), variant))) return;
  }
  throw new SafelightError(
    'FILE_NOT_FOUND',
    `No component of ${path} has weights of the variant "${variant}"; leave the variant out or download it`,
  );
}
