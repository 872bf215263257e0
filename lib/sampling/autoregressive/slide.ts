/** Autoregressive sampling of images larger than the training size, row by row with a sliding window. */
import { defined } from '../../defined.js';
import { invalidOption, SafelightError, throwIfAborted } from '../../errors.js';
import { checkSignal, knownKeys } from '../../known-keys.js';
import type { Seed } from '../generators/generator.js';
import { TorchCpuGenerator } from '../generators/mt19937.js';
import { batchOf, checkCodeIndices, checkCondition, checkModel, joinRows } from './batch.js';
import { type ChoiceOptions, checkChoice, choiceKeys, choiceNoise, chooseCode } from './choose.js';
import type { CodeIndexStep, CodeIndices, CodeModel, CodeWriter } from './types.js';
import { checkSides, cropGrid, type Window, windowAt } from './window.js';

export interface SlideOptions extends ChoiceOptions {
  /** Size of the image in codes. */
  readonly height: number;
  readonly width: number;
  /** Side of the window, in codes (see `windowSide`). */
  readonly side: number;
  /**
   * Codes that precede those of a window, one row per image. `grid`: one code per code of the image, row by row,
   * cropped to the window; `tokens`: the same codes for every window.
   */
  readonly condition: { readonly kind: 'grid' | 'tokens'; readonly codes: readonly CodeIndices[] };
  /** One per image. */
  readonly seeds: readonly Seed[];
  /**
   * Initial codes, one row per image, which are overwritten; by default random codes, the first numbers of each
   * image's generator.
   */
  readonly start?: readonly CodeIndices[] | undefined;
  /** Aborts between two codes. */
  readonly signal?: AbortSignal | undefined;
}

const KEYS = new Set([
  ...choiceKeys,
  ...['height', 'width', 'side', 'condition', 'seeds', 'start', 'signal'],
]);

/**
 * Samples the code indices of a batch of images with a sliding window. Yields after each code and returns the
 * complete codes, one row per image. For an image no larger than the window, samples the same codes as
 * `sampleCodeIndices`.
 *
 * @throws INVALID_OPTION, SHAPE_MISMATCH, NOT_FINITE, ABORTED, DISPOSED, OUT_OF_MEMORY
 */
export async function* slideCodeIndices(
  model: CodeModel,
  options: SlideOptions,
): AsyncGenerator<CodeIndexStep, readonly Int32Array[]> {
  knownKeys('options', options, KEYS);
  const { height, width, side, condition, seeds, start, signal } = options;
  checkModel(model);
  checkSignal('signal', signal);
  const choice = checkChoice(options);
  checkSlide(model, options);
  const total = height * width;
  const generators = seeds.map((seed) => new TorchCpuGenerator(seed));
  const images = generators.map((generator, b) =>
    start ? Int32Array.from(start[b]!) : generator.integers(total, Math.min(choice.below, model.vocabulary)),
  );
  const conditions = condition.codes.map((codes) => Int32Array.from(codes));
  const view = new WindowView(model, (window) =>
    images.map((codes, b) => {
      const part = cropGrid(codes, width, window).subarray(0, window.index);
      const before = conditions[b]!;
      return joinRows(condition.kind === 'grid' ? cropGrid(before, width, window) : before, part);
    }),
  );
  try {
    for (let place = 0; place < total; place++) {
      throwIfAborted(signal);
      const pending = view.logitsAt(windowAt(place, height, width, side), signal);
      // Generated while the model computes.
      const noise = generators.map((generator) => choiceNoise(choice, generator, model.vocabulary));
      const logits = await pending;
      noise.forEach((numbers, b) => {
        images[b]![place] = chooseCode(logits.at(b).data, choice, numbers);
      });
      yield { done: place + 1, total, place, codes: images.map((codes) => codes.slice()) };
    }
  } finally {
    view.dispose();
  }
  return images;
}

/**
 * Evaluates the model in a window. While the window does not move, only the newest code is appended to the cached
 * sequence.
 */
class WindowView {
  private writer: CodeWriter | undefined;
  private last: Window | undefined;

  /** @param read returns the condition and the codes of a window before its index, one row per image */
  constructor(
    private readonly model: CodeModel,
    private readonly read: (window: Window) => readonly Int32Array[],
  ) {}

  logitsAt(window: Window, signal: AbortSignal | undefined) {
    const { last } = this;
    this.last = window;
    const rows = this.read(window);
    const stays = last?.top === window.top && last.left === window.left && last.index + 1 === window.index;
    if (this.writer && stays) {
      return this.writer.append({ codes: batchOf(rows.map((row) => row.subarray(-1))) }, { signal });
    }
    this.dispose();
    this.writer = this.model.begin();
    return this.writer.append({ codes: batchOf(rows) }, { signal });
  }

  dispose(): void {
    this.writer?.dispose();
    this.writer = undefined;
  }
}

function checkSlide(model: CodeModel, options: SlideOptions): void {
  const { height, width, side, condition, seeds, start } = options;
  checkSides({ height, width, side });
  checkCondition(condition);
  checkCodeIndices('condition', condition.codes, model.vocabulary);
  if (!Array.isArray(seeds)) throw invalidOption('seeds', 'an array with one seed for each condition', seeds);
  if (start !== undefined) checkCodeIndices('start', start, model.vocabulary);
  const total = height * width;
  const prefix = condition.codes[0]!.length;
  if (condition.kind === 'tokens' && prefix === 0) {
    throw invalidOption('condition', 'at least one code for each image', condition.codes[0]);
  }
  const grids = defined({ condition: condition.kind === 'grid' ? condition.codes : undefined, start });
  for (const [name, rows] of Object.entries(grids)) {
    if (rows[0]!.length !== total) {
      throw new SafelightError(
        'SHAPE_MISMATCH',
        `Expected ${total} codes (${height} rows of ${width}) in ${name}, received ${rows[0]!.length}`,
      );
    }
  }
  for (const [name, rows] of Object.entries(defined({ seeds, start }))) {
    if (rows.length !== condition.codes.length) {
      throw invalidOption(
        name,
        `one entry for each of the ${condition.codes.length} conditions`,
        rows.length,
      );
    }
  }
  const inWindow = Math.min(side, height) * Math.min(side, width);
  const positions = (condition.kind === 'grid' ? inWindow : prefix) + inWindow - 1;
  if (positions > model.block) {
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `The model's block size is ${model.block}, but a window of side ${side} with its condition needs ${positions} positions; use a smaller side`,
    );
  }
}
