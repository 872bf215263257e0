/** Detects the config of DAT from its tensors. */
import { SafelightError } from '../../../errors.js';
import { countIndices } from '../../naming/naming.js';
import type { ComponentWeights } from '../../weights/component.js';
import { readRow } from '../../weights/read-tensor.js';
import type { DatConfig } from '../upscaler-types.js';
import { detectReconstruction } from './reconstruction.js';

const FIRST = 'layers.0.blocks.0';
/** The differences of positions within a window, the last of which are its sides minus 1. */
const DIFFERENCES = `${FIRST}.attn.attns.0.rpe_biases`;

/** @throws MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL, INVALID_FILE, FILE_NOT_FOUND */
export async function detectDatConfig(weights: ComponentWeights): Promise<DatConfig> {
  const names = [...weights.parameters.keys()];
  const [embed_dim = 0, in_channels = 0] = weights.shape('conv_first.weight', 4);
  const { count } = countIndices(names, 'layers.');
  const depths = Array.from({ length: count }, (_, i) => countIndices(names, `layers.${i}.blocks.`).count);
  const [mlp_dim = 0] = weights.shape(`${FIRST}.ffn.fc1.weight`, 2);
  const reconstruction = detectReconstruction(weights, in_channels);
  if (reconstruction.upsampler === 'none' || reconstruction.upsampler === 'nearest+conv')
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${weights.where} is a DAT model without layers that rearrange channels into pixels, which is not supported; use another model`,
    );
  return {
    ...reconstruction,
    ...{ in_channels, embed_dim, depths, mlp_dim },
    num_heads: depths.map((depth, i) => headsOf(weights, i, depth)),
    split_size: await splitSize(weights),
    qkv_bias: weights.parameters.has(`${FIRST}.attn.qkv.bias`),
    img_range: 1,
    three_convs: !weights.parameters.has('conv_after_body.weight'),
  };
}

/** Returns the number of heads of a group. A block with windows uses half of them for each form of windows. */
function headsOf(weights: ComponentWeights, group: number, depth: number): number {
  const blocks = `layers.${group}.blocks.`;
  if (depth > 1) return weights.shape(`${blocks}1.attn.temperature`, 3)[0] ?? 0;
  return 2 * (weights.shape(`${blocks}0.attn.attns.0.pos.pos3.2.weight`, 2)[0] ?? 0);
}

async function splitSize(weights: ComponentWeights): Promise<number[]> {
  const { tensor } = weights.parameter(DIFFERENCES);
  const last = await readRow(tensor, (tensor.shape[0] ?? 0) - 1);
  const sides = [...last].map((difference) => Math.round(difference) + 1);
  if (sides.length === 2 && sides.every((side) => side >= 2 && side <= 64)) return sides;
  throw new SafelightError(
    'INVALID_FILE',
    `"${tensor.name}" in ${weights.where} ends with ${last.join(', ')}, expected two sides of a window minus 1; the file is damaged: download it again`,
  );
}
