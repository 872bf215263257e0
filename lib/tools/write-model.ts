/** Writing of the tensors that a conversion or a merge has planned, as a GGUF or safetensors file. */
import { resolve } from 'node:path';
import type { StorageType, WriteRequest } from '../binding/types.js';
import { writeWeights } from '../binding/write-weights.js';
import { storedBytes } from '../checkpoint/weights/storage.js';
import { throwIfAborted } from '../errors.js';
import { STDOUT } from '../files/destination.js';
import { writeLargeOutput } from '../files/write.js';
import { withRowBlocks } from '../modules/row-blocks.js';
import { elementCount } from '../tensor/shape.js';
import { joinPlans, type PlannedPart } from './convert-plan.js';
import type { ConvertSource } from './convert-source.js';

/** Place and size of the data in the file. */
export interface FileLayout {
  /** All bytes before the data. */
  readonly header: Buffer;
  readonly offsets: readonly number[];
  readonly lengths: readonly number[];
  readonly size: number;
}

export interface WriteModelOptions {
  readonly threads: number;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((done: number, total: number) => void) | undefined;
}

/** Number of tensors and bytes per type, sorted by bytes in descending order. */
export type TypeSizes = readonly {
  readonly type: StorageType;
  readonly tensors: number;
  readonly bytes: number;
}[];

export interface WrittenModel {
  /** Absolute path of the file; `-` for stdout. */
  readonly path: string;
  /** Size of the file. */
  readonly bytes: number;
  /** Number of tensors. */
  readonly tensors: number;
  readonly types: TypeSizes;
}

/** Verifies the tensors of a source against the checksums in its files. @throws INVALID_FILE, ABORTED */
export async function verifySource(
  { parts }: ConvertSource,
  planned: readonly PlannedPart[],
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const [i, { weights }] of parts.entries())
    await weights.verify(
      planned[i]!.tensors.flatMap((tensor) => tensor.entries),
      signal,
    );
}

/**
 * Writes a file atomically.
 * @param target path, or `-` for stdout
 * @param changes to the written entries
 * @throws FILE_NOT_WRITTEN, INVALID_FILE, SHAPE_MISMATCH, ABORTED
 */
export async function writeModel(
  target: string,
  planned: readonly PlannedPart[],
  layout: FileLayout,
  changes: Pick<WriteRequest, 'patches' | 'transposed' | 'blends'>,
  { threads, signal, onProgress }: WriteModelOptions,
): Promise<WrittenModel> {
  const tensors = planned.flatMap((part) => part.tensors);
  const { plan, offsets } = joinPlans(planned, layout.offsets, ({ shape, storage: type }) =>
    storedBytes(elementCount(shape), type as StorageType),
  );
  throwIfAborted(signal);
  const path = target === STDOUT ? STDOUT : resolve(target);
  await writeLargeOutput(path, async (handle, temporary) => {
    await handle.writeFile(layout.header);
    await handle.truncate(layout.size);
    await withRowBlocks(plan, { threads, signal }, (blockPlan) =>
      writeWeights(
        { path: temporary, plan: blockPlan, offsets, threads, ...changes },
        { signal, onProgress },
      ),
    );
  });
  const types = typesOf(
    tensors.map(({ type }) => type),
    layout.lengths,
  );
  return { path, bytes: layout.size, tensors: tensors.length, types };
}

function typesOf(types: readonly StorageType[], lengths: readonly number[]): TypeSizes {
  const groups = new Map<StorageType, { tensors: number; bytes: number }>();
  types.forEach((type, i) => {
    const { tensors, bytes } = groups.get(type) ?? { tensors: 0, bytes: 0 };
    groups.set(type, { tensors: tensors + 1, bytes: bytes + lengths[i]! });
  });
  return [...groups].map(([type, group]) => ({ type, ...group })).sort((a, b) => b.bytes - a.bytes);
}
