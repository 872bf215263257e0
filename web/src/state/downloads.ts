/** Finished images as files: one as it is, several in one archive. */
import { signal } from '@preact/signals';
import { ApiError } from '../api/http.js';
import { withoutText } from '../logic/bare.js';
import { distinct, downloadName } from '../logic/names.js';
import { type ZipEntry, zipped } from '../logic/zip.js';
import type { Shown } from './jobs.js';
import { complain } from './notes.js';
import { persistentSignal } from './persistent.js';

/** Whether downloads carry their prompt and settings. */
export const carriesSettings = persistentSignal<boolean>('carries-settings', (kept) => kept !== false);
/** Whether a download is being put together. */
export const downloading = signal(false);

export async function download(images: readonly Shown[]): Promise<void> {
  if (images.length === 0 || downloading.peek()) return;
  downloading.value = true;
  try {
    const names = distinct(images.map(({ job, index }) => downloadName(job, index)));
    const entries: ZipEntry[] = [];
    for (const [i, shown] of images.entries()) entries.push({ name: names[i]!, bytes: await bytesOf(shown) });
    const [only] = entries;
    if (entries.length === 1 && only) hand(new Blob([new Uint8Array(only.bytes)]), only.name);
    else hand(new Blob(zipped(entries), { type: 'application/zip' }), `safelight-${stamp()}.zip`);
  } catch (error) {
    complain(error);
  } finally {
    downloading.value = false;
  }
}

async function bytesOf({ picture }: Shown): Promise<Uint8Array> {
  const response = await fetch(picture.url);
  if (!response.ok)
    throw new ApiError(response.status, '', `The image ${picture.name} is not there any more`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  return carriesSettings.peek() ? bytes : withoutText(bytes);
}

/** Lets the browser save a file. */
function hand(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** Such as `20250314-091500`, in local time. */
function stamp(now = new Date()): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`;
  return `${day}-${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
}
