import type { NativeModule } from '../binding/module.js';
import type { NodeInfo } from '../binding/types.js';
import type { UpscalerConfig } from '../checkpoint/config/upscaler-types.js';
import type { UpscalerFacts, UpscalerSource } from '../checkpoint/open-upscaler.js';
import { checkSignal } from '../known-keys.js';
import { checkTensor } from '../tensor/check-tensor.js';
import { padReflected } from '../tensor/reflect.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkCall, checkSizes, checkSource, type ImageSize } from './check-call.js';
import {
  type CallOptions,
  type CallResult,
  LoadedModule,
  type LoadOptions,
  loadModule,
} from './loaded-module.js';

/** A loaded upscaling network. It has no notion of tiles, alpha or file formats, which are the `Upscaler`'s. */
export class UpscalerNetwork extends LoadedModule<UpscalerConfig> {
  private constructor(
    config: UpscalerConfig,
    module: NativeModule,
    readonly facts: UpscalerFacts,
  ) {
    super(config, module);
  }

  /**
   * @throws MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL, FILE_NOT_FOUND, OUT_OF_MEMORY, BACKEND_UNAVAILABLE,
   *   BINARY_NOT_FOUND, ABORTED
   */
  static async load(source: UpscalerSource, options: LoadOptions = {}): Promise<UpscalerNetwork> {
    const { kind, config, weights, facts } = checkSource(source);
    return new UpscalerNetwork(config, await loadModule(kind, { ...config }, weights, options), facts);
  }

  /**
   * Upscales images of one size, padded by reflection to multiples of `facts.multiple`.
   * @param image `[B, C, H, W]` in 0..1
   * @returns image `[B, C, H * scale, W * scale]`, nominally in 0..1 but not clamped
   * @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async upscale(image: Tensor, options: CallOptions = {}): Promise<CallResult & { readonly image: Tensor }> {
    checkCall(options);
    const { shape } = checkTensor('image', image, ['B', this.config.in_channels, 'H', 'W']);
    const { scale, multiple } = this.facts;
    const [height, width] = shape.slice(2).map((side) => side * scale) as [number, number];
    const { outputs, taps, timings } = await this.call(
      'upscale',
      { image: padReflected(image, multiple) },
      options,
    );
    return { image: outputs.image!.slice(null, null, [0, height], [0, width]), taps, timings };
  }

  /** Lists the nodes that can be tapped for images of `height` x `width` pixels, 64 by default. */
  nodes(size: ImageSize = {}): NodeInfo[] {
    checkSizes(size, 'batch', 'height', 'width');
    const { batch = 1, height = 64, width = 64 } = size;
    return this.listNodes('upscale', { image: [batch, this.config.in_channels, height, width] });
  }

  /** Returns the bytes of compute buffers for an image of `height` x `width` pixels. @throws ABORTED, DISPOSED */
  async bytes(height: number, width: number, signal?: AbortSignal): Promise<number> {
    checkSizes({ height, width });
    checkSignal('signal', signal);
    const { in_channels } = this.config;
    return this.needed('upscale', { image: [1, in_channels, height, width] }, signal);
  }
}
