/** Opens the transformer of a taming-transformers checkpoint and its conditioning. */

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
  /** Order of an image's codes in the sequence. */
  readonly order: OrderName;
}

/** `ConditionConfig` with the opened autoencoder of a conditioning image. */
export type VqganCondition<Autoencoder> =
  | Exclude<ConditionConfig, { kind: 'image' }>
  | { readonly kind: 'image'; readonly autoencoder: Autoencoder; readonly size: number | null };

export interface VqganTransformer<Autoencoder> {
  /** Null if the checkpoint has none or it cannot be used (see `problem`). */
  readonly transformer: VqganTransformerSource | null;
  readonly condition: VqganCondition<Autoencoder>;
  /** Sentence on why the checkpoint's transformer cannot be used; null if there is no problem. */
  readonly problem: string | null;
}

export interface VqganCheckpoint<Autoencoder> {
  readonly tensors: TensorIndex;
  /** Path for messages. */
  readonly path: string;
  /** YAML config of the checkpoint; null if there is none. */
  readonly yaml: ModelConfig | null;
  readonly firstStage: Autoencoder;
  /** Opens the autoencoder of the condition (`cond_stage_model.`) from its section `{target, params}`. */
  readonly openCondition: (section: ModelConfig) => Autoencoder;
}

/**
 * Opens the transformer of a checkpoint.
 * @throws UNSUPPORTED_MODEL for another transformer, condition or order, INVALID_FILE for a damaged config,
 *   MISSING_TENSOR, SHAPE_MISMATCH
 */
export function openVqganTransformer<Autoencoder>(
  checkpoint: VqganCheckpoint<Autoencoder>,
): VqganTransformer<Autoencoder> {
  const { tensors, path, firstStage, openCondition } = checkpoint;
  const none = { transformer: null, condition: { kind: 'none', start: 0 } } as const;
  if (!tensors.has(`${PREFIX}tok_emb.weight`)) return { ...none, problem: null };
  const params = checkpoint.yaml?.section('model.params') ?? null;
  if (!params?.has('transformer_config')) {
    const problem = `The transformer of ${path} needs a YAML config for its heads (n_head) and condition; put the model's YAML next to the file or pass it with --config`;
    return { ...none, problem };
  }
  const weights = new ComponentWeights('transformer', path, tensors, tamingTransformerNaming(PREFIX));
  const config = readLatentTransformerConfig(weights, params.section('transformer_config'));
  const conditionConfig = readConditionConfig(params);
  const condition: VqganCondition<Autoencoder> =
    conditionConfig.kind === 'image'
      ? {
          ...conditionConfig,
          autoencoder:
            conditionConfig.autoencoder === null ? firstStage : openCondition(conditionConfig.autoencoder),
        }
      : conditionConfig;
  return { transformer: { config, weights, order: readCodeOrder(params) }, condition, problem: null };
}
