/**
 * Opens the text encoder of CompVis' first text-to-image latent diffusion model: an x-transformers encoder over BERT's
 * tokens.
 */
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { SafelightError } from '../errors.js';
import { readWordPieceFiles, type WordPieceVocabulary } from '../tokenizers/reading/wordpiece-files.js';
import type { TextEncoderConfig } from './config/types.js';
import { checkConfig, count, epsilon, readConfig, unsupported, width } from './config/validate.js';
import { openWeights } from './formats/open-weights.js';
import type { TextEncoderSource } from './model-descriptor.js';
import { ldmBertNaming } from './naming/ldm-bert.js';
import { countIndices } from './naming/naming.js';
import { ComponentWeights } from './weights/component.js';
import { findWeights } from './weights/find-weights.js';
import type { TensorIndex } from './weights/tensor-index.js';

const PREFIX = 'cond_stage_model.transformer.';
/** The default of x-transformers, which no config of LDM overrides. */
const HEADS = 8;
const EPSILON = 1e-5;

/** diffusers' `LDMBertConfig`, with the defaults of its constructor. */
const schema = z.lazy(() =>
  z.object({
    vocab_size: z
      .int()
      .min(1)
      .max(2 ** 24)
      .default(30522),
    d_model: width.default(1280),
    encoder_layers: z.int().min(1).max(256).default(32),
    encoder_ffn_dim: width.default(5120),
    encoder_attention_heads: count.default(8),
    head_dim: z.int().min(1).max(4096).default(64),
    max_position_embeddings: width.default(77),
    activation_function: z.string().default('gelu'),
    scale_embedding: z.boolean().default(false),
    layer_norm_eps: epsilon.default(EPSILON),
  }),
);

/** Returns true if a checkpoint contains this text encoder. */
export function hasBert(tensors: TensorIndex): boolean {
  return tensors.has(`${PREFIX}token_emb.weight`);
}

/**
 * Opens the encoder among a checkpoint's tensors, with the vocabulary next to the checkpoint.
 * @throws MISSING_TENSOR, SHAPE_MISMATCH; FILE_NOT_FOUND without BERT's vocabulary
 */
export async function openBertTensors(tensors: TensorIndex, path: string): Promise<TextEncoderSource> {
  const weights = new ComponentWeights('text encoder', path, tensors, ldmBertNaming(PREFIX));
  const [vocabulary = 0, side = 0] = weights.shape('model.embed_tokens.weight', 2);
  const [positions = 0] = weights.shape('model.embed_positions.weight', 2);
  const [inner = 0] = weights.shape('model.layers.0.self_attn.q_proj.weight', 2);
  const [hidden = 0] = weights.shape('model.layers.0.fc1.weight', 2);
  const layers = countIndices(weights.parameters.keys(), 'model.layers.');
  if (layers.gap) weights.parameter(`model.layers.${layers.count}.fc1.weight`);
  const config = configOf({
    vocab_size: vocabulary,
    hidden_size: side,
    intermediate_size: hidden,
    num_hidden_layers: layers.count,
    num_attention_heads: HEADS,
    head_dim: Math.max(1, Math.floor(inner / HEADS)),
    max_position_embeddings: positions,
    layer_norm_eps: EPSILON,
  });
  const folder = dirname(path);
  const files = (await readWordPieceFiles(folder)) ?? (await readWordPieceFiles(join(folder, 'tokenizer')));
  return sourceOf(config, weights, files, folder);
}

/** Opens a folder of diffusers' `LDMBertModel` and the folder of its tokenizer. */
export async function openBertFolder(
  folder: string,
  tokenizer: string,
  variant?: string,
): Promise<TextEncoderSource> {
  const path = join(folder, 'config.json');
  const fields = checkConfig(schema, await readConfig(path), path);
  if (fields.activation_function !== 'gelu')
    throw unsupported(path, 'activation_function', fields.activation_function);
  if (fields.scale_embedding) throw unsupported(path, 'scale_embedding', true);
  const { tensors } = await openWeights(await findWeights(folder, variant));
  const naming = {
    dialect: 'diffusers',
    canonical: (name: string) => (name.startsWith('model.') ? [{ name }] : []),
    source: (name: string) => name,
  };
  const config = configOf({
    vocab_size: fields.vocab_size,
    hidden_size: fields.d_model,
    intermediate_size: fields.encoder_ffn_dim,
    num_hidden_layers: fields.encoder_layers,
    num_attention_heads: fields.encoder_attention_heads,
    head_dim: fields.head_dim,
    max_position_embeddings: fields.max_position_embeddings,
    layer_norm_eps: fields.layer_norm_eps,
  });
  const weights = new ComponentWeights('text encoder', folder, tensors, naming);
  return sourceOf(config, weights, await readWordPieceFiles(tokenizer), tokenizer);
}

function configOf(config: Omit<TextEncoderConfig, 'hidden_act' | 'projection_dim'>): TextEncoderConfig {
  return { ...config, hidden_act: 'gelu', projection_dim: 0 };
}

/** @param where the folder that was searched for a vocabulary */
function sourceOf(
  config: TextEncoderConfig,
  weights: ComponentWeights,
  tokenizer: WordPieceVocabulary | null,
  where: string,
): TextEncoderSource {
  if (tokenizer === null) {
    throw new SafelightError(
      'FILE_NOT_FOUND',
      `${where} has no vocab.txt, the BERT vocabulary that the model needs for prompts; copy that of bert-base-uncased there`,
    );
  }
  if (tokenizer.tokens.length > config.vocab_size) {
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `${where} has a vocabulary of ${tokenizer.tokens.length} tokens, expected ${config.vocab_size} for this text encoder; use the model's own vocabulary`,
    );
  }
  return {
    config,
    weights,
    tokenizer,
    padId: tokenizer.ids.pad,
    kind: 'bert',
    layer: config.num_hidden_layers,
    finalNorm: true,
    pooled: false,
  };
}
