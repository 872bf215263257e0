/** Words of a prompt that are separated by commas: trigger words of LoRAs and names of embeddings. */
import { extractTags } from '../../../lib/conditioning/network-tags.js';

/** Returns true if the prompt has the word as a part of its own, with or without a weight, in any case. */
export function hasWord(prompt: string, word: string): boolean {
  return partsOf(prompt).some((part) => isSame(part, word));
}

/** Adds a word to the end of a prompt. */
export function insertWord(prompt: string, word: string): string {
  const start = prompt.replace(/[\s,]+$/, '');
  return start === '' ? word : `${start}, ${word}`;
}

/** Removes the parts that consist of the word. Tags next to it stay. */
export function removeWord(prompt: string, word: string): string {
  const kept: string[] = [];
  for (const part of partsOf(prompt)) {
    if (!isSame(part, word)) {
      kept.push(part);
      continue;
    }
    const tags = extractTags(part)
      .tags.map(({ text }) => text)
      .join(' ');
    if (tags !== '') kept.push(kept.length === 0 ? tags : `${kept.pop()?.trimEnd()} ${tags}`);
  }
  return kept.join(',').trim();
}

/** Splits a prompt at its commas, except those in tags. */
function partsOf(prompt: string): string[] {
  let masked = prompt;
  for (const { text } of extractTags(prompt).tags)
    masked = masked.replace(text, () => text.replace(/[,<]/g, '\0'));
  let start = 0;
  return masked.split(',').map(({ length }) => {
    const part = prompt.slice(start, start + length);
    start += length + 1;
    return part;
  });
}

/** Compares a part of a prompt with a word, without emphasis such as `(word:1.2)` and `[word]`, and tags. */
function isSame(part: string, word: string): boolean {
  const bare = extractTags(part)
    .text.trim()
    .replace(/^[([]+/, '')
    .replace(/(?::\s*[+-]?[\d.]+\s*)?[)\]]+$/, '');
  return bare.trim().toLowerCase() === word.trim().toLowerCase();
}
