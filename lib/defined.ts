/** A helper for objects with optional fields, in place of a conditional spread per field. */

/** `T` with its fields that may be undefined made optional, for `exactOptionalPropertyTypes`. */
export type Defined<T> = {
  [K in keyof T as undefined extends T[K] ? never : K]: T[K];
} & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

/** Returns a copy of `fields` without those that are undefined; null, 0, false and '' stay. Order is kept. */
export function defined<T extends object>(fields: T): Defined<T>;
export function defined(fields: object): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
