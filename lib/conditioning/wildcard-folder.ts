/** Wildcards of a folder, which prompts name by the paths of their files. */
import { dirname, extname, relative, resolve, sep } from 'node:path';
import { invalidOption, SafelightError } from '../errors.js';
import { FileCache } from '../files/file-cache.js';
import { listFiles } from '../files/list.js';
import { nearest } from '../suggest.js';
import type { WildcardEntry, WildcardSource, Wildcards } from './dynamic-prompts.js';
import { isGlob, matchesGlob } from './glob.js';
import {
  readTextWildcard,
  readYamlWildcards,
  TEXT_EXTENSION,
  type WildcardLists,
  YAML_EXTENSIONS,
} from './wildcard-files.js';

/**
 * A folder of wildcards with its subfolders. `colors/warm.txt` is the wildcard `colors/warm`; the keys of a YAML or
 * JSON file name wildcards below the folder of the file. Uppercase and lowercase letters are equal. The folder is
 * listed on every `open`; files are read again when their size or modification time changes.
 */
export class WildcardFolder implements WildcardSource {
  readonly #texts = new FileCache(readTextWildcard);
  readonly #yamls = new FileCache(readYamlWildcards);

  constructor(readonly path: string) {}

  /** @throws FILE_NOT_FOUND if the folder cannot be read */
  async open(): Promise<Wildcards> {
    const root = resolve(this.path);
    const accepted = [TEXT_EXTENSION, ...YAML_EXTENSIONS];
    const files = await listFiles(root, (name) => accepted.includes(extname(name).toLowerCase()));
    const lists: NamedList[] = [];
    const failures: unknown[] = [];
    for (const file of files.map((path) => ({ path, at: relative(root, path).split(sep).join('/') }))) {
      try {
        lists.push(...(await this.#listsOf(file)));
      } catch (error) {
        failures.push(error);
      }
    }
    // The order of files depends on the system; names are sorted by code units everywhere.
    lists.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.file < b.file ? -1 : 1));
    return new FolderWildcards(this.path, lists, failures);
  }

  async #listsOf({ path, at }: { readonly path: string; readonly at: string }): Promise<NamedList[]> {
    const stem = at.slice(0, at.length - extname(at).length);
    const list = (name: string, read: NamedList['read']) => ({ name, key: keyOf(name), file: at, read });
    if (extname(at).toLowerCase() === TEXT_EXTENSION) {
      // Text files have one list, so they are read only if a prompt names them.
      return [list(stem, async () => (await this.#texts.get(path)).get('') ?? [])];
    }
    const folder = dirname(at);
    const lists: WildcardLists = await this.#yamls.get(path);
    return [...lists].map(([name, entries]) =>
      list(name === '' ? stem : folder === '.' ? name : `${folder}/${name}`, async () => entries),
    );
  }
}

/** A list of entries with its name; several files may have lists of the same name. */
interface NamedList {
  readonly name: string;
  readonly key: string;
  /** Path below the folder. */
  readonly file: string;
  readonly read: () => Promise<readonly WildcardEntry[]>;
}

class FolderWildcards implements Wildcards {
  /** @param failures errors of files whose names are unknown; reported instead of a missing name */
  constructor(
    private readonly folder: string,
    private readonly lists: readonly NamedList[],
    private readonly failures: readonly unknown[],
  ) {}

  async entries(name: string): Promise<readonly WildcardEntry[]> {
    const key = keyOf(name);
    if (key.split('/').some((part) => part === '..' || part === '.' || part === ''))
      throw invalidOption('a wildcard', `a name or path inside the folder ${this.folder}`, name);
    const found = this.lists.filter((list) => (isGlob(key) ? matchesGlob(key, list.key) : list.key === key));
    if (found.length === 0) throw this.failures[0] ?? this.#notFound(name);
    const entries = new Map<string, WildcardEntry>();
    for (const list of found) {
      for (const entry of await list.read()) if (!entries.has(entry.text)) entries.set(entry.text, entry);
    }
    if (![...entries.values()].some(({ weight }) => weight > 0))
      throw new SafelightError(
        'INVALID_FILE',
        `The wildcard __${name}__ has no entries in ${found
          .map(({ file }) => file)
          .join(', ')
          .slice(0, 200)} of ${this.folder}; write one per line`,
      );
    return [...entries.values()];
  }

  #notFound(name: string): SafelightError {
    const similar = nearest(name, [...new Set(this.lists.map((list) => list.name))]);
    const hint = similar === undefined ? '' : `did you mean __${similar}__? `;
    return new SafelightError(
      'FILE_NOT_FOUND',
      `No wildcard ${isGlob(name) ? 'matches' : 'is named'} __${name}__ in the folder ${this.folder}, which has ${this.lists.length === 1 ? '1 wildcard' : `${this.lists.length} wildcards`}; ${hint}Write \\__${name}__ for the text itself`,
    );
  }
}

/** Returns the form in which names are compared. */
function keyOf(name: string): string {
  return name.trim().replaceAll('\\', '/').normalize('NFC').toLowerCase();
}
