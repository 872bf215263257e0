import type { NodeInfo } from '../binding/types.js';
import type { PatchDiscriminatorConfig } from '../checkpoint/config/types.js';
import { discriminatorNaming } from '../checkpoint/naming/losses.js';
import { ComponentWeights } from '../checkpoint/weights/component.js';
import type { TensorIndex } from '../checkpoint/weights/tensor-index.js';
import { SafelightError } from '../errors.js';
import { checkTensor } from '../tensor/check-tensor.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkCall, checkSizes, checkSource, type ImageSize } from './check-call.js';
import {
  type CallOptions,
  type CallResult,
  LoadedModule,
  type LoadOptions,
  loadModule,
} from './loaded-module.js';

export interface PatchDiscriminatorSource {
  readonly config: PatchDiscriminatorConfig;
  readonly weights: ComponentWeights;
}

/**
 * The discriminator among a checkpoint's tensors, which tell its config.
 * @param prefix what stands before its names, with its dot
 * @returns null if there is none
 * @throws UNSUPPORTED_MODEL for another form of discriminator, SHAPE_MISMATCH
 */
export function openPatchDiscriminator(
  tensors: TensorIndex,
  prefix: string,
  path: string,
): PatchDiscriminatorSource | null {
  const weights = new ComponentWeights('discriminator', path, tensors, discriminatorNaming(prefix));
  if (weights.parameters.size === 0) return null;
  const [ndf = 0, in_channels = 0] = weights.shape('main.0.weight', 4);
  const filters = [...weights.parameters].filter(
    ([name, { shape }]) => name.endsWith('.weight') && shape.length === 4,
  );
  const use_actnorm = [...weights.parameters.keys()].some((name) => name.endsWith('.loc'));
  // All but the first and the last are layers.
  const n_layers = filters.length - 2;
  if (n_layers < 1 || n_layers > 12) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `The discriminator of ${path} has ${filters.length} convolutions, which is none of pix2pix' form; leave it out`,
    );
  }
  return { config: { in_channels, ndf, n_layers, use_actnorm }, weights };
}

/** pix2pix' discriminator of patches, loaded: what VQGAN was trained to deceive. */
export class PatchDiscriminator extends LoadedModule<PatchDiscriminatorConfig> {
  /**
   * @throws MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL, FILE_NOT_FOUND, OUT_OF_MEMORY, BACKEND_UNAVAILABLE,
   *   BINARY_NOT_FOUND, ABORTED
   */
  static async load(
    source: PatchDiscriminatorSource,
    options: LoadOptions = {},
  ): Promise<PatchDiscriminator> {
    const { config, weights } = checkSource(source);
    return new PatchDiscriminator(
      config,
      await loadModule('patch_discriminator', { ...config }, weights, options),
    );
  }

  /**
   * @param image `[B, C, H, W]` in -1..1
   * @returns logits `[B, 1, h, w]`, a number a patch: the larger, the more real it looks
   * @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async score(image: Tensor, options: CallOptions = {}): Promise<CallResult & { readonly logits: Tensor }> {
    checkCall(options);
    checkTensor('image', image, ['B', this.config.in_channels, 'H', 'W']);
    const { outputs, taps, timings } = await this.call('score', { image }, options);
    return { logits: outputs.logits!, taps, timings };
  }

  /** Everything that can be tapped for a picture of `height` x `width` pixels. */
  nodes(size: ImageSize = {}): NodeInfo[] {
    checkSizes(size, 'batch', 'height', 'width');
    const { batch = 1, height = 256, width = 256 } = size;
    return this.listNodes('score', { image: [batch, this.config.in_channels, height, width] });
  }
}
