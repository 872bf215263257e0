import { invalidOption } from '../../errors.js';
import type { ModuleName } from '../../families/shared/loaded-model.js';
import { didYouMean, suggestValue } from '../../suggest.js';

/**
 * Checks the name of a module.
 * @param names of the model's modules
 * @throws INVALID_OPTION for a name that is not one of them
 */
export function checkModule(value: unknown, names: readonly ModuleName[]): ModuleName {
  const match = names.find((name) => name === value);
  if (match !== undefined) return match;
  const hint = didYouMean(suggestValue(value, names));
  throw invalidOption('module', `one of ${names.join(', ')} (the modules of this model)`, value, hint);
}
