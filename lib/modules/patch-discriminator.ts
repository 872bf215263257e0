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
 * Opens the discriminator of a checkpoint; its config is derived from the tensor shapes.
 * @param prefix of its tensor names, with the trailing dot
 * @returns null if the checkpoint has no discriminator
 * @throws UNSUPPORTED_MODEL for another architecture, SHAPE_MISMATCH
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
  // The first and the last convolution are not counted as layers (pix2pix' n_layers).
  const n_layers = filters.length - 2;
  if (n_layers < 1 || n_layers > 12) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `The discriminator of ${path} has ${filters.length} convolutions, which no PatchGAN discriminator of pix2pix has; load the model without it`,
    );
  }
  return { config: { in_channels, ndf, n_layers, use_actnorm }, weights };
}

/** A loaded PatchGAN discriminator (pix2pix: Isola et al. 2017), the adversary in VQGAN training. */
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
   * Scores each patch of an image.
   * @param image `[B, C, H, W]` in -1..1
   * @returns logits `[B, 1, h, w]`, one per patch; larger means more real
   * @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async score(image: Tensor, options: CallOptions = {}): Promise<CallResult & { readonly logits: Tensor }> {
    checkCall(options);
    checkTensor('image', image, ['B', this.config.in_channels, 'H', 'W']);
    const { outputs, taps, timings } = await this.call('score', { image }, options);
    return { logits: outputs.logits!, taps, timings };
  }

  /** Lists the nodes that can be tapped for images of `height` x `width` pixels, 256 by default. */
  nodes(size: ImageSize = {}): NodeInfo[] {
    checkSizes(size, 'batch', 'height', 'width');
    const { batch = 1, height = 256, width = 256 } = size;
    return this.listNodes('score', { image: [batch, this.config.in_channels, height, width] });
  }
}
