/** Facts about the fields of generation parameters that are the same for the API and the page. */

type Fields = Readonly<Record<string, string>>;

/** True where Safelight wrote the text. It omits other fields than A1111 does, and has other defaults for them. */
function writtenBySafelight(fields: Fields): boolean {
  return Object.hasOwn(fields, 'Version') && /^safelight\b/i.test(fields.Version!.trim());
}

/**
 * True where another program wrote the text. A1111 omits `RNG` where noise came from the GPU, and versions before 1.9 omit
 * `Schedule type`, which then is in the sampler's name or Automatic.
 */
export function writtenByOthers(fields: Fields): boolean {
  return Object.keys(fields).length > 0 && !writtenBySafelight(fields);
}

/** Fields that describe an image and change nothing in it; hashes belong to a name in another field. */
const DESCRIPTIVE: ReadonlySet<string> = new Set([
  ...['Version', 'User', 'App', 'Backend', 'Created Date', 'Time taken', 'Hashes', 'Model hash', 'VAE hash'],
  ...['Batch size', 'Batch pos', 'Civitai resources', 'Civitai metadata'],
  // Safelight always makes both prompts equally long.
  'Pad conds',
]);

/** True where a field that was not restored would change the image. */
export function matters(name: string, value: string): boolean {
  return !DESCRIPTIVE.has(name) && !['', 'None', 'False', '0'].includes(value.trim());
}

/** Names in `Lora hashes: "name: hash, name: hash"`. */
export function namesOfHashes(value: string): string[] {
  return value.split(',').flatMap((entry) => entry.split(':')[0]?.trim() || []);
}
