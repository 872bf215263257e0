/** Tiny autoencoders that decode the previews of models, as configured: `NAME=PATH`. */
import { invalidOption } from '../../errors.js';

/**
 * Returns the path of the tiny autoencoder of each model that has one.
 * @param names of the configured models
 * @throws INVALID_OPTION for another form, a model that is not configured, or a model that is named twice
 */
export function parsePreviewVaes(
  values: readonly string[],
  names: readonly string[],
): ReadonlyMap<string, string> {
  const paths = new Map<string, string>();
  for (const value of values) {
    const at = value.indexOf('=');
    const [name, path] = [value.slice(0, Math.max(0, at)), value.slice(at + 1)];
    if (!name || !path) throw invalidOption('preview-vae', 'NAME=PATH with the name of a model', value);
    if (!names.includes(name))
      throw invalidOption('preview-vae', `NAME=PATH with the name of a model (${names.join(', ')})`, value);
    if (paths.has(name)) throw invalidOption('preview-vae', `one path for the model ${name}`, value);
    paths.set(name, path);
  }
  return paths;
}
