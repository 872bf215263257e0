import type { NodeInfo } from '../native/types.js';
import type { Tensor } from '../tensor/tensor.js';
import type { UNetConfig } from './config.js';
import {
  type CallOptions,
  type CallResult,
  LoadedModule,
  type LoadOptions,
  loadModule,
} from './loaded-module.js';
import type { UNetSource } from './source.js';

export interface UNetInputs {
  /** `[B, Cin, H, W]` */
  readonly sample: Tensor;
  /** `[B]`, may be between two training steps. */
  readonly timestep: Tensor;
  /** `[B, T, D]` states of the text. */
  readonly context: Tensor;
  /** `[B, P]` pooled text, for SDXL. */
  readonly textEmbeds?: Tensor | undefined;
  /** `[B, 6]` (the refiner 5), for SDXL: original size, crop, target size, each height before width. */
  readonly timeIds?: Tensor | undefined;
}

export interface UNetOutput extends CallResult {
  /** `[B, Cout, H, W]`: what the model predicts (noise, v or x0). */
  readonly sample: Tensor;
}

/** A conditional U-Net, loaded. */
export class UNet extends LoadedModule<UNetConfig> {
  /**
   * @throws MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL, FILE_NOT_FOUND, OUT_OF_MEMORY, BACKEND_UNAVAILABLE,
   *   BINARY_NOT_FOUND, ABORTED
   */
  static async load({ config, weights }: UNetSource, options: LoadOptions = {}): Promise<UNet> {
    return new UNet(config, await loadModule('unet', { ...config }, weights, options));
  }

  /** @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED */
  async forward(inputs: UNetInputs, options: CallOptions = {}): Promise<UNetOutput> {
    const { sample, timestep, context, textEmbeds, timeIds } = inputs;
    const { outputs, taps, timings } = await this.call(
      'forward',
      {
        sample,
        timestep,
        context,
        ...(textEmbeds ? { text_embeds: textEmbeds } : {}),
        ...(timeIds ? { time_ids: timeIds } : {}),
      },
      options,
    );
    return { sample: outputs.sample!, taps, timings };
  }

  /**
   * Everything that can be tapped for latents of `height` x `width` and a text of `length` tokens.
   * @param size `timeIds` is how many numbers an SDXL U-Net is told of the picture
   */
  nodes({
    batch = 1,
    height = this.config.sample_size,
    width = this.config.sample_size,
    length = 77,
    timeIds = 6,
  } = {}): NodeInfo[] {
    const { in_channels, cross_attention_dim, addition } = this.config;
    return this.listNodes('forward', {
      sample: [batch, in_channels, height, width],
      timestep: [batch],
      context: [batch, length, cross_attention_dim],
      ...(addition && {
        text_embeds: [batch, addition.input_dim - timeIds * addition.time_embed_dim],
        time_ids: [batch, timeIds],
      }),
    });
  }
}
