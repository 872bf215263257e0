/**
 * Trigger words of a LoRA: from a file next to it, its metadata, or the captions that it was trained with. All sources are untrusted:
 * values of another type are ignored, and nothing here throws.
 */
import { readJson } from '../files/read.js';
import type { LoraFile } from './lora-file.js';

/** Files next to `NAME.safetensors` and the paths of their values: A1111, Civitai's description, ComfyUI's LoRA Manager. */
const SIDECARS: readonly (readonly [extension: string, fields: readonly (readonly string[])[]])[] = [
  ['.json', [['activation text']]],
  ['.civitai.info', [['trainedWords']]],
  ['.metadata.json', [['trainedWords'], ['civitai', 'trainedWords'], ['trigger_words']]],
];
const NOTES = ['modelspec.trigger_phrase', 'modelspec.trigger_words', 'ss_trigger_words'];
/** Captions of a large data set; the number of distinct tags is bounded by the header of the file. */
const MAX_SIDECAR = 4e6;
const MAX_WORDS = 100;

/** Returns distinct words of the first source that has any. */
export async function triggerWords({ path, notes }: Pick<LoraFile, 'path' | 'notes'>): Promise<string[]> {
  for (const [extension, fields] of SIDECARS) {
    const json = await sidecar(path.replace(/\.[^./\\]+$/, '') + extension);
    for (const field of fields) {
      const words = wordsOf(field.reduce(fieldOf, json));
      if (words.length > 0) return words;
    }
  }
  for (const key of NOTES) {
    const text = notes.get(key);
    const words = wordsOf(parsed(text) ?? text);
    if (words.length > 0) return words;
  }
  return fromCaptions(parsed(notes.get('ss_tag_frequency')), parsed(notes.get('ss_dataset_dirs')));
}

async function sidecar(path: string): Promise<unknown> {
  try {
    return await readJson(path, MAX_SIDECAR);
  } catch {
    return undefined;
  }
}

/**
 * Returns the most frequent tag of each folder of captions, and the words in the name of a folder `10_word class`. A tag that is known to
 * be missing in an image is no trigger word.
 */
function fromCaptions(frequencies: unknown, folders: unknown): string[] {
  const words: string[] = [];
  for (const [folder, tags] of entriesOf(frequencies)) {
    const counts = entriesOf(tags).filter(
      (entry): entry is [string, number] => typeof entry[1] === 'number' && entry[1] > 0,
    );
    const most = counts.reduce((max, [, count]) => Math.max(max, count), 0);
    const images = fieldOf(fieldOf(folders, folder), 'img_count');
    const frequent =
      typeof images === 'number' && most < images ? undefined : counts.find(([, n]) => n === most);
    if (frequent) words.push(frequent[0]);
    const named = /^\d+_(.+)$/.exec(folder)?.[1];
    if (named !== undefined) words.push(named);
  }
  return wordsOf(words);
}

/** Returns the trimmed, distinct words of a text or of a list of texts, separated by commas. */
function wordsOf(value: unknown): string[] {
  const texts = (Array.isArray(value) ? value : [value]).filter((text) => typeof text === 'string');
  const words = texts.flatMap((text) => text.split(',')).map((word) => word.trim());
  return [...new Set(words.filter((word) => word !== ''))].slice(0, MAX_WORDS);
}

function fieldOf(value: unknown, key: string): unknown {
  return entriesOf(value).find(([name]) => name === key)?.[1];
}

function entriesOf(value: unknown): [string, unknown][] {
  return typeof value === 'object' && value !== null ? Object.entries(value) : [];
}

/** Returns the array or object that a text encodes; undefined for other texts. */
function parsed(text: string | undefined): object | undefined {
  try {
    const value: unknown = text === undefined ? undefined : JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
