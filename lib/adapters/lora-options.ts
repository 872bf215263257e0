/** The LoRAs that a call applies, with their weights: as an option of the API, and as a flag of the command line. */
import { defined } from '../defined.js';
import { invalidOption } from '../errors.js';
import { knownKeys } from '../known-keys.js';

export interface LoraOption {
  /** A safetensors file, or one of PyTorch's. */
  readonly path: string;
  /** Multiplies the change of the U-Net, -100 to 100; default 1. */
  readonly weight?: number;
  /** Multiplies the change of the text encoders; default the weight of the U-Net. */
  readonly textEncoderWeight?: number;
}

/** The same, complete and checked. */
export type LoraSettings = Required<LoraOption>;

const KEYS: ReadonlySet<string> = new Set(['path', 'weight', 'textEncoderWeight']);
/** Each adds nodes to the graph of every layer that it changes. */
const MOST_LORAS = 20;
const MOST_WEIGHT = 100;

/** @throws INVALID_OPTION naming the option */
export function resolveLoras(loras: unknown): readonly LoraSettings[] {
  if (loras === undefined) return [];
  if (!Array.isArray(loras) || loras.length > MOST_LORAS)
    throw invalidOption('loras', `an array of at most ${MOST_LORAS} LoRAs`, loras);
  return loras.map((lora: unknown, i) => {
    const name = `loras[${i}]`;
    knownKeys(name, lora, KEYS);
    const { path, weight = 1, textEncoderWeight = weight } = lora as LoraOption;
    if (typeof path !== 'string' || path === '') throw invalidOption(`${name}.path`, 'path of a file', path);
    return {
      path,
      weight: checkWeight(`${name}.weight`, weight),
      textEncoderWeight: checkWeight(`${name}.textEncoderWeight`, textEncoderWeight),
    };
  });
}

function checkWeight(name: string, value: unknown): number {
  if (typeof value === 'number' && Math.abs(value) <= MOST_WEIGHT) return value;
  throw invalidOption(name, `number between -${MOST_WEIGHT} and ${MOST_WEIGHT}`, value);
}

const NUMBER = '([+-]?(?:\\d+\\.?\\d*|\\.\\d+))';
const FLAG = new RegExp(`^(.+?)(?::${NUMBER})?(?::${NUMBER})?$`, 's');

/**
 * Reads `FILE[:WEIGHT[:TEXT_ENCODER_WEIGHT]]`. Only numbers at its end are weights, so that a path may hold colons (`C:\loras\a.safetensors`).
 * @throws INVALID_OPTION
 */
export function parseLora(text: string): LoraOption {
  const [, path, weight, textEncoderWeight] = FLAG.exec(text) ?? [];
  if (path === undefined) throw invalidOption('--lora', 'FILE[:WEIGHT[:TEXT_ENCODER_WEIGHT]]', text);
  const number = (value: string | undefined) => (value === undefined ? undefined : Number(value));
  return defined({ path, weight: number(weight), textEncoderWeight: number(textEncoderWeight) });
}
