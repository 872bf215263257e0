/** The modules of a model by the names under which `nodes` and `tap` know them. */

import type { ModelSource } from '../../checkpoint/model-descriptor.js';
import { invalidOption } from '../../errors.js';
import { didYouMean, suggestValue } from '../../suggest.js';

export const moduleNames = ['text_encoder', 'text_encoder_2', 'unet', 'encoder', 'decoder'] as const;
export type ModuleName = (typeof moduleNames)[number];

/** Those that a model has: text encoders only if it reads text, encoder and decoder unless it samples pixels. */
export function modulesOf({ condition, textEncoders, autoencoder }: ModelSource): readonly ModuleName[] {
  const texts = condition.kind === 'text' ? textEncoders.length : 0;
  return moduleNames.filter((name) => {
    if (name === 'text_encoder') return texts > 0;
    if (name === 'text_encoder_2') return texts > 1;
    return name === 'unet' || autoencoder.kind !== 'pixels';
  });
}

/** @throws INVALID_OPTION for a module that this model does not have */
export function checkModule(value: unknown, source: ModelSource): ModuleName {
  const names = modulesOf(source);
  const found = names.find((name) => name === value);
  if (found !== undefined) return found;
  const hint = didYouMean(suggestValue(value, names));
  throw invalidOption('module', `one of ${names.join(', ')} (the modules of this model)`, value, hint);
}
