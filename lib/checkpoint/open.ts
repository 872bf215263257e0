import { resolve } from 'node:path';
import { invalidOption, SafelightError } from '../errors.js';
import { kindOf } from '../files/read.js';
import { bundledModels } from '../hub/bundled.js';
import { locateModel } from '../hub/locate.js';
import { checkOpen } from './check-open.js';
import { openFolder } from './folder.js';
import { extraChannels, latentChannels, latentFactor } from './latent-source.js';
import type {
  ConditionSource,
  IgnoredTensor,
  LatentSource,
  ModelSource,
  OpenModelOptions,
  TextEncoderSource,
  UNetSource,
} from './model-descriptor.js';
import { openAutoencoder } from './open-autoencoder.js';
import type { ModelParts } from './parts.js';
import { isMarker, nativeSize, openSingleFile } from './single-file.js';

/** The folder of the small model that ships with the package, from `lib/` and from `dist/` alike. */
export const starterModel = bundledModels.starter;

/**
 * Finds out what a model is and where its weights lie, without reading them.
 * @param path a diffusers folder, a single file (safetensors, GGUF, PyTorch checkpoint, or shard index) in CompVis' form, or the name of a bundled
 *   (`starter`) or downloaded model (`owner/name`, `civitai:VERSION_ID`)
 * @throws FILE_NOT_FOUND, MODEL_NOT_FOUND, INVALID_FILE, UNSUPPORTED_MODEL, MISSING_TENSOR, SHAPE_MISMATCH, INVALID_OPTION
 */
export async function openModel(path: string, options: OpenModelOptions = {}): Promise<ModelSource> {
  checkOpen(path, options);
  const absolute = resolve(await locateModel(path));
  const folder = (await kindOf(absolute)) === 'folder';
  const parts = folder ? await openFolder(absolute, options) : await openSingleFile(absolute, options);
  const autoencoder = parts.autoencoder ?? (await replacement(parts, options));
  checkTogether(absolute, parts, autoencoder);
  const { latentScale: _, ...rest } = parts;
  const source = sized({ ...rest, path: absolute, autoencoder, ignored: ignored(parts, autoencoder) });
  return options.prediction === undefined ? source : withPrediction(source, options.prediction);
}

/**
 * The same model with what it predicts settled, by the user or by `probePrediction`. The size that a single file is best at follows:
 * SD2's 768 model is the one that predicts v.
 */
export function withPrediction(
  source: ModelSource,
  prediction: ModelSource['scheduler']['prediction'],
): ModelSource {
  const scheduler = { ...source.scheduler, prediction };
  return sized({ ...source, scheduler, predictionUncertain: false });
}

/** Most single files do not say their size of pictures; the family does. */
function sized(source: ModelSource): ModelSource {
  if (source.ownSize) return source;
  const { config, weights } = source.unet;
  const side = nativeSize(source.family, source.scheduler) / latentFactor(source.autoencoder);
  return { ...source, unet: { config: { ...config, sample_size: Math.max(1, side) }, weights } };
}

async function replacement(parts: ModelParts, { vae, variant }: OpenModelOptions): Promise<LatentSource> {
  if (vae === undefined)
    throw new SafelightError('INTERNAL', 'The model has no autoencoder and none was named');
  if (typeof vae !== 'string' || vae === '') throw invalidOption('vae', 'path of a folder or file', vae);
  return { kind: 'autoencoder_kl', ...(await openAutoencoder(vae, variant, parts.latentScale)) };
}

/** Widths that have to agree between the components. */
function checkTogether(
  path: string,
  { unet, condition, textEncoders, family }: ModelParts,
  autoencoder: LatentSource,
): void {
  const latent = latentChannels(autoencoder);
  const { out_channels } = unet.config;
  if (out_channels !== latent) {
    throw mismatch(
      path,
      `its U-Net predicts ${out_channels} channels but latents of its autoencoder have ${latent}`,
    );
  }
  extraChannels({ path, condition, unet }, autoencoder);
  if (condition.kind === 'text') checkText(path, unet, textEncoders);
  else checkCondition(path, unet, condition);
  if (unet.config.addition !== null && family !== 'sdxl' && family !== 'sdxl_refiner') {
    throw mismatch(path, 'its U-Net takes pooled text but no text encoder gives it');
  }
}

function checkText(path: string, unet: UNetSource, encoders: readonly TextEncoderSource[]): void {
  if (encoders.length === 0) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${path} has no text encoder; take a model that reads a prompt`,
    );
  }
  const given = encoders.reduce((sum, { config }) => sum + config.hidden_size, 0);
  if (given !== unet.config.cross_attention_dim) {
    throw mismatch(
      path,
      `its text encoders give ${given} numbers a token but its U-Net takes ${unet.config.cross_attention_dim}`,
    );
  }
  const { addition } = unet.config;
  if (addition === null) return;
  const encoder = encoders.find(({ pooled }) => pooled);
  if (encoder === undefined) throw mismatch(path, 'its U-Net takes pooled text but no text encoder gives it');
  const pooled = encoder.config.projection_dim || encoder.config.hidden_size;
  const ids = (addition.input_dim - pooled) / addition.time_embed_dim;
  if (ids !== 5 && ids !== 6) {
    throw mismatch(
      path,
      `its U-Net takes ${addition.input_dim} numbers besides time and text, which are not ${pooled} of pooled text and 5 or 6 sinusoids of ${addition.time_embed_dim}`,
    );
  }
}

/** Of what is no text: the widths of a class's states, and that a U-Net is told what it asks for. */
function checkCondition(path: string, { config }: UNetSource, condition: ConditionSource): void {
  const table = condition.kind === 'class' ? condition.table : null;
  const asks = config.attention_blocks ? 0 : config.cross_attention_dim;
  const given = table?.shape[1] ?? 0;
  if (given !== asks) {
    throw mismatch(
      path,
      asks === 0
        ? `it has a table of classes but its U-Net attends to nothing`
        : `its U-Net attends to ${asks} numbers a token where ${given || 'none'} are given`,
    );
  }
  const labelled = (config.class_embedding ?? null) !== null;
  if (labelled !== (condition.kind === 'class' && table === null))
    throw mismatch(path, `its U-Net ${labelled ? 'takes' : 'does not take'} the number of a class`);
}

function mismatch(path: string, what: string): SafelightError {
  return new SafelightError(
    'SHAPE_MISMATCH',
    `${path} does not fit together: ${what}; its parts are of different models`,
  );
}

/** Tensors of the model's files that are no parameter of any component. */
function ignored(parts: ModelParts, autoencoder: LatentSource): IgnoredTensor[] {
  const components = [...parts.textEncoders, parts.unet, autoencoder].map(({ weights }) => weights);
  const used = new Map<string, Set<string>>();
  for (const { parameters } of components) {
    for (const { tensor } of parameters.values()) {
      const names = used.get(tensor.file) ?? new Set();
      used.set(tensor.file, names.add(tensor.name));
    }
  }
  const { condition } = parts;
  if (condition.kind === 'class' && condition.table)
    used.get(condition.table.file)?.add(condition.table.name);
  if (autoencoder.kind === 'vq_model' && autoencoder.used)
    used.get(autoencoder.used.file)?.add(autoencoder.used.name);
  const found: IgnoredTensor[] = [];
  for (const tensors of new Set(components.map((weights) => weights.tensors))) {
    for (const { name, dtype, shape, file } of tensors.values()) {
      if (!used.get(file)?.has(name) && !isMarker(name)) found.push({ name, dtype, shape, file });
    }
  }
  return found;
}
