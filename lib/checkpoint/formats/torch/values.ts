/** What a pickle is made of here: plain data, tensors, and placeholders that nothing can be done with. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleValue[]
  | Tuple
  | Dict
  | Global
  | Storage
  | TensorView
  | Placeholder;

/** Immutable, unlike a list (an array here); sets are lists, frozen sets tuples. */
export class Tuple {
  constructor(readonly items: readonly PickleValue[]) {}
}

/** A dict or OrderedDict. Attributes that were set on it are dropped. */
export class Dict {
  readonly entries = new Map<PickleValue, PickleValue>();
}

/** A name that the pickle imports; only those of `globals.ts` ever become one. */
export class Global {
  constructor(
    readonly name: string,
    readonly role: GlobalRole,
  ) {}
}

export type GlobalRole =
  /** `dtype` is null for bytes without a type. */
  | { readonly is: 'storage'; readonly dtype: string | null }
  | { readonly is: 'dtype'; readonly dtype: string }
  /** `keywords`: keyword arguments follow the others, whatever their names. */
  | { readonly is: 'class'; readonly make: Make; readonly keywords?: boolean }
  | { readonly is: 'placeholder' };

/** Makes a value of a known class out of its arguments. Throws by way of `fail` where they make no sense. */
export type Make = (args: readonly PickleValue[], fail: Fail) => PickleValue;

/** Throws the caller's INVALID_FILE; gets a clause such as `ends in the middle of a number`. */
export type Fail = (what: string) => never;

/** Bytes outside of the pickle that tensors are views of. */
export class Storage {
  constructor(
    /** Name of its record. */
    readonly key: string,
    readonly dtype: string | null,
    /** Bytes from its record's first byte on, and where in the record it begins (old files have storages that are views). */
    readonly bytes: number,
    readonly begin = 0,
  ) {}
}

/** Offset and strides in elements. Lies inside of its storage: checked when it was made. */
export class TensorView {
  constructor(
    readonly storage: Storage,
    readonly dtype: string,
    readonly elementSize: number,
    readonly offset: number,
    readonly shape: readonly number[],
    readonly strides: readonly number[],
  ) {}
}

/**
 * An object of a class that is not known, or known to be nothing but a leftover of the training. It does nothing. What it was made of is
 * kept to tell, once the model's tensors are looked for, whether some of them are lost in it.
 */
export class Placeholder {
  /** Set as attributes. */
  readonly state: PickleValue[] = [];

  constructor(
    readonly className: string,
    /** Arguments of its making, and items that were added. */
    readonly content: PickleValue[] = [],
    /** Whether it stands in the place of a tensor. */
    readonly isTensor = false,
  ) {}
}
