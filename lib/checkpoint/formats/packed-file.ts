/**
 * Packed weights: the parameters of one module in their in-memory form (converted, quantized, transposed, in order),
 * which can be memory-mapped and used in place. A file consists of `SLPACK1\n`, the header's length in eight bytes, a
 * JSON header, and the parameters, each at a multiple of 64 bytes. It is a cache, valid only with its source files (see
 * packed-cache.ts), and not a format for distribution.
 */
import type { FileHandle } from 'node:fs/promises';
import { z } from 'zod';
import type {
  PackedWeight,
  PackedWeights,
  SourceType,
  WeightPlan,
  WeightPlanEntry,
} from '../../binding/types.js';
import { SafelightError } from '../../errors.js';
import { openRegular, readFully } from '../../files/read.js';
import { entryBytes } from '../weights/plan-bytes.js';

const MAGIC = Buffer.from('SLPACK1\n');
const PREFIX = MAGIC.length + 8;
/** Alignment of parameters in bytes: a cache line, and the size of the widest vector registers. */
const ALIGNMENT = 64;
const MAX_HEADER = 64 * 2 ** 20;

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const natural = z.number().int().nonnegative();

/** A source file of the weights, at the time of packing. */
const sourceFile = z.lazy(() =>
  z.object({
    path: z.string(),
    /** Size in bytes. */
    size: natural,
    /** Modification time in nanoseconds since 1970. */
    modified: z.string().regex(/^\d+$/),
    /** SHA-256 of its first bytes, which contain the header. */
    head: sha256,
    /** SHA-256 of the complete file. */
    content: sha256,
  }),
);

const packedHeader = z.lazy(() =>
  z.object({
    key: sha256,
    /** Absolute path of the model, and the module's name. */
    model: z.string(),
    module: z.string(),
    /** The requested storage; null for each tensor's own type. */
    storage: z.string().nullable(),
    /** Precision of the products that `packed` is for. */
    precision: z.enum(['bf16', 'int8']).optional(),
    sources: z.array(sourceFile),
    /** SHA-256 of everything after the header. */
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
    /** Weights in the layout of the products, after the parameters. */
    packed: z.array(z.object({ key: z.string(), offset: natural, length: natural })).optional(),
  }),
);

export type SourceFile = z.infer<typeof sourceFile>;
export type PackedHeader = z.infer<typeof packedHeader>;

export interface PackedLayout {
  readonly header: PackedHeader;
  /** Offset of the parameters, after the padded header. */
  readonly dataOffset: number;
  /** Size of the file in bytes. */
  readonly size: number;
}

/** Computes the layout of a plan's parameters. The header's content hash is filled in after writing. */
export function layoutPacked(
  plan: WeightPlan,
  fields: Omit<PackedHeader, 'content' | 'entries'>,
): PackedLayout {
  let end = 0;
  const places = plan.entries.map((entry) => {
    const offset = aligned(end);
    const length = entryBytes(entry);
    end = offset + length;
    return { name: entry.name, shape: [...entry.shape], storage: entry.storage, offset, length };
  });
  const header = { ...fields, content: '0'.repeat(64), entries: places };
  // Absolute offsets have more digits than the relative ones of this header: the padding reserves space for them.
  // Packed weights are listed once they have been written.
  const listed = fields.precision === undefined ? 0 : Buffer.byteLength(JSON.stringify(places));
  const room = 16 * places.length + listed;
  const dataOffset = aligned(PREFIX + Buffer.byteLength(JSON.stringify(header)) + room);
  const entries = places.map((entry) => ({ ...entry, offset: dataOffset + entry.offset }));
  return { header: { ...header, entries }, dataOffset, size: dataOffset + end };
}

/** Writes the header before the data, padded with spaces. */
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

/** Reads and validates a packed file. @throws INVALID_FILE, FILE_NOT_FOUND */
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
    for (const { offset, length: bytes } of [...header.entries, ...(header.packed ?? [])]) {
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

/** Returns the layout with the packed weights, which follow the parameters. */
export function withPacked(layout: PackedLayout, packed: readonly PackedWeight[]): PackedLayout {
  const last = packed.at(-1);
  const size = last === undefined ? layout.size : last.offset + last.length;
  return { ...layout, header: { ...layout.header, packed: [...packed] }, size };
}

/** Returns the packed weights of a file, if it has any. */
export function packedWeights(path: string, { header }: PackedLayout): PackedWeights | undefined {
  return header.packed && { path, weights: header.packed };
}

/** Returns the plan that reads the same parameters from the packed file, or undefined if they differ. */
export function packedPlan(path: string, { header }: PackedLayout, plan: WeightPlan): WeightPlan | undefined {
  if (header.entries.length !== plan.entries.length) return undefined;
  const entries: WeightPlanEntry[] = [];
  for (const [i, { name, shape, storage }] of plan.entries.entries()) {
    const packed = header.entries[i]!;
    const same = packed.name === name && packed.storage === storage && packed.shape.join() === shape.join();
    if (!same || packed.length !== entryBytes(plan.entries[i]!)) return undefined;
    const { offset, length } = packed;
    // Type names in files are upper case.
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
    `${path} is not a complete file of packed weights; remove it and pack the model again`,
    {
      cause,
    },
  );
}
