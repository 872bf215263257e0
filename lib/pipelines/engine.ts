/** What the ways of making a picture share of a loaded model. */
import type { Autoencoder } from '../models/autoencoder.js';
import type { AutoencoderConfig, GenerationDefaults, ModelFamily, UNetConfig } from '../models/config.js';
import type { BackendName } from '../native/types.js';
import type { Conditioner } from './conditioning.js';
import type { DenoiseModel } from './denoise-loop.js';
import type { LatentPreview } from './preview.js';

export interface ModelFacts {
  /** File or folder name without its extension. */
  readonly name: string;
  readonly family: ModelFamily;
  readonly unet: UNetConfig;
  readonly autoencoder: AutoencoderConfig;
  /** Pixels that a latent side stands for. */
  readonly factor: number;
  /** Complete: width and height too. */
  readonly defaults: GenerationDefaults & { readonly width: number; readonly height: number };
}

/** A model whose modules are loaded when they are first asked for. */
export interface Engine {
  readonly facts: ModelFacts;
  readonly preview: LatentPreview;
  /** Whether memory counts more than speed: one condition at a time. */
  readonly lean: boolean;
  /** Bytes that a device can give now; undefined where nobody knows. */
  available(backend: BackendName): number | undefined;
  conditioner(signal?: AbortSignal): Promise<Conditioner>;
  denoiser(signal?: AbortSignal): Promise<DenoiseModel>;
  autoencoder(signal?: AbortSignal): Promise<Autoencoder>;
}

/** A U-Net of nine input channels is told what is masked, and sees the rest of the picture (SD inpainting models). */
export function isInpaintingModel({ unet, autoencoder }: ModelFacts): boolean {
  return unet.in_channels === 2 * autoencoder.latent_channels + 1;
}
