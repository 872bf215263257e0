/** A model that draws with a U-Net, completed from its files: the autoencoder that was asked for, and the checks across components. */

import type { UNetModelComponents } from '../../../checkpoint/components.js';
import { extraChannels, latentChannels, latentDownsampleFactor } from '../../../checkpoint/latent-source.js';
import { isMarker } from '../../../checkpoint/markers.js';
import type {
  ComponentSource,
  ConditionSource,
  IgnoredTensor,
  LatentSource,
  ModelSource,
  OpenModelOptions,
  TextEncoderSource,
  UNetSource,
} from '../../../checkpoint/model-descriptor.js';
import type { ModelFiles } from '../../../checkpoint/model-files.js';
import { openAutoencoder } from '../../../checkpoint/open-autoencoder.js';
import { invalidOption, SafelightError } from '../../../errors.js';
import { moduleKindOf } from '../../../modules/text-encoder.js';

/** Facts that a family's models have in common and that their files need not say. */
export interface UNetFamilyFacts {
  readonly name: string;
  /** Side in pixels of the images that its models were trained on, for files that do not say. */
  imageSide(scheduler: ModelSource['scheduler']): number;
  /** Name of the text encoder at a position, as diffusers calls it. */
  encoderName(index: number): string;
}

/** @throws SHAPE_MISMATCH, UNSUPPORTED_MODEL, and what opening another autoencoder throws */
export async function completeUNetModel(
  { path }: ModelFiles,
  parts: UNetModelComponents,
  family: UNetFamilyFacts,
  options: OpenModelOptions,
): Promise<ModelSource> {
  const autoencoder = parts.autoencoder ?? (await replacement(parts, options));
  checkTogether(path, parts, autoencoder);
  const { latentScale: _, ...rest } = parts;
  const components = componentsOf(parts, autoencoder, family);
  const source: ModelSource = {
    ...{ ...rest, path, family: family.name, autoencoder, components },
    ignored: ignored(parts, autoencoder),
  };
  return options.prediction === undefined
    ? sized(source, family)
    : withPrediction(source, options.prediction, family);
}

/**
 * The same model with what it predicts settled, by the user or by `probePrediction`. The size that a single file is best at follows:
 * SD2's 768 model is the one that predicts v.
 */
export function withPrediction(
  source: ModelSource,
  prediction: ModelSource['scheduler']['prediction'],
  family: Pick<UNetFamilyFacts, 'imageSide'>,
): ModelSource {
  const scheduler = { ...source.scheduler, prediction };
  return sized({ ...source, scheduler, predictionUncertain: false }, family);
}

/** Most single files do not say their size of images; the family does. */
function sized(source: ModelSource, family: Pick<UNetFamilyFacts, 'imageSide'>): ModelSource {
  if (source.ownSize) return source;
  const { config, weights } = source.unet;
  const side = family.imageSide(source.scheduler) / latentDownsampleFactor(source.autoencoder);
  const unet = { config: { ...config, sample_size: Math.max(1, side) }, weights };
  const components = source.components.map((one) => (one.part === 'unet' ? { ...one, ...unet } : one));
  return { ...source, unet, components };
}

function componentsOf(
  { textEncoders, unet }: UNetModelComponents,
  autoencoder: LatentSource,
  family: UNetFamilyFacts,
): ComponentSource[] {
  const texts = textEncoders.map(
    ({ config, weights, kind }, i): ComponentSource => ({
      name: family.encoderName(i),
      part: 'text_encoder',
      label: i === 0 ? 'text encoder' : `text encoder ${i + 1}`,
      kind: moduleKindOf(kind),
      ...{ config, weights },
    }),
  );
  const network: ComponentSource = { name: 'unet', part: 'unet', label: 'U-Net', kind: 'unet', ...unet };
  if (autoencoder.kind === 'pixels') return [...texts, network];
  const { kind, config, weights } = autoencoder;
  const name = kind === 'vq_model' ? 'vqvae' : 'vae';
  return [...texts, network, { name, part: 'autoencoder', label: 'autoencoder', kind, config, weights }];
}

async function replacement(
  parts: UNetModelComponents,
  { vae, variant }: OpenModelOptions,
): Promise<LatentSource> {
  if (vae === undefined)
    throw new SafelightError('INTERNAL', 'The model has no autoencoder and none was named');
  if (typeof vae !== 'string' || vae === '') throw invalidOption('vae', 'path of a folder or file', vae);
  return { kind: 'autoencoder_kl', ...(await openAutoencoder(vae, variant, parts.latentScale)) };
}

/** Widths that have to agree between the components. */
function checkTogether(
  path: string,
  { unet, condition, textEncoders }: UNetModelComponents,
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
  if (unet.config.addition !== null && condition.kind !== 'text') {
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

/** Checks a model that reads no text: the widths of a class's states, and that the U-Net is told what it asks for. */
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
function ignored(parts: UNetModelComponents, autoencoder: LatentSource): IgnoredTensor[] {
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
