/** Lists the files of a folder and its subfolders. */
import { readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { SafelightError } from '../errors.js';

/**
 * Returns the paths of the regular files whose names are accepted, sorted by path. Links are followed and each folder is
 * listed once. Hidden files and folders, dangling links and subfolders that cannot be read are skipped.
 * @throws FILE_NOT_FOUND if the folder itself cannot be read
 */
export async function listFiles(folder: string, accepts: (name: string) => boolean): Promise<string[]> {
  const found: string[] = [];
  const seen = new Set<string>();
  const visit = async (path: string): Promise<void> => {
    const real = await realpath(path);
    if (seen.has(real)) return;
    seen.add(real);
    for (const entry of await readdir(path, { withFileTypes: true })) {
      if (entry.name.startsWith('.')) continue;
      const file = join(path, entry.name);
      const kind = entry.isSymbolicLink() ? await stat(file).catch(() => undefined) : entry;
      if (kind?.isDirectory()) await visit(file).catch(() => undefined);
      else if (kind?.isFile() && accepts(entry.name)) found.push(file);
    }
  };
  await visit(folder).catch((error: unknown) => {
    throw new SafelightError(
      'FILE_NOT_FOUND',
      `The folder '${folder}' cannot be read; create it, or pass another one`,
      { cause: error },
    );
  });
  return found.sort();
}
