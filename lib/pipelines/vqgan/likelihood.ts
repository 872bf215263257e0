/** How probable a model thinks a picture's codes. */
import { defined } from '../../defined.js';
import type { ImageSource } from '../../image/read.js';
import { codeLikelihood } from '../../sampling/autoregressive/likelihood.js';
import { codeOrder } from '../../sampling/autoregressive/order.js';
import { Tensor } from '../../tensor/tensor.js';
import { encodeCondition } from './condition.js';
import { sideOf } from './sample-options.js';
import type { VqganModel } from './vqgan-model.js';

export interface LogLikelihood {
  /** ln p(codes | condition), in nats: the sum over all codes. */
  readonly total: number;
  /** The mean of a code, in nats; taming's training loss is this, negated. */
  readonly mean: number;
  /** `[h, w]`: of each code, given those before it. */
  readonly codes: Tensor;
  /** What the codes were conditioned on: `blank` is an empty page. */
  readonly condition: 'none' | 'class' | 'coordinates' | 'image' | 'blank';
}

export interface LikelihoodInput {
  /** `[1, h, w]` */
  readonly indices: Tensor<Int32Array>;
  readonly image: ImageSource | undefined;
  readonly index: number | undefined;
  readonly signal: AbortSignal | undefined;
}

/** @throws INVALID_OPTION, SHAPE_MISMATCH, NOT_FINITE, OUT_OF_MEMORY, ABORTED, DISPOSED, and those of reading the condition */
export async function likelihoodOf(
  modules: VqganModel,
  { indices, image, index, signal }: LikelihoodInput,
): Promise<LogLikelihood> {
  const [, height = 0, width = 0] = indices.shape;
  const { downsampleFactor } = modules;
  const size = { width: width * downsampleFactor, height: height * downsampleFactor };
  const condition = await encodeCondition(modules, { size, index, image, signal });
  const transformer = await modules.transformer(signal);
  const whole = condition.codes.length + height * width - 1 <= transformer.block;
  const order = codeOrder(modules.writingOrder, height, width);
  const { total, codes } = await codeLikelihood(transformer, indices.data, {
    height,
    width,
    condition,
    ...defined({ side: whole ? undefined : sideOf(modules), order: order ?? undefined }),
    signal,
  });
  const { kind } = modules.source.condition;
  return {
    total,
    mean: total / codes.length,
    codes: new Tensor(codes, [height, width]),
    condition: kind === 'image' && image === undefined ? 'blank' : kind,
  };
}
