/**
 * Declarations of options as plain data, one object per option. Types, validation, command-line flags and their help,
 * JSON schemas, fields of generation parameters and limits of forms are derived from them. Must not import Node.js
 * modules, because the web page uses it too.
 */
import type { ZodType, z } from 'zod';
import type { ImageSource } from '../image/source.js';
import type { Limits } from './limits.js';

/** A fixed bound, or the name of a limit. */
export type Bound = number | keyof Limits;

/** Command-line flag of an option; `null` if it has none. */
export interface FlagSpec {
  /** Name without dashes; default the option's name in kebab case. */
  readonly name?: string;
  readonly short?: string;
  /** Placeholder of the value in help; default by kind. */
  readonly argument?: string;
}

/** Field of an option in A1111's generation parameters. */
export interface InfotextSpec {
  readonly label: string;
  /** Labels used by other programs and versions, accepted when reading. */
  readonly also?: readonly string[];
  /** Writes the field even at its default value. */
  readonly always?: boolean;
}

interface Declared {
  /** Help and API documentation: a fragment in lower case without full stop, with the default. */
  readonly description: string;
  readonly flag?: FlagSpec | null;
  readonly infotext?: InfotextSpec;
  /** The model's default of the same name takes precedence over `default`. */
  readonly byModel?: true;
}

interface Ranged {
  readonly min: Bound;
  readonly max: Bound;
}

interface NumberSpec extends Declared, Ranged {
  readonly default?: number;
  /** Excludes `min` itself. */
  readonly above?: true;
}
export interface NumberField extends NumberSpec {
  readonly kind: 'number';
}

interface IntegerSpec extends Declared, Ranged {
  readonly default?: number;
  /** In generation parameters, 0 means that the option is not set. */
  readonly zeroIsNone?: true;
}
export interface IntegerField extends IntegerSpec {
  readonly kind: 'integer';
}

/** Side length of an image in pixels: a multiple of the model's downsampling factor, at most `maxSide`. */
export interface SideField extends Declared {
  readonly kind: 'side';
}

/** An integer from 0; -1 and undefined select a random 32-bit seed. */
export interface SeedField extends Declared {
  readonly kind: 'seed';
}

interface BooleanSpec extends Declared {
  readonly default?: boolean;
  /** Description of the flag that turns the option off; default derived from `description`. */
  readonly off?: string;
  /** Values in generation parameters for false and true; default `False` and `True`. */
  readonly words?: readonly [no: string, yes: string];
}
export interface BooleanField extends BooleanSpec {
  readonly kind: 'boolean';
}

interface ChoiceSpec<V extends string> extends Declared {
  readonly default?: V;
  /** A1111's labels of the values, in its order; default the values themselves. */
  readonly labels?: Readonly<Record<V, string>>;
  /** Labels used by other programs and versions, accepted when reading. */
  readonly otherLabels?: Readonly<Record<string, V>>;
  /** Value of every other label when reading. */
  readonly otherwise?: V;
  /**
   * Other accepted values: names of files of a kind, such as `upscaler model`, in a folder of them. Only TypeScript and the
   * command line also accept their paths.
   */
  readonly orFile?: string;
  /** Returns A1111's label of such a file. */
  readonly labelOfFile?: (name: string) => string;
}
export interface ChoiceField<V extends string = string> extends ChoiceSpec<V> {
  readonly kind: 'choice';
  readonly values: readonly V[];
}

/** A sampler or schedule, by Safelight's or A1111's name. */
interface NameSpec extends Declared {
  readonly default?: string;
}
export interface NameField<Name extends string = string> extends NameSpec {
  readonly kind: 'name';
  readonly of: 'sampler' | 'schedule';
  /** Carries the type only; never set. */
  readonly names?: Name;
}

interface TextSpec extends Declared {
  readonly max: Bound;
  readonly default?: string;
}
export interface TextField extends TextSpec {
  readonly kind: 'text';
}

export interface ImageField extends Declared {
  readonly kind: 'image';
}

/** Two ascending numbers. */
export interface IntervalField extends Declared, Ranged {
  readonly kind: 'interval';
}

interface NumbersSpec extends Declared, Ranged {}
/** As many numbers as there are names. */
export interface NumbersField<N extends readonly string[] = readonly string[]> extends NumbersSpec {
  readonly kind: 'numbers';
  readonly names: N;
}

interface DescendingSpec extends Declared, Ranged {
  /** Maximum count of numbers above 0. */
  readonly maxPositive: Bound;
}
/** At least one number above 0, in descending order, optionally followed by 0. */
export interface DescendingField extends DescendingSpec {
  readonly kind: 'descending';
}

interface PairSpec extends Declared, Ranged {
  readonly default?: number;
}
/** One number for both directions, or a pair of horizontal and vertical. */
export interface PairField extends PairSpec {
  readonly kind: 'pair';
}

/** Width and height in pixels, both required. */
export interface SizeField extends Declared, Ranged {
  readonly kind: 'size';
}

/**
 * Modules for schemas, passed to them so that the web page, which has no schemas, does not contain zod.
 *
 * @internal
 */
export interface SchemaParts {
  readonly z: Pick<typeof z, 'array' | 'strictObject' | 'string'>;
  /** An image in a job. */
  readonly image: ZodType;
}

interface CustomSpec<T> extends Omit<Declared, 'infotext' | 'byModel'> {
  readonly infotext?: undefined;
  /** @throws INVALID_OPTION naming the option */
  readonly check: (name: string, value: unknown) => T;
  /**
   * Parses the value of a flag; values of repeated flags are collected in an array. Without it, the option has no
   * flag.
   */
  readonly parse?: (text: string) => unknown;
  /**
   * Schema in jobs and images; without it the option is excluded from them, because its value exists on this machine
   * only.
   *
   * @internal
   */
  readonly schema?: (limits: Limits, parts: SchemaParts) => ZodType;
  /** True if the value contains images. */
  readonly images?: true;
}
/** An option with its own check and parser. */
export interface CustomField<T = unknown> extends CustomSpec<T> {
  readonly kind: 'custom';
}

interface ObjectSpec<F extends Fields> extends Omit<Declared, 'flag'> {
  readonly fields: F;
  /** `prefix` of the flags of its options; `itself`: a flag named like the prefix sets an empty object. */
  readonly flag: { readonly prefix: string; readonly itself: boolean };
  /** Heading of its flags in help. */
  readonly title: string;
}
/** A group of options under one name. */
export interface ObjectField<F extends Fields = Fields> extends ObjectSpec<F> {
  readonly kind: 'object';
}

export type ScalarField =
  | NumberField
  | IntegerField
  | SideField
  | SeedField
  | BooleanField
  | ChoiceField
  | NameField
  | TextField
  | ImageField
  | IntervalField
  | NumbersField
  | DescendingField
  | PairField
  | SizeField
  | CustomField;
export type Field = ScalarField | ObjectField;
export interface Fields {
  readonly [name: string]: Field;
}

/** One of the names (completed by editors) or another spelling such as A1111's label. */
export type Spelled<Name extends string> = Name | (string & Record<never, never>);

/** Type of an option's value. */
export type ValueOf<F> = F extends { readonly kind: 'number' | 'integer' | 'side' | 'seed' }
  ? number
  : F extends { readonly kind: 'boolean' }
    ? boolean
    : F extends { readonly kind: 'choice'; readonly values: readonly (infer V)[] }
      ? F extends { readonly orFile: string }
        ? Spelled<V & string>
        : V
      : F extends NameField<infer Name>
        ? Spelled<Name>
        : F extends { readonly kind: 'text' }
          ? string
          : F extends { readonly kind: 'image' }
            ? ImageSource
            : F extends { readonly kind: 'interval' }
              ? readonly [low: number, high: number]
              : F extends NumbersField<infer N>
                ? { readonly [K in keyof N]: number }
                : F extends { readonly kind: 'descending' }
                  ? readonly number[]
                  : F extends { readonly kind: 'pair' }
                    ? number | readonly [x: number, y: number]
                    : F extends CustomField<infer T>
                      ? T
                      : F extends { readonly kind: 'size' }
                        ? { readonly width: number; readonly height: number }
                        : F extends { readonly kind: 'object'; readonly fields: infer G }
                          ? OptionsOf<G>
                          : never;

/** Options as passed by a caller. */
export type OptionsOf<F> = { readonly [K in keyof F]?: ValueOf<F[K]> };

/** Validated options; those with a default are always set. */
export type CheckedOf<F> = {
  readonly [K in keyof F]: F[K] extends { readonly kind: 'object'; readonly fields: infer G }
    ? CheckedOf<G> | undefined
    : F[K] extends { readonly default: unknown } | { readonly kind: 'seed' }
      ? ValueOf<F[K]>
      : ValueOf<F[K]> | undefined;
};

export const number = <const S extends NumberSpec>(spec: S) => ({ ...spec, kind: 'number' }) as const;
export const integer = <const S extends IntegerSpec>(spec: S) => ({ ...spec, kind: 'integer' }) as const;
export const boolean = <const S extends BooleanSpec>(spec: S) => ({ ...spec, kind: 'boolean' }) as const;
export const text = <const S extends TextSpec>(spec: S) => ({ ...spec, kind: 'text' }) as const;
export const pair = <const S extends PairSpec>(spec: S) => ({ ...spec, kind: 'pair' }) as const;
export const side = (spec: Declared): SideField => ({ ...spec, kind: 'side' });
export const seed = (spec: Declared): SeedField => ({ ...spec, kind: 'seed' });
export const image = (spec: Declared): ImageField => ({ ...spec, kind: 'image' });
export const interval = (spec: Declared & Ranged): IntervalField => ({ ...spec, kind: 'interval' });
/** @param names names of the numbers, for help and errors */
export const numbers = <const N extends readonly string[]>(names: N, spec: NumbersSpec): NumbersField<N> => ({
  ...spec,
  kind: 'numbers',
  names,
});
export const descending = (spec: DescendingSpec): DescendingField => ({ ...spec, kind: 'descending' });
export const size = (spec: Declared & Ranged): SizeField => ({ ...spec, kind: 'size' });
export const choice = <const V extends string, const S extends ChoiceSpec<V>>(
  values: readonly V[],
  spec: S,
) => ({ ...spec, kind: 'choice', values }) as const;
/** Declares a `NameField`; the type parameter lists the names. */
export const name =
  <Name extends string>() =>
  <const S extends NameSpec & Pick<NameField, 'of'>>(spec: S): S & NameField<Name> => ({
    ...spec,
    kind: 'name',
  });
export const custom = <T>(spec: CustomSpec<T>): CustomField<T> => ({ ...spec, kind: 'custom' });
export const object = <const F extends Fields>(spec: ObjectSpec<F>): ObjectField<F> => ({
  ...spec,
  kind: 'object',
});

/** Returns the default if it does not depend on the model. */
export function defaultOf(field: Field): unknown {
  return 'default' in field && field.byModel !== true ? field.default : undefined;
}

/** True for options that can be stored in jobs and images. */
export function isSerializable(field: Field): boolean {
  return field.kind !== 'custom' || field.schema !== undefined;
}

/** Returns the number of a bound. */
export function boundOf(bound: Bound, limits: Limits): number {
  return typeof bound === 'number' ? bound : limits[bound];
}

/** Returns the names of options with their declarations. */
export function entriesOf<F extends Fields>(fields: F): [name: keyof F & string, field: Field][] {
  return Object.entries(fields);
}
