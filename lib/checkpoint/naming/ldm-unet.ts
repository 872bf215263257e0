/**
 * The naming of CompVis' U-Net (`model.diffusion_model.`), which is OpenAI's: flat lists of input and output blocks
 * instead of diffusers' levels. The tensors determine the role of each block, so that any size can be mapped: `op` (a
 * downsampling convolution) ends a level; if residual blocks resample, which look like others, the output blocks
 * determine the levels.
 */
import { SafelightError } from '../../errors.js';
import { isUNetParameter } from './canonical.js';
import { inQkv, LDM_ATTENTION, type LdmAttention, qkvParts } from './ldm-attention.js';
import { type CanonicalPart, countIndices, NameTable, type Naming } from './naming.js';

/** Layers of a residual block, with their canonical names. */
export const LDM_RESNET = [
  ['in_layers.0', 'norm1'],
  ['in_layers.2', 'conv1'],
  ['emb_layers.1', 'time_emb_proj'],
  ['out_layers.0', 'norm2'],
  ['out_layers.3', 'conv2'],
  ['skip_connection', 'conv_shortcut'],
] as const;

/**
 * @param prefix prefix of the U-Net's names with the dot; empty in a file of its own
 * @param path path of the file, for messages
 * @param attention properties of attention blocks instead of transformers, from the YAML config
 * @throws MISSING_TENSOR if a complete block is missing; UNSUPPORTED_MODEL for an unknown kind of block, or for
 *   attention blocks without `attention`
 */
export function ldmUNetNaming(
  names: Iterable<string>,
  prefix: string,
  path: string,
  attention?: LdmAttention,
): Naming {
  const suffixes: string[] = [];
  for (const name of names) if (name.startsWith(prefix)) suffixes.push(name.slice(prefix.length));
  const table = new Layout(suffixes, prefix, path, attention !== undefined).table();
  return {
    dialect: 'ldm',
    canonical: (source, shape): CanonicalPart[] => {
      const name = source.startsWith(prefix) ? table.canonical(source.slice(prefix.length)) : null;
      if (name === null) return [];
      const parts = attention ? qkvParts(name, shape, attention) : [{ name }];
      return parts.filter((part) => isUNetParameter(part.name));
    },
    source: (canonical) => prefix + (table.source(canonical) ?? table.source(inQkv(canonical)) ?? canonical),
  };
}

/** Adds the layers before the first and after the last block. */
function addEnds(table: NameTable): void {
  table
    .add('time_embed.0', 'time_embedding.linear_1')
    .add('time_embed.2', 'time_embedding.linear_2')
    // CompVis' code has no such layer; converters keep diffusers' name or rename only its parent.
    .add('time_embed.cond_proj', 'time_embedding.cond_proj')
    .add('time_embedding.cond_proj', 'time_embedding.cond_proj')
    .add('label_emb.0.0', 'add_embedding.linear_1')
    .add('label_emb.0.2', 'add_embedding.linear_2')
    .add('label_emb', 'class_embedding')
    .add('input_blocks.0.0', 'conv_in')
    .add('out.0', 'conv_norm_out')
    .add('out.2', 'conv_out');
}

/**
 * Builds the table for a config: the inverse of `Layout`, from levels to the flat lists.
 * @param layers residual blocks per level of the down path, finest first
 * @param upAttention true for levels of the up path (coarsest first) with transformers
 */
export function unetTable(layers: readonly number[], upAttention: readonly boolean[]): NameTable {
  const table = new NameTable();
  addEnds(table);
  let block = 1;
  layers.forEach((count, level) => {
    for (let j = 0; j < count; j++, block++) {
      table.addEach(`input_blocks.${block}.0`, `down_blocks.${level}.resnets.${j}`, LDM_RESNET);
      table.add(`input_blocks.${block}.1`, `down_blocks.${level}.attentions.${j}`);
    }
    if (level < layers.length - 1)
      table.add(`input_blocks.${block++}.0.op`, `down_blocks.${level}.downsamplers.0.conv`);
  });
  table.addEach('middle_block.0', 'mid_block.resnets.0', LDM_RESNET);
  table.add('middle_block.1', 'mid_block.attentions.0');
  table.addEach('middle_block.2', 'mid_block.resnets.1', LDM_RESNET);
  block = 0;
  [...layers].reverse().forEach((count, level) => {
    const attends = upAttention[level] ?? false;
    for (let j = 0; j <= count; j++, block++) {
      table.addEach(`output_blocks.${block}.0`, `up_blocks.${level}.resnets.${j}`, LDM_RESNET);
      if (attends) table.add(`output_blocks.${block}.1`, `up_blocks.${level}.attentions.${j}`);
    }
    table.add(`output_blocks.${block - 1}.${attends ? 2 : 1}.conv`, `up_blocks.${level}.upsamplers.0.conv`);
  });
  return table;
}

class Layout {
  private readonly places = new NameTable();
  private readonly groups = new Set<string>();

  constructor(
    private readonly names: readonly string[],
    private readonly prefix: string,
    private readonly path: string,
    private readonly knowsHeads: boolean,
  ) {
    // Contains every leading part of every name, for constant-time prefix tests.
    for (const name of names) {
      for (let cut = name.indexOf('.'); cut >= 0; cut = name.indexOf('.', cut + 1))
        this.groups.add(name.slice(0, cut));
    }
  }

  table(): NameTable {
    addEnds(this.places);
    const layers = this.inputBlocks();
    this.middleBlock();
    this.outputBlocks(layers);
    return this.places;
  }

  /** Returns the number of residual blocks per level, finest first. */
  private inputBlocks(): number[] {
    const layers = [0];
    const count = this.blocks('input_blocks');
    const resampling = this.resamplingInputs();
    for (let block = 1; block < count; block++) {
      const level = layers.length - 1;
      const from = `input_blocks.${block}`;
      const down = `down_blocks.${level}.downsamplers.0`;
      if (this.has(`${from}.0.op`) || resampling.has(block)) {
        if (resampling.has(block)) this.resnet(`${from}.0`, down);
        else this.places.add(`${from}.0.op`, `${down}.conv`);
        layers.push(0);
        continue;
      }
      const layer = layers[level] ?? 0;
      this.resnet(`${from}.0`, `down_blocks.${level}.resnets.${layer}`);
      if (this.has(`${from}.1`)) this.attention(`${from}.1`, `down_blocks.${level}.attentions.${layer}`);
      layers[level] = layer + 1;
    }
    return layers;
  }

  /**
   * Returns the input blocks that are residual blocks with downsampling. An output block that ends in a second residual
   * block upsamples and is the last of its level, which has one more block than the same level of the down path; the
   * finest has none.
   */
  private resamplingInputs(): Set<number> {
    const ends = range(this.blocks('output_blocks')).filter((block) =>
      [1, 2].some((part) => this.has(`output_blocks.${block}.${part}.in_layers`)),
    );
    const resampling = new Set<number>();
    let [at, above] = [this.blocks('output_blocks'), 1];
    for (const end of ends.reverse()) {
      above += at - (end + 1) - 1;
      resampling.add(above);
      [at, above] = [end + 1, above + 1];
    }
    return resampling;
  }

  private middleBlock(): void {
    this.resnet('middle_block.0', 'mid_block.resnets.0');
    this.attention('middle_block.1', 'mid_block.attentions.0');
    this.resnet('middle_block.2', 'mid_block.resnets.1');
  }

  /** Maps the output blocks, which mirror the input blocks with one more residual block per level. */
  private outputBlocks(layers: readonly number[]): void {
    const expected = layers.reduce((sum, n) => sum + n + 1, 0);
    const count = this.blocks('output_blocks');
    if (count < expected) throw this.missing(`output_blocks.${count}`);
    if (count > expected)
      throw this.unsupported(`output_blocks.${expected}`, 'exceeds the expected number of output blocks');
    let block = 0;
    [...layers].reverse().forEach((n, level) => {
      for (let layer = 0; layer <= n; layer++, block++) {
        const from = `output_blocks.${block}`;
        this.resnet(`${from}.0`, `up_blocks.${level}.resnets.${layer}`);
        const attends = ['proj_out', 'qkv', 'transformer_blocks', 'norm'].some((part) =>
          this.has(`${from}.1.${part}`),
        );
        if (attends) this.attention(`${from}.1`, `up_blocks.${level}.attentions.${layer}`);
        if (layer === n && level < layers.length - 1) {
          const up = `${from}.${attends ? 2 : 1}`;
          if (this.has(`${up}.in_layers`)) this.resnet(up, `up_blocks.${level}.upsamplers.0`);
          else this.places.add(`${up}.conv`, `up_blocks.${level}.upsamplers.0.conv`);
        }
      }
    });
  }

  private resnet(from: string, to: string): void {
    if (this.has(from) && !this.has(`${from}.in_layers`) && !this.has(`${from}.out_layers`)) {
      throw this.unsupported(from, 'is not a residual block');
    }
    this.places.addEach(from, to, LDM_RESNET);
  }

  /** Maps a transformer, whose inner names are diffusers' own, or an attention block. */
  private attention(from: string, to: string): void {
    if (this.has(`${from}.in_layers`))
      throw this.unsupported(from, 'is a residual block in the place of attention');
    if (!this.has(`${from}.qkv`)) {
      this.places.add(from, to);
      return;
    }
    if (!this.knowsHeads) {
      throw new SafelightError(
        'UNSUPPORTED_MODEL',
        `${this.path} has attention blocks ("${this.prefix}${from}.qkv"), whose number of heads only the model's YAML config specifies; put it next to the file or name it with the config option`,
      );
    }
    this.places.addEach(from, to, LDM_ATTENTION);
  }

  private has(place: string): boolean {
    return this.groups.has(place);
  }

  private blocks(list: string): number {
    const { count, gap } = countIndices(this.names, `${list}.`);
    if (gap) throw this.missing(`${list}.${count}`);
    return count;
  }

  private missing(place: string): SafelightError {
    return new SafelightError(
      'MISSING_TENSOR',
      `${this.path} has no tensors of "${this.prefix}${place}", which its U-Net requires; the file is incomplete: download it again`,
    );
  }

  private unsupported(place: string, why: string): SafelightError {
    return new SafelightError(
      'UNSUPPORTED_MODEL',
      `"${this.prefix}${place}" in ${this.path} ${why}, unlike in any supported U-Net; use a checkpoint of Stable Diffusion or of CompVis' latent diffusion`,
    );
  }
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
