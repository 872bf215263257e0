/** Names of downloaded files (`safelight-SEED.png`, as the command line gives them) and of jobs in lists. */
import type { ShownJob } from '../api/types.js';

const EXTENSIONS: Readonly<Record<string, string>> = { 'image/jpeg': 'jpg', 'image/webp': 'webp' };

/** The name of one of a job's images. Images of one seed, such as variations, are numbered from the second on. */
export function downloadName(job: Pick<ShownJob, 'id' | 'images'>, index: number): string {
  const image = job.images[index];
  const extension = EXTENSIONS[image?.type ?? ''] ?? 'png';
  const before = job.images.slice(0, index).filter(({ seed }) => seed === image?.seed).length;
  return `safelight-${image?.seed ?? job.id}${before > 0 ? `-${before + 1}` : ''}.${extension}`;
}

/** The same names, with a number where one is taken: `a.png` and `a-2.png`. Letter case makes no difference, as on some file systems. */
export function distinct(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    const dot = name.lastIndexOf('.');
    const [stem, extension] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ''];
    let free = name;
    for (let number = 2; taken.has(free.toLowerCase()); number++) free = `${stem}-${number}${extension}`;
    taken.add(free.toLowerCase());
    return free;
  });
}

/** The text that stands for a job in lists and labels. */
export function promptOf({ options, type }: ShownJob): string {
  if (typeof options.prompt === 'string' && options.prompt !== '') return options.prompt;
  return type === 'sketch' ? 'a drawing' : 'no prompt';
}
