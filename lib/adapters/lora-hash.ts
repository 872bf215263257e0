/** Short hashes of LoRA files, by which A1111 and kohya's tools recognize a file under another name. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { openWeights } from '../checkpoint/formats/open-weights.js';
import { SafelightError, throwIfAborted } from '../errors.js';
import { openRegular, readFully } from '../files/read.js';

const DIGITS = 12;
const STATED = /^[0-9a-f]{12,64}$/;

/**
 * Returns 12 hexadecimal digits: of the hash that the trainer stored (`sshs_model_hash`), else of the SHA-256 of a safetensors file's bytes
 * after its header, which renaming or editing metadata does not change; of the whole file in other formats.
 * @throws ADAPTER_NOT_FOUND, INVALID_FILE, UNSUPPORTED_MODEL, ABORTED
 */
export async function loraHash(path: string, signal?: AbortSignal): Promise<string> {
  try {
    const { notes } = await openWeights(path);
    const stated = notes.get('sshs_model_hash')?.toLowerCase().replace(/^0x/, '') ?? '';
    if (STATED.test(stated)) return stated.slice(0, DIGITS);
    const hash = createHash('sha256');
    const start = await dataOffset(path);
    for await (const chunk of createReadStream(path, { start, highWaterMark: 1 << 20 })) {
      throwIfAborted(signal);
      hash.update(chunk as Buffer);
    }
    return hash.digest('hex').slice(0, DIGITS);
  } catch (error) {
    if (error instanceof SafelightError && error.code !== 'FILE_NOT_FOUND') throw error;
    throw new SafelightError('ADAPTER_NOT_FOUND', `The LoRA ${(error as Error).message}`, { cause: error });
  }
}

/** Returns the offset of the tensors of a safetensors file; 0 for other formats. */
async function dataOffset(path: string): Promise<number> {
  const { handle, size } = await openRegular(path);
  try {
    const prefix = Buffer.alloc(9);
    if (size < prefix.length) return 0;
    await readFully(handle, prefix, 0, path);
    // A JSON header follows its length of 8 bytes. PyTorch's archives and pickles begin otherwise.
    const isHeader = prefix[8] === 0x7b && prefix.readBigUInt64LE(0) <= BigInt(size - 8);
    return isHeader ? 8 + Number(prefix.readBigUInt64LE(0)) : 0;
  } finally {
    await handle.close();
  }
}
