/** What the ways of making a picture share of a loaded model. */

import type { MemoryInfo } from '../../binding/types.js';
import type { GenerationDefaults, ModelFamily, UNetConfig } from '../../checkpoint/config/types.js';
import type { ExtraChannels } from '../../checkpoint/latent-source.js';
import type { ConditionSource } from '../../checkpoint/model-descriptor.js';
import type { Conditioner } from '../../conditioning/prompt-encoder.js';
import type { LatentCodec } from '../../families/shared/latent-codec.js';
import type { DenoiseModel } from '../diffusion/denoise-loop.js';
import type { LatentPreview } from '../diffusion/preview.js';

export interface ModelFacts {
  /** File or folder name without its extension. */
  readonly name: string;
  readonly family: ModelFamily;
  readonly unet: UNetConfig;
  /** Numbers at each place of a latent. */
  readonly latentChannels: number;
  readonly condition: ConditionSource;
  /** What the U-Net sees beside it. */
  readonly extra: ExtraChannels;
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
  available(where: Pick<MemoryInfo, 'backend' | 'device'>): number | undefined;
  conditioner(signal?: AbortSignal): Promise<Conditioner>;
  denoiser(signal?: AbortSignal): Promise<DenoiseModel>;
  codec(signal?: AbortSignal): Promise<LatentCodec>;
}
