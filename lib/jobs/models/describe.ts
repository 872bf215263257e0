/** Descriptions of models and token counts of prompts, from headers and configs: no weights are loaded for it. */

import { latentDownsampleFactor } from '../../checkpoint/latent-source.js';
import { chunksOf } from '../../conditioning/prompt-encoder.js';
import { invalidOption } from '../../errors.js';
import { modelKind, openModel } from '../../families/registry.js';
import { openVqganModel } from '../../families/shared/vqgan/open-vqgan.js';
import { loadTokenizer } from '../../tokenizers/load-tokenizer.js';
import type { PromptTokenizer } from '../../tokenizers/prompt-tokenizer.js';
import type { ConfiguredModel } from './catalog.js';

/** Properties of a model that a form needs. */
export type ModelDescription = DiffusionDescription | VqganDescription;

export interface DiffusionDescription {
  readonly kind: 'diffusion';
  readonly family: string;
  /** Default size in pixels, and the number that sides are multiples of. */
  readonly width: number;
  readonly height: number;
  readonly factor: number;
  readonly steps?: number | undefined;
  readonly cfg?: number | undefined;
  readonly sampler?: string | undefined;
  readonly schedule?: string | undefined;
}

export interface VqganDescription {
  readonly kind: 'codes';
  /** Conditioning of its transformer; null for an autoencoder alone. */
  readonly condition: 'none' | 'class' | 'coordinates' | 'image' | null;
  /** False for a KL autoencoder, which has no code indices. */
  readonly codebook: boolean;
  readonly discriminator: boolean;
}

export interface TokenCount {
  /** Tokens of the prompt itself, without start, end and padding. */
  readonly tokens: number;
  /** Windows it takes, and the prompt's tokens that one holds. */
  readonly windows: number;
  readonly window: number;
}

interface Known {
  readonly description: ModelDescription;
  /** Undefined where there is no prompt. */
  tokenizer?(): Promise<PromptTokenizer>;
}

/** Reads each model once. */
export class Descriptions {
  private readonly known = new Map<string, Promise<Known>>();

  /** @throws what `openModel` and `openVqganModel` throw */
  async describe(path: string): Promise<ModelDescription> {
    return (await this.get(path)).description;
  }

  /** @throws what `openModel` throws, INVALID_FILE for a broken vocabulary, INVALID_OPTION for a model that reads no prompt */
  async countTokens({ name, path }: ConfiguredModel, prompt: string): Promise<TokenCount> {
    const tokenizer = await (await this.get(path)).tokenizer?.();
    if (!tokenizer) throw invalidOption('model', 'one that reads a prompt', name);
    const chunks = chunksOf(tokenizer, prompt, 'original');
    const tokens = chunks.reduce((sum, { eosIndex }) => sum + eosIndex - 1, 0);
    return { tokens, windows: chunks.length, window: tokenizer.window - 2 };
  }

  private get(path: string): Promise<Known> {
    let known = this.known.get(path);
    if (!known) {
      known = read(path);
      this.known.set(path, known);
      // A model that is repaired can be read without a restart.
      known.catch(() => this.known.delete(path));
    }
    return known;
  }
}

async function read(path: string): Promise<Known> {
  return (await modelKind(path)) === 'codes' ? describeVqgan(path) : describeDiffusion(path);
}

async function describeVqgan(path: string): Promise<Known> {
  const { transformer, condition, autoencoder, discriminator } = await openVqganModel(path);
  return {
    description: {
      kind: 'codes',
      condition: transformer && condition.kind,
      codebook: autoencoder.kind === 'vq_model',
      discriminator: discriminator !== null,
    },
  };
}

async function describeDiffusion(path: string): Promise<Known> {
  const { family, unet, autoencoder, defaults, textEncoders } = await openModel(path);
  const downsampleFactor = latentDownsampleFactor(autoencoder);
  const side = unet.config.sample_size * downsampleFactor;
  const { width = side, height = side, steps, cfg, sampler, schedule } = defaults;
  const description = {
    kind: 'diffusion',
    family,
    width,
    height,
    factor: downsampleFactor,
    steps,
    cfg,
    sampler,
    schedule,
  } as const;
  const [first] = textEncoders;
  if (!first) return { description };
  let tokenizer: Promise<PromptTokenizer> | undefined;
  return {
    description,
    tokenizer: () => {
      tokenizer ??= loadTokenizer(first.tokenizer, {
        window: first.config.max_position_embeddings,
        padId: first.padId,
      });
      return tokenizer;
    },
  };
}
