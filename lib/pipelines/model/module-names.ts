import { invalidOption } from '../../errors.js';
import type { ModuleName } from '../../families/shared/loaded-model.js';
import { didYouMean, suggestValue } from '../../suggest.js';

/**
 * @param names of the model's modules
 * @throws INVALID_OPTION for a module that this model does not have
 */
export function checkModule(value: unknown, names: readonly ModuleName[]): ModuleName {
  const found = names.find((name) => name === value);
  if (found !== undefined) return found;
  const hint = didYouMean(suggestValue(value, names));
  throw invalidOption('module', `one of ${names.join(', ')} (the modules of this model)`, value, hint);
}
