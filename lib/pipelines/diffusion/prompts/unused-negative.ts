/** Negative prompts of models that embed the guidance scale, which do not use them. */
import type { LoadedModel } from '../../../families/shared/loaded-model.js';
import type { Settings } from '../../options.js';

/** Returns the settings without the negative prompts that the model does not use, with a warning if there are any. */
export function withoutUnusedNegative({ facts }: LoadedModel, settings: Settings): Settings {
  if (facts.guidance !== 'embedded') return settings;
  const { hires, embeddings, negative, options, warnings } = settings;
  if (negative || hires?.negative || embeddings?.negative !== undefined) warnOfNegative(facts.name, warnings);
  const { negative: _, hires: recorded, ...others } = options;
  const { negative: _second, ...second } = recorded ?? {};
  return {
    ...settings,
    negative: '',
    hires: hires && { ...hires, negative: undefined },
    embeddings: embeddings && { positive: embeddings.positive },
    options: { ...others, ...(recorded ? { hires: second } : {}) },
  };
}

export function warnOfNegative(name: string, warnings: Settings['warnings']): void {
  warnings.add(
    'NEGATIVE_UNUSED',
    `${name} has the guidance scale as an input and does not use the negative prompt; remove it`,
  );
}
