/** Checks for options of a generation that exclude each other. */
import { invalidOption } from '../errors.js';
import type { generationFields } from '../options/declarations/generation.js';
import type { CheckedOf } from '../options/field.js';

type Checked = CheckedOf<typeof generationFields>;

/** @throws INVALID_OPTION naming the option to remove */
export function checkTogether(checked: Checked): void {
  const { noise, latent, embeddings, init, hires, subseedStrength, seedResizeFrom } = checked;
  if (noise) {
    if (subseedStrength > 0)
      throw invalidOption(
        'subseedStrength',
        '0 together with noise (it modifies the noise of a seed)',
        subseedStrength,
      );
    if (seedResizeFrom)
      throw invalidOption(
        'seedResizeFrom',
        'undefined together with noise (it modifies the noise of a seed)',
        seedResizeFrom,
      );
  }
  if (latent && init !== undefined)
    throw invalidOption(
      'latent',
      'undefined together with init (both are the start of image to image)',
      latent,
    );
  if (latent && hires)
    throw invalidOption(
      'hires',
      'undefined together with latent (it is a second pass of text to image)',
      hires,
    );
  if (embeddings) checkNoPrompts(checked);
}

function checkNoPrompts({ prompt, negative, class: label, hires, regions }: Checked): void {
  const texts = {
    prompt,
    negative,
    'hires.prompt': hires?.prompt,
    'hires.negative': hires?.negative,
    class: label,
    regions,
  };
  for (const [name, value] of Object.entries(texts))
    if (value !== undefined && value !== '')
      throw invalidOption(name, 'undefined together with embeddings (which replace it)', value);
}

/** Returns the names of the caller's options that affect images but cannot be stored in their texts. */
export function unwrittenOf(options: { readonly [name: string]: unknown } | object): string[] {
  const given = options as { readonly [name: string]: unknown };
  const names = ['noise', 'latent', 'embeddings', 'edit', 'regions'].filter(
    (name) => given[name] !== undefined,
  );
  return typeof given.sampler === 'function' ? [...names, 'sampler'] : names;
}
