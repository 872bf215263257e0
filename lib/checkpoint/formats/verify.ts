import { SafelightError, throwIfAborted } from '../../errors.js';
import { fileError, openRegular } from '../../files/read.js';
import type { Checksum, TensorInfo } from '../weights/tensor-index.js';
import { crcOfRange } from './crc.js';

/**
 * Verifies tensors against their files' checksums, each record once, at the speed of the disk; loading then reads from
 * the system's file cache.
 * @throws INVALID_FILE naming the tensor, FILE_NOT_FOUND, ABORTED
 */
export async function verifyTensors(tensors: Iterable<TensorInfo>, signal?: AbortSignal): Promise<void> {
  const files = new Map<string, Map<number, { checksum: Checksum; name: string }>>();
  for (const { name, file, checksum } of tensors) {
    if (checksum === undefined) continue;
    const records = files.get(file) ?? new Map();
    files.set(file, records.set(checksum.offset, { checksum, name }));
  }
  for (const [file, records] of files) {
    const { handle } = await openRegular(file);
    try {
      for (const { checksum, name } of [...records.values()].sort(
        (a, b) => a.checksum.offset - b.checksum.offset,
      )) {
        throwIfAborted(signal);
        if ((await crcOfRange(handle, checksum.offset, checksum.length, file)) !== checksum.crc) {
          throw new SafelightError(
            'INVALID_FILE',
            `${file} has a wrong checksum for ${JSON.stringify(name)}; it is damaged: download it again`,
          );
        }
      }
    } catch (error) {
      throw fileError(file, error);
    } finally {
      await handle.close();
    }
  }
}

/** Returns the tensors without checksums, so that they are not verified again. */
export function withoutChecksums(tensors: ReadonlyMap<string, TensorInfo>): Map<string, TensorInfo> {
  return new Map(
    [...tensors].map(([name, { checksum: _, ...tensor }]): [string, TensorInfo] => [name, tensor]),
  );
}
