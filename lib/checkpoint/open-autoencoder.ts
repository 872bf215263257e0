/**
 * Opens an autoencoder from a checkpoint, a separate file (CompVis or diffusers names, or a tiny autoencoder) or a
 * diffusers folder.
 */
import { join, resolve } from 'node:path';
import { SafelightError } from '../errors.js';
import { kindOf } from '../files/read.js';
import { locateModel } from '../hub/locate.js';
import type { LatentScale } from './components.js';
import { detectAutoencoderConfig } from './config/detect/autoencoder.js';
import { readAutoencoderConfig } from './config/diffusers/autoencoder.js';
import { readEmbeddedConfig } from './config/embedded-config.js';
import { readConfig, readConfigBeside } from './config/validate.js';
import { embeddedAutoencoder } from './embedded-model.js';
import { openAutoencoderFolder } from './folder.js';
import type { GgufMetadata } from './formats/gguf-metadata.js';
import { openWeights } from './formats/open-weights.js';
import type { AutoencoderSource, ReplacementSource } from './model-descriptor.js';
import { diffusersAutoencoderNaming } from './naming/diffusers.js';
import { ldmAutoencoderNaming } from './naming/ldm-autoencoder.js';
import {
  isTinyAutoencoder,
  isTinyConfig,
  missingHalf,
  openTinyAutoencoder,
  openTinyAutoencoderFolder,
} from './tiny-autoencoder.js';
import { ComponentWeights } from './weights/component.js';
import type { TensorIndex } from './weights/tensor-index.js';

const PREFIX = 'first_stage_model.';

/** Opens the CompVis autoencoder among a checkpoint's tensors. @throws MISSING_TENSOR if there is none */
export function openAutoencoderTensors(
  tensors: TensorIndex,
  prefix: string,
  path: string,
  scale: LatentScale,
): AutoencoderSource {
  if (![...tensors.keys()].some((name) => name.startsWith(prefix))) {
    throw new SafelightError(
      'MISSING_TENSOR',
      `${path} has no autoencoder (${prefix}*); name one with the vae option`,
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
 * Opens the autoencoder that the `vae` option names, which has to contain a decoder.
 * @param path a folder (of an autoencoder, or of a complete model, whose autoencoder is used) or a file of weights
 * @param ema uses the moving average of a file's weights
 * @param scale latent scale of the model, used if there is no config next to the file
 */
export async function openAutoencoder(
  path: string,
  variant: string | undefined,
  scale: LatentScale,
  ema = false,
): Promise<ReplacementSource> {
  const absolute = resolve(await locateModel(path));
  if ((await kindOf(absolute)) === 'folder') {
    const inner = join(absolute, 'vae');
    const isPipeline =
      (await kindOf(join(absolute, 'config.json'))) !== 'file' && (await kindOf(inner)) === 'folder';
    return openFolder(isPipeline ? inner : absolute, variant);
  }
  const { tensors, metadata } = await openWeights(absolute, { ema });
  if (isTinyAutoencoder(tensors))
    return withDecoder({ kind: 'tiny_autoencoder', ...(await openTinyAutoencoder(absolute, tensors)) });
  return { kind: 'autoencoder_kl', ...(await openKlFile(absolute, tensors, metadata, scale)) };
}

async function openFolder(folder: string, variant: string | undefined): Promise<ReplacementSource> {
  const fields = await readConfig(join(folder, 'config.json'));
  if (isTinyConfig(fields)) {
    const tiny = await openTinyAutoencoderFolder(folder, fields, variant);
    return withDecoder({ kind: 'tiny_autoencoder', ...tiny });
  }
  return { kind: 'autoencoder_kl', ...(await openAutoencoderFolder(folder, variant)) };
}

/** @throws MISSING_TENSOR for a tiny autoencoder without a decoder */
function withDecoder(source: Extract<ReplacementSource, { kind: 'tiny_autoencoder' }>): ReplacementSource {
  if (source.config.decoder === null) throw missingHalf(source.weights.where, 'decoder');
  return source;
}

async function openKlFile(
  absolute: string,
  tensors: TensorIndex,
  metadata: GgufMetadata | undefined,
  scale: LatentScale,
): Promise<AutoencoderSource> {
  const embedded = metadata && readEmbeddedConfig(metadata, absolute)?.autoencoder;
  if (embedded) return embeddedAutoencoder(embedded, tensors, absolute);
  const names = [...tensors.keys()];
  const has = (prefix: string): boolean => names.some((name) => name.startsWith(prefix));
  if (has(PREFIX)) return openAutoencoderTensors(tensors, PREFIX, absolute, scale);
  if (has('encoder.down.') || has('decoder.up.')) return openAutoencoderTensors(tensors, '', absolute, scale);
  if (!has('encoder.down_blocks.') && !has('decoder.up_blocks.')) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${absolute} contains no autoencoder; name the file or folder of a KL autoencoder or of a tiny one (TAESD)`,
    );
  }
  const weights = new ComponentWeights('autoencoder', absolute, tensors, diffusersAutoencoderNaming(names));
  const sibling = await readConfigBeside(absolute, (fields) => fields._class_name === 'AutoencoderKL');
  const config =
    sibling === null
      ? detectAutoencoderConfig(weights, scale)
      : readAutoencoderConfig(sibling.fields, sibling.path);
  return { config, weights };
}
