/** LoRA files of a folder by name, as tags in prompts refer to them. */
import { extname } from 'node:path';
import { openWeights } from '../checkpoint/formats/open-weights.js';
import { SafelightError } from '../errors.js';
import { FileCache } from '../files/file-cache.js';
import { fileNamed, listNamed, type NamedFile, quotedName } from '../files/named-files.js';
import { nearest } from '../suggest.js';

/** A LoRA of a folder. */
export interface LoraEntry extends NamedFile {
  /** Name under which it was trained (`ss_output_name`), if the file states another one. */
  readonly alias: string | undefined;
}

const EXTENSIONS: ReadonlySet<string> = new Set(['.safetensors', '.pt', '.bin', '.ckpt']);

/** A folder of LoRAs with its subfolders. It is read on every call, so that new files are found. */
export class LoraFolder {
  private readonly aliases = new FileCache(aliasOf);

  constructor(readonly path: string) {}

  /** Lists the LoRAs, sorted by path. @throws FILE_NOT_FOUND */
  async list(): Promise<LoraEntry[]> {
    const files = await this.files();
    return Promise.all(
      files.map(async (entry) => {
        const alias = await this.aliases.get(entry.path);
        return { ...entry, alias: alias === entry.name ? undefined : alias };
      }),
    );
  }

  /**
   * Finds LoRAs by the names of their files, by their paths below the folder without extension, or by an alias that only
   * one file has; uppercase and lowercase letters are equal. Returns an error in place of a LoRA that does not exist.
   */
  async find(names: readonly string[]): Promise<(LoraEntry | SafelightError)[]> {
    const files = await this.files().catch((error: unknown) => error as SafelightError);
    if (!Array.isArray(files)) return names.map((name) => this.unreadable(name, files));
    const found: (LoraEntry | SafelightError)[] = [];
    let all: readonly LoraEntry[] | undefined;
    for (const name of names) {
      const byFile = fileNamed(files, name);
      // Aliases are in the headers of all files, which are read only if they are needed.
      if (!byFile) all ??= await this.list();
      found.push(byFile ?? aliased(all ?? [], name) ?? this.notFound(name, all ?? []));
    }
    return found;
  }

  private async files(): Promise<LoraEntry[]> {
    return (await listNamed(this.path, EXTENSIONS)).map((file) => ({ ...file, alias: undefined }));
  }

  private unreadable(name: string, cause: unknown): SafelightError {
    return new SafelightError(
      'ADAPTER_NOT_FOUND',
      `The prompt names the LoRA ${quotedName(name)}, but the folder of LoRAs ${this.path} cannot be read; create it and put the file there`,
      { cause },
    );
  }

  private notFound(name: string, entries: readonly LoraEntry[]): SafelightError {
    const sharing = entries.filter(({ alias }) => alias?.toLowerCase() === name.toLowerCase());
    const names = entries.flatMap((entry) => [entry.name, ...(entry.alias ? [entry.alias] : [])]);
    const similar = nearest(name, names);
    const hint =
      sharing.length > 1
        ? `${sharing.length} files were trained under that name; use a file name such as ${sharing[0]!.name}`
        : similar === undefined
          ? 'put the file there or correct the name'
          : `did you mean ${similar}?`;
    return new SafelightError(
      'ADAPTER_NOT_FOUND',
      `No LoRA is named ${quotedName(name)} in the folder ${this.path}, which has ${counted(entries.length)}; ${hint}`,
    );
  }
}

/** Returns the entry with this alias. As in A1111, an alias of several files has no meaning. */
function aliased(entries: readonly LoraEntry[], name: string): LoraEntry | undefined {
  const [only, ...others] = entries.filter(({ alias }) => alias?.toLowerCase() === name.toLowerCase());
  return others.length === 0 ? only : undefined;
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
