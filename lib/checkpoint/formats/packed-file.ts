/**
 * Packed weights: the parameters of one module as they are kept in memory (converted, quantized, turned, in order), so that they can be
 * mapped and used where they lie. A file is `SLPACK1\n`, eight bytes of the header's length, a JSON header, and the parameters, each at
 * a multiple of 64 bytes. It is a cache of other files and only valid with them (see packed-cache.ts); not a form to hand on.
 */
import type { FileHandle } from 'node:fs/promises';
import { z } from 'zod';
import type { SourceType, WeightPlan, WeightPlanEntry } from '../../binding/types.js';
import { SafelightError } from '../../errors.js';
import { openRegular, readFully } from '../../files/read.js';
import { entryBytes } from '../weights/plan-bytes.js';

const MAGIC = Buffer.from('SLPACK1\n');
const PREFIX = MAGIC.length + 8;
/** As much as any vector register, and a cache line. */
const ALIGNMENT = 64;
const MAX_HEADER = 64 * 2 ** 20;

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const natural = z.number().int().nonnegative();

/** A file that weights were taken from, as it was then. */
const sourceFile = z.object({
  path: z.string(),
  /** Bytes. */
  size: natural,
  /** Last change, in nanoseconds since 1970. */
  modified: z.string().regex(/^\d+$/),
  /** Of its first bytes, where headers are. */
  head: sha256,
  /** Of all of it. */
  content: sha256,
});

const packedHeader = z.object({
  key: sha256,
  /** Absolute path of the model, and which of its modules this is. */
  model: z.string(),
  module: z.string(),
  /** What was asked for; null for each tensor's own. */
  storage: z.string().nullable(),
  sources: z.array(sourceFile),
  /** Of everything behind the header. */
  content: sha256,
  entries: z.array(
    z.object({
      name: z.string(),
      shape: z.array(natural),
      storage: z.string(),
      offset: natural,
      length: natural,
    }),
  ),
});

export type SourceFile = z.infer<typeof sourceFile>;
export type PackedHeader = z.infer<typeof packedHeader>;

export interface PackedLayout {
  readonly header: PackedHeader;
  /** Where the parameters begin: behind the header and what fills it up. */
  readonly dataOffset: number;
  /** Bytes of the whole file. */
  readonly size: number;
}

/** Where everything of a plan goes. The header's content hash is still to be filled in. */
export function layoutPacked(
  plan: WeightPlan,
  told: Omit<PackedHeader, 'content' | 'entries'>,
): PackedLayout {
  let end = 0;
  const places = plan.entries.map((entry) => {
    const offset = aligned(end);
    const length = entryBytes(entry);
    end = offset + length;
    return { name: entry.name, shape: [...entry.shape], storage: entry.storage, offset, length };
  });
  const header = { ...told, content: '0'.repeat(64), entries: places };
  // Offsets from the file's beginning have more digits than from the data's: room for them is left at the end of the header.
  const room = 16 * places.length;
  const dataOffset = aligned(PREFIX + Buffer.byteLength(JSON.stringify(header)) + room);
  const entries = places.map((place) => ({ ...place, offset: dataOffset + place.offset }));
  return { header: { ...header, entries }, dataOffset, size: dataOffset + end };
}

/** Writes the header in front of the data, filled up with spaces. */
export async function writePackedHeader(
  handle: FileHandle,
  { header, dataOffset }: Pick<PackedLayout, 'header' | 'dataOffset'>,
): Promise<void> {
  const json = Buffer.alloc(dataOffset - PREFIX, ' ');
  json.write(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const bytes = Buffer.concat([MAGIC, length, json]);
  await handle.write(bytes, 0, bytes.length, 0);
}

/** @throws INVALID_FILE for anything but a whole packed file, FILE_NOT_FOUND */
export async function readPacked(path: string): Promise<PackedLayout> {
  const { handle, size } = await openRegular(path);
  try {
    const prefix = Buffer.alloc(PREFIX);
    if (size < PREFIX) throw damaged(path);
    await readFully(handle, prefix, 0, path);
    const length = Number(prefix.readBigUInt64LE(MAGIC.length));
    if (!prefix.subarray(0, MAGIC.length).equals(MAGIC) || length > Math.min(MAX_HEADER, size - PREFIX))
      throw damaged(path);
    const json = Buffer.alloc(length);
    await readFully(handle, json, PREFIX, path);
    const header = packedHeader.parse(JSON.parse(json.toString('utf8')));
    const dataOffset = PREFIX + length;
    let end = dataOffset;
    for (const { offset, length: bytes } of header.entries) {
      if (offset !== aligned(end)) throw damaged(path);
      end = offset + bytes;
    }
    if (end !== size || dataOffset % ALIGNMENT !== 0) throw damaged(path);
    return { header, dataOffset, size };
  } catch (error) {
    throw error instanceof SafelightError ? error : damaged(path, error);
  } finally {
    await handle.close();
  }
}

/** The plan that takes the same parameters from the packed file, or undefined where they are others. */
export function packedPlan(path: string, { header }: PackedLayout, plan: WeightPlan): WeightPlan | undefined {
  if (header.entries.length !== plan.entries.length) return undefined;
  const entries: WeightPlanEntry[] = [];
  for (const [i, { name, shape, storage }] of plan.entries.entries()) {
    const packed = header.entries[i]!;
    const same = packed.name === name && packed.storage === storage && packed.shape.join() === shape.join();
    if (!same || packed.length !== entryBytes(plan.entries[i]!)) return undefined;
    const { offset, length } = packed;
    // Every storage has its name in files in capitals.
    const type = storage.toUpperCase() as SourceType;
    entries.push({ name, shape, source: { file: 0, offset, length, type, shape }, storage });
  }
  return { files: [path], entries };
}

function aligned(offset: number): number {
  return Math.ceil(offset / ALIGNMENT) * ALIGNMENT;
}

function damaged(path: string, cause?: unknown): SafelightError {
  return new SafelightError(
    'INVALID_FILE',
    `${path} is no whole file of packed weights; remove it and pack again`,
    {
      cause,
    },
  );
}
