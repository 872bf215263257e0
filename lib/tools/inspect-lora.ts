/** Description of a LoRA file, and of how its tensors match a model. */
import { basename, resolve } from 'node:path';
import { describeLora, isLora, type LoraDescription } from '../adapters/describe-lora.js';
import { type LoraFile, readLora } from '../adapters/lora-file.js';
import { loraHash } from '../adapters/lora-hash.js';
import { type AdaptedModel, matchLora } from '../adapters/lora-patches.js';
import { modelLayers } from '../adapters/model-layers.js';
import type { ModelSource } from '../checkpoint/model-descriptor.js';
import { SafelightError } from '../errors.js';
import { loraFamily, trainedFor } from '../families/shared/unet/lora-family.js';
import { adaptedModules } from '../families/shared/unet/lora-target.js';

export interface InspectedLora extends LoraDescription {
  /** Absolute path. */
  readonly path: string;
  /** 12 hexadecimal digits, as A1111 computes them. */
  readonly hash: string;
  /** Number of tensors in the file. */
  readonly tensors: number;
}

/** Match of a LoRA with a model. */
export interface LoraMatch {
  /** Number of tensors of the file that change the model. */
  readonly matched: number;
  /** Names of the tensors that match nothing. */
  readonly unmatched: readonly string[];
  /** Sentence on why the LoRA cannot be applied to the model; null if it can. */
  readonly problem: string | null;
}

/**
 * Describes a LoRA.
 * @throws ADAPTER_NOT_FOUND, INVALID_FILE, UNSUPPORTED_ADAPTER for a form that is not supported, or for another kind of file
 */
export async function inspectLora(path: string): Promise<InspectedLora> {
  return describeFile(await readLora(resolve(path)));
}

/** Describes a LoRA and its match with a model. @throws as `inspectLora` */
export async function inspectLoraFor(
  path: string,
  model: ModelSource,
): Promise<{ lora: InspectedLora } & LoraMatch> {
  const file = await readLora(resolve(path));
  return { lora: await describeFile(file), ...matchOf(file, model) };
}

async function describeFile(file: LoraFile): Promise<InspectedLora> {
  const tensors = file.others.length + file.parts.reduce((sum, { keys }) => sum + keys.length, 0);
  if (!isLora(file)) {
    throw new SafelightError(
      'UNSUPPORTED_ADAPTER',
      `${file.path} is not a LoRA: none of its ${tensors} tensors belongs to one; use a LoRA or a LyCORIS file`,
    );
  }
  const description = await describeLora(file, loraFamily(file));
  return { path: file.path, ...description, hash: await loraHash(file.path), tensors };
}

function matchOf(file: LoraFile, model: ModelSource): LoraMatch {
  const target: AdaptedModel = {
    name: basename(model.path),
    family: model.family,
    textWidth: model.unet.config.cross_attention_dim,
    familyOf: trainedFor,
  };
  const layers = modelLayers(adaptedModules(model));
  const problemOf = (part: LoraFile): string | null => {
    try {
      matchLora(part, layers, target);
      return null;
    } catch (error) {
      if (error instanceof SafelightError) return error.message;
      throw error;
    }
  };
  const fits = file.parts.map((part) => problemOf({ ...file, parts: [part], others: [] }) === null);
  const matched = file.parts.filter((_, i) => fits[i]).reduce((sum, { keys }) => sum + keys.length, 0);
  const unmatched = file.parts.filter((_, i) => !fits[i]).flatMap(({ keys }) => keys);
  return { matched, unmatched: [...unmatched, ...file.others], problem: problemOf(file) };
}
