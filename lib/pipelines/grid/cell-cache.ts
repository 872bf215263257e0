/** Folder of finished cells, from which an interrupted grid is resumed: one PNG file per cell, named by its options. */
import { createHash } from 'node:crypto';
import { mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { SafelightError } from '../../errors.js';
import { writeOutput } from '../../files/write.js';
import { encodePng } from '../../image/png.js';
import { readImage } from '../../image/read.js';
import { toJson } from '../../options/json.js';
import type { CellOptions } from './cell-options.js';
import type { PlannedCell } from './cells.js';
import type { CellImage, CellStore } from './generate-cells.js';

/** Incremented when the same options generate another image. */
const VERSION = 1;
const SEED_FILE = 'grid.json';

export class CellCache implements CellStore {
  /**
   * @param folder created with the first cell
   * @param model identifies the model and how it was loaded
   */
  constructor(
    private readonly folder: string,
    private readonly model: string,
  ) {}

  /** Returns the seed of an earlier run; undefined if there is none. */
  async seed(): Promise<number | undefined> {
    try {
      const { seed } = JSON.parse(await readFile(join(this.folder, SEED_FILE), 'utf8')) as { seed: unknown };
      return typeof seed === 'number' && Number.isSafeInteger(seed) && seed >= 0 ? seed : undefined;
    } catch {
      return undefined;
    }
  }

  /** Stores the seed of this run. @throws FILE_NOT_WRITTEN */
  async keepSeed(seed: number): Promise<void> {
    await this.create();
    await writeOutput(join(this.folder, SEED_FILE), Buffer.from(`${JSON.stringify({ seed })}\n`));
  }

  async read({ options }: Pick<PlannedCell, 'options'>): Promise<CellImage | undefined> {
    const bytes = await readFile(await this.pathOf(options)).catch(() => undefined);
    return bytes && cellImageOf(bytes);
  }

  /** @throws FILE_NOT_WRITTEN, INVALID_OPTION for options without a file form, such as tensors */
  async write({ options }: Pick<PlannedCell, 'options'>, image: CellImage): Promise<void> {
    await this.create();
    await writeOutput(await this.pathOf(options), await image.png());
  }

  private async create(): Promise<void> {
    try {
      await mkdir(this.folder, { recursive: true });
    } catch (cause) {
      throw new SafelightError(
        'FILE_NOT_WRITTEN',
        `Cannot create the folder of cells ${this.folder}: ${(cause as Error).message}`,
        { cause },
      );
    }
  }

  private async pathOf(options: CellOptions): Promise<string> {
    checkStorable(options);
    const exact = {
      version: VERSION,
      model: this.model,
      options: toJson(options),
      files: await stampsOf(options),
    };
    const hash = createHash('sha256')
      .update(JSON.stringify(sorted(exact)))
      .digest('hex');
    return join(this.folder, `${hash.slice(0, 32)}.png`);
  }
}

/** Decodes the PNG file of a cell; undefined if it is damaged. */
export async function cellImageOf(bytes: Uint8Array): Promise<CellImage | undefined> {
  try {
    const { data, width, height, channels } = await readImage(bytes);
    if (channels !== 3) return undefined;
    const image = { data: new Uint8Array(data), width, height };
    return { ...image, png: async ({ metadata = true } = {}) => (metadata ? bytes : encodePng(image)) };
  } catch {
    return undefined;
  }
}

/** Rejects options that are not text and numbers, because a later run could not recognize them. @throws INVALID_OPTION */
function checkStorable(options: CellOptions): void {
  const stored = toJson(options);
  const lost = Object.entries(options).find(([name, value]) => value !== undefined && !(name in stored));
  if (lost)
    throw new SafelightError(
      'INVALID_OPTION',
      `The option ${lost[0]} is a value that cells cannot be recognized by; pass paths instead, or leave out the cache`,
    );
}

/** Returns size and time of change of the files that options name, because their content may change. */
async function stampsOf(options: CellOptions): Promise<Record<string, string>> {
  const paths = new Set<string>();
  const collect = (value: unknown): void => {
    if (typeof value === 'string') paths.add(value);
    else if (typeof value === 'object' && value !== null)
      for (const inner of Object.values(value)) collect(inner);
  };
  const { init, mask, regions, loras } = options;
  collect([init, mask, regions, loras]);
  const stamps: Record<string, string> = {};
  for (const path of paths) stamps[path] = await stampOf(path);
  return stamps;
}

/** Returns a path with size and time of change if it is a file. */
export async function stampOf(path: string): Promise<string> {
  const info = await stat(path).catch(() => undefined);
  return info?.isFile() ? `${path} ${info.size} ${info.mtimeMs}` : path;
}

/** Sorts the keys of objects, so that the order in which options are given does not matter. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}
