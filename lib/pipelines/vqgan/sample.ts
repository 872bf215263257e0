/** Pictures written code by code: each step is one code more, and shows the picture so far. */
import { defined } from '../../defined.js';
import { SafelightError } from '../../errors.js';
import type { VQModel } from '../../modules/vq-model.js';
import { codeOrder } from '../../sampling/autoregressive/order.js';
import { sampleCodeIndices } from '../../sampling/autoregressive/sample.js';
import { slideCodeIndices } from '../../sampling/autoregressive/slide.js';
import type { CodeIndexStep as WrittenCode } from '../../sampling/autoregressive/types.js';
import type { RgbImage } from '../../tensor/render.js';
import { Tensor } from '../../tensor/tensor.js';
import type { Warning } from '../../warnings.js';
import { StepStream } from '../diffusion/stream.js';
import type { GeneratedImage } from '../image-result.js';
import { ProgressReporter } from '../progress.js';
import type { ConditionIndices } from './condition.js';
import { type CodebookUsage, toGrid, usageOf } from './grid.js';
import { decodeToImage } from './reconstruct.js';
import type { DrawSettings } from './sample-options.js';
import type { VqganModel } from './vqgan-model.js';

/** One code more. */
export interface SampleStep {
  /** Codes written, of `total`. */
  readonly done: number;
  readonly total: number;
  /** Where the last one is. */
  readonly row: number;
  readonly column: number;
  /** All codes as they are now; null where none was written yet. */
  readonly codes: readonly (readonly (number | null)[])[];
  /** The picture so far, gray where no code was written yet. Works only when it is called. */
  preview(): Promise<RgbImage>;
}

export interface SampleResult {
  readonly image: GeneratedImage;
  /** `[H/f][W/f]` */
  readonly codes: number[][];
  readonly usage: CodebookUsage;
  /** The drawing as the model saw it; null where there was none. */
  readonly condition: RgbImage | null;
  /** The same settings with this seed give this picture again. */
  readonly seed: number;
  /** From call to result. */
  readonly seconds: number;
  readonly warnings: readonly Warning[];
}

/** Codes as they are written: a loop over the steps, then `await stream.result`. */
export class VqganStream extends StepStream<SampleStep, SampleResult> {}

const UNWRITTEN = 127;

/** @param conditionOf is asked when work begins */
export async function* sampleSteps(
  modules: VqganModel,
  settings: DrawSettings,
  conditionOf: () => Promise<ConditionIndices>,
): AsyncGenerator<SampleStep, SampleResult> {
  const { signal, width, height, seed } = settings;
  const reporter = new ProgressReporter(settings.onProgress);
  const model = await modules.codebook(signal);
  reporter.report('encode', 0, 1);
  const condition = await conditionOf();
  reporter.report('encode', 1, 1);
  const canvas = new Canvas(model, modules.downsampleFactor, settings);
  // Where the caller leaves, this loop ends the inner one, which frees what the transformer kept.
  for await (const written of await sampledSteps(modules, settings, condition)) {
    const step = canvas.put(written);
    reporter.report('codes', step.done, step.total, step.preview);
    yield step;
  }
  const indices = new Tensor(canvas.codes, [1, height, width]);
  reporter.report('decode', 0, 1);
  const image = await decodeToImage(model, indices, signal, seed);
  reporter.report('decode', 1, 1);
  return {
    image,
    codes: toGrid(indices),
    usage: usageOf(canvas.codes, model.indexCount),
    condition: condition.image,
    seed,
    seconds: reporter.elapsed,
    warnings: settings.warnings.list,
  };
}

/** At once if the model can look at the whole picture; else, or over codes that are there already, under a window. */
async function sampledSteps(
  modules: VqganModel,
  { width, height, side, seed, start, choice, signal }: DrawSettings,
  { kind, codes }: ConditionIndices,
): Promise<AsyncGenerator<WrittenCode>> {
  const transformer = await modules.transformer(signal);
  const options = { ...choice, below: modules.vocabulary ?? undefined, seeds: [seed], signal };
  const total = height * width;
  if (codes.length + total - 1 <= transformer.block && start === undefined) {
    const order = codeOrder(modules.writingOrder, height, width);
    return sampleCodeIndices(transformer, {
      ...options,
      condition: [codes],
      total,
      ...defined({ order: order ?? undefined }),
    });
  }
  if (modules.writingOrder !== 'identity') {
    throw new SafelightError(
      'INVALID_OPTION',
      `The model writes codes in an order of its own (${modules.writingOrder}), which a sliding window does not know; take the size it was trained at and no start`,
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

/** The codes so far. */
class Canvas {
  codes: Int32Array;
  private readonly written: Uint8Array;

  constructor(
    private readonly model: VQModel,
    private readonly downsampleFactor: number,
    private readonly settings: DrawSettings,
  ) {
    const { width, height } = settings;
    this.codes = new Int32Array(width * height);
    this.written = new Uint8Array(width * height).fill(settings.start ? 1 : 0);
  }

  put({ done, total, place, codes }: WrittenCode): SampleStep {
    const { width, height } = this.settings;
    this.codes = codes[0]!.slice();
    this.written[place] = 1;
    const [now, written] = [this.codes, this.written.slice()];
    const rows = Array.from({ length: height }, (_, y) =>
      Array.from({ length: width }, (_c, x) => (written[y * width + x] ? now[y * width + x]! : null)),
    );
    const preview = () => this.draw(now, written);
    return { done, total, row: Math.floor(place / width), column: place % width, codes: rows, preview };
  }

  private async draw(codes: Int32Array, written: Uint8Array): Promise<RgbImage> {
    const { width, height, signal } = this.settings;
    const image = await decodeToImage(this.model, new Tensor(codes, [1, height, width]), signal);
    const data = image.data.slice();
    for (const [place, done] of written.entries()) if (!done) this.clear(data, place);
    return { data, width: image.width, height: image.height };
  }

  private clear(data: Uint8Array, place: number): void {
    const { downsampleFactor, settings } = this;
    const [top, left] = [
      Math.floor(place / settings.width) * downsampleFactor,
      (place % settings.width) * downsampleFactor,
    ];
    for (let y = top; y < top + downsampleFactor; y++) {
      const from = (y * settings.width * downsampleFactor + left) * 3;
      data.fill(UNWRITTEN, from, from + downsampleFactor * 3);
    }
  }
}
