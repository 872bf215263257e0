/**
 * The language in which options are declared: plain data, one object an option. Types, checks, flags and their help, JSON schemas, the
 * fields of generation parameters and the limits of forms derive from it. Nothing here needs Node.js, so the page imports it too.
 */
import type { ZodType } from 'zod';
import type { ImageSource } from '../image/source.js';
import type { Limits } from './limits.js';

/** A bound that holds everywhere, or the name of a limit. */
export type Bound = number | keyof Limits;

/** How an option is given on a command line; `null` where it cannot be. */
export interface FlagSpec {
  /** Without dashes; default the option's name in kebab case. */
  readonly name?: string;
  readonly short?: string;
  /** As help shows the value; default by the kind. */
  readonly argument?: string;
}

/** The field that an option has in A1111's generation parameters. */
export interface InfotextSpec {
  readonly label: string;
  /** Labels of other programs and versions, which are read. */
  readonly also?: readonly string[];
  /** Written at its default value too. */
  readonly always?: boolean;
}

interface Declared {
  /** What it does, with its default: a fragment that begins in lower case, for help and API documents. */
  readonly description: string;
  readonly flag?: FlagSpec | null;
  readonly infotext?: InfotextSpec;
  /** The model's own default of the same name counts before `default`. */
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
  /** In generation parameters 0 stands for "not given". */
  readonly zeroIsNone?: true;
}
export interface IntegerField extends IntegerSpec {
  readonly kind: 'integer';
}

/** A side of an image in pixels: a multiple of the model's grid up to `maxSide`. */
export interface SideField extends Declared {
  readonly kind: 'side';
}

/** A whole number from 0; -1, or none, stands for a random one of 32 bits. */
export interface SeedField extends Declared {
  readonly kind: 'seed';
}

interface BooleanSpec extends Declared {
  readonly default?: boolean;
  /** Values in generation parameters for false and true; default `False` and `True`. */
  readonly words?: readonly [no: string, yes: string];
}
export interface BooleanField extends BooleanSpec {
  readonly kind: 'boolean';
}

interface ChoiceSpec<V extends string> extends Declared {
  readonly default?: V;
  /** As A1111 calls the values, in its order; default the values themselves. */
  readonly labels?: Readonly<Record<V, string>>;
  /** Labels of other programs and versions, which are read. */
  readonly otherLabels?: Readonly<Record<string, V>>;
  /** Read for every other label. */
  readonly otherwise?: V;
}
export interface ChoiceField<V extends string = string> extends ChoiceSpec<V> {
  readonly kind: 'choice';
  readonly values: readonly V[];
}

/** A sampler or schedule: by its own name, or as A1111 spells it. */
interface NameSpec extends Declared {
  readonly default?: string;
}
export interface NameField<Name extends string = string> extends NameSpec {
  readonly kind: 'name';
  readonly of: 'sampler' | 'schedule';
  /** Holds the type alone. */
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

/** Two numbers in order. */
export interface IntervalField extends Declared, Ranged {
  readonly kind: 'interval';
}

interface PairSpec extends Declared, Ranged {
  readonly default?: number;
}
/** One number, or one for each direction. */
export interface PairField extends PairSpec {
  readonly kind: 'pair';
}

/** Width and height in pixels, both. */
export interface SizeField extends Declared, Ranged {
  readonly kind: 'size';
}

interface CustomSpec<T> extends Omit<Declared, 'infotext' | 'byModel'> {
  readonly infotext?: undefined;
  /** @throws INVALID_OPTION naming the option */
  readonly check: (name: string, value: unknown) => T;
  /** Reads the value of one flag; those of several are collected in an array. Without it, there is no flag. */
  readonly parse?: (text: string) => unknown;
  /** Without it, the option stays out of jobs and images: what it names is on this machine alone. */
  readonly schema?: (limits: Limits) => ZodType;
}
/** An option of no other kind: says itself how it is checked and read. */
export interface CustomField<T = unknown> extends CustomSpec<T> {
  readonly kind: 'custom';
}

interface ObjectSpec<F extends Fields> extends Omit<Declared, 'flag'> {
  readonly fields: F;
  /** `prefix` begins the flags of its options; `itself`: an empty one can be given by a flag of its own. */
  readonly flag: { readonly prefix: string; readonly itself: boolean };
  /** Heading of its flags in help. */
  readonly title: string;
}
/** Options that belong together under one name. */
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
  | PairField
  | SizeField
  | CustomField;
export type Field = ScalarField | ObjectField;
export interface Fields {
  readonly [name: string]: Field;
}

/** One of the names, offered by editors; other spellings (A1111's labels) are read too. */
export type Spelled<Name extends string> = Name | (string & Record<never, never>);

/** The type of an option's value. */
export type ValueOf<F> = F extends { readonly kind: 'number' | 'integer' | 'side' | 'seed' }
  ? number
  : F extends { readonly kind: 'boolean' }
    ? boolean
    : F extends { readonly kind: 'choice'; readonly values: readonly (infer V)[] }
      ? V
      : F extends NameField<infer Name>
        ? Spelled<Name>
        : F extends { readonly kind: 'text' }
          ? string
          : F extends { readonly kind: 'image' }
            ? ImageSource
            : F extends { readonly kind: 'interval' }
              ? readonly [low: number, high: number]
              : F extends { readonly kind: 'pair' }
                ? number | readonly [x: number, y: number]
                : F extends CustomField<infer T>
                  ? T
                  : F extends { readonly kind: 'size' }
                    ? { readonly width: number; readonly height: number }
                    : F extends { readonly kind: 'object'; readonly fields: infer G }
                      ? OptionsOf<G>
                      : never;

/** Options as a caller gives them. */
export type OptionsOf<F> = { readonly [K in keyof F]?: ValueOf<F[K]> };

/** Options that have passed the check: those with a default are there. */
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
export const size = (spec: Declared & Ranged): SizeField => ({ ...spec, kind: 'size' });
export const choice = <const V extends string, const S extends ChoiceSpec<V>>(
  values: readonly V[],
  spec: S,
) => ({ ...spec, kind: 'choice', values }) as const;
/** `names` gives the type. */
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

/** The default that is the same for every model. */
export function defaultOf(field: Field): unknown {
  return 'default' in field && field.byModel !== true ? field.default : undefined;
}

/** True for options that may leave this machine, in jobs and images. */
export function travels(field: Field): boolean {
  return field.kind !== 'custom' || field.schema !== undefined;
}

/** The number that a bound stands for. */
export function boundOf(bound: Bound, limits: Limits): number {
  return typeof bound === 'number' ? bound : limits[bound];
}

/** The names of a set of options with their declarations. */
export function entriesOf<F extends Fields>(fields: F): [name: keyof F & string, field: Field][] {
  return Object.entries(fields);
}
