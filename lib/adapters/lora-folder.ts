/** LoRA files of a folder by name, as tags in prompts refer to them. */
import { basename, extname, relative, resolve, sep } from 'node:path';
import { openWeights } from '../checkpoint/formats/open-weights.js';
import { SafelightError } from '../errors.js';
import { FileCache } from '../files/file-cache.js';
import { listFiles } from '../files/list.js';
import { nearest } from '../suggest.js';

/** A LoRA of a folder. */
export interface LoraEntry {
  /** File name without extension. */
  readonly name: string;
  /** Name under which it was trained (`ss_output_name`), if the file states another one. */
  readonly alias: string | undefined;
  /** Absolute path. */
  readonly path: string;
  /** Path relative to the folder, with `/`. */
  readonly file: string;
}

const EXTENSIONS: ReadonlySet<string> = new Set(['.safetensors', '.pt', '.bin', '.ckpt']);

/** A folder of LoRAs with its subfolders. It is read on every call, so that new files are found. */
export class LoraFolder {
  private readonly aliases = new FileCache(aliasOf);

  constructor(readonly path: string) {}

  /** Lists the LoRAs, sorted by path. @throws FILE_NOT_FOUND */
  async list(): Promise<LoraEntry[]> {
    const root = resolve(this.path);
    const files = await listFiles(root, (name) => EXTENSIONS.has(extname(name).toLowerCase()));
    const entries: LoraEntry[] = [];
    for (const file of files) {
      const name = basename(file, extname(file));
      const alias = await this.aliases.get(file);
      entries.push({
        name,
        alias: alias === name ? undefined : alias,
        path: file,
        file: relative(root, file).split(sep).join('/'),
      });
    }
    return entries;
  }

  /**
   * Finds a LoRA by the name of its file, by its path below the folder without extension, or by its alias; uppercase and
   * lowercase letters are equal.
   * @throws ADAPTER_NOT_FOUND
   */
  async find(name: string): Promise<LoraEntry> {
    const entries = await this.list().catch((error: unknown) => {
      throw new SafelightError(
        'ADAPTER_NOT_FOUND',
        `The prompt names the LoRA ${JSON.stringify(name)}, but the folder of LoRAs ${this.path} cannot be read; create it and put the file there`,
        { cause: error },
      );
    });
    const spellings: ((entry: LoraEntry) => string | undefined)[] = [
      (entry) => entry.name,
      ({ file }) => file.slice(0, -extname(file).length),
      ({ alias }) => alias,
    ];
    const equal = (entry: LoraEntry, spelling: (entry: LoraEntry) => string | undefined) =>
      spelling(entry)?.toLowerCase() === name.toLowerCase();
    // An exact match precedes one that differs in case.
    const found =
      entries.find((entry) => spellings.some((spelling) => spelling(entry) === name)) ??
      spellings.flatMap((spelling) => entries.filter((entry) => equal(entry, spelling)))[0];
    if (found) return found;
    throw this.notFound(name, entries);
  }

  private notFound(name: string, entries: readonly LoraEntry[]): SafelightError {
    const names = entries.flatMap((entry) => [entry.name, ...(entry.alias ? [entry.alias] : [])]);
    const similar = nearest(name, names);
    const hint =
      similar === undefined ? 'put the file there or correct the name' : `did you mean ${similar}?`;
    return new SafelightError(
      'ADAPTER_NOT_FOUND',
      `No LoRA is named ${JSON.stringify(name)} in the folder ${this.path}, which has ${counted(entries.length)}; ${hint}`,
    );
  }
}

function counted(count: number): string {
  return count === 1 ? '1 LoRA' : `${count} LoRAs`;
}

/** Returns the name in a file's metadata; undefined for a file without one, and for one that cannot be read. */
async function aliasOf(path: string): Promise<string | undefined> {
  if (extname(path).toLowerCase() !== '.safetensors') return undefined;
  try {
    const { notes } = await openWeights(path);
    return notes.get('ss_output_name')?.trim() || undefined;
  } catch {
    return undefined; // reading it as a LoRA reports the reason
  }
}
