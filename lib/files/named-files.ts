/** Files of a folder by name, as prompts and options refer to them: names never lead out of the folder. */
import { basename, extname, relative, resolve, sep } from 'node:path';
import { listFiles } from './list.js';

/** A file that can be referred to by name. */
export interface NamedFile {
  /** File name without extension. */
  readonly name: string;
  /** Absolute path. */
  readonly path: string;
  /** Path relative to the folder, with `/`. */
  readonly file: string;
}

/** Characters of a name quoted in messages. */
const MAX_SHOWN = 100;

/**
 * Lists the files of a folder and its subfolders that have one of the extensions, sorted by path.
 * @param extensions in lower case, such as `.pt`
 * @throws FILE_NOT_FOUND
 */
export async function listNamed(folder: string, extensions: ReadonlySet<string>): Promise<NamedFile[]> {
  const root = resolve(folder);
  const paths = await listFiles(root, (name) => extensions.has(extname(name).toLowerCase()));
  return paths.map((path) => ({
    ...{ name: basename(path, extname(path)), path },
    file: relative(root, path).split(sep).join('/'),
  }));
}

/**
 * Finds a file by its name, or by its path below the folder without extension. An exact match precedes one that differs
 * in case.
 */
export function fileNamed<F extends NamedFile>(files: readonly F[], name: string): F | undefined {
  return named(files, name, (entry) => entry.name) ?? named(files, name, pathOf);
}

/** Quotes a name for a message, shortened to 100 characters. */
export function quotedName(name: string): string {
  return JSON.stringify(name.length > MAX_SHOWN ? `${name.slice(0, MAX_SHOWN)}...` : name);
}

function named<F extends NamedFile>(
  files: readonly F[],
  name: string,
  spelling: (file: F) => string,
): F | undefined {
  const target = name.toLowerCase();
  return (
    files.find((file) => spelling(file) === name) ??
    files.find((file) => spelling(file).toLowerCase() === target)
  );
}

function pathOf({ file }: NamedFile): string {
  return file.slice(0, file.length - extname(file).length);
}
