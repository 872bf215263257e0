/** Opens the component folders of a diffusers folder, each with its config and weights. */
import { join } from 'node:path';
import { kindOf } from '../files/read.js';
import { readTokenizerFiles, type TokenizerSource } from '../tokenizers/reading/tokenizer-files.js';
import { standardPadId } from './components.js';
import { readAutoencoderConfig } from './config/diffusers/autoencoder.js';
import { readTextEncoderConfig } from './config/diffusers/text-encoder.js';
import { readUNetConfig } from './config/diffusers/unet.js';
import type { GenerationDefaults } from './config/types.js';
import { type ConfigFields, checkConfig, readConfig } from './config/validate.js';
import { defaultsSchema } from './defaults.js';
import { openWeights } from './formats/open-weights.js';
import type { AutoencoderSource, TextEncoderSource, UNetSource } from './model-descriptor.js';
import { clipNaming } from './naming/clip.js';
import { diffusersAutoencoderNaming } from './naming/diffusers.js';
import { findUNet, unetNaming } from './naming/find-unet.js';
import { ldmAutoencoderNaming } from './naming/ldm-autoencoder.js';
import type { Naming } from './naming/naming.js';
import { openClipNaming } from './naming/openclip.js';
import { ComponentWeights } from './weights/component.js';
import { findWeights } from './weights/find-weights.js';
import type { TensorIndex } from './weights/tensor-index.js';

/** The role of a text encoder in its pipeline. */
export type EncoderRole = 'only' | 'first' | 'second';

/** Opens the folder of a U-Net. */
export async function openUNetFolder(folder: string, variant?: string): Promise<UNetSource> {
  const path = join(folder, 'config.json');
  const config = readUNetConfig(await readConfig(path), path);
  const { tensors } = await openWeights(await findWeights(folder, variant));
  return {
    config,
    weights: new ComponentWeights('U-Net', folder, tensors, unetNamingOf(tensors, folder)),
  };
}

/** Returns diffusers' names, or CompVis names if the folder contains a U-Net extracted from a checkpoint. */
function unetNamingOf(tensors: TensorIndex, folder: string): Naming {
  const location = findUNet(tensors.keys()) ?? { prefix: '', names: 'diffusers' };
  return unetNaming(location, tensors.keys(), folder);
}

/** Opens the folder of an autoencoder. */
export async function openAutoencoderFolder(folder: string, variant?: string): Promise<AutoencoderSource> {
  const path = join(folder, 'config.json');
  const config = readAutoencoderConfig(await readConfig(path), path);
  const { tensors } = await openWeights(await findWeights(folder, variant));
  return {
    config,
    weights: new ComponentWeights('autoencoder', folder, tensors, autoencoderNaming(tensors.keys())),
  };
}

/** Returns diffusers' names, or CompVis names if the folder contains such an autoencoder. */
function autoencoderNaming(tensors: Iterable<string>): Naming {
  const names = [...tensors];
  const prefix = names.some((name) => name.startsWith('first_stage_model.')) ? 'first_stage_model.' : '';
  const ldm = names.some((name) => /^(?:encoder\.down|decoder\.up)\.\d/.test(name.slice(prefix.length)));
  return ldm ? ldmAutoencoderNaming(names, prefix) : diffusersAutoencoderNaming(names);
}

/** Opens the folder of a text encoder; `tokenizer` is the folder of its vocabulary, which may not exist. */
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
    // SDXL uses the penultimate state of both encoders. The last layer of SD2's encoder is not in its folder.
    layer: role === 'only' ? config.num_hidden_layers : config.num_hidden_layers - 1,
    finalNorm: role === 'only',
    pooled,
  };
}

/** Returns transformers' names, or OpenCLIP's if the folder contains such an encoder. */
function textNaming(tensors: Iterable<string>, projected: boolean): Naming {
  const names = [...tensors];
  const openClip = names.some((name) => name.startsWith('transformer.resblocks.'));
  return openClip ? openClipNaming('', projected) : clipNaming(names, '', projected);
}

function classOf(fields: ConfigFields): string {
  return Array.isArray(fields.architectures) ? String(fields.architectures[0] ?? '') : '';
}

/** Reads `safelight.json`, the default generation options of the model; empty if there is no such file. */
export async function readDefaults(folder: string): Promise<GenerationDefaults> {
  const path = join(folder, 'safelight.json');
  if ((await kindOf(path)) !== 'file') return {};
  return checkConfig(defaultsSchema, await readConfig(path), path);
}
