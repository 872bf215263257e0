/** What a file lacks to be a whole model, in a sentence: which components, and which of today's options or folders give them. */
import { SafelightError } from '../errors.js';
import { findUNet, type UNetPlace } from './naming/unet-place.js';
import { hasFirstStage } from './open-first-stage.js';
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

/** In whole checkpoints. */
const TEXT = ['cond_stage_model.', 'conditioner.'];
/** In files of their own. */
const LONE_TEXT = [
  'text_model.',
  'embeddings.token_embedding.',
  'transformer.resblocks.',
  'encoder.layers.0.self_attn.',
];

/**
 * The error of a file that holds one or some of a model's components.
 * @param vae whether the vae option names an autoencoder
 */
export function incomplete(tensors: TensorIndex, path: string, vae: boolean): SafelightError {
  const unet = findUNet(tensors.keys());
  return unet ? withoutText(tensors, path, unet, vae) : withoutUNet(tensors, path);
}

function withoutText(tensors: TensorIndex, path: string, unet: UNetPlace, vae: boolean): SafelightError {
  const kind = kindOf(tensors, unet);
  const whole = unet.prefix === 'model.diffusion_model.';
  const hasVae = hasFirstStage(tensors, 'first_stage_model.');
  const context = contextOf(tensors, unet.prefix);
  const encoders = kind?.encoders ?? [context === undefined ? 'if it reads text' : `${context} wide`];
  const missing = encoders.map((encoder, i) => `text encoder${i > 0 ? ` ${i + 1}` : ''} (${encoder})`);
  missing.push(encoders.length > 1 ? 'their tokenizers' : 'its tokenizer');
  if (!hasVae && !vae) missing.push('autoencoder (VAE)');
  const places = whole ? ' (cond_stage_model.* or conditioner.*)' : '';
  const holds = `${path} holds a U-Net${kind ? ` of ${kind.name}` : ''}${hasVae ? ' and an autoencoder' : ''} but no text encoder${places}`;
  const gives =
    hasVae || vae
      ? 'no option gives a text encoder'
      : 'the vae option (--vae) gives the autoencoder, no option gives a text encoder';
  const ending = /\.gguf$/i.test(path) ? 'gguf' : 'safetensors';
  return new SafelightError(
    whole ? 'MISSING_TENSOR' : 'UNSUPPORTED_MODEL',
    `${holds}. Missing: ${missing.join(', ')}; ${gives}. Take a whole checkpoint, or a diffusers folder${kind ? ` of ${kind.name}` : ''}, which has ` +
      `all of them, and put this file in the place of its U-Net's weights (FOLDER/unet/diffusion_pytorch_model.${ending})`,
  );
}

function withoutUNet(tensors: TensorIndex, path: string): SafelightError {
  const names = [...tensors.keys()];
  const has = (prefixes: readonly string[]): boolean =>
    names.some((name) => prefixes.some((prefix) => name.startsWith(prefix)));
  const text = has([...TEXT, ...LONE_TEXT]);
  const autoencoder = hasFirstStage(tensors, 'first_stage_model.') || (!text && hasFirstStage(tensors, ''));
  const none = `${path} holds no U-Net (model.diffusion_model.*), so it is no whole checkpoint`;
  const found = [...(text ? ['text encoder'] : []), ...(autoencoder ? ['autoencoder (VAE)'] : [])];
  const missing = [
    'U-Net',
    ...(text ? [] : ['text encoder', 'tokenizer']),
    ...(autoencoder ? [] : ['autoencoder (VAE)']),
  ];
  const advice = autoencoder
    ? 'Name it by the vae option (--vae) beside a whole model'
    : text
      ? 'Put it in the place of the text encoder of a diffusers folder (FOLDER/text_encoder/model.safetensors)'
      : 'Name a diffusers folder or a single-file checkpoint ("safelight inspect" tells what this is)';
  return new SafelightError(
    'UNSUPPORTED_MODEL',
    found.length === 0
      ? `${none}; ${advice[0]!.toLowerCase()}${advice.slice(1)}`
      : `${none} but of ${found.join(' and ')} alone. Missing: ${missing.join(', ')}. ${advice}`,
  );
}

/** The family by the width of the text's states and whether it takes pooled text; null for a U-Net of none. */
function kindOf(tensors: TensorIndex, { prefix }: UNetPlace): Kind | null {
  const context = contextOf(tensors, prefix);
  const pooled = [`${prefix}label_emb.0.0.weight`, `${prefix}add_embedding.linear_1.weight`].some((name) =>
    tensors.has(name),
  );
  if (pooled) return context === 1280 ? REFINER : SDXL;
  return context === 768 ? SD1 : context === 1024 ? SD2 : null;
}

/** Numbers of a token that a U-Net's attention takes; undefined if it attends to no text. */
export function contextOf(tensors: TensorIndex, prefix: string): number | undefined {
  for (const [name, { shape }] of tensors)
    if (name.startsWith(prefix) && name.endsWith('.attn2.to_k.weight')) return shape[1];
  return undefined;
}
