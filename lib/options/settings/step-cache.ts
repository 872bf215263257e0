/** Resolves the options of step caching to the settings of each method. */
import { invalidOption } from '../../errors.js';
import type { samplingFields } from '../declarations/sampling.js';
import type { CheckedOf } from '../field.js';

export type StepCacheSettings =
  | {
      readonly method: 'deepcache';
      /** Every `interval`th evaluation is complete. */
      readonly interval: number;
      readonly branch: number;
    }
  | {
      readonly method: 'tgate';
      /** Share of the steps that attend to the prompt. */
      readonly fullShare: number;
    }
  | {
      readonly method: 'spectrum';
      /** Number of evaluations by which each complete one delays the next. */
      readonly growth: number;
    }
  | {
      readonly method: 'first-block';
      /** Relative change of the first block below which the rest is skipped. */
      readonly threshold: number;
    };

/** @throws INVALID_OPTION for options of DeepCache together with another method */
export function stepCacheSettings({
  stepCache,
  stepCacheStrength: strength = 0.5,
  deepCache,
}: Pick<CheckedOf<typeof samplingFields>, 'stepCache' | 'stepCacheStrength' | 'deepCache'>):
  | StepCacheSettings
  | undefined {
  if (deepCache && stepCache !== undefined && stepCache !== 'deepcache')
    throw invalidOption('stepCache', 'deepcache together with deepCache', stepCache);
  switch (deepCache ? 'deepcache' : stepCache) {
    case 'deepcache': {
      const { interval = 1 + Math.round(4 * strength), branch = 0 } = deepCache ?? {};
      return { method: 'deepcache', interval, branch };
    }
    case 'tgate':
      return { method: 'tgate', fullShare: 1 - strength };
    case 'spectrum':
      return { method: 'spectrum', growth: 1.5 * strength };
    case 'first-block':
      return { method: 'first-block', threshold: 0.4 * strength };
    default:
      return undefined;
  }
}
