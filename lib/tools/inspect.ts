/** What a model file or folder holds, as plain data; nothing is loaded. */
import { join, resolve } from 'node:path';
import { requirements } from '../binding/module.js';
import type { ModuleKind, NativeConfig, StorageType, WeightPlan } from '../binding/types.js';
import { checkOpen, openKeys } from '../checkpoint/check-open.js';
import type {
  AutoencoderConfig,
  GenerationDefaults,
  SchedulerConfig,
  TextEncoderConfig,
  UNetConfig,
  VQModelConfig,
} from '../checkpoint/config/types.js';
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
import { openComponentFile, openComponentFolder } from '../families/shared/lone-component.js';
import { kindOf } from '../files/read.js';
import { locateModel } from '../hub/locate.js';
import { oneOf } from '../known-keys.js';

export interface InspectOptions extends OpenModelOptions {
  /** For the weight plans; by default as in the files. */
  readonly storage?: StorageType;
}

export interface Inspection {
  /** Absolute. */
  readonly path: string;
  /** A diffusers folder, a whole checkpoint, one component of a model, or a safetensors file of something else. */
  readonly form: 'folder' | 'file' | 'component' | 'other';
  /** Null unless it is a whole model. */
  readonly family: string | null;
  /** Why it cannot be run as a model, if so. */
  readonly problem: string | null;
  /** What it is told of a picture; null unless it is a whole model. */
  readonly condition: ConditionFacts | null;
  readonly scheduler: SchedulerConfig | null;
  /** Whether what it predicts has to be found out by running it. */
  readonly predictionUncertain: boolean;
  /** What says `scheduler.prediction`; null unless it is a single file without configs. */
  readonly predictionFrom: PredictionFrom | null;
  readonly defaults: GenerationDefaults;
  readonly components: readonly InspectedComponent[];
  readonly files: readonly { readonly path: string; readonly tensors: number; readonly bytes: number }[];
  /** Of all tensors, the largest share first. */
  readonly dtypes: readonly { readonly dtype: string; readonly tensors: number; readonly bytes: number }[];
  readonly ignored: readonly IgnoredTensor[];
  readonly tensors: readonly TensorInfo[];
}

export type ConditionFacts =
  | { readonly kind: 'text' | 'none' }
  | { readonly kind: 'class'; readonly classes: number; readonly unconditional: number | null };

export interface InspectedComponent {
  /** As diffusers calls it: `text_encoder`, `text_encoder_2`, `unet`, `vae`, `vqvae`. */
  readonly name: string;
  readonly kind: ModuleKind;
  readonly config: UNetConfig | AutoencoderConfig | VQModelConfig | TextEncoderConfig;
  /** How its file names its parameters. */
  readonly dialect: string;
  /** Numbers, and bytes in the file. */
  readonly parameters: number;
  readonly bytes: number;
  /** Null if the native binary is not there, or the weights do not fit the config (see `problem`). */
  readonly plan: WeightPlan | null;
}

type Part = Pick<InspectedComponent, 'name' | 'kind' | 'config'> & { readonly weights: ComponentWeights };

/** @throws FILE_NOT_FOUND, INVALID_FILE, INVALID_OPTION; a model that cannot be run is no error here, but a `problem` */
export async function inspectModel(path: string, options: InspectOptions = {}): Promise<Inspection> {
  checkOpen(path, options, [...openKeys, 'storage']);
  const { storage, ...open } = options;
  if (storage !== undefined) oneOf('storage', storage, storageTypes);
  const absolute = resolve(await locateModel(path));
  const folder = (await kindOf(absolute)) === 'folder';
  if (folder && (await kindOf(join(absolute, 'model_index.json'))) !== 'file')
    return inspectComponent(absolute, true, options, null);
  try {
    return inspectWhole(await openModel(path, open), options);
  } catch (error) {
    const { message } = expectProblem(error);
    if (folder) return describe(absolute, 'folder', await readableParts(absolute, options), message, options);
    return inspectComponent(absolute, false, options, message);
  }
}

function inspectWhole(source: ModelSource, options: InspectOptions): Inspection {
  const parts = source.components;
  const { family, scheduler, defaults, predictionUncertain, predictionFrom = null } = source;
  const described = describe(source.path, source.form, parts, null, options);
  // What no module takes may still be read (a table of classes).
  const unread = new Set(source.ignored.map(({ name, file }) => `${file}\0${name}`));
  const taken = new Set(parts.flatMap(({ weights }) => [...weights.used]));
  return {
    ...described,
    ignored: described.ignored.filter(({ name, file }) => unread.has(`${file}\0${name}`) || taken.has(name)),
    family,
    condition: factsOf(source.condition),
    scheduler,
    defaults,
    predictionUncertain,
    predictionFrom,
  };
}

/** Without where a table of classes lies. */
function factsOf(condition: ConditionSource): ConditionFacts {
  if (condition.kind !== 'class') return { kind: condition.kind };
  const { kind, classes, unconditional } = condition;
  return { kind, classes, unconditional };
}

/** The components of a folder that is no model Safelight runs, as far as they are readable. */
async function readableParts(folder: string, { variant }: InspectOptions): Promise<Part[]> {
  const parts: Part[] = [];
  for (const name of ['text_encoder', 'text_encoder_2', 'unet', 'vae']) {
    try {
      if ((await kindOf(join(folder, name, 'config.json'))) !== 'file') continue;
      const found = await openComponentFolder(join(folder, name), variant);
      if (found !== null) parts.push({ name, ...found });
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
  let why = problem;
  try {
    const found = other
      ? null
      : await (folder ? openComponentFolder(path, options.variant) : openComponentFile(path, options.ema));
    if (found !== null) {
      const name = {
        unet: 'unet',
        autoencoder_kl: 'vae',
        vq_model: 'vqvae',
        text_encoder: 'text_encoder',
        bert_encoder: 'bert',
        t5_encoder: 't5',
        latent_transformer: 'transformer',
        patch_discriminator: 'discriminator',
        lpips: 'lpips',
      }[found.kind];
      return describe(
        path,
        'component',
        [{ name, ...found }],
        problem ?? `${path} is one component, no whole model`,
        options,
      );
    }
  } catch (error) {
    why ??= expectProblem(error).message;
  }
  if (tensors === null) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      why ??
        `${path} is no model folder and no folder of a component Safelight knows; name a folder with model_index.json`,
    );
  }
  return describe(path, 'other', [], why, options, tensors);
}

/** Errors that tell what a model is like, rather than that it cannot be read. */
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
  const tensors = [...indexes].flatMap((one) => [...one.values()]);
  let found = problem;
  const used = new Set<TensorInfo>();
  const components = parts.map(({ name, kind, config, weights }): InspectedComponent => {
    const planned = planOf(kind, config, weights, storage);
    if (typeof planned === 'string') found ??= planned;
    const needed =
      typeof planned === 'object' && planned
        ? planned.entries.map((entry) => entry.name)
        : weights.parameters.keys();
    let parameters = 0;
    let bytes = 0;
    for (const parameter of needed) {
      const { tensor, shape } = weights.parameter(parameter);
      parameters += shape.reduce((product, side) => product * side, 1);
      if (!used.has(tensor)) bytes += tensor.length;
      used.add(tensor);
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
    problem: found,
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

/** The plan; null without the native binary; a sentence if weights and config do not fit. */
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
