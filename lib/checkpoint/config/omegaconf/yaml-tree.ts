/**
 * Parses YAML as OmegaConf does, for the untrusted configs of taming-transformers and latent diffusion. The result is
 * plain data: tags are rejected, and size, depth and the expansion of aliases are limited.
 */
import type { ScalarTag, Tags } from 'yaml';
import type { ConfigValue } from '../../../binding/types.js';
import { SafelightError } from '../../../errors.js';
import { readText } from '../../../files/read.js';

/** Limits far above real configs, which have a few kilobytes. */
const MAX_BYTES = 128 * 1024;
const MAX_DEPTH = 48;
const MAX_VALUES = 50_000;
const MAX_ALIASES = 100;

type Yaml = typeof import('yaml');
export type ConfigTree = { readonly [key: string]: ConfigValue };

const FLOAT = 'tag:yaml.org,2002:float';
const BOOLEAN = 'tag:yaml.org,2002:bool';
/**
 * YAML 1.1 types that OmegaConf parses differently (dates are strings, `y` is no boolean), or whose values are not
 * plain data.
 */
const LEFT_OUT: ReadonlySet<string> = new Set(
  ['timestamp', 'binary', 'omap', 'pairs', 'set', 'float', 'bool'].map((type) => `tag:yaml.org,2002:${type}`),
);
/** YAML 1.1 floats as in OmegaConf, where `1e-4` is a number too (`get_omega_conf_loader`). */
const NUMBER =
  /^(?:[-+]?\d+(?:_\d+)*\.[\d_]*(?:[eE][-+]?\d+)?|[-+]?\d+(?:_\d+)*[eE][-+]?\d+|\.\d+(?:_\d+)*(?:[eE][-+]\d+)?)$/;
const float: ScalarTag = {
  tag: FLOAT,
  default: true,
  test: NUMBER,
  resolve: (text) => Number(text.replaceAll('_', '')),
};
const notFinite: ScalarTag = {
  tag: FLOAT,
  default: true,
  test: /^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/,
  resolve: (text) => (/n$/i.test(text) ? Number.NaN : text.startsWith('-') ? -Infinity : Infinity),
};

const boolean: ScalarTag = {
  tag: BOOLEAN,
  default: true,
  test: /^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$/,
  resolve: (text) => /^(?:yes|true|on)$/i.test(text),
};

/** Reads a config, whose root must be a mapping. @throws FILE_NOT_FOUND, INVALID_FILE */
export async function readYaml(path: string): Promise<ConfigTree> {
  const text = await readText(path, MAX_BYTES);
  return parseYaml(text, path, await import('yaml'));
}

/** @param yaml the library, which is loaded on first use @throws INVALID_FILE naming the line */
export function parseYaml(text: string, path: string, yaml: Yaml): ConfigTree {
  const fail = (what: string): never => {
    throw new SafelightError('INVALID_FILE', `${path} ${what}; it is damaged or not a model's config`);
  };
  const tree = toPlain(parsed(text, yaml, fail), fail);
  return isTree(tree) ? tree : fail('is not a mapping');
}

/** Merges two configs as OmegaConf.merge: mappings are merged recursively, all other values are replaced. */
export function mergeTrees(base: ConfigTree, over: ConfigTree): ConfigTree {
  const merged = new Map(Object.entries(base));
  for (const [key, value] of Object.entries(over)) {
    const before = merged.get(key);
    if (value === MISSING && before !== undefined) continue;
    merged.set(key, isTree(before) && isTree(value) ? mergeTrees(before, value) : value);
  }
  return Object.fromEntries(merged);
}

/** OmegaConf's marker of a mandatory value that is not set. */
export const MISSING = '???';

export function isTree(value: ConfigValue | undefined): value is ConfigTree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

type Fail = (what: string) => never;

/**
 * Rejects deep nesting before parsing: the YAML library recurses, and a stack overflow inside a regular expression
 * aborts the process in V8. Brackets in strings are counted too, which no real config has in such numbers.
 */
function checkNesting(text: string, fail: Fail): void {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (character === '[' || character === '{') depth++;
    else if ((character === ']' || character === '}') && depth > 0) depth--;
    if (depth > MAX_DEPTH) fail(`is nested deeper than ${MAX_DEPTH}`);
  }
  // Indentation, and blocks nested on one line: `- - ? - a`.
  if (/^[ \t]{256}/m.test(text) || /(?:[-?:][ \t]+){48}/.test(text))
    fail(`is nested deeper than ${MAX_DEPTH}`);
}

function parsed(text: string, { LineCounter, parseDocument }: Yaml, fail: Fail): unknown {
  checkNesting(text, fail);
  const unreadable = (why: string): never => fail(`is not valid YAML (${why.slice(0, 160)})`);
  const lineCounter = new LineCounter();
  try {
    const document = parseDocument(text, {
      schema: 'yaml-1.1',
      customTags: (tags) => [...tags.filter((tag) => !isLeftOut(tag)), boolean, float, notFinite],
      resolveKnownTags: false,
      logLevel: 'error',
      prettyErrors: false,
      lineCounter,
    });
    // The library reports unknown tags as warnings and returns their text; here they are errors.
    const wrong = document.errors[0] ?? document.warnings[0];
    if (wrong) unreadable(`line ${lineCounter.linePos(wrong.pos[0]).line}: ${wrong.message}`);
    return document.toJS({ mapAsMap: true, maxAliasCount: MAX_ALIASES });
  } catch (error) {
    // Aliases without an anchor, or whose expansion exceeds the limit.
    if (error instanceof SafelightError) throw error;
    return unreadable((error as Error).message);
  }
}

function isLeftOut(tag: Tags[number]): boolean {
  return typeof tag === 'object' && LEFT_OUT.has(tag.tag);
}

/** Returns a copy without maps, shared values and cycles. */
function toPlain(root: unknown, fail: Fail): ConfigValue {
  let count = 0;
  const plain = (value: unknown, depth: number): ConfigValue => {
    if (++count > MAX_VALUES) fail(`has more than ${MAX_VALUES} values`);
    if (depth > MAX_DEPTH) fail(`is nested deeper than ${MAX_DEPTH}`);
    if (
      value === null ||
      typeof value === 'boolean' ||
      typeof value === 'number' ||
      typeof value === 'string'
    )
      return value;
    if (Array.isArray(value)) return value.map((item) => plain(item, depth + 1));
    if (!(value instanceof Map)) return fail('contains a value that is not plain data');
    const entries = [...value].map(([key, item]): [string, ConfigValue] => {
      if (typeof key === 'object' && key !== null) fail('has a key that is not a scalar');
      return [String(key), plain(item, depth + 1)];
    });
    // Defines every key as an own property, including `__proto__`.
    return Object.fromEntries(entries);
  };
  return plain(root, 0);
}
