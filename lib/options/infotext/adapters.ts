/** LoRAs and embeddings in generation parameters: tags in the prompts, `Lora hashes` and `TI hashes`. */
import { extractTags, isLoraKind } from '../../conditioning/network-tags.js';
import { defined } from '../../defined.js';
import type { GenerationOptions } from '../declarations/generation.js';
import { hiresFields } from '../declarations/hires.js';
import { upscalerLabel, upscalerNamed } from '../upscaler-names.js';

export interface UnrestoredSetting {
  /** Field name as A1111 writes it (`VAE`, `Hires upscaler`), or the kind of a missing adapter (`LoRA`, `Embedding`). */
  readonly name: string;
  readonly value: string;
}

/** An adapter that is available where the options are restored. */
export interface KnownAdapter {
  readonly name: string;
  /** Another name that prompts may use. */
  readonly alias?: string | undefined;
  /** As in `Lora hashes` and `TI hashes`: at least 10 hexadecimal digits. */
  readonly hash?: string | undefined;
}

/** Available adapters and upscalers; nothing is reported about LoRAs and embeddings whose list is missing. */
export interface KnownAdapters {
  readonly loras?: readonly KnownAdapter[] | undefined;
  readonly embeddings?: readonly KnownAdapter[] | undefined;
  /** Upscaler models for `hires.upscaler`. Without the list, none is available. */
  readonly upscalers?: readonly { readonly name: string }[] | undefined;
}

type Texts = Readonly<Record<string, string>>;

const UPSCALER_LABEL = hiresFields.hires.fields.upscaler.infotext.label;

/** Labels of networks that cannot be restored, by the kind of their tag. */
const UNSUPPORTED: ReadonlyMap<string, string> = new Map([['hypernet', 'Hypernetwork']]);

/**
 * Renames the tags of LoRAs that are available under another name, which their hashes identify, as A1111 does.
 * @param fields of the generation parameters
 */
export function renameLoras(prompt: string, fields: Texts, { loras }: KnownAdapters): string {
  if (!loras) return prompt;
  const hashes = hashesOf(fields['Lora hashes']);
  return extractTags(prompt).tags.reduce((text, { kind, parts, text: tag }) => {
    const [name = '', ...rest] = parts;
    if (!isLoraKind(kind) || named(loras, name)) return text;
    const known = withHash(loras, hashes.get(name));
    return known ? text.replaceAll(tag, () => `<${[kind, known.name, ...rest].join(':')}>`) : text;
  }, prompt);
}

/** Renames the tags in the prompts of both passes; see `renameLoras`. */
export function withRenamedLoras(
  options: GenerationOptions,
  fields: Texts,
  adapters: KnownAdapters,
): GenerationOptions {
  const { prompt, hires } = options;
  const renamed = (text: string): string => renameLoras(text, fields, adapters);
  return {
    ...options,
    ...(prompt === undefined ? {} : { prompt: renamed(prompt) }),
    ...(hires?.prompt === undefined ? {} : { hires: { ...hires, prompt: renamed(hires.prompt) } }),
  };
}

/** Returns the name under which an upscaler of the second pass is available; undefined if it is not. */
export function knownUpscaler(name: string, { upscalers = [] }: KnownAdapters): string | undefined {
  const isBuiltIn = hiresFields.hires.fields.upscaler.values.some((known) => known === name);
  return isBuiltIn ? name : upscalerNamed(upscalers, name)?.name;
}

/** Renames the upscaler of the second pass as it is named here, or removes it if it is not available. */
export function withKnownUpscaler(options: GenerationOptions, adapters: KnownAdapters): GenerationOptions {
  const { upscaler, ...hires } = options.hires ?? {};
  if (upscaler === undefined) return options;
  return { ...options, hires: { ...hires, ...defined({ upscaler: knownUpscaler(upscaler, adapters) }) } };
}

/** Returns the upscaler of the second pass if it is not available. */
export function missingUpscaler({ hires }: GenerationOptions, adapters: KnownAdapters): UnrestoredSetting[] {
  const { upscaler } = hires ?? {};
  if (upscaler === undefined || knownUpscaler(upscaler, adapters) !== undefined) return [];
  return [{ name: UPSCALER_LABEL, value: upscalerLabel(upscaler) }];
}

/** Lists the networks of the prompts of both passes that are not available; see `missingAdapters`. */
export function missingAdaptersOf(
  { prompt, hires }: GenerationOptions,
  fields: Texts,
  adapters: KnownAdapters,
): UnrestoredSetting[] {
  return missingAdapters([prompt, hires?.prompt], fields, adapters);
}

/** Lists the networks of the prompts that are not available, and those that only the hashes name. */
export function missingAdapters(
  prompts: readonly (string | undefined)[],
  fields: Texts,
  { loras, embeddings }: KnownAdapters,
): UnrestoredSetting[] {
  const missing: UnrestoredSetting[] = [];
  const tagged = new Set<string>();
  for (const { kind, parts, text } of prompts.flatMap((prompt = '') => extractTags(prompt).tags)) {
    const label = UNSUPPORTED.get(kind.toLowerCase());
    if (label !== undefined) missing.push({ name: label, value: text });
    if (!isLoraKind(kind)) continue;
    const [name = ''] = parts;
    tagged.add(name);
    if (loras && !named(loras, name)) missing.push({ name: 'LoRA', value: name });
  }
  // Names in hashes lack the characters that separate them; a tag may have been renamed.
  const known = new Set([...tagged].map((name) => name.replace(/[:,]/g, '')));
  for (const [name, hash] of hashesOf(fields['Lora hashes'])) {
    const renamed = withHash(loras ?? [], hash)?.name;
    if (!known.has(name) && !(renamed !== undefined && tagged.has(renamed)))
      missing.push({ name: 'LoRA', value: name });
  }
  for (const [name] of hashesOf(fields['TI hashes']))
    if (embeddings && !named(embeddings, name)) missing.push({ name: 'Embedding', value: name });
  return [...new Map(missing.map((setting) => [`${setting.name} ${setting.value}`, setting])).values()];
}

/** Parses `name: hash, name: hash`. */
export function hashesOf(value = ''): Map<string, string> {
  return new Map(
    value.split(',').flatMap((entry): [string, string][] => {
      const [name = '', hash = ''] = entry.split(':').map((part) => part.trim());
      return name === '' ? [] : [[name, hash.toLowerCase()]];
    }),
  );
}

function named(adapters: readonly KnownAdapter[], name: string): KnownAdapter | undefined {
  const target = name.toLowerCase();
  return adapters.find(
    (adapter) => adapter.name.toLowerCase() === target || adapter.alias?.toLowerCase() === target,
  );
}

/** Finds the adapter with a hash; older versions of A1111 wrote fewer digits. */
function withHash(adapters: readonly KnownAdapter[], hash: string | undefined): KnownAdapter | undefined {
  const shortest = 10;
  if (hash === undefined || hash.length < shortest) return undefined;
  return adapters.find(
    (adapter) =>
      adapter.hash !== undefined && (adapter.hash.startsWith(hash) || hash.startsWith(adapter.hash)),
  );
}
