/** An autoencoder wherever it is: inside a checkpoint, in a file of its own (CompVis' or diffusers' names), or a diffusers folder. */
import { join, resolve } from 'node:path';
import { SafelightError } from '../errors.js';
import { kindOf } from '../files/read.js';
import { locateModel } from '../hub/locate.js';
import type { LatentScale } from './components.js';
import { detectAutoencoderConfig } from './config/detect/autoencoder.js';
import { readAutoencoderConfig } from './config/diffusers/autoencoder.js';
import { readEmbeddedConfig } from './config/embedded-config.js';
import { readConfigBeside } from './config/validate.js';
import { embeddedAutoencoder } from './embedded-model.js';
import { openAutoencoderFolder } from './folder.js';
import { openWeights } from './formats/open-weights.js';
import type { AutoencoderSource } from './model-descriptor.js';
import { diffusersAutoencoderNaming } from './naming/diffusers.js';
import { ldmAutoencoderNaming } from './naming/ldm-autoencoder.js';
import { ComponentWeights } from './weights/component.js';
import type { TensorIndex } from './weights/tensor-index.js';

const PREFIX = 'first_stage_model.';

/** CompVis' autoencoder among a checkpoint's tensors. @throws MISSING_TENSOR if there is none */
export function openAutoencoderTensors(
  tensors: TensorIndex,
  prefix: string,
  path: string,
  scale: LatentScale,
): AutoencoderSource {
  if (![...tensors.keys()].some((name) => name.startsWith(prefix))) {
    throw new SafelightError(
      'MISSING_TENSOR',
      `${path} has no autoencoder (${prefix}*); name one by the vae option`,
    );
  }
  const weights = new ComponentWeights(
    'autoencoder',
    path,
    tensors,
    ldmAutoencoderNaming(tensors.keys(), prefix),
  );
  return { config: detectAutoencoderConfig(weights, scale), weights };
}

/**
 * The `vae` option: a folder (an autoencoder's, or a whole model's whose autoencoder is taken) or a file of weights.
 * @param ema takes the moving average of a file's weights
 * @param scale of the model that the autoencoder is for, kept where the file has no config beside it
 */
export async function openAutoencoder(
  path: string,
  variant: string | undefined,
  scale: LatentScale,
  ema = false,
): Promise<AutoencoderSource> {
  const absolute = resolve(await locateModel(path));
  if ((await kindOf(absolute)) === 'folder') {
    const inner = join(absolute, 'vae');
    const whole =
      (await kindOf(join(absolute, 'config.json'))) !== 'file' && (await kindOf(inner)) === 'folder';
    return openAutoencoderFolder(whole ? inner : absolute, variant);
  }
  const { tensors, metadata } = await openWeights(absolute, { ema });
  const embedded = metadata && readEmbeddedConfig(metadata, absolute)?.autoencoder;
  if (embedded) return embeddedAutoencoder(embedded, tensors, absolute);
  const names = [...tensors.keys()];
  const has = (prefix: string): boolean => names.some((name) => name.startsWith(prefix));
  if (has(PREFIX)) return openAutoencoderTensors(tensors, PREFIX, absolute, scale);
  if (has('encoder.down.') || has('decoder.up.')) return openAutoencoderTensors(tensors, '', absolute, scale);
  if (!has('encoder.down_blocks.') && !has('decoder.up_blocks.')) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${absolute} holds no autoencoder; name a file or folder of a KL autoencoder`,
    );
  }
  const weights = new ComponentWeights('autoencoder', absolute, tensors, diffusersAutoencoderNaming(names));
  const beside = await readConfigBeside(absolute, (fields) => fields._class_name === 'AutoencoderKL');
  const config =
    beside === null
      ? detectAutoencoderConfig(weights, scale)
      : readAutoencoderConfig(beside.fields, beside.path);
  return { config, weights };
}
