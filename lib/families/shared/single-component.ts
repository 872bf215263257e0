/**
 * Opens a single U-Net, autoencoder (KL, VQ or tiny) or text encoder: a component's folder, or a file that is not a
 * complete checkpoint.
 */
import { join } from 'node:path';
import type { ModuleKind } from '../../binding/types.js';
import { detectTextEncoderConfig } from '../../checkpoint/config/detect/text-encoder.js';
import { detectUNetConfig } from '../../checkpoint/config/detect/unet.js';
import { readTextEncoderConfig } from '../../checkpoint/config/diffusers/text-encoder.js';
import { readUNetConfig } from '../../checkpoint/config/diffusers/unet.js';
import { readEmbeddedConfig } from '../../checkpoint/config/embedded-config.js';
import { readLdmUNetFacts } from '../../checkpoint/config/omegaconf/ldm-unet-facts.js';
import { readModelConfig } from '../../checkpoint/config/omegaconf/read-model-config.js';
import type { ModuleConfig } from '../../checkpoint/config/types.js';
import { type ConfigFields, readConfig, readConfigBeside } from '../../checkpoint/config/validate.js';
import { embeddedAutoencoder, embeddedUNet } from '../../checkpoint/embedded-model.js';
import { openAutoencoderFolder, openTextEncoderFolder, openUNetFolder } from '../../checkpoint/folder.js';
import type { GgufMetadata } from '../../checkpoint/formats/gguf-metadata.js';
import { openWeights } from '../../checkpoint/formats/open-weights.js';
import { contextOf } from '../../checkpoint/missing-components.js';
import { clipNaming } from '../../checkpoint/naming/clip.js';
import { findUNet, type UNetLocation, unetNaming } from '../../checkpoint/naming/find-unet.js';
import { openClipNaming } from '../../checkpoint/naming/openclip.js';
import { openAutoencoder } from '../../checkpoint/open-autoencoder.js';
import { openVQModelFolder } from '../../checkpoint/open-first-stage.js';
import {
  isTinyAutoencoder,
  isTinyConfig,
  openTinyAutoencoder,
  openTinyAutoencoderFolder,
} from '../../checkpoint/tiny-autoencoder.js';
import { ComponentWeights } from '../../checkpoint/weights/component.js';
import type { TensorIndex } from '../../checkpoint/weights/tensor-index.js';
import { openVqganModel } from './vqgan/open-vqgan.js';

export interface SingleComponent {
  readonly kind: ModuleKind;
  readonly config: ModuleConfig;
  readonly weights: ComponentWeights;
}

/** Scale of Stable Diffusion's latents, which files of single components do not contain. */
const SCALE = { scaling_factor: 0.18215, shift_factor: 0 };

/** Opens a component's folder. @returns null if its config is not of a supported component */
export async function openComponentFolder(folder: string, variant?: string): Promise<SingleComponent | null> {
  const fields = await readConfig(join(folder, 'config.json'));
  if (fields._class_name === 'UNet2DConditionModel')
    return { kind: 'unet', ...(await openUNetFolder(folder, variant)) };
  if (fields._class_name === 'AutoencoderKL') {
    return { kind: 'autoencoder_kl', ...(await openAutoencoderFolder(folder, variant)) };
  }
  if (isTinyConfig(fields))
    return { kind: 'tiny_autoencoder', ...(await openTinyAutoencoderFolder(folder, fields, variant)) };
  if (fields._class_name === 'VQModel')
    return { kind: 'vq_model', ...(await openVQModelFolder(folder, variant, fields)) };
  if (!isTextEncoder(fields)) return null;
  const role = String(fields.architectures).includes('WithProjection') ? 'second' : 'only';
  const { config, weights } = await openTextEncoderFolder(folder, join(folder, 'tokenizer'), role, variant);
  return { kind: 'text_encoder', config, weights };
}

/** Opens a component's file. @returns null if its tensor names are not of a supported component */
export async function openComponentFile(path: string, ema = false): Promise<SingleComponent | null> {
  const { tensors, metadata } = await openWeights(path, { ema });
  const embedded = metadata && openEmbeddedComponent(tensors, metadata, path);
  if (embedded) return embedded;
  if (isTinyAutoencoder(tensors))
    return { kind: 'tiny_autoencoder', ...(await openTinyAutoencoder(path, tensors)) };
  const has = (...prefixes: string[]): boolean =>
    [...tensors.keys()].some((name) => prefixes.some((p) => name.startsWith(p)));
  const place = findUNet(tensors.keys());
  if (place?.names === 'ldm') {
    const facts = readLdmUNetFacts(await readModelConfig(path));
    const naming = unetNaming(place, tensors.keys(), path, facts?.attention);
    const weights = new ComponentWeights('U-Net', path, tensors, naming);
    const hints = {
      addition: guessAddition(weights),
      sampleSize: facts?.sampleSize ?? 64,
      heads: facts?.attention.heads,
      // Writers of GGUF may drop the trailing dimensions of 1x1 convolutions.
      convolutions: metadata !== undefined && contextOf(tensors, place.prefix) === 768,
    };
    return { kind: 'unet', config: detectUNetConfig(weights, hints), weights };
  }
  if (has('first_stage_model.quantize.', 'quantize.')) {
    const { autoencoder } = await openVqganModel(path, { ema });
    return autoencoder;
  }
  if (has('first_stage_model.', 'encoder.down', 'decoder.up')) {
    return openAutoencoder(path, undefined, SCALE, ema);
  }
  if (place) return diffusersUNet(path, tensors, place);
  if (has('text_model.embeddings.', 'embeddings.token_embedding.')) return clip(path, tensors);
  if (has('transformer.resblocks.')) return openClip(path, tensors);
  return null;
}

/** Opens a converted component by its embedded config; null if it has none. */
function openEmbeddedComponent(
  tensors: TensorIndex,
  metadata: GgufMetadata,
  path: string,
): SingleComponent | null {
  const config = readEmbeddedConfig(metadata, path);
  if (config === null || config.family !== null) return null;
  const { unet, autoencoder, text_encoders: encoders } = config;
  if (unet) return { kind: 'unet', ...embeddedUNet(unet, tensors, path) };
  if (autoencoder) return { kind: 'autoencoder_kl', ...embeddedAutoencoder(autoencoder, tensors, path) };
  const [encoder] = encoders;
  if (encoder === undefined) return null;
  const naming = clipNaming(tensors.keys(), '', encoder.pooled);
  return {
    kind: 'text_encoder',
    config: encoder.config,
    weights: new ComponentWeights('text encoder', path, tensors, naming),
  };
}

async function diffusersUNet(
  path: string,
  tensors: TensorIndex,
  place: UNetLocation,
): Promise<SingleComponent> {
  const weights = new ComponentWeights('U-Net', path, tensors, unetNaming(place, tensors.keys(), path));
  const beside = await readConfigBeside(path, (fields) =>
    ['UNet2DConditionModel', 'UNet2DModel'].includes(String(fields._class_name)),
  );
  const config = beside
    ? readUNetConfig(beside.fields, beside.path)
    : detectUNetConfig(weights, { addition: guessAddition(weights), sampleSize: 64 });
  return { kind: 'unet', config, weights };
}

async function clip(path: string, tensors: TensorIndex): Promise<SingleComponent> {
  const projected = tensors.has('text_projection.weight');
  const weights = new ComponentWeights(
    'text encoder',
    path,
    tensors,
    clipNaming(tensors.keys(), '', projected),
  );
  const beside = await readConfigBeside(path, isTextEncoder);
  // Without a config, the width distinguishes OpenAI's text encoders (at most 768) from OpenCLIP's (1024 and 1280).
  const side = weights.shape('text_model.embeddings.token_embedding.weight', 2)[1] ?? 0;
  const config = beside
    ? readTextEncoderConfig(beside.fields, beside.path, projected)
    : detectTextEncoderConfig(weights, side > 768 ? 'openclip' : 'clip', projected);
  return { kind: 'text_encoder', config, weights };
}

/** Opens a file with OpenCLIP's text tower. */
function openClip(path: string, tensors: TensorIndex): SingleComponent {
  const projected = tensors.has('text_projection');
  const weights = new ComponentWeights('text encoder', path, tensors, openClipNaming('', projected));
  return { kind: 'text_encoder', config: detectTextEncoderConfig(weights, 'openclip', projected), weights };
}

/**
 * Derives the additional inputs of SDXL U-Nets: 1280 values of the pooled text of OpenCLIP bigG; the rest are time
 * ids of 256 values each.
 */
function guessAddition(weights: ComponentWeights): { pooled: number; ids: number } | null {
  const input = weights.parameters.get('add_embedding.linear_1.weight')?.shape[1];
  return input === undefined ? null : { pooled: 1280, ids: Math.max(1, Math.round((input - 1280) / 256)) };
}

function isTextEncoder({ model_type, architectures }: ConfigFields): boolean {
  return model_type === 'clip_text_model' || String(architectures).startsWith('CLIPText');
}
