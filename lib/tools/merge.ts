/** Merging of checkpoints: a weighted sum of two models, or the difference of two models added to a third. */
import { checkOpen, checkPath, checkWriting, openKeys } from '../checkpoint/check-open.js';
import { layoutSafetensors } from '../checkpoint/formats/safetensors-writer.js';
import { verifyTensors } from '../checkpoint/formats/verify.js';
import type { OpenModelOptions } from '../checkpoint/model-descriptor.js';
import { isQuantized, storedBytes } from '../checkpoint/weights/storage.js';
import { invalidOption, SafelightError } from '../errors.js';
import { pathOf, STDOUT } from '../files/destination.js';
import { oneOf } from '../known-keys.js';
import { withRowBlocks } from '../modules/row-blocks.js';
import { elementCount } from '../tensor/shape.js';
import { checkThreads, ggufLayout } from './convert.js';
import { type OutputTensor, planPart } from './convert-plan.js';
import { type ConvertSource, openConvertSource } from './convert-source.js';
import { type ConvertStorage, type Keep, TypeChoice } from './convert-types.js';
import {
  factorsOf,
  isInpainting,
  type MergeMethod,
  type MergeSource,
  mergeMethods,
  planBlends,
} from './merge-plan.js';
import { mergeRecipe, modelFiles } from './merge-recipe.js';
import { type FileLayout, type TypeSizes, verifySource, writeModel } from './write-model.js';

export interface MergeOptions extends Omit<OpenModelOptions, 'config'> {
  /** `weighted-sum` (default): A·(1 − alpha) + B·alpha; `add-difference`: A + (B − C)·alpha. */
  readonly method?: MergeMethod;
  /** Multiplier, -2 to 2; default 0.5. */
  readonly alpha?: number;
  /** Type of matrices; default f16. Norms and biases are always f32, other weights f16. */
  readonly storage?: ConvertStorage;
  /** Rules for tensors to store in another type; the last matching rule applies. */
  readonly keep?: readonly Keep[];
  /** Autoencoder of the output, which is then not merged: file or folder. */
  readonly vae?: string;
  /** CPU threads, 1 to 256; default one per physical core. */
  readonly threads?: number;
  /** Aborts the merge and removes the partial file. */
  readonly signal?: AbortSignal;
  /**
   * Receives the bytes processed so far and in total: those of single files, which are hashed for the metadata, and those
   * written. An error that it throws stops the merge and is rethrown.
   */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface MergeResult {
  /** Absolute path of the file; `-` for stdout. */
  readonly path: string;
  /** Size of the file. */
  readonly bytes: number;
  /** Family of the models; null for single components. */
  readonly family: string | null;
  /** Number of tensors. */
  readonly tensors: number;
  /** Number of tensors and bytes per type, sorted by bytes in descending order. */
  readonly types: TypeSizes;
  /** Number of parameters that were merged. */
  readonly merged: number;
  /** Parameters of A that B or C lacks, which were written unchanged. */
  readonly kept: readonly string[];
}

const KEYS = ['method', 'alpha', 'storage', 'keep', 'threads', 'signal', 'onProgress'] as const;
const LABELS = ['A', 'B', 'C'] as const;
const MAX_ALPHA = 2;
/** Tokens of CLIP's vocabulary, which readers of single files assume. */
const STANDARD_VOCABULARY = 49408;

/**
 * Merges models, or single components of one kind, into one file with CompVis' tensor names. Models may differ in
 * format, tensor names and types; they must be of one family with equal shapes. If A is an inpainting model, its
 * additional input channels keep their weights. Everything else, such as tokenizers and prediction type, is A's. The
 * arithmetic is f32. The file is written atomically; memory use is a few megabytes regardless of the models' sizes.
 *
 * @param models A and B, and C for `add-difference`: anything that `convertModel` reads
 * @param output a path or `file:` URL that ends in `.gguf` or `.safetensors`, replaced if it exists; `-` writes GGUF to
 *   stdout. A safetensors file holds f32, f16 and bf16, and no tokenizer.
 * @throws INVALID_OPTION, FILE_NOT_FOUND, INVALID_FILE, UNSUPPORTED_MODEL, MISSING_TENSOR, SHAPE_MISMATCH naming the
 *   first parameter that differs, FILE_NOT_WRITTEN, BINARY_NOT_FOUND, ABORTED
 */
export async function mergeModels(
  models: readonly string[],
  output: string | URL,
  options: MergeOptions = {},
): Promise<MergeResult> {
  const { method = 'weighted-sum', alpha = 0.5 } = options;
  const [first, ...rest] = checkModels(models, oneOf('method', method, methodNames));
  const accepted = [...openKeys.filter((key) => key !== 'config'), ...KEYS];
  checkOpen(first, options, accepted);
  checkWriting(options);
  if (typeof alpha !== 'number' || !(Math.abs(alpha) <= MAX_ALPHA))
    throw invalidOption('alpha', `a number between ${-MAX_ALPHA} and ${MAX_ALPHA}`, alpha);
  const {
    storage = 'f16',
    keep = [],
    threads = 0,
    signal,
    onProgress,
    variant,
    vae,
    prediction,
    ema,
  } = options;
  const target = targetOf(output);
  checkThreads(threads);
  const choice = new TypeChoice(storage, keep);

  const open = { ...(variant === undefined ? {} : { variant }), ...(ema === undefined ? {} : { ema }) };
  const own = { ...(vae === undefined ? {} : { vae }), ...(prediction === undefined ? {} : { prediction }) };
  const a: MergeSource = { ...named(first, 0), source: await openConvertSource(first, { ...open, ...own }) };
  const others: MergeSource[] = [];
  for (const [i, given] of rest.entries())
    others.push({ ...named(given, i + 1), source: await openConvertSource(given, open) });
  const planned = a.source.parts.map((part) => planPart(part, choice));
  const tensors = planned.flatMap((part) => part.tensors);
  choice.checkUse(tensors.map(({ name }) => name));
  const factors = factorsOf(method, alpha);
  const skip = vae === undefined ? [] : (['autoencoder_kl'] as const);
  const { blends, merged, kept } = planBlends([a, ...others], planned, factors, skip);
  const isSafetensors = target.toLowerCase().endsWith('.safetensors');
  if (isSafetensors) checkSafetensors(a.source, tensors);

  await verifySource(a.source, planned, signal);
  for (const { source } of others)
    for (const { weights } of source.parts)
      await verifyTensors([...new Set([...weights.parameters.values()].map(({ tensor }) => tensor))], signal);
  const inpainting = isInpainting(a.source);
  const files = await modelFiles(models);
  const toHash = files.reduce((sum, { size }) => sum + size, 0);
  const toWrite = tensors.reduce((sum, { type, shape }) => sum + storedBytes(elementCount(shape), type), 0);
  let hashed = 0;
  const onBytes = (count: number): void => {
    hashed = Math.min(toHash, hashed + count);
    onProgress?.(hashed, toHash + toWrite);
  };
  const recipe = { method, alpha, output: target, inpainting, vae, signal, onBytes };
  const notes = await mergeRecipe(files, recipe);
  const layout = isSafetensors
    ? safetensorsLayout(a.source, tensors, notes)
    : ggufLayout(a.source, storage, tensors, notes);
  const onWritten =
    onProgress && ((done: number, total: number) => onProgress(toHash + done, toHash + total));
  const written = await withRowBlocks(blends.weights, { threads, signal }, (weights) =>
    writeModel(
      target,
      planned,
      layout,
      { blends: { ...blends, weights } },
      { threads, signal, onProgress: onWritten },
    ),
  );
  return { ...written, family: a.source.config.family, merged, kept };
}

const methodNames = Object.keys(mergeMethods) as MergeMethod[];

function named(given: string, index: number): Pick<MergeSource, 'label' | 'given'> {
  return { label: LABELS[index]!, given };
}

function checkModels(models: unknown, method: MergeMethod): [string, ...string[]] {
  const count = method === 'weighted-sum' ? 2 : 3;
  const wanted = count === 2 ? 'two models (A and B)' : 'three models (A, B and C)';
  if (!Array.isArray(models) || models.length !== count)
    throw invalidOption('models', `${wanted} for ${method}`, models);
  for (const [i, model] of models.entries()) checkPath(`model ${LABELS[i]}`, model);
  return models as [string, ...string[]];
}

function targetOf(output: unknown): string {
  const target = typeof output === 'string' || output instanceof URL ? pathOf(output) : '';
  if (target !== STDOUT && !/\.(gguf|safetensors)$/i.test(target))
    throw invalidOption('output', 'a path that ends in .gguf or .safetensors, or - for stdout', output);
  return target;
}

/** @throws INVALID_OPTION for quantized types, UNSUPPORTED_MODEL for a model with its own vocabulary */
function checkSafetensors({ encoders, config }: ConvertSource, tensors: readonly OutputTensor[]): void {
  const quantized = tensors.find(({ type }) => isQuantized(type));
  if (quantized)
    throw invalidOption(
      'storage',
      'f16 for a safetensors file',
      quantized.type,
      'write a .gguf file instead',
    );
  const own = encoders.find(({ config: { vocab_size } }) => vocab_size !== STANDARD_VOCABULARY);
  if (config.family !== null && own)
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `A has its own vocabulary of ${own.config.vocab_size} tokens, which a safetensors file cannot contain; write a .gguf file instead`,
    );
}

/** Lays out a safetensors file with the prediction type in the metadata, which tensors do not determine. */
function safetensorsLayout(
  { config }: ConvertSource,
  tensors: readonly OutputTensor[],
  notes: Readonly<Record<string, string>>,
): FileLayout {
  const metadata = new Map([['format', 'pt'], ...Object.entries(notes)]);
  const { scheduler } = config;
  if (scheduler && !config.prediction_uncertain) {
    metadata.set('modelspec.prediction_type', { eps: 'epsilon', v: 'v', x0: 'sample' }[scheduler.prediction]);
    if (scheduler.rescale_zero_snr) metadata.set('modelspec.zero_terminal_snr', 'true');
  }
  return layoutSafetensors(
    metadata,
    tensors.map(({ name, type, shape }) => ({ name, type: type.toUpperCase() as 'F32', shape })),
  );
}
