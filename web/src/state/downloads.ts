/** Downloads of finished images: a single file, or several in one ZIP archive. */
import { signal } from '@preact/signals';
import { ApiError } from '../api/http.js';
import { distinct, downloadName } from '../logic/names.js';
import { withoutMetadata } from '../logic/strip-metadata.js';
import { createZip, type ZipEntry } from '../logic/zip.js';
import type { GalleryImage } from './jobs.js';
import { showError } from './notifications.js';
import { persistentSignal } from './persistent.js';

/** True if downloads contain the prompt and settings. */
export const includeSettings = persistentSignal<boolean>('carries-settings', (stored) => stored !== false);
/** True while a download is being prepared. */
export const downloading = signal(false);

export async function download(images: readonly GalleryImage[]): Promise<void> {
  if (images.length === 0 || downloading.peek()) return;
  downloading.value = true;
  try {
    const names = distinct(images.map(({ job, index }) => downloadName(job, index)));
    const entries: ZipEntry[] = [];
    for (const [i, shown] of images.entries()) entries.push({ name: names[i]!, bytes: await bytesOf(shown) });
    const [single] = entries;
    if (entries.length === 1 && single) saveFile(new Blob([new Uint8Array(single.bytes)]), single.name);
    else saveFile(new Blob(createZip(entries), { type: 'application/zip' }), `safelight-${timestamp()}.zip`);
  } catch (error) {
    showError(error);
  } finally {
    downloading.value = false;
  }
}

async function bytesOf({ image }: GalleryImage): Promise<Uint8Array> {
  const response = await fetch(image.url);
  if (!response.ok) throw new ApiError(response.status, '', `The image ${image.name} no longer exists`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  return includeSettings.peek() ? bytes : withoutMetadata(bytes);
}

/** Saves a file through the browser. */
function saveFile(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** Returns a local timestamp, such as `20250314-091500`. */
function timestamp(now = new Date()): string {
  const pad = (value: number): string => String(value).padStart(2, '0');
  const day = `${now.getFullYear()}${pad(now.getMonth() + 1)}${pad(now.getDate())}`;
  return `${day}-${pad(now.getHours())}${pad(now.getMinutes())}${pad(now.getSeconds())}`;
}
