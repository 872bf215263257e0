/** Properties of a model's latents that samplers need, for every kind of autoencoder. */
import { SafelightError } from '../errors.js';
import { autoencoderDownsampleFactor } from './config/diffusers/autoencoder.js';
import type { LatentSource, ModelSource, PixelSource } from './model-descriptor.js';
import { tinyDownsampleFactor } from './tiny-autoencoder.js';
import { ComponentWeights } from './weights/component.js';

/** Returns the number of channels of a latent. */
export function latentChannels(source: LatentSource): number {
  return source.kind === 'vq_model' ? source.config.vq_embed_dim : source.config.latent_channels;
}

/** Returns the number of image pixels per latent pixel, per side; 1 for models that sample pixels. */
export function latentDownsampleFactor(source: LatentSource): number {
  if (source.kind === 'pixels') return 1;
  if (source.kind === 'tiny_autoencoder') return tinyDownsampleFactor(source.config);
  return autoencoderDownsampleFactor(source.config);
}

/**
 * Returns the latent source of a model without an autoencoder, whose U-Net denoises pixels.
 * @param channels 3 (RGB) or 1 (gray)
 * @throws UNSUPPORTED_MODEL for another number of channels
 */
export function pixelSource(path: string, channels: number): PixelSource {
  if (channels !== 1 && channels !== 3) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${path} has a U-Net of ${channels} output channels but no autoencoder to decode them; use the complete model`,
    );
  }
  const naming = { dialect: 'none', canonical: () => [], source: (name: string) => name };
  const weights = new ComponentWeights('pixels', path, new Map(), naming);
  return { kind: 'pixels', config: { latent_channels: channels }, weights };
}

/**
 * The input channels of a U-Net that follow the noisy latent:
 * - `inpainting`: the mask, then the latent of the image with masked pixels gray (Stable Diffusion)
 * - `masked`: the latent of the image with masked pixels black, then the mask as -1 to 1 (latent diffusion)
 * - `low_resolution`: the image to be upscaled, at the latent's size (latent diffusion)
 * - `edit`: the latent of the image to be edited (InstructPix2Pix)
 */
export type ExtraChannels = 'none' | 'inpainting' | 'masked' | 'low_resolution' | 'edit';

/** @throws UNSUPPORTED_MODEL for a number of input channels that matches none of the layouts */
export function extraChannels(
  { path, condition, unet }: Pick<ModelSource, 'path' | 'condition' | 'unet'>,
  latents: LatentSource,
): ExtraChannels {
  const latent = latentChannels(latents);
  const { in_channels: channels } = unet.config;
  const hasText = condition.kind === 'text';
  if (channels === latent) return 'none';
  if (channels === 2 * latent + 1) return hasText ? 'inpainting' : 'masked';
  if (!hasText && channels === latent + 3) return 'low_resolution';
  if (hasText && channels === 2 * latent) return 'edit';
  throw new SafelightError(
    'UNSUPPORTED_MODEL',
    `${path} has a U-Net with ${channels} input channels (a depth or upscaling model); use a model with ${latent} or ${2 * latent + 1}`,
  );
}
