/**
 * GGUF files that `safelight convert` writes: CompVis tensor names, with the configs and tokenizers in the metadata.
 */
import { defined } from '../defined.js';
import { parseTokenizer } from '../tokenizers/reading/tokenizer-embedded.js';
import type { TokenizerSource } from '../tokenizers/reading/tokenizer-files.js';
import type { UNetModelComponents } from './components.js';
import { damaged, type EmbeddedConfig, readEmbeddedConfig } from './config/embedded-config.js';
import type { GgufMetadata } from './formats/gguf-metadata.js';
import type {
  AutoencoderSource,
  OpenModelOptions,
  TextEncoderSource,
  UNetSource,
} from './model-descriptor.js';
import { ldmAutoencoderNaming } from './naming/ldm-autoencoder.js';
import { ldmUNetNaming } from './naming/ldm-unet.js';
import { AUTOENCODER, type EncoderLayout, encoderNaming, UNET } from './text-encoder-layout.js';
import { ComponentWeights } from './weights/component.js';
import type { TensorIndex } from './weights/tensor-index.js';

/** Returns the metadata key of a text encoder's tokenizer. */
export function tokenizerKey(index: number): string {
  return `safelight.tokenizer.${index}`;
}

/**
 * Opens a complete model from a converted GGUF file.
 * @returns null if the file has no `safelight.config`, or only that of a single component
 * @throws INVALID_FILE, UNSUPPORTED_MODEL
 */
export function openEmbedded(
  tensors: TensorIndex,
  metadata: GgufMetadata,
  path: string,
  options: OpenModelOptions,
  { encoders: places }: EncoderLayout,
): UNetModelComponents | null {
  const config = readEmbeddedConfig(metadata, path);
  if (config === null || config.family === null) return null;
  const { family, unet, autoencoder, scheduler, text_encoders: encoders } = config;
  if (!unet || !scheduler || (!autoencoder && options.vae === undefined)) {
    throw damaged(
      path,
      `has the config of a complete model without ${unet ? 'autoencoder or scheduler' : 'a U-Net'}`,
    );
  }
  if (encoders.length !== places.length) {
    throw damaged(
      path,
      `has configs of ${encoders.length} text encoders, expected ${places.length} for ${family}`,
    );
  }
  const { scaling_factor, shift_factor } = autoencoder ?? { scaling_factor: 0.18215, shift_factor: 0 };
  const prediction = options.prediction;
  return {
    form: 'file',
    ownSize: config.own_size,
    textEncoders: encoders.map((encoder, i): TextEncoderSource => {
      const location = { ...places[i]!, pooled: encoder.pooled };
      const naming = encoderNaming(location, tensors.keys());
      return {
        config: encoder.config,
        weights: new ComponentWeights('text encoder', path, tensors, naming),
        tokenizer: tokenizerOf(encoder.tokenizer, metadata, path),
        padId: encoder.pad_id,
        kind: encoder.kind,
        layer: encoder.layer,
        finalNorm: encoder.final_norm,
        pooled: encoder.pooled,
      };
    }),
    condition: { kind: 'text' },
    unet: embeddedUNet(unet, tensors, path),
    autoencoder:
      options.vae === undefined
        ? { kind: 'autoencoder_kl', ...embeddedAutoencoder(autoencoder!, tensors, path) }
        : null,
    latentScale: { scaling_factor, shift_factor },
    scheduler: { ...scheduler, ...defined({ prediction: prediction }) },
    defaults: config.defaults,
    forceZerosForEmptyPrompt: config.force_zeros_for_empty_prompt,
    predictionUncertain: config.prediction_uncertain && prediction === undefined,
  };
}

export function embeddedUNet(
  config: NonNullable<EmbeddedConfig['unet']>,
  tensors: TensorIndex,
  path: string,
): UNetSource {
  const naming = ldmUNetNaming(tensors.keys(), UNET, path);
  return { config, weights: new ComponentWeights('U-Net', path, tensors, naming) };
}

export function embeddedAutoencoder(
  config: NonNullable<EmbeddedConfig['autoencoder']>,
  tensors: TensorIndex,
  path: string,
): AutoencoderSource {
  const naming = ldmAutoencoderNaming(tensors.keys(), AUTOENCODER);
  return { config, weights: new ComponentWeights('autoencoder', path, tensors, naming) };
}

function tokenizerOf(index: number | null, metadata: GgufMetadata, path: string): TokenizerSource {
  if (index === null) return 'standard';
  const text = metadata.get(tokenizerKey(index));
  if (text?.type !== 'string') throw damaged(path, `has no string ${tokenizerKey(index)}`);
  return parseTokenizer(text.value, `${path} (${tokenizerKey(index)})`);
}
