/**
 * Models that turn pictures into codes: autoencoders with a codebook (or KL ones, which the losses and the reconstruction know too),
 * alone or with what was trained beside them, from taming's and CompVis' checkpoints and from diffusers' folders.
 */
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { checkOpen } from '../../../checkpoint/check-open.js';
import { isFirstStage } from '../../../checkpoint/config/omegaconf/first-stage.js';
import type { LossConfig } from '../../../checkpoint/config/omegaconf/losses.js';
import type { ModelConfig } from '../../../checkpoint/config/omegaconf/model-config.js';
import { readModelConfig } from '../../../checkpoint/config/omegaconf/read-model-config.js';
import { readConfig } from '../../../checkpoint/config/validate.js';
import { openWeights } from '../../../checkpoint/formats/open-weights.js';
import type { FirstStageSource, IgnoredTensor } from '../../../checkpoint/model-descriptor.js';
import { hasFirstStage, openFirstStage, openVQModelFolder } from '../../../checkpoint/open-first-stage.js';
import { readValues } from '../../../checkpoint/weights/read-tensor.js';
import type { TensorIndex } from '../../../checkpoint/weights/tensor-index.js';
import { SafelightError } from '../../../errors.js';
import { fileError, kindOf } from '../../../files/read.js';
import { weightsEnding } from '../../../hub/find-models.js';
import { locateModel } from '../../../hub/locate.js';
import { type LpipsSource, openLpips } from '../../../modules/lpips.js';
import {
  openPatchDiscriminator,
  type PatchDiscriminatorSource,
} from '../../../modules/patch-discriminator.js';
import {
  openVqganTransformer,
  type VqganTransformerSource,
  type VqganCondition as WriterCondition,
} from './vqgan-transformer.js';

export interface OpenVqganOptions {
  /** The YAML of the checkpoint, where it is not beside it; several are merged, the last wins. */
  readonly config?: string | readonly string[] | undefined;
  /** Take averaged weights where the checkpoint has them (`model_ema.`). */
  readonly ema?: boolean | undefined;
  /** Of a diffusers folder, such as `fp16`. */
  readonly variant?: string | undefined;
}

/** A model that was found and understood but not loaded. */
export interface VqganModelSource {
  /** Absolute path of the folder or file. */
  readonly path: string;
  readonly form: 'folder' | 'file';
  readonly autoencoder: FirstStageSource;
  /** Pixels a side of the pictures it was trained on, as its config names them; null where none does. */
  readonly resolution: number | null;
  /** How the autoencoder was trained; null where no config says it. */
  readonly losses: LossConfig | null;
  /** What was trained beside it, where the checkpoint still has it. */
  readonly discriminator: PatchDiscriminatorSource | null;
  readonly lpips: LpipsSource | null;
  /** Of a KL autoencoder's training: the log variance of pixels. */
  readonly logvar: number | null;
  /** What writes codes; null of an autoencoder alone, and where `problem` says why not. */
  readonly transformer: VqganTransformerSource | null;
  /** What it is conditioned on. */
  readonly condition: VqganCondition;
  /** Why a checkpoint that has a transformer cannot write, as a sentence; null if nothing is wrong. */
  readonly problem: string | null;
  /** Tensors that nothing takes. */
  readonly ignored: readonly IgnoredTensor[];
}

export type VqganCondition = WriterCondition<FirstStageSource>;

/** An autoencoder without anything around it. */
const ALONE: Omit<VqganModelSource, 'path' | 'form' | 'autoencoder' | 'ignored'> = {
  resolution: null,
  losses: null,
  discriminator: null,
  lpips: null,
  logvar: null,
  transformer: null,
  condition: { kind: 'none', start: 0 },
  problem: null,
};

const FIRST_STAGE = 'first_stage_model.';
const CONDITION = 'cond_stage_model.';

/**
 * Finds out what a model is and where its weights lie, without reading them.
 * @param path a checkpoint (.safetensors, .ckpt ...) of taming or CompVis, a folder that holds one with its YAML, or a diffusers folder
 * @throws FILE_NOT_FOUND, INVALID_FILE, UNSUPPORTED_MODEL, MISSING_TENSOR, SHAPE_MISMATCH, INVALID_OPTION
 */
export async function openVqganModel(
  path: string,
  options: OpenVqganOptions = {},
): Promise<VqganModelSource> {
  checkOpen(path, options, ['config', 'ema', 'variant']);
  const absolute = resolve(await locateModel(path));
  if ((await kindOf(absolute)) !== 'folder') return openCheckpoint(absolute, absolute, options);
  for (const folder of [absolute, join(absolute, 'vqvae')]) {
    if ((await kindOf(join(folder, 'config.json'))) !== 'file') continue;
    const fields = await readConfig(join(folder, 'config.json'));
    const source = await openVQModelFolder(folder, options.variant, fields);
    const autoencoder = { kind: 'vq_model', ...source } as const;
    return finished({ ...ALONE, path: absolute, form: 'folder', autoencoder });
  }
  return openCheckpoint(await onlyCheckpoint(absolute), absolute, options);
}

async function openCheckpoint(
  file: string,
  path: string,
  { config: option, ema }: OpenVqganOptions,
): Promise<VqganModelSource> {
  const { tensors } = await openWeights(file, ema ? { ema } : {});
  const yaml = await readModelConfig(file, option);
  const prefix = hasFirstStage(tensors, FIRST_STAGE) ? FIRST_STAGE : '';
  const config = firstStageSection(yaml);
  const { source, losses } = openFirstStage({ tensors, prefix, path: file, config });
  const writer = openVqganTransformer<FirstStageSource>({
    tensors,
    path: file,
    yaml,
    firstStage: source,
    openCondition: (section) =>
      openFirstStage({ tensors, prefix: CONDITION, path: file, config: section }).source,
  });
  const form = file === path ? 'file' : 'folder';
  const beside = await trained(tensors, prefix, file);
  const resolution = config?.section('params.ddconfig')?.getInt('resolution', 0) || null;
  return finished({ ...ALONE, ...beside, ...writer, path, form, autoencoder: source, resolution, losses });
}

/** What is beside an autoencoder in training. */
async function trained(tensors: TensorIndex, prefix: string, path: string) {
  const logvar = tensors.get(`${prefix}loss.logvar`);
  return {
    discriminator: openPatchDiscriminator(tensors, `${prefix}loss.discriminator.`, path),
    lpips: openLpips(tensors, `${prefix}loss.perceptual_loss.`, path),
    logvar: logvar === undefined ? null : ((await readValues(logvar, 1))[0] ?? null),
  };
}

/** Of an autoencoder alone its `model`; of a model around one, its `first_stage_config`. */
function firstStageSection(yaml: ModelConfig | null): ModelConfig | null {
  const model = yaml?.section('model') ?? null;
  if (model === null || isFirstStage(model.getString('target', ''))) return model;
  return model.section('params.first_stage_config');
}

function finished(found: Omit<VqganModelSource, 'ignored'>): VqganModelSource {
  const { autoencoder, condition, discriminator, lpips, transformer } = found;
  const stages = [autoencoder, ...(condition.kind === 'image' ? [condition.autoencoder] : [])];
  const parts = [...stages, discriminator, lpips, transformer].filter((part) => part !== null);
  const used = new Set(parts.flatMap((part) => [...part.weights.used]));
  for (const stage of stages) if (stage.kind === 'vq_model' && stage.used) used.add(stage.used.name);
  return { ...found, ignored: others(autoencoder.weights.tensors, used) };
}

function others(tensors: TensorIndex, used: ReadonlySet<string>): IgnoredTensor[] {
  return [...tensors.values()]
    .filter(({ name }) => !used.has(name))
    .map(({ name, dtype, shape, file }) => ({ name, dtype, shape, file }));
}

/** A folder's only weights. @throws FILE_NOT_FOUND */
export async function onlyCheckpoint(folder: string): Promise<string> {
  let names: string[];
  try {
    names = (await readdir(folder))
      .filter((name) => weightsEnding.test(name) && !name.startsWith('.'))
      .sort();
  } catch (error) {
    throw fileError(folder, error);
  }
  const [first] = names;
  if (first !== undefined && names.length === 1) return join(folder, first);
  throw new SafelightError(
    'FILE_NOT_FOUND',
    names.length === 0
      ? `${folder} holds no checkpoint (.safetensors or .ckpt) and no config.json; name the model's file or folder`
      : `${folder} holds several checkpoints (${names.slice(0, 4).join(', ')}); name one of them`,
  );
}
