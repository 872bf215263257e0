/**
 * Weights of a LoRA by block of the model, with the names and lists of the sd-webui-lora-block-weight extension: `BASE`
 * for the text encoders, `IN00` ... for the U-Net's input blocks, `M00` for its middle block, `OUT00` ... for its output
 * blocks.
 */
import { unetTable } from '../checkpoint/naming/ldm-unet.js';
import { invalidOption, SafelightError } from '../errors.js';
import type { AdaptedComponent, AdaptedModule } from './model-layers.js';

/**
 * Weights by block name, or in the order of the blocks: BASE, input blocks, middle block, output blocks. A list has an
 * entry for every block (26 for SD1, 20 for SDXL), or only for BASE and the blocks with attention (17 and 12).
 */
export type BlockWeights = readonly number[] | Readonly<Record<string, number>>;

const TEXT = 'BASE';
const MAX_WEIGHT = 100;
const MAX_BLOCKS = 256;
const NAME = /^(?:BASE|M00|(?:IN|OUT)\d\d)$/;

/** @throws INVALID_OPTION naming the option */
export function checkBlocks(name: string, value: unknown): BlockWeights {
  const isWeight = (weight: unknown): weight is number =>
    typeof weight === 'number' && Math.abs(weight) <= MAX_WEIGHT;
  if (Array.isArray(value)) {
    if (value.length > 0 && value.length <= MAX_BLOCKS && value.every(isWeight)) return [...value];
  } else if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value);
    if (entries.every(([key, weight]) => NAME.test(key) && isWeight(weight)))
      return Object.fromEntries(entries) as Record<string, number>;
  }
  throw invalidOption(
    name,
    `an array of weights (BASE, IN00, ..., M00, OUT00, ...) or an object such as { BASE: 1, IN04: 0.5, M00: 0 }, each weight between -${MAX_WEIGHT} and ${MAX_WEIGHT}`,
    value,
  );
}

/** The blocks of a model. */
export class ModelBlocks {
  /** Block of each parameter of the U-Net; parameters outside of blocks are missing. */
  private readonly blocks = new Map<string, string>();
  private readonly all: readonly string[];
  private readonly withAttention: readonly string[];

  constructor(modules: readonly AdaptedModule[]) {
    const attention = new Set<string>();
    for (const { unet, requirements } of modules) {
      if (!unet) continue;
      const table = unetTable(unet.layers_per_block, unet.up_attention);
      for (const { name } of requirements) {
        const block = blockOf(table.source(name) ?? '');
        if (block === undefined) continue;
        this.blocks.set(name, block);
        if (name.includes('.attentions.')) attention.add(block);
      }
    }
    this.all = [...new Set(this.blocks.values())].sort(byPosition);
    this.withAttention = this.all.filter((block) => attention.has(block));
  }

  /**
   * Returns a function from parameters to their weights; 1 for parameters outside of blocks and blocks that are not
   * listed.
   * @param lora path of the LoRA, for messages
   * @throws ADAPTER_MISMATCH for a list of another length, or a block that the model does not have
   */
  weights(weights: BlockWeights, lora: string): (component: AdaptedComponent, parameter: string) => number {
    const byBlock = new Map(isList(weights) ? this.namedInOrder(weights, lora) : Object.entries(weights));
    for (const block of byBlock.keys())
      if (block !== TEXT && !this.all.includes(block))
        throw mismatch(lora, `the weight of block ${block}, but the model has ${this.all.join(', ')}`);
    return (component, parameter) =>
      byBlock.get(component === 'unet' ? (this.blocks.get(parameter) ?? '') : TEXT) ?? 1;
  }

  private namedInOrder(weights: readonly number[], lora: string): [block: string, weight: number][] {
    const lists = [this.all, this.withAttention].map((blocks) => [TEXT, ...blocks]);
    const blocks = lists.find(({ length }) => length === weights.length);
    if (blocks) return blocks.map((block, i) => [block, weights[i]!]);
    throw mismatch(
      lora,
      `${weights.length} block weights, but this model takes ${lists.map((list) => `${list.length} (${list.join(',')})`).join(' or ')}`,
    );
  }
}

/** True for weights in the order of the blocks. */
export function isList(weights: BlockWeights): weights is readonly number[] {
  return Array.isArray(weights);
}

function blockOf(ldm: string): string | undefined {
  if (ldm.startsWith('middle_block.')) return 'M00';
  const [, side, index] = /^(input|output)_blocks\.(\d+)\./.exec(ldm) ?? [];
  return index === undefined ? undefined : `${side === 'input' ? 'IN' : 'OUT'}${index.padStart(2, '0')}`;
}

/** Orders input blocks, middle block, output blocks; names of one kind have indices of equal length. */
function byPosition(a: string, b: string): number {
  const kinds = ['I', 'M', 'O'];
  return kinds.indexOf(a[0]!) - kinds.indexOf(b[0]!) || a.localeCompare(b);
}

function mismatch(lora: string, problem: string): SafelightError {
  return new SafelightError('ADAPTER_MISMATCH', `${lora} is given ${problem}`);
}
