/** Reads a LoRA file, or one of its relatives: tensors by module and role, without knowledge of a model. */
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { openWeights, type Weights } from '../checkpoint/formats/open-weights.js';
import { readScalars } from '../checkpoint/weights/read-tensor.js';
import type { TensorInfo } from '../checkpoint/weights/tensor-index.js';
import { defined } from '../defined.js';
import { type ErrorCode, SafelightError } from '../errors.js';
import { kindOf, readJson } from '../files/read.js';
import { type LoraRole, readLoraKey, scaledModules, unsupportedForm } from './lora-keys.js';
import { type LoraMetadata, readMetadata } from './lora-metadata.js';

/** The tensors of a file for one layer. */
export interface LoraPart {
  /** Name of the layer as the file spells it. */
  readonly layer: string;
  readonly tensors: Readonly<Partial<Record<LoraRole, TensorInfo>>>;
  /** Scales the change by alpha / rank, or bounds a rotation. */
  readonly alpha?: number;
  /** True if IA3 multiplies the inputs of the module, false for its outputs. */
  readonly onInput?: boolean;
  /** Names of its tensors. */
  readonly keys: readonly string[];
}

export interface LoraFile {
  readonly path: string;
  readonly parts: readonly LoraPart[];
  /** Names of tensors that belong to no adapter. */
  readonly others: readonly string[];
  readonly metadata: LoraMetadata;
  /** Number of ranks to use of products of two factors; default all. */
  readonly ranks?: number | undefined;
  /** Text metadata of the file. */
  readonly notes: ReadonlyMap<string, string>;
  /** Names of the embeddings that LyCORIS bundles with an adapter, `bundle_emb.NAME.…`. */
  readonly embeddings: readonly string[];
}

const BUNDLED = /^bundle_emb\.(.+?)\.(?:string_to_param\b|clip_[lg]$|emb_params$|[^.]+$)/;

/** @throws ADAPTER_NOT_FOUND, INVALID_FILE, UNSUPPORTED_ADAPTER for a form that is not supported */
export async function readLora(path: string): Promise<LoraFile> {
  const weights = await open(path);
  const parts = new Map<string, { tensors: Partial<Record<LoraRole, TensorInfo>>; keys: string[] }>();
  const others: string[] = [];
  const scaled = scaledModules(weights.tensors.keys());
  for (const tensor of weights.tensors.values()) {
    const form = unsupportedForm(tensor.name);
    if (form !== undefined) throw unsupported(path, form, tensor.name);
    const key = readLoraKey(tensor.name, scaled);
    if (key === null) {
      others.push(tensor.name);
      continue;
    }
    const part = parts.get(key.layer) ?? { tensors: {}, keys: [] };
    part.tensors[key.role] = tensor;
    part.keys.push(tensor.name);
    parts.set(key.layer, part);
  }
  const metadata = readMetadata(weights.notes, await adapterConfig(path));
  if (
    metadata.dora &&
    ![...parts.values()].some(({ tensors }) => tensors.dora_scale ?? tensors.lora_magnitude_vector)
  )
    throw new SafelightError(
      'INVALID_FILE',
      `${path} is a DoRA without its magnitudes; it is damaged: download it again`,
    );
  const scalars = [...parts.values()].flatMap(({ tensors: { alpha, on_input } }) =>
    [alpha, on_input].filter((tensor) => tensor !== undefined),
  );
  const values = new Map((await readScalars(scalars)).map((value, i) => [scalars[i]!.name, value]));
  return {
    path,
    parts: [...parts].map(([layer, { tensors, keys }]) => {
      const { alpha, on_input: flag } = tensors;
      return {
        ...{ layer, tensors, keys },
        ...defined({
          alpha: alpha && values.get(alpha.name),
          onInput: flag && values.get(flag.name) !== 0,
        }),
      };
    }),
    others: others.filter((name) => !BUNDLED.test(name)),
    metadata,
    notes: weights.notes,
    embeddings: [...new Set(others.flatMap((name) => BUNDLED.exec(name)?.[1] ?? []))],
  };
}

/** Codes of adapters in place of those of model files. */
const CODES: Readonly<Partial<Record<ErrorCode, ErrorCode>>> = {
  FILE_NOT_FOUND: 'ADAPTER_NOT_FOUND',
  UNSUPPORTED_MODEL: 'UNSUPPORTED_ADAPTER',
};

async function open(path: string): Promise<Weights> {
  try {
    return await openWeights(path);
  } catch (error) {
    if (!(error instanceof SafelightError)) throw error;
    const code = CODES[error.code];
    if (code === undefined) throw error;
    throw new SafelightError(code, `The LoRA ${error.message}`, { cause: error });
  }
}

/** Returns the adapter_config.json that PEFT writes next to its files, with alpha and rank. */
async function adapterConfig(path: string): Promise<unknown> {
  const config = join(dirname(path), 'adapter_config.json');
  if (!basename(path).startsWith('adapter_model.') || (await kindOf(config)) !== 'file') return undefined;
  return z.record(z.string(), z.unknown()).safeParse(await readJson(config, 1e6)).data;
}

function unsupported(path: string, form: string, name: string): SafelightError {
  return new SafelightError(
    'UNSUPPORTED_ADAPTER',
    `${path} contains ${form} (${JSON.stringify(name)}), which is not supported; use a LoRA or a LyCORIS file instead`,
  );
}
