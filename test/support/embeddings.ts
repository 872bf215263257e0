/** The embeddings of test/reference/embeddings.py as files, and the prompt encoders of the tiny models. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ClipPromptEncoder, type LoadedEncoder } from '../../lib/conditioning/prompt-encoder.js';
import type { TokenEmbedding } from '../../lib/conditioning/token-embeddings.js';
import { openModel } from '../../lib/families/registry.js';
import type { LoadOptions } from '../../lib/modules/loaded-module.js';
import { TextEncoder } from '../../lib/modules/text-encoder.js';
import { Tensor } from '../../lib/tensor/tensor.js';
import { loadTokenizer } from '../../lib/tokenizers/load-tokenizer.js';
import { noise, type RawTensor, readJson, writeSafetensors } from './tiny-models.js';

export const FIXTURES = fileURLToPath(new URL('../fixtures/embeddings/', import.meta.url));

export type EmbeddingModel = 'sd1' | 'sdxl';

interface Cases {
  /** Amplitude and widths of the vectors in the stored files. */
  readonly files: { readonly amplitude: number; readonly width: number; readonly width_2: number };
  readonly vectors: Readonly<Record<string, number>>;
  readonly amplitudes: Readonly<
    Record<EmbeddingModel, Readonly<Record<string, Readonly<Record<string, number>>>>>
  >;
  /** Positions of the stored states, from the start and from the end of each chunk. */
  readonly kept: readonly [number, number];
  readonly cases: Readonly<Record<string, { readonly prompt: string; readonly chunks: number }>>;
  readonly images: readonly {
    readonly model: EmbeddingModel;
    readonly options: Readonly<Record<string, string | number>>;
    readonly image: string;
    readonly effect: number;
  }[];
}

export const record = readJson<Cases>(join(FIXTURES, 'cases.json'));
export const names = Object.keys(record.vectors);
export const models: readonly EmbeddingModel[] = ['sd1', 'sdxl'];

/** Widths of the models' token embeddings, by table. */
const WIDTHS = { sd1: { any: 128 }, sdxl: { clip_l: 128, clip_g: 192 } } as const;

/** Returns vectors as `vectors` in embeddings.py generates them. */
export function vectorsOf(name: string, table: string, width: number, amplitude: number): Float32Array {
  const values = noise(`${name}.${table}.${width}`, record.vectors[name]! * width);
  return values.map((value) => value * amplitude);
}

/** Returns the tables of an embedding for a model. */
function tablesOf(model: EmbeddingModel, name: string): [table: string, tensor: Tensor][] {
  return Object.entries(WIDTHS[model]).map(([table, width]) => {
    const amplitude = record.amplitudes[model][name]![table]!;
    const values = vectorsOf(name, table, width, amplitude);
    return [table, Tensor.from(values, [record.vectors[name]!, width])];
  });
}

export function tokenEmbedding(model: EmbeddingModel, name: string): TokenEmbedding {
  const tables = tablesOf(model, name).map(([, table]) => table);
  return { name, identity: `${model} ${name}`, tables };
}

/** Writes an embedding for a model as kohya's trainer does. @returns its path */
export function writeEmbedding(model: EmbeddingModel, name: string, folder: string): string {
  const path = join(folder, `${name}.safetensors`);
  const tensors = tablesOf(model, name).map(([table, { data, shape }]): [string, RawTensor] => [
    table === 'any' ? 'emb_params' : table,
    { dtype: 'F32', shape, data: new Uint8Array(data.buffer) },
  ]);
  writeSafetensors(path, new Map(tensors));
  return path;
}

export interface Encoders extends Disposable {
  readonly encoders: readonly LoadedEncoder[];
  readonly prompt: ClipPromptEncoder;
}

/** Loads the text encoders of a model's folder or file. */
export async function loadEncoders(path: string, options: LoadOptions = {}): Promise<Encoders> {
  const model = await openModel(path);
  if (!('textEncoders' in model)) throw new Error('the model has no text encoders');
  const encoders: LoadedEncoder[] = [];
  for (const source of model.textEncoders) {
    const { max_position_embeddings: window } = source.config;
    const tokenizer = await loadTokenizer(source.tokenizer, { window, padId: source.padId });
    encoders.push({ encoder: await TextEncoder.load(source, { threads: 1, ...options }), tokenizer, source });
  }
  return {
    encoders,
    prompt: new ClipPromptEncoder({
      encoders,
      clipSkips: encoders.length === 1,
      zeroEmptyNegative: encoders.length === 2,
    }),
    [Symbol.dispose]: () => {
      for (const { encoder } of encoders) encoder.dispose();
    },
  };
}
