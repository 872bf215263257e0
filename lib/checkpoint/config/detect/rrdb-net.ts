/** Detects the config of RRDBNet (ESRGAN) from its tensors. Expects canonical names. */
import { SafelightError } from '../../../errors.js';
import { countIndices } from '../../naming/naming.js';
import type { ComponentWeights } from '../../weights/component.js';
import type { RrdbNetConfig } from '../upscaler-types.js';

const MAX_DOUBLINGS = 4;

/** @throws MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL */
export function detectRrdbNetConfig(weights: ComponentWeights): RrdbNetConfig {
  const names = weights.parameters;
  const [num_feat = 0, read = 0] = weights.shape('conv_first.weight', 4);
  const [out_channels = 0] = weights.shape('conv_last.weight', 4);
  const [num_grow_ch = 0] = weights.shape('body.0.rdb1.conv1.weight', 4);
  let doublings = 0;
  while (names.has(`conv_up${doublings + 1}.weight`)) doublings++;
  const unshuffle = [2, 4].find((factor) => read === out_channels * factor ** 2) ?? 1;
  if (doublings > MAX_DOUBLINGS || unshuffle > 2 ** doublings)
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${weights.where} rearranges ${unshuffle} x ${unshuffle} pixels and doubles their size ${doublings} times, which no ESRGAN does; use another file`,
    );
  return {
    in_channels: read / unshuffle ** 2,
    out_channels,
    num_feat,
    num_grow_ch,
    num_block: countIndices(names.keys(), 'body.').count,
    doublings,
    unshuffle,
    plus: names.has('body.0.rdb1.conv1x1.weight'),
  };
}
