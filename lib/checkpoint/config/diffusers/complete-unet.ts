/** The final step of reading a U-Net's config, from a folder or from tensors. */
import type { UNetConfig } from '../types.js';
import { requireMultiple, unsupported } from '../validate.js';

/**
 * Checks divisibility, and writes 0 blocks and 0 heads for levels without attention, so that a folder and a single file
 * of the same model have equal configs.
 */
export function completeUNetConfig(config: UNetConfig, path: string): UNetConfig {
  const last = config.block_out_channels.length - 1;
  const attends = config.block_out_channels.map(
    (_, i) =>
      config.down_attention[i] || config.up_attention[last - i] || (i === last && config.mid_attention),
  );
  config.block_out_channels.forEach((side, i) => {
    requireMultiple(
      side,
      config.norm_num_groups,
      'block_out_channels must be multiples of norm_num_groups',
      path,
    );
    if (!attends[i]) return;
    const heads = config.num_attention_heads[i] || 1;
    requireMultiple(side, heads, 'block_out_channels must be multiples of the number of heads', path);
    if (!config.attention_blocks && !config.transformer_layers_per_block[i])
      throw unsupported(path, 'transformer_layers_per_block', config.transformer_layers_per_block);
  });
  if (!config.attention_blocks && !attends.includes(true))
    throw unsupported(path, 'down_block_types', config.down_attention, 'a U-Net without cross-attention');
  return {
    ...config,
    transformer_layers_per_block: config.transformer_layers_per_block.map((depth, i) =>
      attends[i] && !config.attention_blocks ? depth : 0,
    ),
    num_attention_heads: config.num_attention_heads.map((heads, i) => (attends[i] ? heads : 0)),
  };
}
