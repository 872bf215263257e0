/**
 * A1111's tag of a LoRA, `<lora:NAME:TEXT_ENCODER:UNET:RANKS>`, with the named arguments `te=`, `unet=`, `dyn=` and, from
 * the sd-webui-lora-block-weight extension, `lbw=`. The first number is the text encoder's weight (default 1), and the
 * default of the U-Net's.
 */
import { defined } from '../defined.js';
import { SafelightError } from '../errors.js';
import { type BlockWeights, checkBlocks, isList } from './lora-blocks.js';
import { checkRanks, checkWeight, type LoraSettings } from './lora-options.js';

/** A LoRA by name instead of path. */
export type NamedLora = Omit<LoraSettings, 'path'> & { readonly name: string };

/** @param parts of the tag, after `lora:` @throws INVALID_OPTION */
export function readLoraTag(parts: readonly string[]): NamedLora {
  const tag = `<lora:${parts.join(':')}>`;
  const positional = parts.filter((part) => !part.includes('='));
  const named = new Map(
    parts.filter((part) => part.includes('=')).map((part) => part.split('=', 2) as [string, string]),
  );
  const [name = '', ...numbers] = positional;
  const [te, unet, dyn] = numbers;
  const number = (key: string, text: string | undefined): number | undefined =>
    text === undefined ? undefined : numberOf(tag, key, text);
  const textEncoderWeight = number('te', named.get('te') ?? te) ?? 1;
  const blocks = named.get('lbw');
  const ranks = number('dyn', named.get('dyn') ?? dyn);
  return {
    name: name.trim(),
    textEncoderWeight: checkWeight(`te of ${tag}`, textEncoderWeight),
    weight: checkWeight(`unet of ${tag}`, number('unet', named.get('unet') ?? unet) ?? textEncoderWeight),
    ...defined({
      ranks: ranks === undefined ? undefined : checkRanks(`dyn of ${tag}`, ranks),
      blocks: blocks === undefined ? undefined : readBlocks(tag, blocks),
    }),
  };
}

/** Reads block weights: a list, `1,0.5,0`, or by name, `BASE/1,IN04/0.5`. */
function readBlocks(tag: string, text: string): BlockWeights {
  const entries = text.split(',');
  if (!text.includes('/'))
    return checkBlocks(
      `lbw of ${tag}`,
      entries.map((entry) => numberOf(tag, 'lbw', entry)),
    );
  const byName = entries.map((entry): [string, number] => {
    const [block = '', weight = ''] = entry.split('/');
    return [block.trim(), numberOf(tag, 'lbw', weight)];
  });
  return checkBlocks(`lbw of ${tag}`, Object.fromEntries(byName));
}

/** Formats the tag of a LoRA. Arguments at their default are omitted, and so are characters that delimit tags. */
export function formatLoraTag({ name, weight, textEncoderWeight, ranks, blocks }: NamedLora): string {
  const all = [
    ...['lora', name.replace(/[:<>]/g, ''), String(textEncoderWeight)],
    ...(weight === textEncoderWeight ? [] : [String(weight)]),
    ...(ranks === undefined ? [] : [`dyn=${ranks}`]),
    ...(blocks === undefined ? [] : [`lbw=${formatBlocks(blocks)}`]),
  ];
  return `<${all.join(':')}>`;
}

function formatBlocks(blocks: BlockWeights): string {
  if (isList(blocks)) return blocks.join(',');
  return Object.entries(blocks)
    .map(([block, weight]) => `${block}/${weight}`)
    .join(',');
}

function numberOf(tag: string, key: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value)) return value;
  throw new SafelightError(
    'INVALID_OPTION',
    `Expected a number for ${key} in ${tag}, received '${text}'; write <lora:NAME:TEXT_ENCODER_WEIGHT:UNET_WEIGHT>`,
  );
}
