/**
 * The naming of CompVis' and taming's autoencoders (`first_stage_model.`). Decoder levels count from the finest, in
 * diffusers from the coarsest.
 */
import { isAutoencoderParameter } from './canonical.js';
import { type CanonicalPart, countIndices, NameTable, type Naming } from './naming.js';

const RESNET = [
  ['norm1', 'norm1'],
  ['conv1', 'conv1'],
  ['norm2', 'norm2'],
  ['conv2', 'conv2'],
  ['nin_shortcut', 'conv_shortcut'],
] as const;

/** 1x1 convolutions of shape `[C, C, 1, 1]` in CompVis' files, linear layers in diffusers. */
const ATTENTION = [
  ['norm', 'group_norm'],
  ['q', 'to_q'],
  ['k', 'to_k'],
  ['v', 'to_v'],
  ['proj_out', 'to_out.0'],
] as const;

/** Far above real autoencoders; bounds the table for hostile files. */
const MAX_LEVELS = 16;
const MAX_BLOCKS = 64;

/** @param prefix prefix of the autoencoder's names with the dot; empty in a file of its own */
export function ldmAutoencoderNaming(names: Iterable<string>, prefix: string): Naming {
  const suffixes: string[] = [];
  for (const name of names) if (name.startsWith(prefix)) suffixes.push(name.slice(prefix.length));
  // The maximum of encoder and decoder: a level missing in one must not shift the other's numbering.
  const levels = Math.min(
    MAX_LEVELS,
    Math.max(countIndices(suffixes, 'encoder.down.').end, countIndices(suffixes, 'decoder.up.').end),
  );
  // The maximum of all levels, since all have the same number: a missing block is then reported by name.
  const blocks = (path: string): number =>
    Math.min(
      MAX_BLOCKS,
      Math.max(
        0,
        ...Array.from(
          { length: levels },
          (_, level) => countIndices(suffixes, `${path}.${level}.block.`).end,
        ),
      ),
    );
  const table = autoencoderTable(levels, blocks('encoder.down'), blocks('decoder.up'));
  return {
    dialect: 'ldm',
    canonical: (source): CanonicalPart[] => {
      const name = source.startsWith(prefix) ? table.canonical(source.slice(prefix.length)) : null;
      return name !== null && isAutoencoderParameter(name) ? [{ name }] : [];
    },
    source: (canonical) => prefix + (table.source(canonical) ?? canonical),
  };
}

/** Builds the table for a number of levels, with residual blocks per level of the encoder and of the decoder. */
export function autoencoderTable(levels: number, encoderBlocks: number, decoderBlocks: number): NameTable {
  const table = new NameTable();
  for (const same of ['quant_conv', 'post_quant_conv', 'quantize']) table.add(same, same);
  addHalf(table, levels, encoderBlocks, 'encoder', 'down');
  addHalf(table, levels, decoderBlocks, 'decoder', 'up');
  return table;
}

function addHalf(
  table: NameTable,
  levels: number,
  blocks: number,
  half: 'encoder' | 'decoder',
  path: 'down' | 'up',
): void {
  table.add(`${half}.conv_in`, `${half}.conv_in`);
  table.add(`${half}.norm_out`, `${half}.conv_norm_out`);
  table.add(`${half}.conv_out`, `${half}.conv_out`);
  table.addEach(`${half}.mid.block_1`, `${half}.mid_block.resnets.0`, RESNET);
  table.addEach(`${half}.mid.attn_1`, `${half}.mid_block.attentions.0`, ATTENTION);
  table.addEach(`${half}.mid.block_2`, `${half}.mid_block.resnets.1`, RESNET);
  for (let level = 0; level < levels; level++) {
    const from = `${half}.${path}.${level}`;
    const to = `${half}.${path}_blocks.${path === 'up' ? levels - 1 - level : level}`;
    for (let j = 0; j < blocks; j++) {
      table.addEach(`${from}.block.${j}`, `${to}.resnets.${j}`, RESNET);
      table.addEach(`${from}.attn.${j}`, `${to}.attentions.${j}`, ATTENTION);
    }
    table.add(`${from}.${path}sample.conv`, `${to}.${path}samplers.0.conv`);
  }
}
