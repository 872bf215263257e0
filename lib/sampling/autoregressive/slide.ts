/** Large pictures: every code written anew, row by row, under the window around it. */
import { defined } from '../../defined.js';
import { invalidOption, SafelightError, throwIfAborted } from '../../errors.js';
import { checkSignal, knownKeys } from '../../known-keys.js';
import type { Seed } from '../generators/generator.js';
import { TorchCpuGenerator } from '../generators/mt19937.js';
import { batchOf, checkCodeIndices, checkCondition, checkModel, joinRows } from './batch.js';
import { type ChoiceOptions, checkChoice, choiceKeys, chooseCode, noiseOf } from './choose.js';
import type { CodeIndexStep, CodeIndices, CodeModel, CodeWriter } from './types.js';
import { checkSides, cropGrid, type Window, windowAt } from './window.js';

export interface SlideOptions extends ChoiceOptions {
  /** Of the picture, in codes. */
  readonly height: number;
  readonly width: number;
  /** Side of the window, in codes (see `windowSide`). */
  readonly side: number;
  /**
   * One row a picture. `grid`: codes of the condition, as many as the picture's and row by row, of which each window takes its part;
   * `tokens`: before every window.
   */
  readonly condition: { readonly kind: 'grid' | 'tokens'; readonly codes: readonly CodeIndices[] };
  /** One a picture. */
  readonly seeds: readonly Seed[];
  /** What is written over, one row a picture; by default random codes, the first numbers of each picture's generator. */
  readonly start?: readonly CodeIndices[] | undefined;
  /** Stops at any code. */
  readonly signal?: AbortSignal | undefined;
}

const KEYS = new Set([
  ...choiceKeys,
  ...['height', 'width', 'side', 'condition', 'seeds', 'start', 'signal'],
]);

/**
 * Yields after each code; what it returns is the last step's codes. A picture no larger than the window is sampled as `sampleCodeIndices`
 * does it.
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
  const pictures = generators.map((generator, b) =>
    start ? Int32Array.from(start[b]!) : generator.integers(total, Math.min(choice.below, model.vocabulary)),
  );
  const conditions = condition.codes.map((codes) => Int32Array.from(codes));
  const view = new WindowView(model, (window) =>
    pictures.map((codes, b) => {
      const part = cropGrid(codes, width, window).subarray(0, window.index);
      const before = conditions[b]!;
      return joinRows(condition.kind === 'grid' ? cropGrid(before, width, window) : before, part);
    }),
  );
  try {
    for (let place = 0; place < total; place++) {
      throwIfAborted(signal);
      const reading = view.logitsAt(windowAt(place, height, width, side), signal);
      // Drawn while the model computes.
      const noise = generators.map((generator) => noiseOf(choice, generator, model.vocabulary));
      const logits = await reading;
      noise.forEach((numbers, b) => {
        pictures[b]![place] = chooseCode(logits.at(b).data, choice, numbers);
      });
      yield { done: place + 1, total, place, codes: pictures.map((codes) => codes.slice()) };
    }
  } finally {
    view.dispose();
  }
  return pictures;
}

/** The model under a window. Where that did not move since the place before, only the code written there is read. */
class WindowView {
  private writer: CodeWriter | undefined;
  private last: Window | undefined;

  /** @param read condition and codes of a window up to its index, one row a picture */
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
  if (!Array.isArray(seeds)) throw invalidOption('seeds', 'one for each condition', seeds);
  if (start !== undefined) checkCodeIndices('start', start, model.vocabulary);
  const total = height * width;
  const before = condition.codes[0]!.length;
  if (condition.kind === 'tokens' && before === 0) {
    throw invalidOption('condition', 'at least one code for each picture', condition.codes[0]);
  }
  const grids = defined({ condition: condition.kind === 'grid' ? condition.codes : undefined, start });
  for (const [name, rows] of Object.entries(grids)) {
    if (rows[0]!.length !== total) {
      throw new SafelightError(
        'SHAPE_MISMATCH',
        `Expected ${total} codes (${height} rows of ${width}) in ${name} but received ${rows[0]!.length}`,
      );
    }
  }
  for (const [name, rows] of Object.entries(defined({ seeds, start }))) {
    if (rows.length !== condition.codes.length) {
      throw invalidOption(name, `one for each of the ${condition.codes.length} conditions`, rows.length);
    }
  }
  const seen = Math.min(side, height) * Math.min(side, width);
  const places = (condition.kind === 'grid' ? seen : before) + seen - 1;
  if (places > model.block) {
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `The model looks at ${model.block} places, but a window of side ${side} with its condition has ${places}; take a smaller side`,
    );
  }
}
