/** Autoregressive sampling of codes (taming's `sample_with_past`, Net2NetTransformer's `sample`), one code at a time. */
import { defined } from '../../defined.js';
import { invalidOption, SafelightError, throwIfAborted } from '../../errors.js';
import { checkSignal, knownKeys } from '../../known-keys.js';
import type { Seed } from '../generators/generator.js';
import { TorchCpuGenerator } from '../generators/mt19937.js';
import { batchOf, checkCodeIndices, checkModel, joinRows } from './batch.js';
import { type ChoiceOptions, checkChoice, choiceKeys, chooseCode, noiseOf } from './choose.js';
import { checkOrder, type Order } from './order.js';
import type { CodeIndexStep, CodeIndices, CodeModel } from './types.js';

export interface SampleIndicesOptions extends ChoiceOptions {
  /** What stands before the codes, one row a picture: the class, a sketch's codes, or the start code 0. */
  readonly condition: readonly CodeIndices[];
  /** Codes of a whole picture. */
  readonly total: number;
  /** One a picture: each has the numbers of PyTorch's CPU generator of its own, as if it were sampled alone. */
  readonly seeds: readonly Seed[];
  /** The picture's first codes in the order of writing, one row a picture, to go on from. */
  readonly start?: readonly CodeIndices[] | undefined;
  /** The order in which codes are written (taming's permuter); row by row by default. */
  readonly order?: Order | undefined;
  /** Stops at any code. */
  readonly signal?: AbortSignal | undefined;
}

const KEYS = new Set([...choiceKeys, 'condition', 'total', 'seeds', 'start', 'order', 'signal']);

/**
 * Yields after each code; what it returns is the last step's codes.
 *
 * @throws INVALID_OPTION, SHAPE_MISMATCH (also where condition and codes are more than the model can look at), NOT_FINITE, ABORTED,
 *   DISPOSED, OUT_OF_MEMORY
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
  const written = generators.map((_, b) => Int32Array.from(start?.[b] ?? []));
  const pictures = generators.map(() => new Int32Array(total));
  const put = (b: number, index: number, code: number) => {
    pictures[b]![order ? order[index]! : index] = code;
  };
  written.forEach((codes, b) => {
    codes.forEach((code, index) => {
      put(b, index, code);
    });
  });
  const writer = model.begin();
  try {
    let next = batchOf(condition.map((row, b) => joinRows(row, written[b]!)));
    for (let index = written[0]!.length; index < total; index++) {
      throwIfAborted(signal);
      const reading = writer.append({ codes: next }, { signal });
      // Drawn while the model computes.
      const noise = generators.map((generator) => noiseOf(choice, generator, model.vocabulary));
      const logits = await reading;
      const chosen = noise.map((numbers, b) => chooseCode(logits.at(b).data, choice, numbers));
      chosen.forEach((code, b) => {
        put(b, index, code);
      });
      next = batchOf(chosen.map((code) => [code]));
      yield {
        done: index + 1,
        total,
        place: order ? order[index]! : index,
        codes: pictures.map((codes) => codes.slice()),
      };
    }
  } finally {
    writer.dispose();
  }
  return pictures;
}

function checkImages(model: CodeModel, options: SampleIndicesOptions): readonly TorchCpuGenerator[] {
  const { condition, start, total, seeds, order } = options;
  checkCodeIndices('condition', condition, model.vocabulary);
  if (start !== undefined) checkCodeIndices('start', start, model.vocabulary);
  const given = start?.[0]?.length ?? 0;
  if (!(Number.isSafeInteger(total) && total > 0 && total > given)) {
    throw invalidOption('total', `integer greater than ${given}`, total);
  }
  const before = condition[0]!.length;
  if (before === 0) throw invalidOption('condition', 'at least one code for each picture', condition[0]);
  // The last code is never read.
  if (before + total - 1 > model.block) {
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `The model looks at ${model.block} places, but a condition of ${before} and ${total} codes need ${before + total - 1}; sample large pictures with a sliding window (slideCodeIndices)`,
    );
  }
  if (order !== undefined) checkOrder(order);
  if (order && order.length !== total) {
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `The model writes ${order.length} codes in an order of its own, so ${total} cannot be; take the size it was trained at`,
    );
  }
  if (!Array.isArray(seeds)) throw invalidOption('seeds', 'one for each condition', seeds);
  for (const [name, rows] of Object.entries(defined({ seeds, start }))) {
    if (rows.length !== condition.length) {
      throw invalidOption(name, `one for each of the ${condition.length} conditions`, rows.length);
    }
  }
  return seeds.map((seed) => new TorchCpuGenerator(seed));
}
