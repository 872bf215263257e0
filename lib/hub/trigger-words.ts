/** The file next to a LoRA in which A1111 keeps the words for its prompt, filled with Civitai's trained words. */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { removeFile, renameFile } from '../files/replace.js';
import { parsedJson } from './json.js';

const KEY = 'activation text';
const infoSchema = z.lazy(() => z.object({ trainedWords: z.array(z.string()) }));

/** Returns the path of a file's sidecar. */
function sidecarOf(path: string): string {
  return path.replace(/\.[^.]+$/, '.json');
}

/** Returns Civitai's words without surrounding white space, empty ones and repetitions. */
export function trimmedWords(words: readonly string[]): string[] {
  const trimmed = words.map((word) => word.trim().replace(/[\s,]+$/, ''));
  return [...new Set(trimmed.filter((word) => word !== ''))];
}

/** Writes the sidecar of a LoRA, unless it exists, since users edit it, or there are no words. */
export async function writeTriggerWords(path: string, words: readonly string[]): Promise<void> {
  const sidecar = sidecarOf(path);
  if (words.length === 0 || (await stat(sidecar).catch(() => undefined))) return;
  await writeFile(`${sidecar}.new`, textOf(words));
  await renameFile(`${sidecar}.new`, sidecar);
}

/**
 * Removes the sidecar of a LoRA if it is as `writeTriggerWords` wrote it.
 * @param info text of Civitai's description
 */
export async function removeTriggerWords(path: string, info: string): Promise<void> {
  const { data } = infoSchema.safeParse(parsedJson(info));
  const sidecar = sidecarOf(path);
  const text = await readFile(sidecar, 'utf8').catch(() => undefined);
  if (data && text === textOf(trimmedWords(data.trainedWords))) await removeFile(sidecar, { force: true });
}

function textOf(words: readonly string[]): string {
  return `${JSON.stringify({ [KEY]: words.join(', ') }, null, 2)}\n`;
}
