import type { ConfigValue } from '../../../binding/types.js';
import { SafelightError } from '../../../errors.js';
import { interpolated } from './interpolation.js';
import { type ConfigTree, isTree, MISSING } from './yaml-tree.js';

/** Range of a numeric field, both ends included. */
export interface NumberRange {
  readonly min?: number;
  readonly max?: number;
}

/**
 * A model's config (`model.target`, `model.params` ...) with typed access by path, such as `model.params.ddconfig.ch`
 * or `model.params.layers.0`. Interpolations (`${model.params.ch}`) are resolved on access, as in OmegaConf.
 *
 * Getters return `fallback` if the field is absent or null; without a fallback they throw INVALID_FILE. Every error
 * names the file and the field.
 */
export class ModelConfig {
  /** @param where path of the file, or files, for messages */
  constructor(
    readonly where: string,
    private readonly root: ConfigTree,
    private readonly prefix = '',
  ) {}

  /** Returns true if the field exists and is not null. */
  has(field: string): boolean {
    return (this.get(field) ?? null) !== null;
  }

  /** Returns the field as plain data, with interpolations resolved; undefined if it is absent. */
  get(field: string): ConfigValue | undefined {
    const path = this.path(field);
    const value = interpolated(this.root, path, (why) => this.fail(field, why));
    return value === MISSING ? undefined : value;
  }

  /** Returns the mapping at a field; null if it is absent or null. */
  section(field: string): ModelConfig | null {
    const value = this.get(field) ?? null;
    if (value === null) return null;
    if (!isTree(value)) this.wrong(field, 'a mapping', value);
    return new ModelConfig(this.where, this.root, this.path(field));
  }

  getInt<F = never>(field: string, fallback?: F, range: NumberRange = {}): number | F {
    return this.typed(
      field,
      fallback,
      describe('an integer', range),
      (value): value is number => Number.isSafeInteger(value) && isInRange(value as number, range),
    );
  }

  getNumber<F = never>(field: string, fallback?: F, range: NumberRange = {}): number | F {
    return this.typed(
      field,
      fallback,
      describe('a number', range),
      (value): value is number => Number.isFinite(value) && isInRange(value as number, range),
    );
  }

  getString<F = never>(field: string, fallback?: F): string | F {
    return this.typed(field, fallback, 'a string', (value) => typeof value === 'string');
  }

  getBoolean<F = never>(field: string, fallback?: F): boolean | F {
    return this.typed(field, fallback, 'true or false', (value) => typeof value === 'boolean');
  }

  /** Returns a list of integers, such as `ch_mult`. */
  getInts<F = never>(field: string, fallback?: F, range: NumberRange = {}): readonly number[] | F {
    const expected = describe('a list of integers', range);
    return this.typed(
      field,
      fallback,
      expected,
      (value): value is readonly number[] =>
        isList(value) &&
        value.every((item) => Number.isSafeInteger(item) && isInRange(item as number, range)),
    );
  }

  getStrings<F = never>(field: string, fallback?: F): readonly string[] | F {
    return this.typed(
      field,
      fallback,
      'a list of strings',
      (value): value is readonly string[] => isList(value) && value.every((item) => typeof item === 'string'),
    );
  }

  /** @throws INVALID_FILE naming file and field; `why` is a clause such as `expected ..., found ...` */
  fail(field: string, why: string): never {
    throw new SafelightError(
      'INVALID_FILE',
      `${this.where}: ${this.path(field) || 'the config'}: ${why}; the config is damaged or of another model`,
    );
  }

  private typed<T extends ConfigValue, F>(
    field: string,
    fallback: F | undefined,
    expected: string,
    fits: (value: ConfigValue) => value is T,
  ): T | F {
    const value = this.get(field);
    if ((value ?? null) === null && fallback !== undefined) return fallback;
    return value !== undefined && fits(value) ? value : this.wrong(field, expected, value);
  }

  private wrong(field: string, expected: string, value: ConfigValue | undefined): never {
    const shown = value === undefined ? 'nothing' : (JSON.stringify(value) ?? String(value));
    this.fail(field, `expected ${expected}, found ${shown.length > 80 ? `${shown.slice(0, 80)}...` : shown}`);
  }

  private path(field: string): string {
    return this.prefix === '' || field === '' ? this.prefix + field : `${this.prefix}.${field}`;
  }
}

function isList(value: ConfigValue): value is readonly ConfigValue[] {
  return Array.isArray(value);
}

function isInRange(value: number, { min = -Infinity, max = Infinity }: NumberRange): boolean {
  return value >= min && value <= max;
}

function describe(what: string, { min, max }: NumberRange): string {
  if (min !== undefined && max !== undefined) return `${what} from ${min} to ${max}`;
  return min !== undefined
    ? `${what} of at least ${min}`
    : max !== undefined
      ? `${what} of at most ${max}`
      : what;
}
