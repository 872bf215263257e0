/** Options of a generation that rule each other out, or stand in each other's place. */
import { invalidOption } from '../errors.js';
import type { generationFields } from '../options/declarations/generation.js';
import type { CheckedOf } from '../options/field.js';

type Checked = CheckedOf<typeof generationFields>;

/** @throws INVALID_OPTION naming the option to leave out */
export function checkTogether(checked: Checked): void {
  const { noise, latent, embeddings, init, hires, subseedStrength, seedResizeFrom } = checked;
  if (noise) {
    if (subseedStrength > 0)
      throw invalidOption(
        'subseedStrength',
        '0 beside noise (it changes the noise of a seed)',
        subseedStrength,
      );
    if (seedResizeFrom)
      throw invalidOption(
        'seedResizeFrom',
        'nothing beside noise (it changes the noise of a seed)',
        seedResizeFrom,
      );
  }
  if (latent && init !== undefined)
    throw invalidOption('latent', 'nothing beside init (each is what the image begins from)', latent);
  if (latent && hires)
    throw invalidOption('hires', 'no latent beside it (it is a second pass of text to image)', hires);
  if (embeddings) checkNoPrompts(checked);
}

function checkNoPrompts({ prompt, negative, class: label, hires }: Checked): void {
  const texts = {
    prompt,
    negative,
    'hires.prompt': hires?.prompt,
    'hires.negative': hires?.negative,
    class: label,
  };
  for (const [name, value] of Object.entries(texts))
    if (value !== undefined && value !== '')
      throw invalidOption(name, 'nothing beside embeddings (they stand in its place)', value);
}

/** Names of given options that images depend on and that no text of an image can hold. */
export function unwrittenOf(options: { readonly [name: string]: unknown } | object): string[] {
  const given = options as { readonly [name: string]: unknown };
  const names = ['noise', 'latent', 'embeddings', 'edit'].filter((name) => given[name] !== undefined);
  return typeof given.sampler === 'function' ? [...names, 'sampler'] : names;
}
