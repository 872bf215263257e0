/** A folder of embeddings, such as A1111's `embeddings`. */
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, extname, join, resolve } from 'node:path';
import { SafelightError } from '../../errors.js';
import { fileError } from '../../files/read.js';
import { type EmbeddingFile, MAX_EMBEDDING_BYTES, readEmbedding } from './embedding-file.js';
import { hasEmbedding } from './embedding-image.js';

export interface EmbeddingEntry {
  /** Name under which prompts contain it. */
  readonly name: string;
  /** Absolute path. */
  readonly path: string;
}

/** A value derived from a file, valid until the file's size or modification time changes. */
interface Cached<T> {
  readonly identity: string;
  readonly value: T;
}

const WEIGHTS: ReadonlySet<string> = new Set(['.pt', '.bin', '.safetensors']);
const IMAGES: ReadonlySet<string> = new Set(['.png', '.webp']);
const MAX_DEPTH = 16;
const MAX_FILES = 20_000;
/** Number of embeddings kept in memory, each up to a megabyte in practice. */
const MAX_CACHED = 128;

export class EmbeddingFolder {
  /** Absolute path. */
  readonly path: string;
  private entries = new Map<string, string>();
  private readonly files = new Map<string, Cached<EmbeddingFile>>();
  /** Names of embeddings in images by path; undefined for images without one. */
  private images = new Map<string, Cached<string | undefined>>();

  constructor(path: string) {
    this.path = resolve(path);
  }

  /**
   * Lists the embeddings in the folder and its subfolders, sorted by path; of several with the same name, the first.
   * Hidden files and previews are skipped: `*.preview.png`, images beside a file of the same name, and images without
   * an embedding. Other files are not read, so a damaged one is listed.
   * @throws FILE_NOT_FOUND if the folder does not exist
   */
  async list(): Promise<readonly EmbeddingEntry[]> {
    const paths: string[] = [];
    await walk(this.path, paths, new Set(), 0);
    const stems = new Set(paths.filter(isWeights).map(withoutExtension));
    const images = new Map<string, Cached<string | undefined>>();
    const entries = new Map<string, string>();
    for (const path of paths) {
      const isImage = !isWeights(path);
      if (isImage && stems.has(withoutExtension(path))) continue;
      const name = isImage ? await this.imageName(path, images) : basename(withoutExtension(path));
      if (name !== undefined && !entries.has(name)) entries.set(name, path);
    }
    this.images = images;
    this.entries = entries;
    return [...entries].map(([name, path]) => ({ name, path }));
  }

  /** Lists the embeddings; none if the folder does not exist, because it may be created later. */
  async listIfPresent(): Promise<readonly EmbeddingEntry[]> {
    try {
      return await this.list();
    } catch (error) {
      if (error instanceof SafelightError && error.code === 'FILE_NOT_FOUND') return [];
      throw error;
    }
  }

  /**
   * Returns an embedding; its file is read again only after it has changed.
   * @throws ADAPTER_NOT_FOUND for a name that the folder does not have, and errors of `readEmbedding`
   */
  async read(name: string): Promise<EmbeddingFile> {
    if (!this.entries.has(name)) await this.list();
    const path = this.entries.get(name);
    if (path === undefined)
      throw new SafelightError(
        'ADAPTER_NOT_FOUND',
        `${this.path} has no embedding named ${JSON.stringify(name)}; its embeddings are: ${[...this.entries.keys()].slice(0, 20).join(', ') || 'none'}`,
      );
    const identity = await identityOf(path);
    const cached = this.files.get(path);
    const file = cached?.identity === identity ? cached.value : await readEmbedding(path);
    // Moves the entry to the end, since the first entry is evicted.
    this.files.delete(path);
    this.files.set(path, { identity, value: file });
    const [oldest] = this.files.keys();
    if (this.files.size > MAX_CACHED && oldest !== undefined) this.files.delete(oldest);
    return file;
  }

  private async imageName(
    path: string,
    images: Map<string, Cached<string | undefined>>,
  ): Promise<string | undefined> {
    const identity = await identityOf(path);
    const cached = this.images.get(path);
    const value = cached?.identity === identity ? cached.value : await nameOfImage(path);
    images.set(path, { identity, value });
    return value;
  }
}

/** Returns the name of the embedding in an image, for a malformed one that of the file; undefined without one. */
async function nameOfImage(path: string): Promise<string | undefined> {
  try {
    if ((await stat(path)).size > MAX_EMBEDDING_BYTES || !(await hasEmbedding(await readFile(path))))
      return undefined;
  } catch {
    return undefined;
  }
  return readEmbedding(path).then(
    ({ name }) => name,
    () => basename(withoutExtension(path)),
  );
}

/**
 * Collects the files with an embedding's extension. Links are followed, and folders that contain themselves are visited
 * once.
 */
async function walk(folder: string, paths: string[], seen: Set<string>, depth: number): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    if (depth > 0) return [];
    throw fileError(folder, error);
  });
  const real = await realpath(folder).catch(() => folder);
  if (seen.has(real) || depth > MAX_DEPTH) return;
  seen.add(real);
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (entry.name.startsWith('.') || paths.length >= MAX_FILES) continue;
    const kind = entry.isSymbolicLink() ? await stat(path).catch(() => entry) : entry;
    if (kind.isDirectory()) await walk(path, paths, seen, depth + 1);
    else if (kind.isFile() && isCandidate(path)) paths.push(path);
  }
}

function isCandidate(path: string): boolean {
  const isPreview = extname(withoutExtension(path)).toLowerCase() === '.preview';
  return isWeights(path) || (IMAGES.has(extname(path).toLowerCase()) && !isPreview);
}

function isWeights(path: string): boolean {
  return WEIGHTS.has(extname(path).toLowerCase());
}

function withoutExtension(path: string): string {
  return path.slice(0, path.length - extname(path).length);
}

/** Returns modification time and size; empty for a missing file, which then fails to read. */
async function identityOf(path: string): Promise<string> {
  return stat(path).then(
    ({ mtimeMs, size }) => `${mtimeMs} ${size}`,
    () => '',
  );
}
