/**
 * Opens autoencoders with a codebook (or KL autoencoders, for losses and reconstruction) with the transformer,
 * discriminator and perceptual loss of the checkpoint, from checkpoints of taming-transformers and CompVis and from
 * diffusers folders.
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
import { isTinyAutoencoder } from '../../../checkpoint/tiny-autoencoder.js';
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
  type VqganCondition as TransformerCondition,
  type VqganTransformerSource,
} from './vqgan-transformer.js';

export interface OpenVqganOptions {
  /** YAML config of the checkpoint, if it is not next to the file; several are merged, later ones take precedence. */
  readonly config?: string | readonly string[] | undefined;
  /** Uses averaged weights (`model_ema.`) if the checkpoint has them. Default false. */
  readonly ema?: boolean | undefined;
  /** Variant of the weights in a diffusers folder, such as `fp16`. */
  readonly variant?: string | undefined;
}

/** Description of a VQGAN model, which is not loaded yet. */
export interface VqganModelSource {
  /** Absolute path of the folder or file. */
  readonly path: string;
  readonly form: 'folder' | 'file';
  readonly autoencoder: FirstStageSource;
  /** Side length in pixels of the training images according to the config; null if unknown. */
  readonly resolution: number | null;
  /** Settings of the training losses; null if unknown. */
  readonly losses: LossConfig | null;
  /** Discriminator of the training, if the checkpoint contains it. */
  readonly discriminator: PatchDiscriminatorSource | null;
  /** Perceptual loss of the training, if the checkpoint contains it. */
  readonly lpips: LpipsSource | null;
  /** Log variance of pixels, learned in the training of KL autoencoders. */
  readonly logvar: number | null;
  /** Transformer that samples code indices; null if the checkpoint has none or it cannot be used (see `problem`). */
  readonly transformer: VqganTransformerSource | null;
  /** Conditioning of the transformer. */
  readonly condition: VqganCondition;
  /** Sentence on why the checkpoint's transformer cannot be used; null if there is no problem. */
  readonly problem: string | null;
  /** Tensors that no part of the model uses. */
  readonly ignored: readonly IgnoredTensor[];
}

export type VqganCondition = TransformerCondition<FirstStageSource>;

/** Description of an autoencoder without transformer and losses. */
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
 * Reads the description of a model without its weights.
 * @param path a checkpoint (.safetensors, .ckpt ...) of taming-transformers or CompVis, a folder with one and its
 *   YAML, or a diffusers folder
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
  if (isTinyAutoencoder(tensors)) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${file} is a tiny autoencoder (TAESD), not a complete model; pass it as the vae option (--vae) together with a model`,
    );
  }
  const yaml = await readModelConfig(file, option);
  const prefix = hasFirstStage(tensors, FIRST_STAGE) ? FIRST_STAGE : '';
  const config = firstStageSection(yaml);
  const { source, losses } = openFirstStage({ tensors, prefix, path: file, config });
  const transformer = openVqganTransformer<FirstStageSource>({
    tensors,
    path: file,
    yaml,
    firstStage: source,
    openCondition: (section) =>
      openFirstStage({ tensors, prefix: CONDITION, path: file, config: section }).source,
  });
  const form = file === path ? 'file' : 'folder';
  const training = await openTraining(tensors, prefix, file);
  const resolution = config?.section('params.ddconfig')?.getInt('resolution', 0) || null;
  return finished({
    ...ALONE,
    ...training,
    ...transformer,
    path,
    form,
    autoencoder: source,
    resolution,
    losses,
  });
}

/** Opens the parts of a checkpoint that are used in training only. */
async function openTraining(tensors: TensorIndex, prefix: string, path: string) {
  const logvar = tensors.get(`${prefix}loss.logvar`);
  return {
    discriminator: openPatchDiscriminator(tensors, `${prefix}loss.discriminator.`, path),
    lpips: openLpips(tensors, `${prefix}loss.perceptual_loss.`, path),
    logvar: logvar === undefined ? null : ((await readValues(logvar, 1))[0] ?? null),
  };
}

/**
 * Returns the autoencoder's section of a config: `model` if that is an autoencoder, otherwise its
 * `first_stage_config`.
 */
function firstStageSection(yaml: ModelConfig | null): ModelConfig | null {
  const model = yaml?.section('model') ?? null;
  if (model === null || isFirstStage(model.getString('target', ''))) return model;
  return model.section('params.first_stage_config');
}

/** Adds the list of unused tensors. */
function finished(source: Omit<VqganModelSource, 'ignored'>): VqganModelSource {
  const { autoencoder, condition, discriminator, lpips, transformer } = source;
  const stages = [autoencoder, ...(condition.kind === 'image' ? [condition.autoencoder] : [])];
  const parts = [...stages, discriminator, lpips, transformer].filter((part) => part !== null);
  const used = new Set(parts.flatMap((part) => [...part.weights.used]));
  for (const stage of stages) if (stage.kind === 'vq_model' && stage.used) used.add(stage.used.name);
  return { ...source, ignored: unusedTensors(autoencoder.weights.tensors, used) };
}

function unusedTensors(tensors: TensorIndex, used: ReadonlySet<string>): IgnoredTensor[] {
  return [...tensors.values()]
    .filter(({ name }) => !used.has(name))
    .map(({ name, dtype, shape, file }) => ({ name, dtype, shape, file }));
}

/** Returns the path of the only checkpoint in a folder. @throws FILE_NOT_FOUND if there is none or more than one */
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
      ? `${folder} contains no checkpoint (.safetensors or .ckpt) and no config.json; pass the path of the model's file or folder`
      : `${folder} contains several checkpoints (${names.slice(0, 4).join(', ')}); pass the path of one of them`,
  );
}
