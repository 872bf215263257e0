/** Description of the contents of a model file or folder as plain data, without loading it. */
import { join, resolve } from 'node:path';
import { requirements } from '../binding/module.js';
import type { ModuleKind, NativeConfig, StorageType, WeightPlan } from '../binding/types.js';
import { checkOpen, checkPath, openKeys } from '../checkpoint/check-open.js';
import type { GenerationDefaults, ModuleConfig, SchedulerConfig } from '../checkpoint/config/types.js';
import { openWeights } from '../checkpoint/formats/open-weights.js';
import { isMarker } from '../checkpoint/markers.js';
import type {
  ConditionSource,
  IgnoredTensor,
  ModelSource,
  OpenModelOptions,
  PredictionFrom,
} from '../checkpoint/model-descriptor.js';
import { otherFamily } from '../checkpoint/other-families.js';
import type { ComponentWeights } from '../checkpoint/weights/component.js';
import { storageTypes } from '../checkpoint/weights/storage.js';
import type { TensorIndex, TensorInfo } from '../checkpoint/weights/tensor-index.js';
import { SafelightError } from '../errors.js';
import { openModel } from '../families/registry.js';
import { openComponentFile, openComponentFolder } from '../families/shared/single-component.js';
import { kindOf } from '../files/read.js';
import { locateModel } from '../hub/locate.js';
import { oneOf } from '../known-keys.js';
import { elementCount } from '../tensor/shape.js';
import { adapterIn, embeddingImageIn } from './inspect-adapter.js';
import type { InspectedEmbedding } from './inspect-embedding.js';
import { type InspectedLora, inspectLoraFor } from './inspect-lora.js';
import { type InspectedUpscaler, upscalerIn } from './inspect-upscaler.js';

export interface InspectOptions extends OpenModelOptions {
  /** Storage of the weight plans; default as in the files. */
  readonly storage?: StorageType;
  /** Path of a LoRA, which is described and matched with the model. */
  readonly lora?: string;
}

export interface Inspection {
  /** Absolute path. */
  readonly path: string;
  /**
   * A diffusers folder, a complete checkpoint, one component of a model, an adapter, an upscaler, or another file of
   * tensors.
   */
  readonly form: 'folder' | 'file' | 'component' | 'lora' | 'embedding' | 'upscaler' | 'other';
  /** Family; null unless it is a complete model, or an adapter whose family is recognized. */
  readonly family: string | null;
  /** Sentence on why it cannot be run as a model; null if it can. */
  readonly problem: string | null;
  /** Conditioning; null unless it is a complete model. */
  readonly condition: ConditionFacts | null;
  /** Scheduler config; null unless it is a complete model. */
  readonly scheduler: SchedulerConfig | null;
  /** True if the prediction type has to be detected by running the U-Net. */
  readonly predictionUncertain: boolean;
  /** Source of `scheduler.prediction`; null unless it is a single file without configs. */
  readonly predictionFrom: PredictionFrom | null;
  readonly defaults: GenerationDefaults;
  readonly components: readonly InspectedComponent[];
  readonly files: readonly { readonly path: string; readonly tensors: number; readonly bytes: number }[];
  /** Number of tensors and bytes per data type, sorted by bytes in descending order. */
  readonly dtypes: readonly { readonly dtype: string; readonly tensors: number; readonly bytes: number }[];
  /** Tensors that no component uses. */
  readonly ignored: readonly IgnoredTensor[];
  readonly tensors: readonly TensorInfo[];
  /** The LoRA in the file, or the one that the option names. */
  readonly lora?: InspectedLora;
  /** The embedding in the file. */
  readonly embedding?: InspectedEmbedding;
  /** The upscaler in the file; absent if its tensors do not match its architecture (see `problem`). */
  readonly upscaler?: InspectedUpscaler;
  /** Number of the LoRA's tensors that change the model, with the option `lora`. */
  readonly matched?: number;
  /** Names of the LoRA's tensors that match nothing in the model, with the option `lora`. */
  readonly unmatched?: readonly string[];
  /** Sentence on why the LoRA cannot be applied to the model; null if it can. With the option `lora`. */
  readonly loraProblem?: string | null;
}

export type ConditionFacts =
  | { readonly kind: 'text' | 'none' }
  | { readonly kind: 'class'; readonly classes: number; readonly unconditional: number | null };

export interface InspectedComponent {
  /** Name in diffusers: `text_encoder`, `text_encoder_2`, `unet`, `vae`, `vqvae`. */
  readonly name: string;
  readonly kind: ModuleKind;
  readonly config: ModuleConfig;
  /** Naming scheme of its parameters in the file. */
  readonly dialect: string;
  /** Number of parameters. */
  readonly parameters: number;
  /** Bytes in the file. */
  readonly bytes: number;
  /** Weight plan; null without the native binary, or if the weights do not match the config (see `problem`). */
  readonly plan: WeightPlan | null;
}

type Part = Pick<InspectedComponent, 'name' | 'kind' | 'config'> & { readonly weights: ComponentWeights };

/**
 * Describes a model file or folder, or an adapter. A model that cannot be run is not an error but has a `problem`.
 * @throws FILE_NOT_FOUND, INVALID_FILE, INVALID_OPTION, UNSUPPORTED_MODEL for a folder that is neither a model nor a
 *   component; with `lora` also ADAPTER_NOT_FOUND, UNSUPPORTED_ADAPTER, and every problem of the model
 */
export async function inspectModel(path: string, options: InspectOptions = {}): Promise<Inspection> {
  checkOpen(path, options, [...openKeys, 'storage', 'lora']);
  const { storage, lora, ...open } = options;
  if (lora !== undefined) checkPath('lora', lora);
  if (storage !== undefined) oneOf('storage', storage, storageTypes);
  if (lora !== undefined) {
    const model = await openModel(path, open);
    const { problem: loraProblem, ...match } = await inspectLoraFor(lora, model);
    return { ...inspectComplete(model, options), ...match, loraProblem };
  }
  const absolute = resolve(await locateModel(path));
  const folder = (await kindOf(absolute)) === 'folder';
  const image = await embeddingImageIn(absolute);
  if (image) return { ...describe(absolute, 'embedding', [], image.problem, options, new Map()), ...image };
  if (folder && (await kindOf(join(absolute, 'model_index.json'))) !== 'file')
    return inspectComponent(absolute, true, options, null);
  try {
    return inspectComplete(await openModel(path, open), options);
  } catch (error) {
    const { message } = expectProblem(error);
    if (folder) return describe(absolute, 'folder', await readableParts(absolute, options), message, options);
    return inspectComponent(absolute, false, options, message);
  }
}

function inspectComplete(source: ModelSource, options: InspectOptions): Inspection {
  const parts = source.components;
  const { family, scheduler, defaults, predictionUncertain, predictionFrom = null } = source;
  const described = describe(source.path, source.form, parts, null, options);
  // Tensors that no module uses may still be read otherwise, such as a table of class embeddings.
  const unread = new Set(source.ignored.map(({ name, file }) => `${file}\0${name}`));
  const used = new Set(parts.flatMap(({ weights }) => [...weights.used]));
  return {
    ...described,
    ignored: described.ignored.filter(({ name, file }) => unread.has(`${file}\0${name}`) || used.has(name)),
    family,
    condition: factsOf(source.condition),
    scheduler,
    defaults,
    predictionUncertain,
    predictionFrom,
  };
}

/** Removes the location of the table of class embeddings. */
function factsOf(condition: ConditionSource): ConditionFacts {
  if (condition.kind !== 'class') return { kind: condition.kind };
  const { kind, classes, unconditional } = condition;
  return { kind, classes, unconditional };
}

/** Returns the readable components of a folder that is not a supported model. */
async function readableParts(folder: string, { variant }: InspectOptions): Promise<Part[]> {
  const parts: Part[] = [];
  for (const name of ['text_encoder', 'text_encoder_2', 'unet', 'vae']) {
    try {
      if ((await kindOf(join(folder, name, 'config.json'))) !== 'file') continue;
      const component = await openComponentFolder(join(folder, name), variant);
      if (component !== null) parts.push({ name, ...component });
    } catch (error) {
      expectProblem(error);
    }
  }
  return parts;
}

async function inspectComponent(
  path: string,
  folder: boolean,
  options: InspectOptions,
  problem: string | null,
): Promise<Inspection> {
  const tensors = folder ? null : (await openWeights(path, { ema: options.ema ?? false })).tensors;
  const other = tensors && otherFamily(tensors);
  let reason = problem;
  try {
    const component = other
      ? null
      : await (folder ? openComponentFolder(path, options.variant) : openComponentFile(path, options.ema));
    if (component !== null) {
      const name = {
        unet: 'unet',
        autoencoder_kl: 'vae',
        tiny_autoencoder: 'vae',
        vq_model: 'vqvae',
        text_encoder: 'text_encoder',
        bert_encoder: 'bert',
        t5_encoder: 't5',
        latent_transformer: 'transformer',
        patch_discriminator: 'discriminator',
        lpips: 'lpips',
        rrdb_net: 'upscaler',
        compact: 'upscaler',
        swinir: 'upscaler',
        dat: 'upscaler',
      }[component.kind];
      return describe(
        path,
        'component',
        [{ name, ...component }],
        problem ?? `${path} is a single component, not a complete model`,
        options,
      );
    }
  } catch (error) {
    reason ??= expectProblem(error).message;
  }
  if (tensors === null) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      reason ??
        `${path} is neither a model folder nor a folder of a supported component; use a folder with model_index.json`,
    );
  }
  const upscaler = await upscalerIn(path, tensors);
  if (upscaler !== null)
    return { ...describe(path, 'upscaler', [], upscaler.problem, options, tensors), ...upscaler };
  const adapter = await adapterIn(path, tensors);
  if (typeof adapter === 'object')
    return { ...describe(path, adapter.form, [], adapter.problem, options, tensors), ...adapter };
  return describe(path, 'other', [], (other && adapter) ?? reason, options, tensors);
}

/** Returns errors that describe an unsupported model and rethrows others, such as those of unreadable files. */
function expectProblem(error: unknown): SafelightError {
  const codes = ['UNSUPPORTED_MODEL', 'MISSING_TENSOR', 'SHAPE_MISMATCH'];
  if (error instanceof SafelightError && codes.includes(error.code)) return error;
  throw error;
}

function describe(
  path: string,
  form: Inspection['form'],
  parts: readonly Part[],
  problem: string | null,
  { storage }: InspectOptions,
  index?: TensorIndex,
): Inspection {
  const indexes = new Set(index ? [index] : parts.map(({ weights }) => weights.tensors));
  const tensors = [...indexes].flatMap((tensorIndex) => [...tensorIndex.values()]);
  let firstProblem = problem;
  const used = new Set<TensorInfo>();
  const components = parts.map(({ name, kind, config, weights }): InspectedComponent => {
    const planned = planOf(kind, config, weights, storage);
    if (typeof planned === 'string') firstProblem ??= planned;
    const needed =
      typeof planned === 'object' && planned
        ? planned.entries.map((entry) => entry.name)
        : weights.parameters.keys();
    let parameters = 0;
    let bytes = 0;
    for (const parameter of needed) {
      const { tensor, shape } = weights.parameter(parameter);
      parameters += elementCount(shape);
      for (const stored of [tensor, ...(tensor.scale?.tensors ?? [])]) {
        if (!used.has(stored)) bytes += stored.length;
        used.add(stored);
      }
    }
    return {
      name,
      kind,
      config,
      dialect: weights.dialect,
      parameters,
      bytes,
      plan: typeof planned === 'string' ? null : planned,
    };
  });
  return {
    path,
    form,
    family: null,
    problem: firstProblem,
    condition: null,
    scheduler: null,
    predictionUncertain: false,
    predictionFrom: null,
    defaults: {},
    components,
    files: grouped(tensors, ({ file }) => file).map(([path, group]) => ({ path, ...group })),
    dtypes: grouped(tensors, ({ dtype }) => dtype)
      .map(([dtype, group]) => ({ dtype, ...group }))
      .sort((a, b) => b.bytes - a.bytes),
    ignored:
      parts.length === 0 ? [] : tensors.filter((tensor) => !used.has(tensor) && !isMarker(tensor.name)),
    tensors,
  };
}

/** Returns the weight plan, null without the native binary, or the problem if weights and config do not match. */
function planOf(
  kind: ModuleKind,
  config: InspectedComponent['config'],
  weights: ComponentWeights,
  storage: StorageType | undefined,
): WeightPlan | string | null {
  try {
    return weights.plan(requirements(kind, { ...config } as NativeConfig), storage);
  } catch (error) {
    if (error instanceof SafelightError && error.code === 'BINARY_NOT_FOUND') return null;
    return expectProblem(error).message;
  }
}

function grouped(
  tensors: readonly TensorInfo[],
  key: (tensor: TensorInfo) => string,
): [key: string, group: { tensors: number; bytes: number }][] {
  const groups = new Map<string, { tensors: number; bytes: number }>();
  for (const tensor of tensors) {
    const { tensors: count, bytes } = groups.get(key(tensor)) ?? { tensors: 0, bytes: 0 };
    groups.set(key(tensor), { tensors: count + 1, bytes: bytes + tensor.length });
  }
  return [...groups];
}
