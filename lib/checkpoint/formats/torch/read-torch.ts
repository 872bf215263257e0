/** Reads a PyTorch checkpoint (`.ckpt`, `.pt`, `.pth`, `.bin`) as an index of tensors. No code in it is executed. */
import type { FileHandle } from 'node:fs/promises';
import { resolve } from 'node:path';
import { SafelightError } from '../../../errors.js';
import { fileError, openRegular, readFully } from '../../../files/read.js';
import type { TensorInfo } from '../../weights/tensor-index.js';
import { verifyTensors, withoutChecksums } from '../verify.js';
import type { Checkpoint } from './checkpoint.js';
import { LEGACY_MAGIC, readLegacyForm } from './legacy-form.js';
import { stateDict } from './state-dict.js';
import { Dict, type PickleValue } from './values.js';
import { readZipForm } from './zip-form.js';

/** Files up to this many bytes are verified when opened, which takes less than a second. */
const VERIFIED_AT_ONCE = 1024 ** 3;
/** Bytes needed to recognize the format: the magic of tar is at offset 257. */
const HEAD = 512;

export interface TorchOptions {
  /** Uses the moving average of the weights if the file has it in a separate dict. Default false. */
  readonly ema?: boolean;
  /**
   * Verifies all tensors against the zip format's checksums immediately. Default true for files of up to 1 GiB; tensors
   * of larger files are verified when they are loaded (`verifyTensors`).
   */
  readonly verify?: boolean;
}

export interface TorchFile {
  /** Absolute path. */
  readonly path: string;
  readonly size: number;
  readonly tensors: Map<string, TensorInfo>;
  /** True if `ema` is set and the tensors are the moving average. */
  readonly averaged: boolean;
  /** Numbers and strings directly in the root dict, such as the number of training steps. */
  readonly scalars: ReadonlyMap<string, number | string>;
}

type Form = 'zip' | 'legacy' | 'tar' | 'pickle';

/** Recognizes PyTorch's formats by a file's first bytes; null for others. */
function torchForm(head: Uint8Array): Form | null {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  // A safetensors header whose length starts with the same bytes, such as 640.
  if (bytes.length > 8 && bytes.readUInt32LE(4) === 0 && bytes[8] === 0x7b) return null;
  if (bytes.toString('latin1', 0, 4) === 'PK\u0003\u0004') return 'zip';
  if (bytes.toString('latin1', 257, 262) === 'ustar') return 'tar';
  // Protocol, optionally a frame, then the magic number.
  if (bytes[0] !== 0x80 || (bytes[1] ?? 0) < 2 || (bytes[1] ?? 0) > 5) return null;
  return bytes.subarray(0, 32).includes(LEGACY_MAGIC) ? 'legacy' : 'pickle';
}

/** Returns true if a file's first bytes indicate a PyTorch checkpoint. @throws FILE_NOT_FOUND */
export async function isTorchFile(path: string): Promise<boolean> {
  const { handle, size } = await openRegular(resolve(path));
  try {
    return torchForm(await readHead(handle, size, path)) !== null;
  } catch (error) {
    throw fileError(path, error);
  } finally {
    await handle.close();
  }
}

/** @throws FILE_NOT_FOUND, INVALID_FILE, UNSUPPORTED_MODEL */
export async function readTorch(
  path: string,
  { ema = false, verify }: TorchOptions = {},
): Promise<TorchFile> {
  const absolute = resolve(path);
  const { handle, size } = await openRegular(absolute);
  try {
    const form = torchForm(await readHead(handle, size, absolute));
    const checkpoint =
      form === 'zip'
        ? await readZipForm(handle, size, absolute)
        : form === 'legacy'
          ? await readLegacyForm(handle, size, absolute)
          : refuse(form, absolute);
    const { tensors, averaged } = stateDict(checkpoint, absolute, size, ema);
    const scalars = scalarsOf(checkpoint.root);
    if (!(verify ?? size <= VERIFIED_AT_ONCE)) return { path: absolute, size, tensors, averaged, scalars };
    await verifyTensors(tensors.values());
    return { path: absolute, size, tensors: withoutChecksums(tensors), averaged, scalars };
  } catch (error) {
    throw fileError(absolute, error);
  } finally {
    await handle.close();
  }
}

function scalarsOf(root: PickleValue): Map<string, number | string> {
  const scalars = new Map<string, number | string>();
  if (root instanceof Dict)
    for (const [key, value] of root.entries)
      if (typeof key === 'string' && (typeof value === 'number' || typeof value === 'string'))
        scalars.set(key, value);
  return scalars;
}

async function readHead(handle: FileHandle, size: number, path: string): Promise<Uint8Array> {
  const head = Buffer.alloc(Math.min(HEAD, size));
  await readFully(handle, head, 0, path);
  return head;
}

function refuse(form: Exclude<Form, 'zip' | 'legacy'> | null, path: string): Checkpoint {
  if (form === 'tar') {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${path} is a checkpoint of PyTorch 0.1 (tar), which is not supported; load it in PyTorch and save it again`,
    );
  }
  if (form === 'pickle') {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${path} is a pickle that torch.save did not write; save the model's state_dict with torch.save or as safetensors`,
    );
  }
  throw new SafelightError(
    'INVALID_FILE',
    `${path} is not a PyTorch checkpoint; it is damaged: download it again`,
  );
}
