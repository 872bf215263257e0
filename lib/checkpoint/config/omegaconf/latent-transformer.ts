/** Reads the latent transformer's config from taming's YAML (`transformer_config`) and from its tensors. */
import { SafelightError } from '../../../errors.js';
import { countIndices } from '../../naming/naming.js';
import type { ComponentWeights } from '../../weights/component.js';
import type { LatentTransformerConfig, OrderName } from '../types.js';
import { requireMultiple, unsupported } from '../validate.js';
import type { ModelConfig } from './model-config.js';

const MINGPT = /(?:^|\.)GPT$/;
/** The default of taming's mingpt.GPT. */
const MINGPT_HEADS = 8;

/**
 * @param section `transformer_config`: `{target, params}`; null without a YAML
 * @throws UNSUPPORTED_MODEL for another transformer, or without a YAML, since no tensor determines the number of heads;
 *   INVALID_FILE, MISSING_TENSOR, SHAPE_MISMATCH
 */
export function readLatentTransformerConfig(
  weights: ComponentWeights,
  section: ModelConfig | null,
): LatentTransformerConfig {
  const shapes = shapesOf(weights);
  const params = section?.section('params') ?? null;
  if (section === null || params === null) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${weights.where}: the tensors do not determine n_head, the number of heads; put the model's YAML next to the file or pass it with --config`,
    );
  }
  const target = section.getString('target');
  if (!MINGPT.test(target)) {
    throw unsupported(section.where, 'target', target, "use a model with taming's mingpt.GPT");
  }
  for (const [field, expected] of Object.entries(shapes)) {
    const stated = params.getInt(field, expected);
    if (stated !== expected) params.fail(field, `expected ${expected} as in the tensors, found ${stated}`);
  }
  const n_head = params.getInt('n_head', MINGPT_HEADS, { min: 1, max: 1024 });
  const n_unmasked = params.getInt('n_unmasked', 0, { min: 0, max: shapes.block_size });
  requireMultiple(shapes.n_embd, n_head, 'n_embd must be a multiple of n_head', section.where);
  return { ...shapes, n_head, n_unmasked };
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
 * Returns the order in which a `Net2NetTransformer` predicts code indices.
 * @param params `model.params` of the model
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
  const layers = countIndices(weights.parameters.keys(), 'blocks.');
  if (layers.gap || layers.count === 0) weights.parameter(`blocks.${layers.count}.ln1.weight`);
  return { vocab_size, block_size, n_layer: layers.count, n_embd };
}
