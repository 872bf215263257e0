/** Detects the config of a U-Net from its tensors, for single files of any size. Expects canonical names. */
import { defined } from '../../../defined.js';
import { SafelightError } from '../../../errors.js';
import { countIndices } from '../../naming/naming.js';
import type { ComponentWeights } from '../../weights/component.js';
import { completeUNetConfig } from '../diffusers/complete-unet.js';
import type { ClassEmbeddingConfig, UNetConfig } from '../types.js';

/** Properties of a U-Net that its tensors do not determine. */
export interface UNetHints {
  /**
   * Width of the pooled text embedding and number of time ids after it (6 for SDXL, 5 for its refiner); null for U-Nets
   * without.
   */
  readonly addition: { readonly pooled: number; readonly ids: number } | null;
  /** Side length of the training latents. */
  readonly sampleSize: number;
  /** The transformers have 1x1 convolutions as projections, whatever the shapes suggest. */
  readonly convolutions?: boolean;
  /** Returns the number of heads for a number of channels, from a YAML config; default as in Stable Diffusion. */
  readonly heads?: ((channels: number) => number) | undefined;
}

/** @throws MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL */
export function detectUNetConfig(weights: ComponentWeights, hints: UNetHints): UNetConfig {
  const scan = new Scan(weights);
  const [first = 0, input = 0] = weights.shape('conv_in.weight', 4);
  const [output = 0] = weights.shape('conv_out.weight', 4);
  const levels = Math.max(1, scan.count('down_blocks.'));
  const { blocks, linear: flat, context } = scan.attention();
  const mid = scan.depth('mid_block.attentions.0', blocks);
  const down = range(levels).map((i) => scan.level(`down_blocks.${i}`, blocks));
  const up = range(levels).map((i) => scan.level(`up_blocks.${i}`, blocks));
  const sides = down.map((_, i) => weights.shape(`down_blocks.${i}.resnets.0.conv1.weight`, 4)[0] ?? 0);
  up.forEach(({ layers }, i) => {
    const expected = (down[levels - 1 - i]?.layers ?? 0) + 1;
    if (layers < expected) weights.parameter(`up_blocks.${i}.resnets.${layers}.conv1.weight`);
    if (layers > expected)
      throw scan.unsupported(`up_blocks.${i} has ${layers} residual blocks, expected ${expected}`);
  });
  const linear = flat && !hints.convolutions;
  const heads = hints.heads ?? ((side: number) => headsOf(side, linear));
  return completeUNetConfig(
    {
      in_channels: input,
      out_channels: output,
      block_out_channels: sides,
      ...defined({ attention_blocks: blocks || undefined }),
      layers_per_block: down.map(({ layers }) => layers),
      down_attention: down.map(({ depth }) => depth > 0),
      up_attention: up.map(({ depth }) => depth > 0),
      transformer_layers_per_block: range(levels).map((i) => {
        const depths = [down[i]?.depth ?? 0, up[levels - 1 - i]?.depth ?? 0, i === levels - 1 ? mid : 0];
        return scan.common(depths, `level ${i}`);
      }),
      num_attention_heads: sides.map(heads),
      mid_attention: mid > 0,
      cross_attention_dim: context,
      use_linear_projection: linear,
      norm_num_groups: 32,
      norm_eps: 1e-5,
      ...scan.variants(sides),
      flip_sin_to_cos: true,
      freq_shift: 0,
      addition: scan.addition(first, hints.addition),
      sample_size: hints.sampleSize,
    },
    weights.where,
  );
}

/**
 * Returns the number of heads: 8 at every width for SD1, which has convolutional projections; heads of 64 for later
 * models with linear ones.
 */
function headsOf(side: number, linear: boolean): number {
  if (!linear) return 8;
  let heads = Math.max(1, Math.floor(side / 64));
  while (side % heads !== 0) heads--;
  return heads;
}

class Scan {
  private readonly names: readonly string[];

  constructor(private readonly weights: ComponentWeights) {
    this.names = [...weights.parameters.keys()];
  }

  /** Returns the number of consecutive `prefix.N`; a gap is a missing tensor. */
  count(prefix: string): number {
    const { count, gap } = countIndices(this.names, prefix);
    if (gap) {
      throw new SafelightError(
        'MISSING_TENSOR',
        `${this.weights.where} has no tensors ${prefix}${count}.* of its U-Net but has later ones; the file is incomplete: download it again`,
      );
    }
    return count;
  }

  /** Returns the number of residual blocks of a level, and of transformer blocks after each of them. */
  level(place: string, blocks: boolean): { layers: number; depth: number } {
    const layers = this.count(`${place}.resnets.`);
    const attentions = this.count(`${place}.attentions.`);
    if (layers === 0) this.weights.parameter(`${place}.resnets.0.conv1.weight`);
    if (attentions === 0) return { layers, depth: 0 };
    const norm = blocks ? 'group_norm' : 'norm';
    if (attentions < layers) this.weights.parameter(`${place}.attentions.${attentions}.${norm}.weight`);
    return {
      layers,
      depth: this.common(
        range(attentions).map((i) => this.depth(`${place}.attentions.${i}`, blocks)),
        place,
      ),
    };
  }

  /** Returns the number of transformer blocks; 1 for an attention block. */
  depth(attention: string, attentionBlock: boolean): number {
    if (attentionBlock) return this.has(`${attention}.`) ? 1 : 0;
    const blocks = this.count(`${attention}.transformer_blocks.`);
    if (blocks === 0 && this.has(`${attention}.`)) {
      this.weights.parameter(`${attention}.transformer_blocks.0.norm1.weight`);
    }
    return blocks;
  }

  /** Returns the only nonzero value, or 0. @throws UNSUPPORTED_MODEL for different nonzero values */
  common(depths: readonly number[], place: string): number {
    const distinct = [...new Set(depths.filter((depth) => depth > 0))];
    if (distinct.length > 1)
      throw this.unsupported(
        `${place} has transformers with different numbers of blocks (${distinct.join(', ')})`,
      );
    return distinct[0] ?? 0;
  }

  /** Detects attention blocks, or the projections and the context width of the first transformer. */
  attention(): { blocks: boolean; linear: boolean; context: number } {
    const name = this.names.find((candidate) => candidate.endsWith('.attn2.to_k.weight'));
    if (name === undefined) {
      if (!this.names.some((candidate) => candidate.endsWith('.group_norm.weight')))
        throw this.unsupported('it has no cross-attention');
      return { blocks: true, linear: false, context: 0 };
    }
    const place = name.slice(0, name.indexOf('.transformer_blocks.'));
    const linear = this.weights.parameter(`${place}.proj_in.weight`).shape.length === 2;
    return { blocks: false, linear, context: this.weights.shape(name, 2)[1] ?? 0 };
  }

  /** Detects features that Stable Diffusion's own U-Nets do not have. */
  variants(sides: readonly number[]): Partial<UNetConfig> {
    const [first = 0] = sides;
    const resamples = (path: 'down' | 'up') =>
      sides.map((_, i) => this.has(`${path}_blocks.${i}.${path}samplers.0.conv1.`));
    const [down, up] = [resamples('down'), resamples('up')];
    const [emb = 0] = this.weights.shape('down_blocks.0.resnets.0.time_emb_proj.weight', 2);
    const label = this.classEmbedding(4 * first);
    return defined({
      resnet_downsample: down.includes(true) ? down : undefined,
      resnet_upsample: up.includes(true) ? up : undefined,
      scale_shift_norm: emb === 2 * first || undefined,
      time_cond_proj_dim: this.guidance(first),
      class_embedding: label ?? undefined,
    });
  }

  /** Returns the width of the guidance scale's embedding. @param side channels of the first level */
  guidance(side: number): number | undefined {
    const name = 'time_embedding.cond_proj.weight';
    if (!this.has(name)) return undefined;
    const [output, width = 0] = this.weights.shape(name, 2);
    if (output !== side || width < 4)
      throw this.unsupported(`${name} has the shape [${output}, ${width}], expected [${side}, 4 or more]`);
    return width;
  }

  classEmbedding(width: number): ClassEmbeddingConfig | null {
    if (!this.has('class_embedding.')) return null;
    if (this.has('class_embedding.linear_1.'))
      throw this.unsupported('its class embedding has numeric inputs, which only a config specifies');
    const [size = 0, wide] = this.weights.shape('class_embedding.weight', 2);
    if (wide !== width) throw this.unsupported(`its class embedding has width ${wide}, expected ${width}`);
    return { type: 'table', size };
  }

  addition(side: number, hint: UNetHints['addition']): UNetConfig['addition'] {
    if (!this.names.some((name) => name.startsWith('add_embedding.'))) {
      if (hint !== null) this.weights.parameter('add_embedding.linear_1.weight');
      return null;
    }
    const [, input = 0] = this.weights.shape('add_embedding.linear_1.weight', 2);
    if (hint === null) throw this.unsupported(`it has ${input} additional inputs besides time and text`);
    const each = (input - hint.pooled) / hint.ids;
    if (!Number.isInteger(each) || each < 2) {
      throw this.unsupported(
        `it has ${input} additional inputs besides time and text, expected a pooled embedding of ${hint.pooled} and ${hint.ids} sinusoids (its first level has ${side} channels)`,
      );
    }
    return { time_embed_dim: each, input_dim: input };
  }

  has(start: string): boolean {
    return this.names.some((name) => name.startsWith(start));
  }

  unsupported(what: string): SafelightError {
    return new SafelightError(
      'UNSUPPORTED_MODEL',
      `The U-Net of ${this.weights.where} is not supported: ${what}; use a model of SD1, SD2, SDXL or CompVis' latent diffusion`,
    );
  }
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
