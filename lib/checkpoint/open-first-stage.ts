/** Autoencoders of either kind among a checkpoint's tensors, in CompVis' and taming's form, and diffusers' `VQModel` folders. */
import { join } from 'node:path';
import { SafelightError } from '../errors.js';
import type { LatentScale } from './components.js';
import { detectAutoencoderConfig } from './config/detect/autoencoder.js';
import { detectVQModelConfig, hasCodebook } from './config/detect/vq-model.js';
import { readVQModelConfig } from './config/diffusers/vq-model.js';
import { type FirstStageConfig, readFirstStageConfig } from './config/omegaconf/first-stage.js';
import type { LossConfig } from './config/omegaconf/losses.js';
import type { ModelConfig } from './config/omegaconf/model-config.js';
import { type ConfigFields, readConfig } from './config/validate.js';
import { openWeights } from './formats/open-weights.js';
import type { FirstStageSource, VQModelSource } from './model-descriptor.js';
import { diffusersAutoencoderNaming } from './naming/diffusers.js';
import { ldmAutoencoderNaming } from './naming/ldm-autoencoder.js';
import type { Naming } from './naming/naming.js';
import { ComponentWeights } from './weights/component.js';
import { findWeights } from './weights/find-weights.js';
import type { TensorIndex, TensorInfo } from './weights/tensor-index.js';

/** Where an autoencoder is among tensors and what is known of it. */
export interface FirstStagePlace {
  readonly tensors: TensorIndex;
  /** What stands before its names, with its dot: `first_stage_model.`, `cond_stage_model.`, or empty. */
  readonly prefix: string;
  /** For messages. */
  readonly path: string;
  /** `target` and `params` of its config; null for what its tensors tell. */
  readonly config: ModelConfig | null;
  /** How a sampler sees latents; as they are unless a diffusion model says otherwise. */
  readonly scale?: LatentScale | undefined;
}

const UNSCALED: LatentScale = { scaling_factor: 1, shift_factor: 0 };

/** Whether an autoencoder's tensors are there. */
export function hasFirstStage(tensors: TensorIndex, prefix: string): boolean {
  for (const name of tensors.keys())
    if (name.startsWith(`${prefix}encoder.`) || name.startsWith(`${prefix}decoder.`)) return true;
  return false;
}

/**
 * @returns the autoencoder, and how it was trained if its config says so
 * @throws MISSING_TENSOR, UNSUPPORTED_MODEL, SHAPE_MISMATCH, INVALID_FILE
 */
export function openFirstStage(place: FirstStagePlace): {
  readonly source: FirstStageSource;
  readonly losses: LossConfig | null;
} {
  const { tensors, prefix, path, config: section, scale = UNSCALED } = place;
  if (!hasFirstStage(tensors, prefix)) {
    throw new SafelightError(
      'MISSING_TENSOR',
      `${path} has no autoencoder (${prefix}encoder.*); take the whole checkpoint`,
    );
  }
  const weights = new ComponentWeights('autoencoder', path, tensors, namingOf(tensors, prefix));
  const given = section === null ? null : readFirstStageConfig(section, scale);
  const used = tensors.get(`${prefix}quantize.used`) ?? null;
  const found = given ?? detected(weights, used, scale);
  if (found.kind === 'autoencoder_kl') {
    const { kind, config, losses } = found;
    return { source: { kind, config, weights }, losses };
  }
  const { kind, config, losses, remapped, unknownIndex } = found;
  if (remapped && used === null) {
    throw new SafelightError(
      'MISSING_TENSOR',
      `${path} has no tensor "${prefix}quantize.used", the table of codes that its config's remap asks for; take the whole checkpoint`,
    );
  }
  return { source: { kind, config, weights, used, unknownIndex }, losses };
}

/** A folder of diffusers' `VQModel`. */
export async function openVQModelFolder(
  folder: string,
  variant?: string,
  fields?: ConfigFields,
): Promise<VQModelSource> {
  const path = join(folder, 'config.json');
  const config = readVQModelConfig(fields ?? (await readConfig(path)), path);
  const { tensors } = await openWeights(await findWeights(folder, variant));
  const naming = diffusersAutoencoderNaming(tensors.keys());
  return {
    config,
    weights: new ComponentWeights('autoencoder', folder, tensors, naming),
    used: null,
    unknownIndex: 'random',
  };
}

function namingOf(tensors: TensorIndex, prefix: string): Naming {
  const names = [...tensors.keys()];
  const canonical = names.some((name) => /(^|\.)(down|up)_blocks\./.test(name));
  return canonical && prefix === '' ? diffusersAutoencoderNaming(names) : ldmAutoencoderNaming(names, prefix);
}

/** What the tensors tell: all but what becomes of unknown codes. */
function detected(weights: ComponentWeights, used: TensorInfo | null, scale: LatentScale): FirstStageConfig {
  if (!hasCodebook(weights))
    return { kind: 'autoencoder_kl', config: detectAutoencoderConfig(weights, scale), losses: null };
  const config = detectVQModelConfig(weights, scale);
  return { kind: 'vq_model', config, remapped: used !== null, unknownIndex: 'random', losses: null };
}
