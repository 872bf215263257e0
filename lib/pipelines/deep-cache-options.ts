/** The options of step caching. */
import * as check from './check.js';

export interface DeepCacheOptions {
  /** Every so many evaluations of the network one is whole, 1 (all: no caching) to 1000; default 3. */
  readonly interval?: number;
  /**
   * How much runs in between, numbered as in the DeepCache package: three branches a level from the finest on; default 0, the least.
   */
  readonly branch?: number;
}

export interface DeepCacheSettings {
  readonly interval: number;
  readonly branch: number;
}

const KEYS: ReadonlySet<string> = new Set(['interval', 'branch']);
const DEFAULT_INTERVAL = 3;
/** A U-Net has at most 12 levels; how many this one has is known once it is loaded. */
const MAX_BRANCH = 35;

/** @throws INVALID_OPTION naming the option */
export function resolveDeepCache(options: DeepCacheOptions | undefined): DeepCacheSettings | undefined {
  if (options === undefined) return undefined;
  check.knownKeys('deepCache', options, KEYS);
  return {
    interval: check.integer('deepCache.interval', options.interval ?? DEFAULT_INTERVAL, 1, 1000),
    branch: check.integer('deepCache.branch', options.branch ?? 0, 0, MAX_BRANCH),
  };
}
