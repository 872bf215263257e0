/** In which type each tensor of a converted file is stored, and what users may say about it. */

import type { StorageType, WeightRequirement } from '../binding/types.js';
import { fittingStorage, isQuantized, storageTypes } from '../checkpoint/weights/storage.js';
import { invalidOption } from '../errors.js';
import { oneOf } from '../known-keys.js';

/** Types that a whole file can be converted to. */
export const convertStorages = ['f16', 'q8_0', 'q5_0', 'q4_0', 'q4_K', 'q5_K', 'q6_K'] as const;
export type ConvertStorage = (typeof convertStorages)[number];

/** Tensors that are kept in a type of their own. */
export interface Keep {
  /** Of whole names as the file has them (CompVis'): `*` stands for any letters, `?` for one. */
  readonly pattern: string;
  readonly type: StorageType;
}

/** Embeddings of time and size: small, and every layer depends on them. */
const TIME = /(^|\.)(time_embed|label_emb)\./;
const MAX_PATTERN = 200;

export interface Writable {
  /** In the file. */
  readonly name: string;
  readonly role: WeightRequirement['role'];
  /** In the file, PyTorch's order. */
  readonly shape: readonly number[];
  /** Whether readers have to turn it, so that it would be quantized a second time. */
  readonly turned: boolean;
}

/** Chooses types by the rules of the format and of the user. */
export class TypeChoice {
  private readonly rules: readonly { matches: RegExp; type: StorageType; pattern: string }[];

  /** @throws INVALID_OPTION */
  constructor(
    private readonly storage: ConvertStorage,
    keep: readonly Keep[],
  ) {
    oneOf('storage', storage, convertStorages);
    // Also what is not there, of a sparse array.
    this.rules = Array.from(keep, (rule) => checkRule(rule));
  }

  /**
   * Norms and biases are f32. Of the rest, the matrices of attention, of feed-forward layers and of residual blocks' time projections
   * are quantized, in the first type whose blocks fill their rows; filters, tables of words and embeddings of time are f16.
   */
  of({ name, role, shape, turned }: Writable): StorageType {
    const row = shape.at(-1) ?? 1;
    const rule = this.rules.findLast(({ matches }) => matches.test(name));
    if (rule) return role === 'vector' && isQuantized(rule.type) ? 'f32' : fittingStorage(rule.type, row);
    if (role === 'vector') return 'f32';
    const quantizable = role === 'matrix' && shape.length === 2 && !turned && !TIME.test(name);
    return quantizable ? fittingStorage(this.storage, row) : 'f16';
  }

  /** @throws INVALID_OPTION for a pattern that matches none of the names */
  checkUse(names: readonly string[]): void {
    for (const { pattern, matches } of this.rules) {
      if (!names.some((name) => matches.test(name))) {
        throw invalidOption(
          'keep',
          "a pattern that matches at least one tensor's name in the written file (such as *.attn2.*)",
          pattern,
        );
      }
    }
  }
}

function checkRule(rule: Keep): { matches: RegExp; type: StorageType; pattern: string } {
  const { pattern, type } = Object(rule) as Partial<Keep>;
  if (typeof pattern !== 'string' || pattern === '' || pattern.length > MAX_PATTERN)
    throw invalidOption('keep', `a pattern of 1 to ${MAX_PATTERN} characters`, pattern);
  if (type === undefined || !storageTypes.includes(type))
    throw invalidOption('keep', `a type of ${storageTypes.join(', ')}`, type);
  return { matches: glob(pattern), type, pattern };
}

/** The pattern for whole names; neighbouring stars are one, so that matching stays quick. */
function glob(pattern: string): RegExp {
  const source = pattern
    .replace(/\*+/g, '*')
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, 's');
}
