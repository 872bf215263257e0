/** Selection of the storage type of each tensor in a converted file. */

import type { StorageType, WeightRequirement } from '../binding/types.js';
import { fittingStorage, isQuantized, storageTypes } from '../checkpoint/weights/storage.js';
import { invalidOption } from '../errors.js';
import { oneOf } from '../known-keys.js';

/** Types that a file can be converted to. */
export const convertStorages = ['f16', 'q8_0', 'q5_0', 'q4_0', 'q4_K', 'q5_K', 'q6_K'] as const;
export type ConvertStorage = (typeof convertStorages)[number];

/** Rule for tensors that are stored in another type than the rest. */
export interface Keep {
  /**
   * Pattern for full tensor names in the written file (CompVis' names): `*` matches any characters, `?` a single one.
   * At most 200 characters.
   */
  readonly pattern: string;
  readonly type: StorageType;
}

/** Embeddings of time and size, which are small and affect every layer, so they are not quantized. */
const TIME = /(^|\.)(time_embed|label_emb)\./;
const MAX_PATTERN = 200;

/** A tensor to write. */
export interface Writable {
  /** Name in the file. */
  readonly name: string;
  readonly role: WeightRequirement['role'];
  /** Shape in the file, in PyTorch's order. */
  readonly shape: readonly number[];
  /** True if readers transpose it, which would require a second quantization. */
  readonly turned: boolean;
}

/** Selects types by the rules of the format and of the user. */
export class TypeChoice {
  private readonly rules: readonly { matches: RegExp; type: StorageType; pattern: string }[];

  /** @throws INVALID_OPTION */
  constructor(
    private readonly storage: ConvertStorage,
    keep: readonly Keep[],
  ) {
    oneOf('storage', storage, convertStorages);
    if (!Array.isArray(keep)) throw invalidOption('keep', 'an array of { pattern, type }', keep);
    // Array.from also visits holes of sparse arrays.
    this.rules = Array.from(keep, (rule) => checkRule(rule));
  }

  /**
   * Returns the type of a tensor. Norms and biases are f32. Matrices of attention, feed-forward layers and time
   * projections of residual blocks are quantized, to the first type whose block size divides the row length.
   * Convolutions, token embeddings and time embeddings are f16.
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
          'a pattern that matches at least one tensor name in the written file (such as *.attn2.*)',
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
    throw invalidOption('keep', `one of the types ${storageTypes.join(', ')}`, type);
  return { matches: glob(pattern), type, pattern };
}

/**
 * Converts a pattern to a regular expression for full names; consecutive stars are merged, so that matching stays
 * fast.
 */
function glob(pattern: string): RegExp {
  const source = pattern
    .replace(/\*+/g, '*')
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, 's');
}
