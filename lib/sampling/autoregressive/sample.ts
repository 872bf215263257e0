/**
 * Autoregressive sampling of code indices (`sample_with_past` and `Net2NetTransformer.sample` in
 * taming-transformers).
 */
import { defined } from '../../defined.js';
import { invalidOption, SafelightError, throwIfAborted } from '../../errors.js';
import { checkSignal, knownKeys } from '../../known-keys.js';
import type { Seed } from '../generators/generator.js';
import { TorchCpuGenerator } from '../generators/mt19937.js';
import { batchOf, checkCodeIndices, checkModel, joinRows } from './batch.js';
import { type ChoiceOptions, checkChoice, choiceKeys, choiceNoise, chooseCode } from './choose.js';
import { checkOrder, type Order } from './order.js';
import type { CodeIndexStep, CodeIndices, CodeModel } from './types.js';

export interface SampleIndicesOptions extends ChoiceOptions {
  /**
   * Codes that precede those of the image, one row per image: the class, the codes of a conditioning image, or the
   * start code 0.
   */
  readonly condition: readonly CodeIndices[];
  /** Number of codes per image. */
  readonly total: number;
  /** One per image, for PyTorch's CPU generator; the result of an image does not depend on the others in the batch. */
  readonly seeds: readonly Seed[];
  /** First codes of each image in sequence order, one row per image, to continue from. */
  readonly start?: readonly CodeIndices[] | undefined;
  /** Order of the codes in the sequence (taming's permuter); default row by row. */
  readonly order?: Order | undefined;
  /** Aborts between two codes. */
  readonly signal?: AbortSignal | undefined;
}

const KEYS = new Set([...choiceKeys, 'condition', 'total', 'seeds', 'start', 'order', 'signal']);

/**
 * Samples the code indices of a batch of images. Yields after each code and returns the complete codes, one row per
 * image.
 *
 * @throws INVALID_OPTION, SHAPE_MISMATCH (also if condition and codes exceed the model's block size), NOT_FINITE,
 *   ABORTED, DISPOSED, OUT_OF_MEMORY
 */
export async function* sampleCodeIndices(
  model: CodeModel,
  options: SampleIndicesOptions,
): AsyncGenerator<CodeIndexStep, readonly Int32Array[]> {
  knownKeys('options', options, KEYS);
  const { condition, start, total, order, signal } = options;
  checkModel(model);
  checkSignal('signal', signal);
  const choice = checkChoice(options);
  const generators = checkImages(model, options);
  const prefixes = generators.map((_, b) => Int32Array.from(start?.[b] ?? []));
  const images = generators.map(() => new Int32Array(total));
  const put = (b: number, index: number, code: number) => {
    images[b]![order ? order[index]! : index] = code;
  };
  prefixes.forEach((codes, b) => {
    codes.forEach((code, index) => {
      put(b, index, code);
    });
  });
  const writer = model.begin();
  try {
    let next = batchOf(condition.map((row, b) => joinRows(row, prefixes[b]!)));
    for (let index = prefixes[0]!.length; index < total; index++) {
      throwIfAborted(signal);
      const pending = writer.append({ codes: next }, { signal });
      // Generated while the model computes.
      const noise = generators.map((generator) => choiceNoise(choice, generator, model.vocabulary));
      const logits = await pending;
      const chosen = noise.map((numbers, b) => chooseCode(logits.at(b).data, choice, numbers));
      chosen.forEach((code, b) => {
        put(b, index, code);
      });
      next = batchOf(chosen.map((code) => [code]));
      yield {
        done: index + 1,
        total,
        place: order ? order[index]! : index,
        codes: images.map((codes) => codes.slice()),
      };
    }
  } finally {
    writer.dispose();
  }
  return images;
}

function checkImages(model: CodeModel, options: SampleIndicesOptions): readonly TorchCpuGenerator[] {
  const { condition, start, total, seeds, order } = options;
  checkCodeIndices('condition', condition, model.vocabulary);
  if (start !== undefined) checkCodeIndices('start', start, model.vocabulary);
  const startLength = start?.[0]?.length ?? 0;
  if (!(Number.isSafeInteger(total) && total > 0 && total > startLength)) {
    throw invalidOption('total', `an integer greater than ${startLength}`, total);
  }
  const prefix = condition[0]!.length;
  if (prefix === 0) throw invalidOption('condition', 'at least one code for each image', condition[0]);
  // The last code is sampled but not fed back into the model.
  if (prefix + total - 1 > model.block) {
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `The model's block size is ${model.block}, but a condition of ${prefix} and ${total} codes need ${prefix + total - 1} positions; sample large images with a sliding window (slideCodeIndices)`,
    );
  }
  if (order !== undefined) checkOrder(order);
  if (order && order.length !== total) {
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `Expected ${order.length} codes, the length of the model's code order, received ${total}; use the model's training size`,
    );
  }
  if (!Array.isArray(seeds)) throw invalidOption('seeds', 'an array with one seed for each condition', seeds);
  for (const [name, rows] of Object.entries(defined({ seeds, start }))) {
    if (rows.length !== condition.length) {
      throw invalidOption(name, `one entry for each of the ${condition.length} conditions`, rows.length);
    }
  }
  return seeds.map((seed) => new TorchCpuGenerator(seed));
}
