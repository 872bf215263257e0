/** State of a file that is downloaded in parts, stored next to it for resumption. */
import { readFile, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { removeFile, renameFile } from '../../files/replace.js';
import { parsedJson } from '../json.js';

/** Bytes per part; the last one is shorter. */
const PART = 32 << 20;

const schema = z.lazy(() =>
  z.object({
    version: z.literal(1),
    size: z.int().positive(),
    tag: z.string(),
    part: z.literal(PART),
    done: z.array(z.int().min(0).max(PART)),
  }),
);

export interface Part {
  readonly index: number;
  /** Offset of the first byte, and after the last one. */
  readonly begin: number;
  readonly end: number;
}

export class Parts {
  private constructor(
    private readonly path: string,
    readonly size: number,
    private readonly tag: string,
    /** Bytes of each part on disk, from its first byte. */
    private readonly done: number[],
  ) {}

  /** Reads the state at `path` if it is of the same file (size and tag); else starts from zero. */
  static async open(path: string, size: number, tag: string): Promise<Parts> {
    const count = Math.ceil(size / PART);
    const text = await readFile(path, 'utf8').catch(() => undefined);
    const saved = schema.safeParse(text === undefined ? undefined : parsedJson(text));
    const fits =
      saved.success && saved.data.size === size && saved.data.tag === tag && saved.data.done.length === count;
    const done = fits ? saved.data.done : Array.from({ length: count }, () => 0);
    return new Parts(path, size, tag, done);
  }

  get bytes(): number {
    return this.done.reduce((sum, bytes) => sum + bytes, 0);
  }

  /** Returns the parts with missing bytes. */
  missing(): Part[] {
    return this.done
      .map((_, index) => this.part(index))
      .filter(({ index, begin, end }) => begin + this.done[index]! < end);
  }

  /** Returns the offset at which a part continues. */
  next({ index, begin }: Part): number {
    return begin + this.done[index]!;
  }

  add({ index }: Part, bytes: number): void {
    this.done[index]! += bytes;
  }

  clear(): void {
    this.done.fill(0);
  }

  /** Saves the state, after the bytes themselves were written, so that after a crash it never exceeds them. */
  async save(): Promise<void> {
    const { size, tag, done } = this;
    await writeFile(`${this.path}.new`, JSON.stringify({ version: 1, size, tag, part: PART, done }));
    await renameFile(`${this.path}.new`, this.path);
  }

  async forget(): Promise<void> {
    await removeFile(this.path, { force: true });
  }

  private part(index: number): Part {
    const begin = index * PART;
    return { index, begin, end: Math.min(begin + PART, this.size) };
  }
}
