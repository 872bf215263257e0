/** Sampling of images code by code, with a preview at each step. */
import { defined } from '../../defined.js';
import { SafelightError } from '../../errors.js';
import type { VQModel } from '../../modules/vq-model.js';
import { codeOrder } from '../../sampling/autoregressive/order.js';
import { sampleCodeIndices } from '../../sampling/autoregressive/sample.js';
import { slideCodeIndices } from '../../sampling/autoregressive/slide.js';
import type { CodeIndexStep } from '../../sampling/autoregressive/types.js';
import type { RgbImage } from '../../tensor/render.js';
import { Tensor } from '../../tensor/tensor.js';
import type { Warning } from '../../warnings.js';
import { StepStream } from '../diffusion/stream.js';
import type { GeneratedImage } from '../image-result.js';
import { ProgressReporter } from '../progress.js';
import type { ConditionIndices } from './condition.js';
import { type CodebookUsage, toGrid, usageOf } from './grid.js';
import { decodeToImage } from './reconstruct.js';
import type { SampleSettings } from './sample-options.js';
import type { VqganModel } from './vqgan-model.js';

/** State after sampling one more code. */
export interface SampleStep {
  /** Codes sampled so far, of `total`. */
  readonly done: number;
  readonly total: number;
  /** Row of the last code. */
  readonly row: number;
  /** Column of the last code. */
  readonly column: number;
  /** All codes `[H/f][W/f]`; null for those not sampled yet. */
  readonly codes: readonly (readonly (number | null)[])[];
  /** Decodes the image so far; grey where no code was sampled yet. */
  preview(): Promise<RgbImage>;
}

export interface SampleResult {
  readonly image: GeneratedImage;
  /** Code indices `[H/f][W/f]`. */
  readonly codes: number[][];
  readonly usage: CodebookUsage;
  /** The conditioning image as it was encoded; null if there was none. */
  readonly condition: RgbImage | null;
  /** Seed that reproduces the image with the same options. */
  readonly seed: number;
  /** Duration of the call in seconds. */
  readonly seconds: number;
  readonly warnings: readonly Warning[];
}

/** A running sampling, with one item per code: loop over the steps, then `await stream.result`. */
export class VqganStream extends StepStream<SampleStep, SampleResult> {}

/** Grey level of image areas without a code. */
const UNSAMPLED = 127;

/** Samples an image. @param conditionOf encodes the condition; called when work starts */
export async function* sampleSteps(
  model: VqganModel,
  settings: SampleSettings,
  conditionOf: () => Promise<ConditionIndices>,
): AsyncGenerator<SampleStep, SampleResult> {
  const { signal, width, height, seed } = settings;
  const reporter = new ProgressReporter(settings.onProgress);
  const codebook = await model.codebook(signal);
  reporter.report('encode', 0, 1);
  const condition = await conditionOf();
  reporter.report('encode', 1, 1);
  const canvas = new Canvas(codebook, model.downsampleFactor, settings);
  // If the caller leaves early, this loop ends the inner generator, which frees the transformer's key-value cache.
  for await (const indexStep of await codeSteps(model, settings, condition)) {
    const step = canvas.put(indexStep);
    reporter.report('codes', step.done, step.total, step.preview);
    yield step;
  }
  const indices = new Tensor(canvas.codes, [1, height, width]);
  reporter.report('decode', 0, 1);
  const image = await decodeToImage(codebook, indices, signal, seed);
  reporter.report('decode', 1, 1);
  return {
    image,
    codes: toGrid(indices),
    usage: usageOf(canvas.codes, codebook.indexCount),
    condition: condition.image,
    seed,
    seconds: reporter.elapsed,
    warnings: settings.warnings.list,
  };
}

/**
 * Samples codes as one sequence if the image fits the block size; for larger images and for initial codes with a
 * sliding window.
 */
async function codeSteps(
  model: VqganModel,
  { width, height, side, seed, start, choice, signal }: SampleSettings,
  { kind, codes }: ConditionIndices,
): Promise<AsyncGenerator<CodeIndexStep>> {
  const transformer = await model.transformer(signal);
  const options = { ...choice, below: model.vocabulary ?? undefined, seeds: [seed], signal };
  const total = height * width;
  if (codes.length + total - 1 <= transformer.block && start === undefined) {
    const order = codeOrder(model.codeOrderName, height, width);
    return sampleCodeIndices(transformer, {
      ...options,
      condition: [codes],
      total,
      ...defined({ order: order ?? undefined }),
    });
  }
  if (model.codeOrderName !== 'identity') {
    throw new SafelightError(
      'INVALID_OPTION',
      `Sliding windows need codes in row order, but the model uses the order ${model.codeOrderName}; use its training size and remove start`,
    );
  }
  return slideCodeIndices(transformer, {
    ...options,
    height,
    width,
    side,
    condition: { kind, codes: [codes] },
    ...defined({ start: start && [start.data] }),
  });
}

/** Codes sampled so far, with their preview. */
class Canvas {
  codes: Int32Array;
  private readonly sampled: Uint8Array;

  constructor(
    private readonly codebook: VQModel,
    private readonly downsampleFactor: number,
    private readonly settings: SampleSettings,
  ) {
    const { width, height } = settings;
    this.codes = new Int32Array(width * height);
    this.sampled = new Uint8Array(width * height).fill(settings.start ? 1 : 0);
  }

  put({ done, total, place, codes }: CodeIndexStep): SampleStep {
    const { width, height } = this.settings;
    this.codes = codes[0]!.slice();
    this.sampled[place] = 1;
    const [current, sampled] = [this.codes, this.sampled.slice()];
    const rows = Array.from({ length: height }, (_, y) =>
      Array.from({ length: width }, (_c, x) => (sampled[y * width + x] ? current[y * width + x]! : null)),
    );
    const preview = () => this.render(current, sampled);
    return { done, total, row: Math.floor(place / width), column: place % width, codes: rows, preview };
  }

  private async render(codes: Int32Array, sampled: Uint8Array): Promise<RgbImage> {
    const { width, height, signal } = this.settings;
    const image = await decodeToImage(this.codebook, new Tensor(codes, [1, height, width]), signal);
    const data = image.data.slice();
    for (const [place, done] of sampled.entries()) if (!done) this.clear(data, place);
    return { data, width: image.width, height: image.height };
  }

  /** Fills the area of a code with grey. */
  private clear(data: Uint8Array, place: number): void {
    const { downsampleFactor, settings } = this;
    const [top, left] = [
      Math.floor(place / settings.width) * downsampleFactor,
      (place % settings.width) * downsampleFactor,
    ];
    for (let y = top; y < top + downsampleFactor; y++) {
      const from = (y * settings.width * downsampleFactor + left) * 3;
      data.fill(UNSAMPLED, from, from + downsampleFactor * 3);
    }
  }
}
