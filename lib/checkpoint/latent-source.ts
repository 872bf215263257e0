/** What a sampler must know of a model's latents, whatever makes them. */
import { SafelightError } from '../errors.js';
import { autoencoderDownsampleFactor } from './config/diffusers/autoencoder.js';
import type { LatentSource, ModelSource, PixelSource } from './model-descriptor.js';
import { ComponentWeights } from './weights/component.js';

/** Numbers at each place of a latent. */
export function latentChannels(source: LatentSource): number {
  return source.kind === 'vq_model' ? source.config.vq_embed_dim : source.config.latent_channels;
}

/** Pixels a side that a place of a latent stands for. */
export function latentDownsampleFactor(source: LatentSource): number {
  return source.kind === 'pixels' ? 1 : autoencoderDownsampleFactor(source.config);
}

/** @param channels colours: 3, or 1 for gray. @throws UNSUPPORTED_MODEL for another number */
export function pixelSource(path: string, channels: number): PixelSource {
  if (channels !== 1 && channels !== 3) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${path} has a U-Net that draws ${channels} channels but no autoencoder that makes a picture of them; take the whole model`,
    );
  }
  const naming = { dialect: 'none', canonical: () => [], source: (name: string) => name };
  const weights = new ComponentWeights('pixels', path, new Map(), naming);
  return { kind: 'pixels', config: { latent_channels: channels }, weights };
}

/**
 * What a U-Net is given beside the noisy latent, as further channels:
 * - `inpainting`: where is to be painted, then the latent of the rest, gray where it is hidden (Stable Diffusion)
 * - `masked`: the latent of the rest, black where it is hidden, then where, from -1 to 1 (latent diffusion)
 * - `low_resolution`: the picture that is to be enlarged, at the latent's size (latent diffusion)
 * - `picture`: the latent of the picture that is to be changed (instruct-pix2pix)
 */
export type ExtraChannels = 'none' | 'inpainting' | 'masked' | 'low_resolution' | 'picture';

/** @throws UNSUPPORTED_MODEL for channels of another meaning */
export function extraChannels(
  { path, condition, unet }: Pick<ModelSource, 'path' | 'condition' | 'unet'>,
  latents: LatentSource,
): ExtraChannels {
  const latent = latentChannels(latents);
  const { in_channels: given } = unet.config;
  const reads = condition.kind === 'text';
  if (given === latent) return 'none';
  if (given === 2 * latent + 1) return reads ? 'inpainting' : 'masked';
  if (!reads && given === latent + 3) return 'low_resolution';
  if (reads && given === 2 * latent) return 'picture';
  throw new SafelightError(
    'UNSUPPORTED_MODEL',
    `${path} has a U-Net with ${given} input channels (a depth or upscaling model); take one with ${latent} or ${2 * latent + 1}`,
  );
}
