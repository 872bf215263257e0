/** The values of unpickled data: plain data, tensors, and placeholders. */
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

/** Immutable, unlike a list (an array here); sets are represented as lists, frozen sets as tuples. */
export class Tuple {
  constructor(readonly items: readonly PickleValue[]) {}
}

/** A dict or OrderedDict. Attributes set on it are ignored. */
export class Dict {
  readonly entries = new Map<PickleValue, PickleValue>();
}

/** A name that the pickle imports; restricted to those of `globals.ts`. */
export class Global {
  constructor(
    readonly name: string,
    readonly role: GlobalRole,
  ) {}
}

export type GlobalRole =
  /** `dtype` is null for an untyped storage. */
  | { readonly is: 'storage'; readonly dtype: string | null }
  | { readonly is: 'dtype'; readonly dtype: string }
  /** `keywords`: keyword arguments are appended to the others, whatever their names. */
  | { readonly is: 'class'; readonly make: Make; readonly keywords?: boolean }
  | { readonly is: 'placeholder' };

/** Creates a value of a known class from its arguments; calls `fail` if they are invalid. */
export type Make = (args: readonly PickleValue[], fail: Fail) => PickleValue;

/** Throws the caller's INVALID_FILE with a clause such as `ends in the middle of a number`. */
export type Fail = (what: string) => never;

/** Bytes outside the pickle of which tensors are views. */
export class Storage {
  constructor(
    /** Name of its record. */
    readonly key: string,
    readonly dtype: string | null,
    /** Length in bytes, and the offset in the record, since storages of the legacy format may be views. */
    readonly bytes: number,
    readonly begin = 0,
  ) {}
}

/** Offset and strides in elements; validated on creation to be within the storage. */
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
 * An object of an unknown class or of one that is irrelevant to the weights. It has no behavior. Its content is kept to
 * determine whether it contains tensors of the model.
 */
export class Placeholder {
  /** Values set as attributes. */
  readonly state: PickleValue[] = [];

  constructor(
    readonly className: string,
    /** Arguments of its creation, and items added to it. */
    readonly content: PickleValue[] = [],
    /** True if it replaces a tensor. */
    readonly isTensor = false,
  ) {}
}
