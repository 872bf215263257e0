/** A LoRA as stored in its file: factors by layer name, independent of a model. */
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { openWeights, type Weights } from '../checkpoint/formats/open-weights.js';
import { readScalars } from '../checkpoint/weights/read-tensor.js';
import type { TensorInfo } from '../checkpoint/weights/tensor-index.js';
import { SafelightError } from '../errors.js';
import { kindOf, readJson } from '../files/read.js';
import { readLoraKey, unsupportedForm } from './lora-keys.js';
import { type LoraMetadata, readMetadata } from './lora-metadata.js';

/** The tensors of one layer. */
export interface LoraPart {
  readonly layer: string;
  readonly up?: TensorInfo;
  readonly down?: TensorInfo;
  readonly full?: TensorInfo;
  /** The scale is alpha / rank; 1 without an alpha. */
  readonly alpha?: number;
  /** Names of its tensors in the file. */
  readonly keys: readonly string[];
}

export interface LoraFile {
  readonly path: string;
  readonly parts: readonly LoraPart[];
  /** Tensors that are not part of a LoRA. */
  readonly unrelated: readonly string[];
  readonly metadata: LoraMetadata;
}

/** @throws ADAPTER_NOT_FOUND, INVALID_FILE, UNSUPPORTED_ADAPTER for other types of adapters */
export async function readLora(path: string): Promise<LoraFile> {
  const weights = await open(path);
  const parts = new Map<string, Building>();
  const unrelated: string[] = [];
  for (const tensor of weights.tensors.values()) {
    const form = unsupportedForm(tensor.name);
    if (form !== undefined) throw unsupported(path, form, tensor.name);
    const key = readLoraKey(tensor.name);
    if (key === null) {
      unrelated.push(tensor.name);
      continue;
    }
    const part = parts.get(key.layer) ?? { keys: [] };
    part[key.role] = tensor;
    part.keys.push(tensor.name);
    parts.set(key.layer, part);
  }
  const alphas = [...parts.values()].flatMap(({ alpha }) => alpha ?? []);
  const values = new Map((await readScalars(alphas)).map((value, i) => [alphas[i]!.name, value]));
  const metadata = readMetadata(weights.notes, await adapterConfig(path));
  if (metadata.dora) throw unsupported(path, 'DoRA', 'use_dora');
  return {
    path,
    parts: [...parts].map(([layer, { alpha, ...part }]) => {
      const value = alpha && values.get(alpha.name);
      return { ...part, layer, ...(value === undefined ? {} : { alpha: value }) };
    }),
    unrelated,
    metadata,
  };
}

interface Building {
  up?: TensorInfo;
  down?: TensorInfo;
  full?: TensorInfo;
  alpha?: TensorInfo;
  keys: string[];
}

async function open(path: string): Promise<Weights> {
  try {
    return await openWeights(path);
  } catch (error) {
    if (!(error instanceof SafelightError) || error.code !== 'FILE_NOT_FOUND') throw error;
    throw new SafelightError('ADAPTER_NOT_FOUND', `The LoRA ${error.message}`, { cause: error });
  }
}

/** Reads the adapter_config.json next to PEFT's own files, which contains alpha and rank. */
async function adapterConfig(path: string): Promise<unknown> {
  const config = join(dirname(path), 'adapter_config.json');
  if (!basename(path).startsWith('adapter_model.') || (await kindOf(config)) !== 'file') return undefined;
  return z.record(z.string(), z.unknown()).safeParse(await readJson(config, 1e6)).data;
}

function unsupported(path: string, form: string, name: string): SafelightError {
  return new SafelightError(
    'UNSUPPORTED_ADAPTER',
    `${path} contains ${form} (${JSON.stringify(name)}), which is not supported; use a plain LoRA`,
  );
}
