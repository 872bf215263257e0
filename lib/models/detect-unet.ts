/** The config of a U-Net from its tensors alone, for single files of any size. Works on canonical names. */
import { SafelightError } from '../errors.js';
import type { ComponentWeights } from '../weights/component.js';
import { countPlaces } from '../weights/naming/naming.js';
import type { UNetConfig } from './config.js';
import { completeUNetConfig } from './config-unet.js';

/** What the tensors of a U-Net do not say. */
export interface UNetHints {
  /** Width of the pooled text, and how many time ids follow it, for a U-Net that takes them (SDXL 6, its refiner 5). */
  readonly addition: { readonly pooled: number; readonly ids: number } | null;
  /** Latent side in training. */
  readonly sampleSize: number;
  /** Its transformers have convolutions around them, whatever the shapes say. */
  readonly convolutions?: boolean;
}

/** @throws MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL */
export function detectUNetConfig(weights: ComponentWeights, hints: UNetHints): UNetConfig {
  const scan = new Scan(weights);
  const [first = 0, input = 0] = weights.shape('conv_in.weight', 4);
  const [output = 0] = weights.shape('conv_out.weight', 4);
  const levels = Math.max(1, scan.count('down_blocks.'));
  const down = range(levels).map((i) => scan.level(`down_blocks.${i}`));
  const up = range(levels).map((i) => scan.level(`up_blocks.${i}`));
  const mid = scan.depth('mid_block.attentions.0');
  const sides = down.map((_, i) => weights.shape(`down_blocks.${i}.resnets.0.conv1.weight`, 4)[0] ?? 0);
  up.forEach(({ layers }, i) => {
    const expected = (down[levels - 1 - i]?.layers ?? 0) + 1;
    if (layers < expected) weights.parameter(`up_blocks.${i}.resnets.${layers}.conv1.weight`);
    if (layers > expected)
      throw scan.odd(`up_blocks.${i} has ${layers} residual blocks where ${expected} are expected`);
  });
  const { linear: flat, context } = scan.attention();
  const linear = flat && !hints.convolutions;
  return completeUNetConfig(
    {
      in_channels: input,
      out_channels: output,
      block_out_channels: sides,
      layers_per_block: down.map(({ layers }) => layers),
      down_attention: down.map(({ depth }) => depth > 0),
      up_attention: up.map(({ depth }) => depth > 0),
      transformer_layers_per_block: range(levels).map((i) => {
        const depths = [down[i]?.depth ?? 0, up[levels - 1 - i]?.depth ?? 0, i === levels - 1 ? mid : 0];
        return scan.common(depths, `level ${i}`);
      }),
      num_attention_heads: sides.map((side) => headsOf(side, linear)),
      mid_attention: mid > 0,
      cross_attention_dim: context,
      use_linear_projection: linear,
      norm_num_groups: 32,
      norm_eps: 1e-5,
      flip_sin_to_cos: true,
      freq_shift: 0,
      addition: scan.addition(first, hints.addition),
      sample_size: hints.sampleSize,
    },
    weights.where,
  );
}

/** SD1 has 8 heads whatever the width, and convolutions around its transformers; later models have heads of 64 and linear layers. */
export function headsOf(side: number, linear: boolean): number {
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

  /** How many places `prefix.N` there are; a gap is a missing tensor. */
  count(prefix: string): number {
    const { count, gap } = countPlaces(this.names, prefix);
    if (gap) {
      throw new SafelightError(
        'MISSING_TENSOR',
        `${this.weights.where} has no tensors of ${prefix}${count} of its U-Net, though it has later ones; the file is incomplete: download it again`,
      );
    }
    return count;
  }

  /** Residual blocks of a level, and how many transformer blocks follow each of them. */
  level(place: string): { layers: number; depth: number } {
    const layers = this.count(`${place}.resnets.`);
    const attentions = this.count(`${place}.attentions.`);
    if (layers === 0) this.weights.parameter(`${place}.resnets.0.conv1.weight`);
    if (attentions === 0) return { layers, depth: 0 };
    if (attentions < layers) this.weights.parameter(`${place}.attentions.${attentions}.norm.weight`);
    return {
      layers,
      depth: this.common(
        range(attentions).map((i) => this.depth(`${place}.attentions.${i}`)),
        place,
      ),
    };
  }

  depth(attention: string): number {
    const blocks = this.count(`${attention}.transformer_blocks.`);
    if (blocks === 0 && this.names.some((name) => name.startsWith(`${attention}.`))) {
      this.weights.parameter(`${attention}.transformer_blocks.0.norm1.weight`);
    }
    return blocks;
  }

  /** The one value of all that are not 0. */
  common(depths: readonly number[], place: string): number {
    const found = [...new Set(depths.filter((depth) => depth > 0))];
    if (found.length > 1) throw this.odd(`${place} has transformers of ${found.join(' and ')} blocks`);
    return found[0] ?? 0;
  }

  /** Of the first transformer: its projections' form, and the width of the text's states. */
  attention(): { linear: boolean; context: number } {
    const name = this.names.find((found) => found.endsWith('.attn2.to_k.weight'));
    if (name === undefined) throw this.odd('there is no attention to a text');
    const place = name.slice(0, name.indexOf('.transformer_blocks.'));
    const linear = this.weights.parameter(`${place}.proj_in.weight`).shape.length === 2;
    return { linear, context: this.weights.shape(name, 2)[1] ?? 0 };
  }

  addition(side: number, hint: UNetHints['addition']): UNetConfig['addition'] {
    if (!this.names.some((name) => name.startsWith('add_embedding.'))) {
      if (hint !== null) this.weights.parameter('add_embedding.linear_1.weight');
      return null;
    }
    const [, input = 0] = this.weights.shape('add_embedding.linear_1.weight', 2);
    if (hint === null) throw this.odd(`it takes ${input} numbers besides time and text`);
    const each = (input - hint.pooled) / hint.ids;
    if (!Number.isInteger(each) || each < 2) {
      throw this.odd(
        `it takes ${input} numbers besides time and text, which are not ${hint.pooled} of pooled text and ${hint.ids} sinusoids (its first level is ${side} wide)`,
      );
    }
    return { time_embed_dim: each, input_dim: input };
  }

  odd(what: string): SafelightError {
    return new SafelightError(
      'UNSUPPORTED_MODEL',
      `The U-Net of ${this.weights.where} is none that Safelight runs: ${what}; take a model of the SD1, SD2 or SDXL kind`,
    );
  }
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
