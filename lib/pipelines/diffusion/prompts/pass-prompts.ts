/** Prompts of a sampling pass, separated from the tags of the LoRAs that they name. */
import { basename, extname } from 'node:path';
import type { LoraEntry, LoraFolder } from '../../../adapters/lora-folder.js';
import { type LoraSettings, MAX_LORAS } from '../../../adapters/lora-options.js';
import { type NamedLora, readLoraTag } from '../../../adapters/lora-tag.js';
import { extractTags, isLoraKind, type NetworkTag } from '../../../conditioning/network-tags.js';
import { invalidOption, SafelightError } from '../../../errors.js';
import type { Region } from '../../../options/declarations/prompt.js';
import type { Warnings } from '../../../warnings.js';
import type { Settings } from '../../options.js';

/** A LoRA of a call with the name that prompts and generation parameters use for it. */
export interface ActiveLora {
  readonly name: string;
  readonly settings: LoraSettings;
}

export interface PassPrompts {
  /** Without tags. */
  readonly prompt: string;
  readonly negative: string;
  readonly regions: readonly Region[];
  /** LoRAs of the option `loras`, followed by those of the tags. */
  readonly loras: readonly ActiveLora[];
}

type PromptSettings = Pick<Settings, 'loras' | 'regions' | 'files' | 'missingAdapters' | 'warnings'>;

/** Returns the name of a LoRA in tags: its file name without extension. */
export function loraName(path: string): string {
  return basename(path, extname(path));
}

/**
 * Separates the prompts of a pass from their tags and finds the LoRAs. As in A1111, the negative prompt has no tags, and
 * those of unknown kinds are ignored.
 * @throws ADAPTER_NOT_FOUND, INVALID_OPTION for a malformed tag
 */
export async function readPassPrompts(
  texts: { readonly prompt: string; readonly negative: string },
  settings: PromptSettings,
): Promise<PassPrompts> {
  const main = extractTags(texts.prompt);
  const regions = settings.regions.map(({ mask, prompt }) => ({ mask, ...extractTags(prompt) }));
  const tags = [main, ...regions].flatMap((each) => each.tags);
  if (tags.filter(isLora).length > MAX_TAGS)
    throw invalidOption('prompt', `at most ${MAX_LORAS} LoRAs`, tags.filter(isLora).length);
  const tagged = await lorasOf(tags, settings);
  const given = settings.loras.map((lora): ActiveLora => ({ name: loraName(lora.path), settings: lora }));
  if (given.length + tagged.length > MAX_LORAS)
    throw invalidOption('prompt', `at most ${MAX_LORAS} LoRAs`, given.length + tagged.length);
  warnOfNegativeTags(texts.negative, settings.warnings);
  return {
    prompt: main.text,
    negative: texts.negative,
    regions: regions.map(({ mask, text }) => ({ mask, prompt: text })),
    loras: [...given, ...tagged],
  };
}

const HYPERNETWORK = 'hypernet';
/** Codes of errors in tags that `missingAdapters: 'warn'` turns into warnings. */
const IGNORED: ReadonlySet<string> = new Set(['ADAPTER_NOT_FOUND', 'INVALID_OPTION']);
/** Tags of LoRAs that are looked up, of which some may be unknown and ignored. */
const MAX_TAGS = 200;
/** Tags with a warning each; one further warning counts the rest. */
const MAX_LISTED = 16;

function isLora({ kind }: NetworkTag): boolean {
  return isLoraKind(kind);
}

/** True for the kinds that A1111 knows. */
function isNetwork({ kind }: NetworkTag): boolean {
  return isLoraKind(kind) || kind.toLowerCase() === HYPERNETWORK;
}

async function lorasOf(tags: readonly NetworkTag[], settings: PromptSettings): Promise<ActiveLora[]> {
  const { files, missingAdapters, warnings } = settings;
  const others = tags.filter((tag) => !isLora(tag));
  for (const { kind, text } of others.slice(0, MAX_LISTED)) {
    const networks = kind.toLowerCase() === HYPERNETWORK ? 'Hypernetworks' : 'Networks of this kind';
    warnings.add('PROMPT_SYNTAX', `${networks} are not supported; ${text} is ignored`);
  }
  if (others.length > MAX_LISTED)
    warnings.add(
      'PROMPT_SYNTAX',
      `${others.length - MAX_LISTED} more tags are not supported and are ignored`,
    );
  const named = tags.filter(isLora).map((tag) => ({ tag, lora: attempt(() => readLoraTag(tag.parts)) }));
  const names = named.map(({ tag }) => tag.parts[0]?.trim() ?? '');
  const found = await find(files.loras, names);
  const loras: ActiveLora[] = [];
  for (const [i, { tag, lora }] of named.entries()) {
    const error = [lora, found[i]].find((each) => each instanceof SafelightError);
    if (error) {
      if (missingAdapters !== 'warn' || !IGNORED.has(error.code)) throw error;
      const code = error.code === 'ADAPTER_NOT_FOUND' ? error.code : 'PROMPT_SYNTAX';
      warnings.add(code, `${tag.text} is ignored: ${error.message}`);
      continue;
    }
    const { name, ...weights } = lora as NamedLora;
    loras.push({ name, settings: { ...weights, path: (found[i] as LoraEntry).path } });
  }
  return loras;
}

function attempt<T>(read: () => T): T | SafelightError {
  try {
    return read();
  } catch (error) {
    if (error instanceof SafelightError) return error;
    throw error;
  }
}

async function find(
  folder: LoraFolder | undefined,
  names: readonly string[],
): Promise<(LoraEntry | SafelightError)[]> {
  if (names.length === 0) return [];
  if (folder) return folder.find(names);
  return names.map(
    (name) =>
      new SafelightError(
        'ADAPTER_NOT_FOUND',
        `The prompt names the LoRA ${JSON.stringify(name.slice(0, 100))}, but no folder of LoRAs is set; set loraFolder (--loras FOLDER), or use the option loras (--lora FILE)`,
      ),
  );
}

function warnOfNegativeTags(negative: string, warnings: Warnings): void {
  const [tag, ...more] = extractTags(negative).tags.filter(isNetwork);
  if (!tag) return;
  const others = more.length > 0 ? ` and ${more.length} more tags` : '';
  warnings.add(
    'PROMPT_SYNTAX',
    `${tag.text}${others} in the negative prompt is text, as in A1111; name LoRAs in the prompt`,
  );
}
