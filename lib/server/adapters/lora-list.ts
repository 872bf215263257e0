/** Lists the LoRAs of the models folder with their descriptions. */
import { stat } from 'node:fs/promises';
import { describeLora, isLora, type LoraDescription } from '../../adapters/describe-lora.js';
import { readLora } from '../../adapters/lora-file.js';
import type { LoraEntry, LoraFolder } from '../../adapters/lora-folder.js';
import { defined } from '../../defined.js';
import { SafelightError } from '../../errors.js';
import { loraFamily } from '../../families/shared/unet/lora-family.js';
import { readJson } from '../../files/read.js';
import type { Hashes } from './hashes.js';
import { mapConcurrently } from './map-concurrently.js';
import { problemOf } from './problem.js';
import { DESCRIPTIONS, Siblings } from './siblings.js';

/** A LoRA as `GET /v1/adapters` returns it; null stands for unknown. */
export interface ListedLora {
  readonly name: string;
  readonly alias?: string;
  /** Path relative to the folder of LoRAs, with `/`. */
  readonly file: string;
  readonly kind: LoraDescription['kind'] | null;
  readonly family: string | null;
  readonly triggerWords: readonly string[];
  readonly baseModel: string | null;
  readonly rank: LoraDescription['rank'];
  /** Null if it is not computed yet. */
  readonly hash: string | null;
  /** Weight that the user has set in A1111. */
  readonly weight?: number;
  readonly thumbnail: boolean;
  /** Reason why it cannot be used. */
  readonly problem?: string;
}

type Facts = Pick<ListedLora, 'kind' | 'family' | 'triggerWords' | 'baseModel' | 'rank' | 'weight'>;

/** Facts about a file that cannot be used, together with `problem`. */
const UNKNOWN: Facts = { kind: null, family: null, triggerWords: [], baseModel: null, rank: null };
const MAX_DESCRIPTION = 4e6;

export class LoraList {
  private facts = new Map<string, { readonly version: string; readonly value: Promise<Facts> }>();

  constructor(
    private readonly folder: LoraFolder,
    private readonly hashes: Hashes,
  ) {}

  /** Returns the LoRAs; none if the folder does not exist. */
  async entries(): Promise<readonly LoraEntry[]> {
    try {
      return await this.folder.list();
    } catch (error) {
      if (error instanceof SafelightError && error.code === 'FILE_NOT_FOUND') return [];
      throw error;
    }
  }

  /** @param patience see `Hashes.of` */
  async list(patience: number): Promise<ListedLora[]> {
    const entries = await this.entries();
    const siblings = new Siblings();
    const described = await mapConcurrently(entries, (entry) => this.describe(entry, siblings));
    // Forgets files that have been removed.
    const paths = new Set(entries.map(({ path }) => path));
    for (const path of this.facts.keys()) if (!paths.has(path)) this.facts.delete(path);
    const usable = entries.filter((_, i) => described[i]?.problem === undefined);
    const hashes = await this.hashes.of(
      usable.map(({ path }) => path),
      patience,
    );
    return described.map((lora, i) => ({ ...lora, hash: hashes.get(entries[i]!.path) ?? null }));
  }

  private async describe(
    { name, alias, file, path }: LoraEntry,
    siblings: Siblings,
  ): Promise<Omit<ListedLora, 'hash'>> {
    const thumbnail = (await siblings.preview(path)) !== undefined;
    const common = { name, ...defined({ alias }), file };
    try {
      return { ...common, ...(await this.factsOf(path, siblings)), thumbnail };
    } catch (error) {
      return { ...common, ...UNKNOWN, thumbnail, problem: problemOf(error, path, file) };
    }
  }

  /** Returns the facts, read again when the file or a description beside it has changed. */
  private async factsOf(path: string, siblings: Siblings): Promise<Facts> {
    const descriptions = await siblings.existing(path, DESCRIPTIONS);
    const version = (await Promise.all([path, ...descriptions].map(versionOf))).join();
    const known = this.facts.get(path);
    if (known?.version === version) return known.value;
    const value = read(path, descriptions);
    this.facts.set(path, { version, value });
    value.catch(() => {
      if (this.facts.get(path)?.value === value) this.facts.delete(path);
    });
    return value;
  }
}

async function read(path: string, descriptions: readonly string[]): Promise<Facts> {
  const file = await readLora(path);
  if (!isLora(file))
    throw new SafelightError(
      'UNSUPPORTED_ADAPTER',
      `${path} is not a LoRA: none of its tensors belongs to one; move it to another folder`,
    );
  const { kind, family, triggerWords, baseModel, rank } = await describeLora(file, loraFamily(file));
  const weight = await preferredWeight(descriptions);
  return { kind, family, triggerWords, baseModel, rank, ...defined({ weight }) };
}

/** Returns the weight in A1111's description; undefined for 0, which stands for the default. */
async function preferredWeight(descriptions: readonly string[]): Promise<number | undefined> {
  const path = descriptions.find((name) => /\.json$/i.test(name) && !/\.metadata\.json$/i.test(name));
  if (path === undefined) return undefined;
  const json = await readJson(path, MAX_DESCRIPTION).catch(() => null);
  const weight =
    typeof json === 'object' ? (json as Record<string, unknown> | null)?.['preferred weight'] : 0;
  const isUsable = typeof weight === 'number' && weight !== 0 && Math.abs(weight) <= 100;
  return isUsable ? weight : undefined;
}

async function versionOf(path: string): Promise<string> {
  return stat(path).then(
    ({ size, mtimeMs }) => `${path} ${size} ${mtimeMs}`,
    () => path,
  );
}
