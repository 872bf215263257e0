/** Describes models and counts prompt tokens from headers and configs, without loading weights. */

import { latentDownsampleFactor } from '../../checkpoint/latent-source.js';
import type { ConditionSource } from '../../checkpoint/model-descriptor.js';
import { withoutComments } from '../../conditioning/comments.js';
import { extractTags } from '../../conditioning/network-tags.js';
import { chunksOf } from '../../conditioning/prompt-encoder.js';
import { promptTexts } from '../../conditioning/prompt-schedule.js';
import { invalidOption } from '../../errors.js';
import { modelKind, openModel } from '../../families/registry.js';
import { openVqganModel } from '../../families/shared/vqgan/open-vqgan.js';
import { loadTokenizer } from '../../tokenizers/load-tokenizer.js';
import type { PromptTokenizer } from '../../tokenizers/prompt-tokenizer.js';
import type { ConfiguredModel } from './catalog.js';

/** Properties of a model that a form for its options needs. */
export type ModelDescription = DiffusionDescription | VqganDescription;

export interface DiffusionDescription {
  readonly kind: 'diffusion';
  readonly family: string;
  readonly condition: ConditionSource['kind'];
  /** Default size in pixels. Both sides of an image must be multiples of `factor`. */
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
  /** Conditioning of the transformer; null for an autoencoder without a transformer. */
  readonly condition: 'none' | 'class' | 'coordinates' | 'image' | null;
  /** False for a KL autoencoder, which has no code indices. */
  readonly codebook: boolean;
  readonly discriminator: boolean;
}

export interface TokenCount {
  /** Tokens of the prompt, without start, end and padding tokens. */
  readonly tokens: number;
  /** Number of text encoder windows that the prompt fills, and the prompt tokens that fit in one window. */
  readonly windows: number;
  readonly window: number;
}

/** Steps for which the texts of a prompt are counted, which is enough for every option of usual alternations. */
const COUNTED_STEPS = 20;

interface Entry {
  readonly description: ModelDescription;
  /** Undefined for models without a text encoder. */
  tokenizer?(): Promise<PromptTokenizer>;
}

/** Cache of model descriptions: each model is read once. */
export class Descriptions {
  private readonly entries = new Map<string, Promise<Entry>>();

  /** @throws errors of `openModel` and `openVqganModel` */
  async describe(path: string): Promise<ModelDescription> {
    return (await this.get(path)).description;
  }

  /**
   * @throws errors of `openModel`, INVALID_FILE for a broken vocabulary, INVALID_OPTION for a model without a text
   *   encoder
   */
  async countTokens({ name, path }: ConfiguredModel, prompt: string): Promise<TokenCount> {
    const tokenizer = await (await this.get(path)).tokenizer?.();
    if (!tokenizer) throw invalidOption('model', 'a model with a text encoder', name);
    // A prompt with several texts (editing, alternation, AND) counts as its longest one.
    const counts = promptTexts(extractTags(withoutComments(prompt)).text, { steps: COUNTED_STEPS }).map(
      (text) => {
        const chunks = chunksOf(tokenizer, text, 'original');
        return {
          tokens: chunks.reduce((sum, { eosIndex }) => sum + eosIndex - 1, 0),
          windows: chunks.length,
        };
      },
    );
    const longest = counts.reduce((most, count) => (count.tokens > most.tokens ? count : most));
    return { ...longest, window: tokenizer.window - 2 };
  }

  private get(path: string): Promise<Entry> {
    let entry = this.entries.get(path);
    if (!entry) {
      entry = read(path);
      this.entries.set(path, entry);
      // Failures are not cached, so that a repaired model can be read without a restart.
      entry.catch(() => this.entries.delete(path));
    }
    return entry;
  }
}

async function read(path: string): Promise<Entry> {
  return (await modelKind(path)) === 'codes' ? describeVqgan(path) : describeDiffusion(path);
}

async function describeVqgan(path: string): Promise<Entry> {
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

async function describeDiffusion(path: string): Promise<Entry> {
  const { family, unet, autoencoder, condition, defaults, textEncoders } = await openModel(path);
  const downsampleFactor = latentDownsampleFactor(autoencoder);
  const side = unet.config.sample_size * downsampleFactor;
  const { width = side, height = side, steps, cfg, sampler, schedule } = defaults;
  const description = {
    kind: 'diffusion',
    family,
    condition: condition.kind,
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
