/** Memory of models in bytes: measured once they are loaded, estimated before. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Returns the bytes of a loaded model. */
export function bytesOf(pipeline: {
  memory(): Record<string, { readonly weights: number; readonly compute: number }>;
}): number {
  return Object.values(pipeline.memory()).reduce((sum, { weights, compute }) => sum + weights + compute, 0);
}

/** Returns the size of a file or of all files in a folder, in bytes, as an estimate of the model's memory. */
export async function fileBytes(path: string): Promise<number> {
  try {
    const info = await stat(path);
    if (!info.isDirectory()) return info.size;
    const names = await readdir(path);
    const sizes = await Promise.all(names.map((name) => fileBytes(join(path, name))));
    return sizes.reduce((sum, size) => sum + size, 0);
  } catch {
    return 0; // loading reports the error
  }
}
