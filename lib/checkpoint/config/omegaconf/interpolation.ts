/**
 * Resolves OmegaConf's interpolations that are references: `${a.b}` from the root, `${.b}` in the field's own mapping,
 * `${..b}` one mapping up, alone or inside text. Resolvers (`${oc.env:HOME}`) would access data outside the config and
 * are rejected by name.
 */
import type { ConfigValue } from '../../../binding/types.js';
import { type ConfigTree, isTree } from './yaml-tree.js';

/** Throws the caller's typed error with the given reason, a clause. */
type Fail = (why: string) => never;

/** Maximum length of a chain of interpolations; also ends cycles. */
const MAX_STEPS = 64;
/** Maximum number of values in the resolved field; a reference copies its target. */
const MAX_VALUES = 50_000;
/** Matches the innermost interpolation first, so that `${a.${b}}` works; escaped ones are text. */
const INNERMOST = /(?<!\\)\$\{([^${}]*)\}/;

/** Returns the resolved value at a path of keys and list indices; undefined if there is none. */
export function interpolated(root: ConfigTree, path: string, fail: Fail): ConfigValue | undefined {
  let count = 0;
  /** @param steps number of interpolations followed so far */
  const resolve = (value: ConfigValue, place: readonly string[], steps: number): ConfigValue => {
    if (++count > MAX_VALUES) fail('its interpolations expand to too many values');
    if (typeof value === 'string') return text(value, place, steps);
    if (Array.isArray(value)) return value.map((item, i) => resolve(item, [...place, String(i)], steps));
    if (!isTree(value)) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, resolve(item, [...place, key], steps)]),
    );
  };
  const text = (value: string, place: readonly string[], steps: number): ConfigValue => {
    let current = value;
    for (let left = MAX_STEPS; ; left--) {
      const match = INNERMOST.exec(current);
      if (match === null) return current.replaceAll('\\${', '${');
      if (left === 0 || steps > MAX_STEPS)
        fail(`${value.slice(0, 80)} is too long a chain of interpolations`);
      const target = at(targetOf(match[1] ?? '', place), steps + 1);
      if (target === undefined) fail(`${match[0].slice(0, 80)} refers to a missing field`);
      if (match[0].length === current.length) return target!;
      if (typeof target === 'object' && target !== null)
        fail(`${match[0].slice(0, 80)} does not refer to a scalar`);
      const { index } = match;
      current = current.slice(0, index) + String(target) + current.slice(index + match[0].length);
      if (current.length > 65_536) fail('its interpolations expand to too much text');
    }
  };
  const targetOf = (inside: string, place: readonly string[]): string[] => {
    const name = inside.trim();
    if (!/^[\w.[\]-]+$/.test(name)) fail(`\${${name.slice(0, 80)}} is an unsupported interpolation`);
    const dots = /^\.*/.exec(name)?.[0].length ?? 0;
    if (dots > place.length) fail(`\${${name.slice(0, 80)}} refers to a mapping above the root`);
    const from = dots === 0 ? [] : place.slice(0, place.length - dots);
    return [...from, ...keys(name.slice(dots))];
  };
  const at = (place: readonly string[], steps: number): ConfigValue | undefined => {
    if (steps > MAX_STEPS) fail('its interpolations are cyclic');
    const value = descend(root, place, (inner, there) => resolve(inner, there, steps));
    return value === undefined ? undefined : resolve(value, place, steps);
  };
  return at(keys(path), 0);
}

/** Follows a path of keys; a string on the path may be an interpolation that refers to a mapping. */
function descend(
  root: ConfigValue,
  place: readonly string[],
  resolve: (value: ConfigValue, place: readonly string[]) => ConfigValue,
): ConfigValue | undefined {
  let value: ConfigValue = root;
  for (const [i, key] of place.entries()) {
    if (typeof value === 'string') value = resolve(value, place.slice(0, i));
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    // Excludes properties of arrays such as `length`.
    if (Array.isArray(value) && !/^\d+$/.test(key)) return undefined;
    value = (value as ConfigTree)[key] ?? null;
  }
  return value;
}

/** Splits `a.b[0].c` into `a`, `b`, `0`, `c`. */
function keys(path: string): string[] {
  return path === ''
    ? []
    : path
        .replaceAll(/\[([^[\]]*)\]/g, '.$1')
        .split('.')
        .filter((key) => key !== '');
}
