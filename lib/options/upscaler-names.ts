/** Names of upscaler models. Must not import Node.js modules, because the web page uses it too. */

/** A1111's labels of models that it downloads, with the names of their files. The first name is the usual one. */
const LABELS: readonly (readonly [label: string, ...names: string[]])[] = [
  ['ESRGAN_4x', 'ESRGAN_4x', 'ESRGAN'],
  ['R-ESRGAN 4x+', 'RealESRGAN_x4plus'],
  ['R-ESRGAN 4x+ Anime6B', 'RealESRGAN_x4plus_anime_6B'],
  ['R-ESRGAN 2x+', 'RealESRGAN_x2plus'],
  ['R-ESRGAN General 4xV3', 'realesr-general-x4v3'],
  ['R-ESRGAN General WDN 4xV3', 'realesr-general-wdn-x4v3'],
  ['R-ESRGAN AnimeVideo', 'realesr-animevideov3'],
  ['SwinIR_4x', 'SwinIR_4x', 'SwinIR 4x', '003_realSR_BSRGAN_DFOWMFC_s64w8_SwinIR-L_x4_GAN'],
  ['DAT x2', 'DAT_x2'],
  ['DAT x3', 'DAT_x3'],
  ['DAT x4', 'DAT_x4'],
];

/** Returns A1111's label of a model; a model that A1111 does not download is labelled with its name. */
export function upscalerLabel(name: string): string {
  return rowOf(name)?.[0] ?? name;
}

/** Returns true for the models that A1111 lists as Real-ESRGAN. */
export function isRealEsrgan(name: string): boolean {
  return upscalerLabel(name).startsWith('R-ESRGAN ');
}

/**
 * Returns the spellings under which a model is searched: the name itself, then A1111's label and the names of the files
 * that it stands for.
 */
export function upscalerSpellings(name: string): readonly string[] {
  return [name, ...(rowOf(name) ?? [])];
}

/** Finds a model by its name or by A1111's label of it; uppercase and lowercase letters are equal. */
export function upscalerNamed<U extends { readonly name: string }>(
  upscalers: readonly U[],
  name: string,
): U | undefined {
  for (const spelling of upscalerSpellings(name)) {
    const found =
      upscalers.find((upscaler) => upscaler.name === spelling) ??
      upscalers.find((upscaler) => isSame(upscaler.name, spelling));
    if (found) return found;
  }
  return undefined;
}

function rowOf(name: string): readonly [label: string, ...names: string[]] | undefined {
  return LABELS.find((row) => row.some((spelling) => isSame(spelling, name)));
}

function isSame(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}
