/** Names of downloaded files (`safelight-SEED.png`, like those of the command line) and of jobs in lists. */

import { parseParameters } from '../../../lib/image/parameters.js';
import type { ApiImage, ApiJob } from '../api/types.js';
import { optionsOfImage } from './grid/cells.js';

const EXTENSIONS: Readonly<Record<string, string>> = { 'image/jpeg': 'jpg', 'image/webp': 'webp' };

/**
 * Returns the file name of an image of a job. Further images with the same seed, such as variations, get a
 * number.
 */
export function downloadName(job: Pick<ApiJob, 'id' | 'images'>, index: number): string {
  const image = job.images[index];
  const extension = EXTENSIONS[image?.type ?? ''] ?? 'png';
  const earlier = job.images.slice(0, index).filter(({ seed }) => seed === image?.seed).length;
  return `safelight-${image?.seed ?? job.id}${earlier > 0 ? `-${earlier + 1}` : ''}.${extension}`;
}

/**
 * Returns unique names by adding numbers to duplicates: `a.png` and `a-2.png`. Case is ignored, because some file
 * systems ignore it.
 */
export function distinct(names: readonly string[]): string[] {
  const used = new Set<string>();
  return names.map((name) => {
    const dot = name.lastIndexOf('.');
    const [stem, extension] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ''];
    let unique = name;
    for (let number = 2; used.has(unique.toLowerCase()); number++) unique = `${stem}-${number}${extension}`;
    used.add(unique.toLowerCase());
    return unique;
  });
}

/** Returns the text that represents a job, or an image of it, in lists and labels. */
export function promptOf(job: ApiJob, image: Pick<ApiImage, 'cell'> = {}): string {
  const { type, model, images } = job;
  const options = optionsOfImage(job, image);
  if (typeof options.prompt === 'string' && options.prompt !== '') return options.prompt;
  if (type === 'upscale') return promptOfUpscaled(images[0]) || `upscaled with ${model}`;
  return type === 'sketch' ? 'sketch' : 'no prompt';
}

/** Returns the prompt with which an upscaled image was generated; empty if it is not known. */
export function promptOfUpscaled(image: Pick<ApiImage, 'parameters'> | undefined): string {
  return parseParameters(image?.parameters ?? '').prompt;
}
