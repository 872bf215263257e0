/** Upscaling of images with a network. */
import { resolve } from 'node:path';
import type { MemoryInfo } from '../../binding/types.js';
import { openUpscaler, type UpscalerFacts, type UpscalerSource } from '../../checkpoint/open-upscaler.js';
import { invalidOption, SafelightError, throwIfAborted } from '../../errors.js';
import type { ModuleSettings } from '../../families/shared/loaded-model.js';
import { type ImageSource, readImage } from '../../image/read.js';
import { type ByteImage, resample } from '../../image/resample.js';
import { inSlices } from '../../image/slices.js';
import { cpuInstead, isMemoryError } from '../../modules/loaded-module.js';
import { availableMemory, checkFit } from '../../modules/memory-fit.js';
import { UpscalerNetwork } from '../../modules/upscaler-network.js';
import type { Warning, Warnings } from '../../warnings.js';
import {
  checkLoadUpscalerOptions,
  checkUpscaleOptions,
  type LoadUpscalerOptions,
  type UpscaleOptions,
  type UpscaleSettings,
} from './options.js';
import { type PassPlan, planPasses } from './passes.js';
import { layoutOf, runPass, type TileLayout } from './tiles.js';
import { UpscaledImage } from './upscaled-image.js';

/** Properties of a model. */
export interface UpscalerInfo extends Omit<UpscalerFacts, 'multiple' | 'tileMultiple'> {
  /** Absolute path of the file. */
  readonly path: string;
}

/** Largest number of pixels of the network's result and of the image. */
const MAX_PIXELS = 2 ** 28;

/** A loaded model that enlarges or restores images. Calls may overlap; their tiles are processed one after the other. */
export class Upscaler implements AsyncDisposable {
  private disposed = false;

  private constructor(
    private readonly source: UpscalerSource,
    private network: UpscalerNetwork,
    private readonly settings: ModuleSettings,
    private readonly collected: Warnings,
  ) {}

  /**
   * Loads a model: ESRGAN, Real-ESRGAN (also Compact), BSRGAN, SwinIR or DAT in a safetensors file or a PyTorch
   * checkpoint (`.pth`, `.pt`; no code in it is executed).
   * @throws FILE_NOT_FOUND, INVALID_FILE, UNSUPPORTED_MODEL, MISSING_TENSOR, SHAPE_MISMATCH, INVALID_OPTION,
   *   DOES_NOT_FIT, OUT_OF_MEMORY, BACKEND_UNAVAILABLE, BINARY_NOT_FOUND, ABORTED
   */
  static async load(path: string, options: LoadUpscalerOptions = {}): Promise<Upscaler> {
    if (typeof path !== 'string' || path === '')
      throw invalidOption('path', 'the path of a model file', path);
    const { modules, signal, onProgress, warnings } = checkLoadUpscalerOptions(options);
    const start = performance.now();
    throwIfAborted(signal);
    const source = await openUpscaler(path);
    const network = await UpscalerNetwork.load(source, {
      ...modules,
      signal,
      onProgress: (step, steps) =>
        onProgress?.({ phase: 'load', step, steps, elapsed: (performance.now() - start) / 1000 }),
      onWarning: ({ code, message }) => warnings.add(code, message),
    });
    return new Upscaler(source, network, modules, warnings);
  }

  /** Properties of the model. */
  get info(): UpscalerInfo {
    const { architecture, scale, channels, receptiveField } = this.source.facts;
    return { path: resolve(this.source.weights.where), architecture, scale, channels, receptiveField };
  }

  /** Warnings of loading the model, such as a fallback from the GPU to the CPU. */
  get warnings(): readonly Warning[] {
    return this.collected.list;
  }

  /** Returns the memory of the network in bytes. */
  memory(): MemoryInfo {
    return this.network.memory();
  }

  /**
   * Upscales an image. Alpha is kept: if it varies, it is upscaled as a grey image.
   * @throws FILE_NOT_FOUND, INVALID_IMAGE, INVALID_OPTION, NOT_FINITE, DOES_NOT_FIT, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async upscale(image: ImageSource, options: UpscaleOptions = {}): Promise<UpscaledImage> {
    const settings = checkUpscaleOptions(options, this.settings.memory);
    this.checkOpen();
    const rgba = await readImage(image, { alpha: 'keep' });
    throwIfAborted(settings.signal);
    const { network } = this;
    try {
      return await this.run(network, rgba, settings);
    } catch (error) {
      if (!(await this.fallBackToCpu(network, error, settings.signal))) throw error;
      return this.run(this.network, rgba, settings);
    }
  }

  /** Frees all memory; pending calls reject with DISPOSED. Safe to call again. */
  async dispose(): Promise<void> {
    this.disposed = true;
    this.network.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  private async run(
    network: UpscalerNetwork,
    image: ByteImage,
    { scale, tile, overlap, signal, onProgress }: UpscaleSettings,
  ): Promise<UpscaledImage> {
    const start = performance.now();
    const { facts } = network;
    const wanted = sizeOf(image, scale ?? facts.scale);
    const { width, height } = sizeOf(image, facts.scale);
    const plan = planPasses(image, facts.channels);
    const layout = layoutOf(image, { tile, overlap, ...facts });
    await this.checkFits(network, layout, { width, height, channels: plan.channels }, signal);
    const data = new Uint8Array(width * height * plan.channels);
    const result: ByteImage = { data, width, height, channels: plan.channels };
    const steps = layout.count * plan.passes.length;
    let step = 0;
    const onTile = () =>
      onProgress?.({ phase: 'upscale', step: ++step, steps, elapsed: (performance.now() - start) / 1000 });
    for (const pass of plan.passes) {
      const run = async (part: Parameters<UpscalerNetwork['upscale']>[0]) =>
        (await network.upscale(part, { signal })).image;
      await runPass(image, result, pass, layout, facts.scale, run, { signal, onTile });
    }
    await fillAlpha(result, plan, signal);
    return new UpscaledImage(await resample(result, wanted.width, wanted.height, 'lanczos', signal));
  }

  /** @throws DOES_NOT_FIT */
  private async checkFits(
    network: UpscalerNetwork,
    { rows, columns }: TileLayout,
    result: { readonly width: number; readonly height: number; readonly channels: number },
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { width, height, channels } = result;
    const where = network.memory();
    const bytes = await network.bytes(rows.size, columns.size, signal);
    const free = availableMemory(where);
    // Buffers of earlier runs are reused.
    const available = free === undefined ? undefined : free + where.compute;
    const subject = `A tile of ${columns.size} x ${rows.size} pixels`;
    checkFit(subject, [{ label: 'network', bytes }], available, 'use a smaller tile or free memory');
    const band = rows.size * network.facts.scale * width * 4 * 3;
    const needs = [
      { label: 'image', bytes: width * height * channels },
      { label: 'tiles', bytes: band },
    ];
    const advice = 'use a smaller image or free memory';
    checkFit(`A result of ${width} x ${height} pixels`, needs, availableMemory({ backend: 'cpu' }), advice);
  }

  /**
   * Loads the network on the CPU if a run failed because a GPU chosen by `auto` has too little memory.
   * @returns false if the error is another one
   */
  private async fallBackToCpu(
    failed: UpscalerNetwork,
    error: unknown,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    const { backend } = this.settings;
    if (backend !== 'auto' || !isMemoryError(error) || failed.memory().backend === 'cpu') return false;
    if (this.network !== failed) return true; // another call has loaded it
    this.collected.add('BACKEND_FALLBACK', cpuInstead(error));
    const network = await UpscalerNetwork.load(this.source, { ...this.settings, backend: 'cpu', signal });
    if (this.disposed) network.dispose();
    this.checkOpen();
    this.network = network;
    failed.dispose();
    return true;
  }

  private checkOpen(): void {
    if (this.disposed)
      throw new SafelightError('DISPOSED', 'The upscaler was disposed and can no longer be used');
  }
}

function sizeOf(image: ByteImage, scale: number): { width: number; height: number } {
  const [width, height] = [image.width, image.height].map((side) => Math.max(1, Math.round(side * scale)));
  if (width! * height! > MAX_PIXELS)
    throw invalidOption(
      'image',
      `at most ${MAX_PIXELS} pixels after upscaling`,
      `${image.width} x ${image.height} for ${width} x ${height}`,
    );
  return { width: width!, height: height! };
}

async function fillAlpha(
  { data, width, height, channels }: ByteImage,
  { alpha }: PassPlan,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (channels !== 4 || alpha === undefined) return;
  await inSlices(height, width, signal, (y) => {
    for (let i = y * width * 4 + 3; i < (y + 1) * width * 4; i += 4) data[i] = alpha;
  });
}
