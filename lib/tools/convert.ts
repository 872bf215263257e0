/** Conversion of models to a single GGUF file with quantized weights, configs and tokenizers. */
import { type LoraOption, resolveLoras } from '../adapters/lora-options.js';
import { checkOpen, checkWriting, openKeys } from '../checkpoint/check-open.js';
import { CONFIG_KEY } from '../checkpoint/config/embedded-config.js';
import { tokenizerKey } from '../checkpoint/embedded-model.js';
import { type GgufWritable, layoutGguf } from '../checkpoint/formats/gguf-writer.js';
import type { OpenModelOptions } from '../checkpoint/model-descriptor.js';
import { invalidOption } from '../errors.js';
import { pathOf, STDOUT } from '../files/destination.js';
import { checkCallback } from '../known-keys.js';
import { serializeTokenizer } from '../tokenizers/reading/tokenizer-embedded.js';
import { type OnWarning, type Warning, Warnings } from '../warnings.js';
import { planMerge } from './convert-loras.js';
import { type OutputTensor, planPart } from './convert-plan.js';
import { type ConvertSource, openConvertSource } from './convert-source.js';
import { type ConvertStorage, type Keep, TypeChoice } from './convert-types.js';
import { type FileLayout, type TypeSizes, verifySource, writeModel } from './write-model.js';

export interface ConvertOptions extends OpenModelOptions {
  /** Type of matrices; default f16. Norms and biases are always f32, other weights f16. */
  readonly storage?: ConvertStorage;
  /** Rules for tensors to store in another type; the last matching rule applies. */
  readonly keep?: readonly Keep[];
  /** LoRAs to merge into the written weights, at most 20, as generation applies them. */
  readonly loras?: readonly LoraOption[];
  /** CPU threads, 1 to 256; default one per physical core. */
  readonly threads?: number;
  /** Aborts the conversion and removes the partial file. */
  readonly signal?: AbortSignal;
  /** Receives the bytes written so far and in total. An error that it throws stops the conversion and is rethrown. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Receives each warning as it occurs. */
  readonly onWarning?: OnWarning;
}

export interface ConvertResult {
  /** Absolute path of the file; `-` for stdout. */
  readonly path: string;
  /** Size of the file. */
  readonly bytes: number;
  /** Family of the model; null for a single component. */
  readonly family: string | null;
  /** Number of tensors. */
  readonly tensors: number;
  /** Number of tensors and bytes per type, sorted by bytes in descending order. */
  readonly types: TypeSizes;
  /** Tensors of LoRAs that match nothing in the model. */
  readonly warnings: readonly Warning[];
}

/** Values of `general.file_type`, as assigned by llama.cpp. */
const FILE_TYPES: Readonly<Record<ConvertStorage, number>> = {
  f16: 1,
  q4_0: 2,
  q8_0: 7,
  q5_0: 8,
  q4_K: 14,
  q5_K: 16,
  q6_K: 18,
};
const OWN_KEYS = ['storage', 'keep', 'loras', 'threads', 'signal', 'onProgress', 'onWarning'] as const;
/** Version of ggml's block formats. */
const QUANTIZATION_VERSION = 2;

/**
 * Converts a model to a single GGUF file with CompVis' tensor names, which can be loaded like any other model. The
 * file is written atomically; memory use is a few megabytes regardless of the model's size, plus one changed weight in
 * f32 per thread if LoRAs are merged.
 *
 * @param path a diffusers folder, a single file of any supported form, or one component
 * @param output a path or `file:` URL that ends in `.gguf`, replaced if it exists; `-` is stdout
 * @throws INVALID_OPTION, FILE_NOT_FOUND, INVALID_FILE, UNSUPPORTED_MODEL, MISSING_TENSOR, SHAPE_MISMATCH,
 *   FILE_NOT_WRITTEN, BINARY_NOT_FOUND, ABORTED; with `loras` also ADAPTER_NOT_FOUND, ADAPTER_MISMATCH,
 *   UNSUPPORTED_ADAPTER
 */
export async function convertModel(
  path: string,
  output: string | URL,
  options: ConvertOptions = {},
): Promise<ConvertResult> {
  checkOpen(path, options, [...openKeys, ...OWN_KEYS]);
  checkWriting(options);
  const { storage = 'f16', keep = [], threads = 0, loras, signal, onProgress, onWarning, ...open } = options;
  checkCallback('onWarning', onWarning);
  const warnings = new Warnings(onWarning);
  const adapters = resolveLoras(loras);
  const target = typeof output === 'string' || (output as unknown) instanceof URL ? pathOf(output) : '';
  if (target !== STDOUT && !target.toLowerCase().endsWith('.gguf'))
    throw invalidOption('output', 'a path that ends in .gguf, or - for stdout', output);
  checkThreads(threads);
  const choice = new TypeChoice(storage, keep);
  const source = await openConvertSource(path, open);
  const planned = source.parts.map((part) => planPart(part, choice));
  const tensors = planned.flatMap((part) => part.tensors);
  choice.checkUse(tensors.map(({ name }) => name));
  const layout = ggufLayout(source, storage, tensors);
  await verifySource(source, planned, signal);
  const merge = await planMerge(source, path, planned, adapters, warnings, signal);
  const written = await writeModel(target, planned, layout, merge, { threads, signal, onProgress });
  return { ...written, family: source.config.family, warnings: warnings.list };
}

/** @throws INVALID_OPTION */
export function checkThreads(threads: unknown): void {
  if (!Number.isInteger(threads) || Number(threads) < 0 || Number(threads) > 256)
    throw invalidOption('threads', 'an integer between 1 and 256', threads);
}

/**
 * Lays out a GGUF file with the source's configs and tokenizers.
 * @param notes further texts of the metadata
 */
export function ggufLayout(
  source: ConvertSource,
  storage: ConvertStorage,
  tensors: readonly OutputTensor[],
  notes: Readonly<Record<string, string>> = {},
): FileLayout {
  const metadata = metadataOf(source, storage);
  for (const [key, value] of Object.entries(notes)) metadata.set(key, { type: 'string', value });
  return layoutGguf(
    metadata,
    tensors.map(({ name, type, shape }) => ({ name, type: type.toUpperCase(), shape })),
  );
}

function metadataOf(
  { config, encoders, architecture }: ConvertSource,
  storage: ConvertStorage,
): Map<string, GgufWritable> {
  // Encoders with the same vocabulary share one tokenizer text.
  const tokenizers: string[] = [];
  const numbers = encoders.map(({ tokenizer }) => {
    // No convertible family uses a BERT tokenizer.
    if (tokenizer === 'standard' || 'kind' in tokenizer) return null;
    const text = serializeTokenizer(tokenizer);
    const known = tokenizers.indexOf(text);
    return known < 0 ? tokenizers.push(text) - 1 : known;
  });
  const text_encoders = config.text_encoders.map((encoder, i) => ({
    ...encoder,
    tokenizer: numbers[i] ?? null,
  }));
  return new Map<string, GgufWritable>([
    ['general.architecture', { type: 'string', value: architecture }],
    ['general.quantization_version', { type: 'uint32', value: QUANTIZATION_VERSION }],
    ['general.file_type', { type: 'uint32', value: FILE_TYPES[storage] }],
    [CONFIG_KEY, { type: 'string', value: JSON.stringify({ ...config, text_encoders }) }],
    ...tokenizers.map((value, i): [string, GgufWritable] => [tokenizerKey(i), { type: 'string', value }]),
  ]);
}
