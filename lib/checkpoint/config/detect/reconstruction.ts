/** Detects the layers after the transformer of SwinIR and DAT from their tensors. */
import { SafelightError } from '../../../errors.js';
import type { ComponentWeights } from '../../weights/component.js';
import type { ReconstructionConfig } from '../upscaler-types.js';

/** @throws MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL */
export function detectReconstruction(weights: ComponentWeights, in_channels: number): ReconstructionConfig {
  const { parameters } = weights;
  if (!parameters.has('conv_before_upsample.0.weight')) {
    if (!parameters.has('upsample.0.weight')) {
      const [out_channels = 0] = weights.shape('conv_last.weight', 4);
      return { upsampler: 'none', upsample_factors: [], num_feat: 1, out_channels };
    }
    const [written = 0] = weights.shape('upsample.0.weight', 4);
    const upsample_factors = [factorOf(weights, written, in_channels)];
    return { upsampler: 'pixelshuffledirect', upsample_factors, num_feat: 1, out_channels: in_channels };
  }
  const [num_feat = 0] = weights.shape('conv_before_upsample.0.weight', 4);
  const [out_channels = 0] = weights.shape('conv_last.weight', 4);
  const upsample_factors: number[] = [];
  if (parameters.has('conv_up1.weight')) {
    while (parameters.has(`conv_up${upsample_factors.length + 1}.weight`)) upsample_factors.push(2);
    return { upsampler: 'nearest+conv', upsample_factors, num_feat, out_channels };
  }
  for (let n = 0; parameters.has(`upsample.${n}.weight`); n += 2) {
    const [written = 0, read = 0] = weights.shape(`upsample.${n}.weight`, 4);
    upsample_factors.push(factorOf(weights, written, read));
  }
  return { upsampler: 'pixelshuffle', upsample_factors, num_feat, out_channels };
}

/** Returns the factor of a pixel shuffle from `written` to `channels` channels. */
function factorOf({ where }: ComponentWeights, written: number, channels: number): number {
  const factor = Math.round(Math.sqrt(written / channels));
  if (factor >= 1 && factor ** 2 * channels === written) return factor;
  throw new SafelightError(
    'UNSUPPORTED_MODEL',
    `${where} upsamples by rearranging ${written} channels to ${channels}, which is no square of pixels; use another file`,
  );
}
