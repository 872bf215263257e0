/** The text encoder of latent diffusion's first text-to-image model: an encoder of x-transformers over BERT's tokens. */
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { SafelightError } from '../errors.js';
import { readWordPieceFiles, type WordPieceVocabulary } from '../tokenizers/reading/wordpiece-files.js';
import type { TextEncoderConfig } from './config/types.js';
import { checkConfig, count, epsilon, readConfig, unsupported, width } from './config/validate.js';
import { openWeights } from './formats/open-weights.js';
import type { TextEncoderSource } from './model-descriptor.js';
import { ldmBertNaming } from './naming/ldm-bert.js';
import { countPlaces } from './naming/naming.js';
import { ComponentWeights } from './weights/component.js';
import { findWeights } from './weights/find-weights.js';
import type { TensorIndex } from './weights/tensor-index.js';

const PREFIX = 'cond_stage_model.transformer.';
/** x-transformers' own, which no config of LDM changes. */
const HEADS = 8;
const EPSILON = 1e-5;

/** diffusers' `LDMBertConfig`, whose constructor's numbers hold where the file gives none. */
const schema = z.object({
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
});

/** Whether a checkpoint's text encoder is this one. */
export function hasBert(tensors: TensorIndex): boolean {
  return tensors.has(`${PREFIX}token_emb.weight`);
}

/** Among a checkpoint's tensors. @throws MISSING_TENSOR, SHAPE_MISMATCH, FILE_NOT_FOUND without BERT's vocabulary */
export async function openBertTensors(tensors: TensorIndex, path: string): Promise<TextEncoderSource> {
  const weights = new ComponentWeights('text encoder', path, tensors, ldmBertNaming(PREFIX));
  const [vocabulary = 0, side = 0] = weights.shape('model.embed_tokens.weight', 2);
  const [positions = 0] = weights.shape('model.embed_positions.weight', 2);
  const [inner = 0] = weights.shape('model.layers.0.self_attn.q_proj.weight', 2);
  const [hidden = 0] = weights.shape('model.layers.0.fc1.weight', 2);
  const layers = countPlaces(weights.parameters.keys(), 'model.layers.');
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
  const found = (await readWordPieceFiles(folder)) ?? (await readWordPieceFiles(join(folder, 'tokenizer')));
  return sourceOf(config, weights, found, folder);
}

/** A folder of diffusers' `LDMBertModel`, and that of its tokenizer. */
export async function openBertFolder(
  folder: string,
  tokenizer: string,
  variant?: string,
): Promise<TextEncoderSource> {
  const path = join(folder, 'config.json');
  const given = checkConfig(schema, await readConfig(path), path);
  if (given.activation_function !== 'gelu')
    throw unsupported(path, 'activation_function', given.activation_function);
  if (given.scale_embedding) throw unsupported(path, 'scale_embedding', true);
  const { tensors } = await openWeights(await findWeights(folder, variant));
  const naming = {
    dialect: 'diffusers',
    canonical: (name: string) => (name.startsWith('model.') ? [{ name }] : []),
    source: (name: string) => name,
  };
  const config = configOf({
    vocab_size: given.vocab_size,
    hidden_size: given.d_model,
    intermediate_size: given.encoder_ffn_dim,
    num_hidden_layers: given.encoder_layers,
    num_attention_heads: given.encoder_attention_heads,
    head_dim: given.head_dim,
    max_position_embeddings: given.max_position_embeddings,
    layer_norm_eps: given.layer_norm_eps,
  });
  const weights = new ComponentWeights('text encoder', folder, tensors, naming);
  return sourceOf(config, weights, await readWordPieceFiles(tokenizer), tokenizer);
}

function configOf(config: Omit<TextEncoderConfig, 'hidden_act' | 'projection_dim'>): TextEncoderConfig {
  return { ...config, hidden_act: 'gelu', projection_dim: 0 };
}

/** @param where a vocabulary was looked for */
function sourceOf(
  config: TextEncoderConfig,
  weights: ComponentWeights,
  tokenizer: WordPieceVocabulary | null,
  where: string,
): TextEncoderSource {
  if (tokenizer === null) {
    throw new SafelightError(
      'FILE_NOT_FOUND',
      `${where} has no vocab.txt, the vocabulary of BERT by which the model reads a prompt; put that of bert-base-uncased there`,
    );
  }
  if (tokenizer.tokens.length > config.vocab_size) {
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `${where} has a vocabulary of ${tokenizer.tokens.length} tokens where the text encoder knows ${config.vocab_size}; take the model's own`,
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
