/** The latent transformer's config, from taming's YAML (`transformer_config`) and from its tensors. */
import { SafelightError } from '../errors.js';
import type { ComponentWeights } from '../weights/component.js';
import { countPlaces } from '../weights/naming/naming.js';
import type { LatentTransformerConfig, OrderName } from './config.js';
import type { ModelConfig } from './model-config.js';
import { requireMultiple, unsupported } from './validate.js';

const MINGPT = /(?:^|\.)(?:GPT)$/;

/**
 * @param section `transformer_config`: `{target, params}`; null where there is no YAML, which leaves `heads` to say what no tensor does
 * @throws UNSUPPORTED_MODEL for another transformer, or where the number of heads is not known; INVALID_FILE, MISSING_TENSOR,
 *   SHAPE_MISMATCH
 */
export function readLatentTransformerConfig(
  weights: ComponentWeights,
  section: ModelConfig | null,
  heads?: number,
): LatentTransformerConfig {
  const shapes = shapesOf(weights);
  const target = section?.getString('target', null) ?? null;
  if (target !== null && !MINGPT.test(target)) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${section?.where}: the transformer is ${target}, but Safelight runs taming's mingpt.GPT only; take another model`,
    );
  }
  const params = section?.section('params') ?? null;
  const count = (field: string, fallback: number | null) =>
    params?.getInt(field, fallback, { min: 0, max: 2 ** 24 }) ?? fallback;
  // minGPT's own default; the tensors decide where they can.
  const n_head = heads ?? count('n_head', params === null ? null : 8);
  if (n_head === null) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${weights.where}: the tensors do not tell n_head, the number of the transformer's heads; put the model's YAML beside the file or give it with --config`,
    );
  }
  const config = { ...shapes, n_head, n_unmasked: count('n_unmasked', 0) ?? 0 };
  for (const field of ['vocab_size', 'block_size', 'n_layer', 'n_embd'] as const) {
    const said = params?.getInt(field, null) ?? null;
    if (said !== null && said !== config[field]) {
      params?.fail(field, `expected ${config[field]}, which the tensors have, but found ${said}`);
    }
  }
  if (n_head < 1) params?.fail('n_head', `expected a number of at least 1 but found ${n_head}`);
  requireMultiple(
    config.n_embd,
    n_head,
    'n_embd must be a multiple of n_head',
    section?.where ?? weights.where,
  );
  if (config.n_unmasked > config.block_size) {
    params?.fail(
      'n_unmasked',
      `expected at most the block of ${config.block_size} but found ${config.n_unmasked}`,
    );
  }
  return config;
}

const ORDERS: Readonly<Record<string, OrderName>> = {
  Identity: 'identity',
  ZCurve: 'zcurve',
  Subsample: 'subsample',
  AlternateParsing: 'alternate',
  SpiralOut: 'spiral_out',
  SpiralIn: 'spiral_in',
  Random: 'random',
};

/**
 * The order in which a `Net2NetTransformer` writes codes.
 * @param params its `model.params`
 * @throws UNSUPPORTED_MODEL, INVALID_FILE
 */
export function readCodeOrder(params: ModelConfig): OrderName {
  const target = params.section('permuter_config')?.getString('target') ?? 'Identity';
  const name = target.slice(target.lastIndexOf('.') + 1);
  const order = Object.hasOwn(ORDERS, name) ? ORDERS[name] : undefined;
  if (order === undefined) throw unsupported(params.where, 'permuter_config.target', target);
  return order;
}

function shapesOf(weights: ComponentWeights): Omit<LatentTransformerConfig, 'n_head' | 'n_unmasked'> {
  const [vocab_size = 0, n_embd = 0] = weights.shape('tok_emb.weight', 2);
  const [, block_size = 0] = weights.shape('pos_emb', 3);
  const layers = countPlaces(weights.parameters.keys(), 'blocks.');
  if (layers.gap || layers.count === 0) weights.parameter(`blocks.${layers.count}.ln1.weight`);
  return { vocab_size, block_size, n_layer: layers.count, n_embd };
}
