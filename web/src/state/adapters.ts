/** LoRAs and embeddings of the server, and the browser that inserts them into the prompts. */
import { computed, signal } from '@preact/signals';
import { extractTags } from '../../../lib/conditioning/network-tags.js';
import { parseParameters } from '../../../lib/image/parameters.js';
import { hashesOf, type KnownAdapters } from '../../../lib/options/infotext/adapters.js';
import type { Adapters, Lora } from '../api/adapters.js';
import { get } from '../api/http.js';
import { loraNamed, tagNameOf } from '../logic/adapter-search.js';
import {
  insertTag,
  type LoraTag,
  loraTags,
  removeTags,
  setTagWeight,
  type WeightTarget,
} from '../logic/lora-tags.js';
import { hasWord, insertWord, removeWord } from '../logic/prompt-words.js';
import type { ImageTexts } from '../logic/restore-exact.js';
import { set, settings } from './form.js';
import { announce } from './notifications.js';
import { refreshUpscalers } from './upscalers.js';

/** The lists of the server; null before they are loaded. */
export const adapters = signal<Adapters | null>(null);
/** Message of the last failed request. */
export const adaptersError = signal('');
export const adaptersLoading = signal(false);
export const adaptersShown = signal(false);

/** Tags in the prompt. */
export const tags = computed(() => loraTags(settings.value.prompt));

export function openAdapters(): void {
  adaptersShown.value = true;
  void refreshAdapters();
}

export async function refreshAdapters(): Promise<void> {
  adaptersLoading.value = true;
  try {
    adapters.value = await get<Adapters>('v1/adapters');
    adaptersError.value = '';
  } catch (error) {
    adaptersError.value = error instanceof Error ? error.message : String(error);
  } finally {
    adaptersLoading.value = false;
  }
}

/** Returns the tags that name a LoRA. */
export function tagsOf(loras: readonly Lora[], lora: Lora, all: readonly LoraTag[]): LoraTag[] {
  return all.filter(({ name }) => loraNamed(loras, name) === lora);
}

/** Adds a LoRA to the prompt, or removes all its tags. */
export function toggleLora(lora: Lora): void {
  const loras = adapters.peek()?.loras ?? [];
  const { prompt } = settings.peek();
  const present = tagsOf(loras, lora, loraTags(prompt));
  const name = tagNameOf(loras, lora);
  if (present.length > 0) {
    set({ prompt: removeTags(prompt, present) });
    announce(`Removed ${lora.name} from the prompt`);
  } else if (name !== undefined) {
    set({ prompt: insertTag(prompt, name, lora.weight) });
    announce(`Added ${lora.name} to the prompt`);
  }
}

/** Changes a weight of a tag of the current prompt. */
export function changeWeight(tag: LoraTag, target: WeightTarget, weight: number): void {
  set({ prompt: setTagWeight(settings.peek().prompt, tag, target, weight) });
}

/** Adds a word to a prompt, or removes it. */
export function toggleWord(field: 'prompt' | 'negative', word: string): void {
  const text = settings.peek()[field];
  const present = hasWord(text, word);
  set({ [field]: present ? removeWord(text, word) : insertWord(text, word) });
  const target = field === 'prompt' ? 'the prompt' : 'the negative prompt';
  announce(present ? `Removed ${word} from ${target}` : `Added ${word} to ${target}`);
}

/**
 * Returns the available adapters and upscalers, to restore the settings of an image. Hashes are computed only if the image names a LoRA
 * that the server has under another name or not at all. Nothing is known if the server does not respond.
 */
export async function adaptersFor({ parameters = '', safelight = '' }: ImageTexts): Promise<KnownAdapters> {
  const { fields } = parseParameters(parameters);
  const usesUpscaler = fields['Hires upscaler'] !== undefined || safelight.includes('"upscaler"');
  const upscalers = usesUpscaler ? await refreshUpscalers() : [];
  const hasNetworks = extractTags(parameters + safelight).tags.length > 0;
  if (!hasNetworks && fields['Lora hashes'] === undefined && fields['TI hashes'] === undefined)
    return { upscalers };
  try {
    let lists = await get<Adapters>('v1/adapters');
    const names = [...hashesOf(fields['Lora hashes']).keys()];
    const isComplete = lists.loras.every(({ hash, problem }) => hash !== null || problem !== undefined);
    if (!isComplete && names.some((name) => !loraNamed(lists.loras, name)))
      lists = await get<Adapters>('v1/adapters?hashes=all');
    adapters.value = lists;
    return { ...knownOf(lists), upscalers };
  } catch {
    return { upscalers };
  }
}

/** Returns the adapters by name and hash. */
export function knownOf({ loras, embeddings }: Adapters): KnownAdapters {
  return {
    loras: loras.map(({ name, alias, hash }) => ({ name, alias, hash: hash ?? undefined })),
    embeddings: embeddings.map(({ name, hash }) => ({ name, hash: hash ?? undefined })),
  };
}
