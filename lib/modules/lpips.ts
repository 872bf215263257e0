import type { LpipsConfig } from '../checkpoint/config/types.js';
import { lpipsNaming } from '../checkpoint/naming/losses.js';
import { ComponentWeights } from '../checkpoint/weights/component.js';
import type { TensorIndex } from '../checkpoint/weights/tensor-index.js';
import { checkTensor } from '../tensor/check-tensor.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkCall, checkSource } from './check-call.js';
import { type CallOptions, LoadedModule, type LoadOptions, loadModule } from './loaded-module.js';

export interface LpipsSource {
  readonly config: LpipsConfig;
  readonly weights: ComponentWeights;
}

/**
 * Opens the perceptual loss (LPIPS) of a checkpoint.
 * @param prefix of its tensor names, with the trailing dot
 * @returns null if the checkpoint has none
 * @throws MISSING_TENSOR, SHAPE_MISMATCH
 */
export function openLpips(tensors: TensorIndex, prefix: string, path: string): LpipsSource | null {
  const weights = new ComponentWeights('perceptual loss', path, tensors, lpipsNaming(prefix));
  if (weights.parameters.size === 0) return null;
  // The first convolution of each slice of VGG16.
  const convolutions = ['net.slice1.0', 'net.slice2.5', 'net.slice3.10', 'net.slice4.17', 'net.slice5.24'];
  return {
    config: { channels: convolutions.map((layer) => weights.shape(`${layer}.weight`, 4)[0] ?? 0) },
    weights,
  };
}

/** A loaded LPIPS model, the perceptual distance of two images over VGG16 (Zhang et al. 2018). */
export class Lpips extends LoadedModule<LpipsConfig> {
  /**
   * @throws MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL, FILE_NOT_FOUND, OUT_OF_MEMORY, BACKEND_UNAVAILABLE,
   *   BINARY_NOT_FOUND, ABORTED
   */
  static async load(source: LpipsSource, options: LoadOptions = {}): Promise<Lpips> {
    const { config, weights } = checkSource(source);
    return new Lpips(config, await loadModule('lpips', { ...config }, weights, options));
  }

  /**
   * Computes the perceptual distance of each pair of images.
   * @param a `[B, 3, H, W]` in -1..1, sides of at least 16 pixels
   * @param b of the same shape and range
   * @returns `distance` `[B]`, 0 for equal images, and its contributions `layers` `[5, B]` by VGG16 slice
   * @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async compare(
    a: Tensor,
    b: Tensor,
    options: CallOptions = {},
  ): Promise<{ readonly distance: Tensor; readonly layers: Tensor }> {
    const { signal } = checkCall(options);
    const { shape } = checkTensor('a', a, ['B', 3, 'H', 'W']);
    checkTensor('b', b, shape);
    const { outputs } = await this.call('compare', { a, b }, { signal });
    return { distance: outputs.distance!, layers: outputs.layers! };
  }
}
