/** Properties of the fields of generation parameters, shared by the API and the web page. */

type Fields = Readonly<Record<string, string>>;

/** Returns true for a text that Safelight wrote. It omits other fields than A1111, with other defaults. */
function writtenBySafelight(fields: Fields): boolean {
  return Object.hasOwn(fields, 'Version') && /^safelight\b/i.test(fields.Version!.trim());
}

/**
 * Returns true for a text of another program. A1111 omits `RNG` if the noise came from the GPU; versions before 1.9
 * omit `Schedule type`, which is then part of the sampler's name, or Automatic.
 */
export function writtenByOthers(fields: Fields): boolean {
  return Object.keys(fields).length > 0 && !writtenBySafelight(fields);
}

/** Fields that describe an image without affecting it; hashes refer to names in other fields. */
const DESCRIPTIVE: ReadonlySet<string> = new Set([
  ...['Version', 'User', 'App', 'Backend', 'Created Date', 'Time taken', 'Hashes', 'Model hash', 'VAE hash'],
  ...['Batch size', 'Batch pos', 'Civitai resources', 'Civitai metadata'],
  // Safelight always pads both prompts to equal length.
  'Pad conds',
]);

/** Returns true if the image would change without this field. */
export function matters(name: string, value: string): boolean {
  return !DESCRIPTIVE.has(name) && !['', 'None', 'False', '0'].includes(value.trim());
}
