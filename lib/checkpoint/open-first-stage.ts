/**
 * Opens KL and VQ autoencoders: among the tensors of CompVis and taming checkpoints, and in diffusers' `VQModel`
 * folders.
 */
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

/** The location of an autoencoder among tensors, and what is known about it. */
export interface FirstStageLocation {
  readonly tensors: TensorIndex;
  /** Prefix of its tensor names with the dot: `first_stage_model.`, `cond_stage_model.`, or empty. */
  readonly prefix: string;
  /** Path of the file, for messages. */
  readonly path: string;
  /** `target` and `params` of its config; null to detect the config from the tensors. */
  readonly config: ModelConfig | null;
  /** Latent scale of the diffusion model around it; default 1 without shift. */
  readonly scale?: LatentScale | undefined;
}

const UNSCALED: LatentScale = { scaling_factor: 1, shift_factor: 0 };

/** Returns true if there are tensors of an autoencoder under the prefix. */
export function hasFirstStage(tensors: TensorIndex, prefix: string): boolean {
  for (const name of tensors.keys())
    if (name.startsWith(`${prefix}encoder.`) || name.startsWith(`${prefix}decoder.`)) return true;
  return false;
}

/**
 * @returns the autoencoder, and its training losses if the config states them
 * @throws MISSING_TENSOR, UNSUPPORTED_MODEL, SHAPE_MISMATCH, INVALID_FILE
 */
export function openFirstStage(location: FirstStageLocation): {
  readonly source: FirstStageSource;
  readonly losses: LossConfig | null;
} {
  const { tensors, prefix, path, config: section, scale = UNSCALED } = location;
  if (!hasFirstStage(tensors, prefix)) {
    throw new SafelightError(
      'MISSING_TENSOR',
      `${path} has no autoencoder (${prefix}encoder.*); use the complete checkpoint`,
    );
  }
  const weights = new ComponentWeights('autoencoder', path, tensors, namingOf(tensors, prefix));
  const parsed = section === null ? null : readFirstStageConfig(section, scale);
  const used = tensors.get(`${prefix}quantize.used`) ?? null;
  const result = parsed ?? detected(weights, used, scale);
  if (result.kind === 'autoencoder_kl') {
    const { kind, config, losses } = result;
    return { source: { kind, config, weights }, losses };
  }
  const { kind, config, losses, remapped, unknownIndex } = result;
  if (remapped && used === null) {
    throw new SafelightError(
      'MISSING_TENSOR',
      `${path} has no tensor "${prefix}quantize.used", the table of used codes that its config's remap requires; use the complete checkpoint`,
    );
  }
  return { source: { kind, config, weights, used, unknownIndex }, losses };
}

/** Opens a folder of diffusers' `VQModel`. */
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

/** Detects the config from the tensors; the treatment of unknown codes, which they do not determine, is `random`. */
function detected(weights: ComponentWeights, used: TensorInfo | null, scale: LatentScale): FirstStageConfig {
  if (!hasCodebook(weights))
    return { kind: 'autoencoder_kl', config: detectAutoencoderConfig(weights, scale), losses: null };
  const config = detectVQModelConfig(weights, scale);
  return { kind: 'vq_model', config, remapped: used !== null, unknownIndex: 'random', losses: null };
}
