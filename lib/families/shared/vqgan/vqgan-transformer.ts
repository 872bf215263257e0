/** What writes codes in a checkpoint of taming's: the transformer, and what it is conditioned on. */

import { type ConditionConfig, readConditionConfig } from '../../../checkpoint/config/omegaconf/condition.js';
import {
  readCodeOrder,
  readLatentTransformerConfig,
} from '../../../checkpoint/config/omegaconf/latent-transformer.js';
import type { ModelConfig } from '../../../checkpoint/config/omegaconf/model-config.js';
import type { OrderName } from '../../../checkpoint/config/types.js';
import { tamingTransformerNaming } from '../../../checkpoint/naming/taming-transformer.js';
import { ComponentWeights } from '../../../checkpoint/weights/component.js';
import type { TensorIndex } from '../../../checkpoint/weights/tensor-index.js';
import type { LatentTransformerSource } from '../../../modules/latent-transformer.js';

const PREFIX = 'transformer.';

export interface VqganTransformerSource extends LatentTransformerSource {
  /** In which it writes a picture's codes. */
  readonly order: OrderName;
}

/** As `ConditionConfig`, with the autoencoder of a picture found. */
export type VqganCondition<Autoencoder> =
  | Exclude<ConditionConfig, { kind: 'image' }>
  | { readonly kind: 'image'; readonly autoencoder: Autoencoder; readonly size: number | null };

export interface VqganTransformer<Autoencoder> {
  /** Null of an autoencoder alone, and where `problem` says why not. */
  readonly transformer: VqganTransformerSource | null;
  readonly condition: VqganCondition<Autoencoder>;
  /** Why a checkpoint that has a transformer cannot write, as a sentence; null if nothing is wrong. */
  readonly problem: string | null;
}

export interface VqganTransformerPlace<Autoencoder> {
  readonly tensors: TensorIndex;
  /** For messages. */
  readonly path: string;
  /** The checkpoint's YAML; null where there is none. */
  readonly yaml: ModelConfig | null;
  readonly firstStage: Autoencoder;
  /** Finds the condition's autoencoder (`cond_stage_model.`), of `{target, params}`. */
  readonly openCondition: (section: ModelConfig) => Autoencoder;
}

/**
 * @throws UNSUPPORTED_MODEL for another transformer, condition or order, INVALID_FILE for a damaged config, MISSING_TENSOR,
 *   SHAPE_MISMATCH
 */
export function openVqganTransformer<Autoencoder>(
  place: VqganTransformerPlace<Autoencoder>,
): VqganTransformer<Autoencoder> {
  const { tensors, path, firstStage, openCondition } = place;
  const none = { transformer: null, condition: { kind: 'none', start: 0 } } as const;
  if (!tensors.has(`${PREFIX}tok_emb.weight`)) return { ...none, problem: null };
  const params = place.yaml?.section('model.params') ?? null;
  if (!params?.has('transformer_config')) {
    const problem = `${path} has a transformer, but no YAML tells its heads (n_head) and its condition; put the model's YAML beside the file or give it with --config`;
    return { ...none, problem };
  }
  const weights = new ComponentWeights('transformer', path, tensors, tamingTransformerNaming(PREFIX));
  const config = readLatentTransformerConfig(weights, params.section('transformer_config'));
  const found = readConditionConfig(params);
  const condition: VqganCondition<Autoencoder> =
    found.kind === 'image'
      ? {
          ...found,
          autoencoder: found.autoencoder === null ? firstStage : openCondition(found.autoencoder),
        }
      : found;
  return { transformer: { config, weights, order: readCodeOrder(params) }, condition, problem: null };
}
