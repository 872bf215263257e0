/**
 * Single files of CompVis' latent diffusion: text-conditional, class-conditional, unconditional, inpainting,
 * super-resolution and pixel-space models. Unlike Stable Diffusion, some of their properties cannot be derived from
 * tensors, so the YAML config is required.
 */

import type { LatentScale, UNetModelComponents } from '../../checkpoint/components.js';
import { classOf } from '../../checkpoint/config/codec.js';
import { detectUNetConfig } from '../../checkpoint/config/detect/unet.js';
import { isFirstStage } from '../../checkpoint/config/omegaconf/first-stage.js';
import { readLdmScheduler } from '../../checkpoint/config/omegaconf/latent-diffusion.js';
import { readLdmUNetFacts } from '../../checkpoint/config/omegaconf/ldm-unet-facts.js';
import type { ModelConfig } from '../../checkpoint/config/omegaconf/model-config.js';
import { readModelConfig } from '../../checkpoint/config/omegaconf/read-model-config.js';
import type { GenerationDefaults, UNetConfig } from '../../checkpoint/config/types.js';
import { pixelSource } from '../../checkpoint/latent-source.js';
import type { ConditionSource, LatentSource, OpenModelOptions } from '../../checkpoint/model-descriptor.js';
import type { ModelFile } from '../../checkpoint/model-files.js';
import { ldmUNetNaming } from '../../checkpoint/naming/ldm-unet.js';
import { hasBert, openBertTensors } from '../../checkpoint/open-bert.js';
import { hasFirstStage, openFirstStage } from '../../checkpoint/open-first-stage.js';
import { AUTOENCODER, UNET } from '../../checkpoint/text-encoder-layout.js';
import { ComponentWeights } from '../../checkpoint/weights/component.js';
import { readValues } from '../../checkpoint/weights/read-tensor.js';
import type { TensorIndex } from '../../checkpoint/weights/tensor-index.js';
import { defined } from '../../defined.js';
import { SafelightError } from '../../errors.js';

const TEXT: ConditionSource = { kind: 'text' };
const CLASSES = 'cond_stage_model.embedding.weight';

/** True for a latent diffusion checkpoint, detected by the conditioning of its U-Net. */
export function isLatentDiffusion(tensors: TensorIndex): boolean {
  const names = [...tensors.keys()];
  const has = (prefix: string): boolean => names.some((name) => name.startsWith(prefix));
  if (!has(UNET)) return false;
  if (has(CLASSES) || hasBert(tensors) || hasFirstStage(tensors, 'cond_stage_model.')) return true;
  const attends = names.some((name) => name.startsWith(UNET) && name.includes('.attn2.'));
  return !attends && !has('cond_stage_model.') && !has('conditioner.');
}

/**
 * True for a pixel-space checkpoint, which has no first stage or an identity.
 * @throws INVALID_FILE for a malformed YAML
 */
export async function isPixelSpace(
  { tensors, path }: ModelFile,
  { config }: OpenModelOptions,
): Promise<boolean> {
  const params = (await readModelConfig(path, config))?.section('model.params') ?? null;
  return hasNoFirstStage(tensors, params?.section('first_stage_config') ?? null);
}

/** Reads the description of a file. @throws UNSUPPORTED_MODEL, INVALID_FILE, MISSING_TENSOR, SHAPE_MISMATCH */
export async function openLatentDiffusionFile(
  { tensors, path }: ModelFile,
  options: OpenModelOptions,
): Promise<UNetModelComponents> {
  const yaml = await readModelConfig(path, options.config);
  const params = yaml?.section('model.params') ?? null;
  const facts = readLdmUNetFacts(yaml);
  if (params === null || facts === null) throw missingConfig(path);
  const weights = new ComponentWeights(
    'U-Net',
    path,
    tensors,
    ldmUNetNaming(tensors.keys(), UNET, path, facts.attention),
  );
  const config = detectUNetConfig(weights, {
    addition: null,
    sampleSize: facts.sampleSize ?? 64,
    heads: facts.attention.heads,
  });
  const scale = { scaling_factor: await scaleOf(tensors, params), shift_factor: 0 };
  const scheduler = readLdmScheduler(params);
  const textEncoders = hasBert(tensors) ? [await openBertTensors(tensors, path)] : [];
  const condition = textEncoders.length > 0 ? TEXT : conditionOf(tensors, config);
  const autoencoder = options.vae === undefined ? latentsOf(tensors, path, params, scale, config) : null;
  return {
    form: 'file',
    ownSize: true,
    textEncoders,
    condition,
    unet: { config, weights },
    autoencoder,
    latentScale: scale,
    scheduler: { ...scheduler, ...defined({ prediction: options.prediction }) },
    defaults: defaultsOf(condition),
    forceZerosForEmptyPrompt: false,
    predictionUncertain: false,
  };
}

/** Returns the defaults of the reference's scripts: DDIM with 50 steps, and a guidance scale by conditioning. */
export function defaultsOf(condition: ConditionSource): GenerationDefaults {
  const cfg = { class: 3, text: 5, none: 1 }[condition.kind];
  return { sampler: 'ddim', schedule: 'discrete', steps: 50, cfg };
}

function conditionOf(tensors: TensorIndex, { class_embedding }: UNetConfig): ConditionSource {
  const table = tensors.get(CLASSES);
  if (table) {
    const [classes = 0] = table.shape;
    return { kind: 'class', classes, unconditional: Math.max(0, classes - 1), table };
  }
  if (class_embedding?.type === 'table')
    return { kind: 'class', classes: class_embedding.size, unconditional: null, table: null };
  return { kind: 'none' };
}

/** Opens the first stage; without one, or with an identity, the model works on pixels. */
function latentsOf(
  tensors: TensorIndex,
  path: string,
  params: ModelConfig,
  scale: LatentScale,
  { out_channels }: UNetConfig,
): LatentSource {
  const section = params.section('first_stage_config');
  if (hasNoFirstStage(tensors, section)) return pixelSource(path, out_channels);
  const target = section?.getString('target', '') ?? '';
  const config = section && isFirstStage(target) ? section : null;
  return openFirstStage({ tensors, prefix: AUTOENCODER, path, config, scale }).source;
}

function hasNoFirstStage(tensors: TensorIndex, section: ModelConfig | null): boolean {
  if (section === null) return !hasFirstStage(tensors, AUTOENCODER);
  return classOf(section.getString('target', '')) === 'IdentityFirstStage';
}

/** Returns the scale measured during training and stored as a tensor, otherwise that of the YAML. */
async function scaleOf(tensors: TensorIndex, params: ModelConfig): Promise<number> {
  const measured = tensors.get('scale_factor');
  const [value] = measured ? await readValues(measured, 1) : [];
  return value ?? params.getNumber('scale_factor', 1, { min: 1e-6, max: 1e6 });
}

function missingConfig(path: string): SafelightError {
  return new SafelightError(
    'UNSUPPORTED_MODEL',
    `${path} is a latent diffusion model and needs its YAML config for the attention heads and betas (model.params.unet_config.params, linear_start, linear_end); put it next to the file or pass it with the config option`,
  );
}
