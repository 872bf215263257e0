/**
 * The error of a file that lacks components of a model: lists what is missing, and the options or folders that supply
 * it.
 */
import { SafelightError } from '../errors.js';
import { findUNet, type UNetLocation } from './naming/find-unet.js';
import { hasFirstStage } from './open-first-stage.js';
import { isTinyAutoencoder } from './tiny-autoencoder.js';
import type { TensorIndex } from './weights/tensor-index.js';

interface Kind {
  readonly name: string;
  readonly encoders: readonly string[];
}

const CLIP_L = 'CLIP ViT-L, 768 wide';
const BIG_G = 'OpenCLIP ViT-bigG, 1280 wide';
const SD1: Kind = { name: 'Stable Diffusion 1', encoders: [CLIP_L] };
const SD2: Kind = { name: 'Stable Diffusion 2', encoders: ['OpenCLIP ViT-H, 1024 wide'] };
const SDXL: Kind = { name: 'Stable Diffusion XL', encoders: [CLIP_L, BIG_G] };
const REFINER: Kind = { name: 'the SDXL refiner', encoders: [BIG_G] };

/** Prefixes of text encoders in complete checkpoints. */
const TEXT = ['cond_stage_model.', 'conditioner.'];
/** Prefixes of text encoders in files of their own. */
const SEPARATE_TEXT = [
  'text_model.',
  'embeddings.token_embedding.',
  'transformer.resblocks.',
  'encoder.layers.0.self_attn.',
];

/**
 * Returns the error of a file that contains no or only some components of a model.
 * @param vae true if the `vae` option names an autoencoder
 */
export function incomplete(tensors: TensorIndex, path: string, vae: boolean): SafelightError {
  const unet = findUNet(tensors.keys());
  return unet ? withoutText(tensors, path, unet, vae) : withoutUNet(tensors, path);
}

function withoutText(tensors: TensorIndex, path: string, unet: UNetLocation, vae: boolean): SafelightError {
  const kind = kindOf(tensors, unet);
  const complete = unet.prefix === 'model.diffusion_model.';
  const hasVae = hasFirstStage(tensors, 'first_stage_model.');
  const context = contextOf(tensors, unet.prefix);
  const encoders = kind?.encoders ?? [
    context === undefined ? 'if the model is text-conditional' : `${context} wide`,
  ];
  const missing = encoders.map((encoder, i) => `text encoder${i > 0 ? ` ${i + 1}` : ''} (${encoder})`);
  missing.push(encoders.length > 1 ? 'their tokenizers' : 'its tokenizer');
  if (!hasVae && !vae) missing.push('autoencoder (VAE)');
  const places = complete ? ' (cond_stage_model.* or conditioner.*)' : '';
  const summary = `${path} contains a U-Net${kind ? ` of ${kind.name}` : ''}${hasVae ? ' and an autoencoder' : ''} but no text encoder${places}`;
  const supplied =
    hasVae || vae
      ? 'no option supplies a text encoder'
      : 'the vae option (--vae) supplies an autoencoder, no option supplies a text encoder';
  const ending = /\.gguf$/i.test(path) ? 'gguf' : 'safetensors';
  return new SafelightError(
    complete ? 'MISSING_TENSOR' : 'UNSUPPORTED_MODEL',
    `${summary}. Missing: ${missing.join(', ')}; ${supplied}. Use a complete checkpoint, or a diffusers folder${kind ? ` of ${kind.name}` : ''}, which has ` +
      `all of them, and replace its U-Net's weights with this file (FOLDER/unet/diffusion_pytorch_model.${ending})`,
  );
}

function withoutUNet(tensors: TensorIndex, path: string): SafelightError {
  const names = [...tensors.keys()];
  const has = (prefixes: readonly string[]): boolean =>
    names.some((name) => prefixes.some((prefix) => name.startsWith(prefix)));
  const text = has([...TEXT, ...SEPARATE_TEXT]);
  const autoencoder =
    hasFirstStage(tensors, 'first_stage_model.') ||
    (!text && (hasFirstStage(tensors, '') || isTinyAutoencoder(tensors)));
  const none = `${path} contains no U-Net (model.diffusion_model.*)`;
  const present = [...(text ? ['text encoder'] : []), ...(autoencoder ? ['autoencoder (VAE)'] : [])];
  const missing = [
    'U-Net',
    ...(text ? [] : ['text encoder', 'tokenizer']),
    ...(autoencoder ? [] : ['autoencoder (VAE)']),
  ];
  const advice = autoencoder
    ? 'Pass it as the vae option (--vae) together with a complete model'
    : text
      ? 'Use it to replace the text encoder of a diffusers folder (FOLDER/text_encoder/model.safetensors)'
      : 'Name a diffusers folder or a single-file checkpoint ("safelight inspect" shows what this file is)';
  return new SafelightError(
    'UNSUPPORTED_MODEL',
    present.length === 0
      ? `${none}; ${advice[0]!.toLowerCase()}${advice.slice(1)}`
      : `${none}, only the weights of ${present.join(' and ')}. Missing: ${missing.join(', ')}. ${advice}`,
  );
}

/**
 * Returns the family, by the width of the text states and the presence of pooled text; null for an unknown combination.
 */
function kindOf(tensors: TensorIndex, { prefix }: UNetLocation): Kind | null {
  const context = contextOf(tensors, prefix);
  const pooled = [`${prefix}label_emb.0.0.weight`, `${prefix}add_embedding.linear_1.weight`].some((name) =>
    tensors.has(name),
  );
  if (pooled) return context === 1280 ? REFINER : SDXL;
  return context === 768 ? SD1 : context === 1024 ? SD2 : null;
}

/** Returns the width of the text states that the U-Net's cross-attention accepts; undefined if it has none. */
export function contextOf(tensors: TensorIndex, prefix: string): number | undefined {
  for (const [name, { shape }] of tensors)
    if (name.startsWith(prefix) && name.endsWith('.attn2.to_k.weight')) return shape[1];
  return undefined;
}
