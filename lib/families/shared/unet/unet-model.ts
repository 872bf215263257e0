/**
 * Completes the description of a U-Net model: replaces the autoencoder if requested and checks that the components
 * fit together.
 */

import type { UNetModelComponents } from '../../../checkpoint/components.js';
import { fewStepEvidence, fewStepModel } from '../../../checkpoint/few-step.js';
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
  TinyAutoencoderSource,
  UNetSource,
} from '../../../checkpoint/model-descriptor.js';
import type { ModelFiles } from '../../../checkpoint/model-files.js';
import { openAutoencoder } from '../../../checkpoint/open-autoencoder.js';
import { invalidOption, SafelightError } from '../../../errors.js';
import { moduleKindOf } from '../../../modules/text-encoder.js';

/** Properties common to the models of a family, which their files may not contain. */
export interface UNetFamilyFacts {
  readonly name: string;
  /** Returns the side length of training images in pixels, for files that do not contain it. */
  imageSide(scheduler: ModelSource['scheduler']): number;
  /** Returns diffusers' name of the text encoder at a position. */
  encoderName(index: number): string;
}

/**
 * Completes the description of a model.
 * @throws SHAPE_MISMATCH, UNSUPPORTED_MODEL, and errors of opening another autoencoder
 */
export async function completeUNetModel(
  files: ModelFiles,
  parts: UNetModelComponents,
  family: UNetFamilyFacts,
  options: OpenModelOptions,
): Promise<ModelSource> {
  const { path } = files;
  const fewStep = fewStepModel({
    ...fewStepEvidence(files),
    embedsGuidance: parts.unet.config.time_cond_proj_dim !== undefined,
  });
  const autoencoder = parts.autoencoder ?? (await replacement(parts, options));
  checkTogether(path, parts, autoencoder);
  const { latentScale: _, ...rest } = parts;
  const components = componentsOf(parts, autoencoder, family);
  const source: ModelSource = {
    ...{ ...rest, path, family: family.name, autoencoder, components },
    previewDecoder: await previewDecoderOf(options, parts),
    ...{ fewStep, defaults: { ...fewStep?.defaults, ...parts.defaults } },
    ignored: ignored(parts, autoencoder),
  };
  if (options.prediction !== undefined) return withPrediction(source, options.prediction, family);
  const isGuess = source.predictionFrom?.kind === 'family';
  if (!isGuess || fewStep?.prediction === undefined) return sized(source, family);
  const stated: ModelSource = { ...source, predictionFrom: { kind: 'few-step' } };
  return withPrediction(stated, fewStep.prediction, family);
}

/**
 * Returns the description with the prediction type specified by the user or detected by `probePrediction`. Also
 * updates the default size of single files, because SD2 models that predict v are trained at 768 pixels.
 */
export function withPrediction(
  source: ModelSource,
  prediction: ModelSource['scheduler']['prediction'],
  family: Pick<UNetFamilyFacts, 'imageSide'>,
): ModelSource {
  const scheduler = { ...source.scheduler, prediction };
  return sized({ ...source, scheduler, predictionUncertain: false }, family);
}

/** Sets the image size of single files, which usually do not contain it, to that of the family. */
function sized(source: ModelSource, family: Pick<UNetFamilyFacts, 'imageSide'>): ModelSource {
  if (source.ownSize) return source;
  const { config, weights } = source.unet;
  const side = family.imageSide(source.scheduler) / latentDownsampleFactor(source.autoencoder);
  const unet = { config: { ...config, sample_size: Math.max(1, side) }, weights };
  const components = source.components.map((component) =>
    component.part === 'unet' ? { ...component, ...unet } : component,
  );
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
    throw new SafelightError('INTERNAL', 'The model has no autoencoder and none was specified');
  if (typeof vae !== 'string' || vae === '') throw invalidOption('vae', 'the path of a folder or file', vae);
  return openAutoencoder(vae, variant, parts.latentScale);
}

/** Opens the tiny autoencoder that decodes previews. @throws SHAPE_MISMATCH, UNSUPPORTED_MODEL for another kind */
async function previewDecoderOf(
  { previewVae, variant }: OpenModelOptions,
  { unet, latentScale }: UNetModelComponents,
): Promise<TinyAutoencoderSource | null> {
  if (previewVae === undefined) return null;
  const source = await openAutoencoder(previewVae, variant, latentScale);
  if (source.kind !== 'tiny_autoencoder') {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${previewVae} is not a tiny autoencoder, which previews need; use TAESD for Stable Diffusion 1 and 2 or TAESDXL for SDXL`,
    );
  }
  const { config, weights } = source;
  if (config.latent_channels !== unet.config.out_channels) {
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `${previewVae} decodes latents of ${config.latent_channels} channels, but the U-Net predicts ${unet.config.out_channels}; use the tiny autoencoder of this model`,
    );
  }
  return { config, weights };
}

/** Checks that the widths of the components match. */
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
      `the U-Net predicts ${out_channels} channels, but latents of the autoencoder have ${latent}`,
    );
  }
  extraChannels({ path, condition, unet }, autoencoder);
  if (condition.kind === 'text') checkText(path, unet, textEncoders);
  else checkCondition(path, unet, condition);
  if (unet.config.addition !== null && condition.kind !== 'text') {
    throw mismatch(path, 'the U-Net needs pooled text embeddings, but no text encoder returns them');
  }
}

function checkText(path: string, unet: UNetSource, encoders: readonly TextEncoderSource[]): void {
  if (encoders.length === 0) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${path} has no text encoder; use a text-conditional model`,
    );
  }
  const width = encoders.reduce((sum, { config }) => sum + config.hidden_size, 0);
  if (width !== unet.config.cross_attention_dim) {
    throw mismatch(
      path,
      `the text embeddings have width ${width}, but the U-Net expects ${unet.config.cross_attention_dim}`,
    );
  }
  const { addition } = unet.config;
  if (addition === null) return;
  const encoder = encoders.find(({ pooled }) => pooled);
  if (encoder === undefined)
    throw mismatch(path, 'the U-Net needs pooled text embeddings, but no text encoder returns them');
  const pooled = encoder.config.projection_dim || encoder.config.hidden_size;
  const ids = (addition.input_dim - pooled) / addition.time_embed_dim;
  if (ids !== 5 && ids !== 6) {
    throw mismatch(
      path,
      `the U-Net's additional embedding has width ${addition.input_dim}, which is not ${pooled} (pooled text) plus 5 or 6 time ids of ${addition.time_embed_dim}`,
    );
  }
}

/**
 * Checks a class-conditional or unconditional model: the width of class embeddings, and that they match the inputs of
 * the U-Net.
 */
function checkCondition(path: string, { config }: UNetSource, condition: ConditionSource): void {
  const table = condition.kind === 'class' ? condition.table : null;
  const expected = config.attention_blocks ? 0 : config.cross_attention_dim;
  const width = table?.shape[1] ?? 0;
  if (width !== expected) {
    throw mismatch(
      path,
      expected === 0
        ? `it has a table of class embeddings, but the U-Net has no cross-attention`
        : `the U-Net expects class embeddings of width ${expected}, but ${width === 0 ? 'there are none' : `theirs is ${width}`}`,
    );
  }
  const labelled = (config.class_embedding ?? null) !== null;
  if (labelled !== (condition.kind === 'class' && table === null))
    throw mismatch(path, `the U-Net ${labelled ? 'needs' : 'does not accept'} a class index`);
}

function mismatch(path: string, what: string): SafelightError {
  return new SafelightError(
    'SHAPE_MISMATCH',
    `The components of ${path} do not fit together: ${what}; use components of the same model`,
  );
}

/** Lists the tensors of the model's files that no component uses. */
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
  const unused: IgnoredTensor[] = [];
  for (const tensors of new Set(components.map((weights) => weights.tensors))) {
    for (const { name, dtype, shape, file } of tensors.values()) {
      if (!used.get(file)?.has(name) && !isMarker(name)) unused.push({ name, dtype, shape, file });
    }
  }
  return unused;
}
