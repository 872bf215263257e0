/** Log likelihood of an image's code indices under the transformer. */
import { defined } from '../../defined.js';
import type { ImageSource } from '../../image/read.js';
import { codeLikelihood } from '../../sampling/autoregressive/likelihood.js';
import { codeOrder } from '../../sampling/autoregressive/order.js';
import { Tensor } from '../../tensor/tensor.js';
import { encodeCondition } from './condition.js';
import { sideOf } from './sample-options.js';
import type { VqganModel } from './vqgan-model.js';

export interface LogLikelihood {
  /** ln p(codes | condition) in nats: the sum over all codes. */
  readonly total: number;
  /** Mean per code in nats; taming's training loss is the negated mean. */
  readonly mean: number;
  /** `[h, w]`: log probability of each code given the preceding ones. */
  readonly codes: Tensor;
  /** Kind of condition; `blank` is a white image. */
  readonly condition: 'none' | 'class' | 'coordinates' | 'image' | 'blank';
}

export interface LikelihoodInput {
  /** Code indices `[1, h, w]`. */
  readonly indices: Tensor<Int32Array>;
  /** Conditioning image of an image-conditional model. */
  readonly image: ImageSource | undefined;
  /** Class index of a class-conditional model. */
  readonly index: number | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * Computes the log likelihood of code indices.
 * @throws INVALID_OPTION, SHAPE_MISMATCH, NOT_FINITE, OUT_OF_MEMORY, ABORTED, DISPOSED, and errors of reading the
 *   condition
 */
export async function likelihoodOf(
  model: VqganModel,
  { indices, image, index, signal }: LikelihoodInput,
): Promise<LogLikelihood> {
  const [, height = 0, width = 0] = indices.shape;
  const { downsampleFactor } = model;
  const size = { width: width * downsampleFactor, height: height * downsampleFactor };
  const condition = await encodeCondition(model, { size, index, image, signal });
  const transformer = await model.transformer(signal);
  const fitsBlock = condition.codes.length + height * width - 1 <= transformer.block;
  const order = codeOrder(model.codeOrderName, height, width);
  const { total, codes } = await codeLikelihood(transformer, indices.data, {
    height,
    width,
    condition,
    ...defined({ side: fitsBlock ? undefined : sideOf(model), order: order ?? undefined }),
    signal,
  });
  const { kind } = model.source.condition;
  return {
    total,
    mean: total / codes.length,
    codes: new Tensor(codes, [height, width]),
    condition: kind === 'image' && image === undefined ? 'blank' : kind,
  };
}
