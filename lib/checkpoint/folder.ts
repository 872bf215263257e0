/** A diffusers folder: `model_index.json` and one folder a component, each with its config and weights. */
import { join } from 'node:path';
import { z } from 'zod';
import { SafelightError } from '../errors.js';
import { kindOf } from '../files/read.js';
import { readTokenizerFiles, type TokenizerSource } from '../tokenizers/reading/tokenizer-files.js';
import { readAutoencoderConfig } from './config/diffusers/autoencoder.js';
import { readSchedulerConfig } from './config/diffusers/scheduler.js';
import { readTextEncoderConfig } from './config/diffusers/text-encoder.js';
import { readUNetConfig } from './config/diffusers/unet.js';
import type { GenerationDefaults } from './config/types.js';
import { type ConfigFields, checkConfig, readConfig, unsupported } from './config/validate.js';
import { defaultsSchema } from './defaults.js';
import { isLdmFolder, openLdmFolder } from './folder-ldm.js';
import { openWeights } from './formats/open-weights.js';
import type {
  AutoencoderSource,
  OpenModelOptions,
  TextEncoderSource,
  UNetSource,
} from './model-descriptor.js';
import { clipNaming } from './naming/clip.js';
import { diffusersAutoencoderNaming } from './naming/diffusers.js';
import { ldmAutoencoderNaming } from './naming/ldm-autoencoder.js';
import type { Naming } from './naming/naming.js';
import { openClipNaming } from './naming/openclip.js';
import { findUNet, unetNaming } from './naming/unet-place.js';
import { type LatentScale, type ModelParts, standardPadId } from './parts.js';
import { ComponentWeights } from './weights/component.js';
import { checkVariant, findWeights, hasVariant } from './weights/find-weights.js';
import type { TensorIndex } from './weights/tensor-index.js';

/** Roles of the text encoders in a pipeline. */
type EncoderRole = 'only' | 'first' | 'second';

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

/** A U-Net's folder. */
export async function openUNetFolder(folder: string, variant?: string): Promise<UNetSource> {
  const path = join(folder, 'config.json');
  const config = readUNetConfig(await readConfig(path), path);
  const { tensors } = await openWeights(await findWeights(folder, variant));
  return {
    config,
    weights: new ComponentWeights('U-Net', folder, tensors, unetNamingOf(tensors, folder)),
  };
}

/** diffusers' names, or those of a U-Net out of a checkpoint that was put in their place. */
function unetNamingOf(tensors: TensorIndex, folder: string): Naming {
  const place = findUNet(tensors.keys()) ?? { prefix: '', names: 'diffusers' };
  return unetNaming(place, tensors.keys(), folder);
}

/** An autoencoder's folder. */
export async function openAutoencoderFolder(folder: string, variant?: string): Promise<AutoencoderSource> {
  const path = join(folder, 'config.json');
  const config = readAutoencoderConfig(await readConfig(path), path);
  const { tensors } = await openWeights(await findWeights(folder, variant));
  return {
    config,
    weights: new ComponentWeights('autoencoder', folder, tensors, autoencoderNaming(tensors.keys())),
  };
}

/** diffusers' names, or CompVis' of an autoencoder that was put in their place. */
function autoencoderNaming(tensors: Iterable<string>): Naming {
  const names = [...tensors];
  const prefix = names.some((name) => name.startsWith('first_stage_model.')) ? 'first_stage_model.' : '';
  const ldm = names.some((name) => /^(?:encoder\.down|decoder\.up)\.\d/.test(name.slice(prefix.length)));
  return ldm ? ldmAutoencoderNaming(names, prefix) : diffusersAutoencoderNaming(names);
}

/** A text encoder's folder; `tokenizer` is that of its vocabulary, which may be missing. */
export async function openTextEncoderFolder(
  folder: string,
  tokenizer: string,
  role: EncoderRole,
  variant?: string,
): Promise<TextEncoderSource> {
  const path = join(folder, 'config.json');
  const { tensors } = await openWeights(await findWeights(folder, variant));
  const pooled = role === 'second';
  const fields = await readConfig(path);
  const projected =
    pooled &&
    (tensors.has('text_projection.weight') ||
      tensors.has('text_projection') ||
      classOf(fields).includes('WithProjection'));
  const config = readTextEncoderConfig(fields, path, projected);
  const kind = config.hidden_act === 'gelu' ? 'openclip' : 'clip';
  const source: TokenizerSource =
    (await kindOf(tokenizer)) === 'folder'
      ? await readTokenizerFiles(tokenizer, config.max_position_embeddings)
      : 'standard';
  return {
    config,
    weights: new ComponentWeights('text encoder', folder, tensors, textNaming(tensors.keys(), projected)),
    tokenizer: source,
    padId: source === 'standard' ? standardPadId(kind) : source.padId,
    kind,
    // SDXL reads both encoders before their last layer. SD2's folders have that layer cut off.
    layer: role === 'only' ? config.num_hidden_layers : config.num_hidden_layers - 1,
    finalNorm: role === 'only',
    pooled,
  };
}

/** transformers' names, or OpenCLIP's of an encoder that was put in their place. */
function textNaming(tensors: Iterable<string>, projected: boolean): Naming {
  const names = [...tensors];
  const openClip = names.some((name) => name.startsWith('transformer.resblocks.'));
  return openClip ? openClipNaming('', projected) : clipNaming(names, '', projected);
}

function classOf(fields: ConfigFields): string {
  return Array.isArray(fields.architectures) ? String(fields.architectures[0] ?? '') : '';
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

/** Safelight's own file: what this model is best sampled with. */
export async function readDefaults(folder: string): Promise<GenerationDefaults> {
  const path = join(folder, 'safelight.json');
  if ((await kindOf(path)) !== 'file') return {};
  return checkConfig(defaultsSchema, await readConfig(path), path);
}
