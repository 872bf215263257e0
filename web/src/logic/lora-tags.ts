/** Tags of LoRAs in a prompt, `<lora:NAME:TEXT_ENCODER:UNET>`: finding, inserting, changing and removing them. */
import { extractTags, isLoraKind } from '../../../lib/conditioning/network-tags.js';
import { plain } from './format.js';

/** A component of the model that a weight applies to. */
export type WeightTarget = 'te' | 'unet';

export interface LoraTag {
  /** Name as written. */
  readonly name: string;
  /** Weight of the text encoder, which is also that of the U-Net unless the tag has its own; NaN if it is malformed. */
  readonly te: number;
  /** Weight of the U-Net, if the tag has its own. */
  readonly unet?: number;
  /** The whole tag, and its position in the prompt. */
  readonly text: string;
  readonly start: number;
}

/** Finds the tags, in the order of the prompt. */
export function loraTags(prompt: string): LoraTag[] {
  let at = 0;
  return extractTags(prompt).tags.flatMap(({ kind, parts, text }): LoraTag[] => {
    const start = prompt.indexOf(text, at);
    at = start + text.length;
    if (!isLoraKind(kind)) return [];
    const [name = '', ...rest] = parts;
    const te = argumentOf(rest, 'te');
    const unet = argumentOf(rest, 'unet');
    return [
      {
        ...{ name: name.trim(), text, start },
        te: te === undefined ? 1 : numberOf(te),
        ...(unet === undefined ? {} : { unet: numberOf(unet) }),
      },
    ];
  });
}

/** Appends a tag. @param name without `:` and `>` */
export function insertTag(prompt: string, name: string, weight = 1): string {
  const gap = prompt === '' || /\s$/.test(prompt) ? '' : ' ';
  return `${prompt}${gap}<lora:${name}:${plain(weight)}>`;
}

/** Changes a weight of one tag; its other arguments and the rest of the prompt stay as they are. */
export function setTagWeight(prompt: string, tag: LoraTag, target: WeightTarget, weight: number): string {
  const [kind = '', name = '', ...rest] = tag.text.slice(1, -1).split(':');
  const text = plain(weight);
  const named = rest.findIndex((part) => part.startsWith(`${target}=`));
  const position = placeOf(rest, target);
  if (named >= 0) rest[named] = `${target}=${text}`;
  else if (position !== undefined) rest[position] = text;
  else if (target === 'te') rest.unshift(text);
  else rest.push(`unet=${text}`);
  const changed = `<${[kind, name, ...rest].join(':')}>`;
  return prompt.slice(0, tag.start) + changed + prompt.slice(tag.start + tag.text.length);
}

/** Removes tags, each with the space or comma that separated it from the text around it. */
export function removeTags(prompt: string, tags: readonly LoraTag[]): string {
  return [...tags]
    .sort((a, b) => b.start - a.start)
    .reduce((text, tag) => {
      const before = text.slice(0, tag.start);
      const after = text.slice(tag.start + tag.text.length);
      if (after.trim() === '') return before.replace(/[\s,]+$/, '');
      if (before.trim() === '') return after.replace(/^[\s,]+/, '');
      if (/^\s*,/.test(after)) return before.replace(/[\s,]+$/, '') + after.trimStart();
      return /\s$/.test(before) ? before + after.trimStart() : before + after;
    }, prompt);
}

/** Returns the text of an argument: the named one, else the one at its position among the unnamed ones. */
function argumentOf(rest: readonly string[], target: WeightTarget): string | undefined {
  const named = rest.find((part) => part.startsWith(`${target}=`));
  const position = placeOf(rest, target);
  return named?.slice(target.length + 1) ?? (position === undefined ? undefined : rest[position]);
}

function placeOf(rest: readonly string[], target: WeightTarget): number | undefined {
  return rest.flatMap((part, i) => (part.includes('=') ? [] : [i]))[target === 'te' ? 0 : 1];
}

function numberOf(text: string): number {
  return text.trim() === '' ? Number.NaN : Number(text);
}
