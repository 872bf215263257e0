/** The LoRAs of a call with their weights: the API's option and the command line's flag. */
import { defined } from '../defined.js';
import { invalidOption } from '../errors.js';
import { knownKeys } from '../known-keys.js';
import { type BlockWeights, checkBlocks } from './lora-blocks.js';

export interface LoraOption {
  /** Path of a safetensors or PyTorch file. */
  readonly path: string;
  /** Factor of the change to the U-Net, -100 to 100; default 1. */
  readonly weight?: number;
  /** Factor of the change to the text encoders, -100 to 100; default `weight`. */
  readonly textEncoderWeight?: number;
  /** Uses only the first ranks of low-rank factors, at least 1; default all. */
  readonly ranks?: number;
  /** Factors of the weights by block of the model; default 1. */
  readonly blocks?: BlockWeights;
}

/** Validated options with defaults applied. */
export interface LoraSettings extends LoraOption {
  readonly weight: number;
  readonly textEncoderWeight: number;
}

const KEYS: ReadonlySet<string> = new Set(['path', 'weight', 'textEncoderWeight', 'ranks', 'blocks']);
/** Limit of LoRAs, since each adds nodes to the graph of every layer that it changes. */
export const MAX_LORAS = 20;
const MAX_WEIGHT = 100;

/** @throws INVALID_OPTION naming the option */
export function resolveLoras(loras: unknown): readonly LoraSettings[] {
  if (loras === undefined) return [];
  if (!Array.isArray(loras) || loras.length > MAX_LORAS)
    throw invalidOption('loras', `an array of at most ${MAX_LORAS} LoRAs`, loras);
  return loras.map((lora: unknown, i) => {
    const name = `loras[${i}]`;
    knownKeys(name, lora, KEYS);
    const { path, weight = 1, textEncoderWeight = weight, ranks, blocks } = lora as LoraOption;
    if (typeof path !== 'string' || path === '')
      throw invalidOption(`${name}.path`, 'the path of a file', path);
    return {
      path,
      weight: checkWeight(`${name}.weight`, weight),
      textEncoderWeight: checkWeight(`${name}.textEncoderWeight`, textEncoderWeight),
      ...(ranks === undefined ? {} : { ranks: checkRanks(`${name}.ranks`, ranks) }),
      ...(blocks === undefined ? {} : { blocks: checkBlocks(`${name}.blocks`, blocks) }),
    };
  });
}

/** @throws INVALID_OPTION */
export function checkRanks(name: string, value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1) return value;
  throw invalidOption(name, 'an integer of at least 1', value);
}

/** @throws INVALID_OPTION */
export function checkWeight(name: string, value: unknown): number {
  if (typeof value === 'number' && Math.abs(value) <= MAX_WEIGHT) return value;
  throw invalidOption(name, `a number between -${MAX_WEIGHT} and ${MAX_WEIGHT}`, value);
}

const NUMBER = '([+-]?(?:\\d+\\.?\\d*|\\.\\d+))';
const FLAG = new RegExp(`^(.+?)(?::${NUMBER})?(?::${NUMBER})?$`, 's');

/**
 * Parses `FILE[:WEIGHT[:TEXT_ENCODER_WEIGHT]]`. Only numbers at the end are weights, so that a path may contain colons
 * (`C:\loras\a.safetensors`).
 * @throws INVALID_OPTION
 */
export function parseLora(text: string): LoraOption {
  const [, path, weight, textEncoderWeight] = FLAG.exec(text) ?? [];
  if (path === undefined) throw invalidOption('--lora', 'FILE[:WEIGHT[:TEXT_ENCODER_WEIGHT]]', text);
  const number = (value: string | undefined) => (value === undefined ? undefined : Number(value));
  return defined({ path, weight: number(weight), textEncoderWeight: number(textEncoderWeight) });
}
