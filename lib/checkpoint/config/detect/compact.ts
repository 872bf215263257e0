/** Detects the config of Real-ESRGAN's SRVGGNetCompact from its tensors. */
import { SafelightError } from '../../../errors.js';
import { countIndices } from '../../naming/naming.js';
import type { ComponentWeights } from '../../weights/component.js';
import type { CompactConfig } from '../upscaler-types.js';

/** @throws MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL */
export function detectCompactConfig(weights: ComponentWeights): CompactConfig {
  const { count } = countIndices(weights.parameters.keys(), 'body.');
  const [num_feat = 0, channels = 0] = weights.shape('body.0.weight', 4);
  const [written = 0] = weights.shape(`body.${count - 1}.weight`, 4);
  const upscale = Math.round(Math.sqrt(written / channels));
  if (count < 3 || count % 2 === 0 || channels * upscale ** 2 !== written)
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${weights.where} has ${count} layers, the last with ${written} output channels for images of ${channels}, which no Real-ESRGAN Compact model has; use another file`,
    );
  return { in_channels: channels, out_channels: channels, num_feat, num_conv: (count - 3) / 2, upscale };
}
