/** Files of textual inversion: vectors that take the place of tokens in the text encoders of a model. */
import { createHash } from 'node:crypto';
import { basename, extname, resolve } from 'node:path';
import { readSafetensors } from '../../checkpoint/formats/safetensors.js';
import { isTorchFile, readTorch } from '../../checkpoint/formats/torch/read-torch.js';
import { defined } from '../../defined.js';
import { type ErrorCode, SafelightError } from '../../errors.js';
import { fileError, openRegular, readFully } from '../../files/read.js';
import { isEmbeddingImage, readEmbeddingImage } from './embedding-image.js';
import { type EmbeddingTables, embeddingTables, type RawTable, rawTable } from './embedding-tables.js';

export interface EmbeddingFile extends EmbeddingTables {
  /** Absolute path. */
  readonly path: string;
  /** Name under which prompts contain it: the file's name without extension, or the name that an image states. */
  readonly name: string;
  /** First 12 hex digits of the SHA-256 of the whole file, as A1111 writes them under "TI hashes". */
  readonly hash: string;
  /** Number of training steps. */
  readonly step?: number;
  /** Hash of the checkpoint used for training, as A1111 writes it. */
  readonly sdCheckpoint?: string;
  readonly sdCheckpointName?: string;
}

/** Tensors and facts of a file of any format. */
interface Content {
  readonly tables: readonly RawTable[];
  readonly facts: ReadonlyMap<string, unknown>;
}

/** Limit of files, far above real ones of up to 1 MB, or 10 MB with an image. */
export const MAX_EMBEDDING_BYTES = 64 * 2 ** 20;
const MAX_TEXT = 1000;

/**
 * Reads an embedding in the format that the file's first bytes indicate: PyTorch (`.pt`, `.bin`), safetensors, or an
 * image that contains one. No code in it is executed.
 * @throws ADAPTER_NOT_FOUND, INVALID_FILE, UNSUPPORTED_ADAPTER, NOT_FINITE
 */
export async function readEmbedding(path: string): Promise<EmbeddingFile> {
  const absolute = resolve(path);
  try {
    const bytes = await readBytes(absolute);
    const image = isEmbeddingImage(bytes);
    const { tables, facts } = image ? await readEmbeddingImage(bytes, absolute) : await readTensors(absolute);
    const stem = basename(absolute, extname(absolute));
    return {
      path: absolute,
      name: (image ? textOf(facts.get('name')) : undefined) ?? stem,
      hash: hashOf(bytes),
      ...(await embeddingTables(absolute, tables)),
      ...defined({
        step: stepOf(facts.get('step')),
        sdCheckpoint: textOf(facts.get('sd_checkpoint')),
        sdCheckpointName: textOf(facts.get('sd_checkpoint_name')),
      }),
    };
  } catch (error) {
    throw asAdapterError(error);
  }
}

/** Returns the first 12 hex digits of the SHA-256, as A1111 shortens them. */
export function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 12);
}

async function readTensors(path: string): Promise<Content> {
  if (await isTorchFile(path)) {
    const { tensors, scalars } = await readTorch(path);
    return { tables: [...tensors.values()].map((tensor) => rawTable(tensor)), facts: scalars };
  }
  const { tensors } = await readSafetensors(path);
  return { tables: [...tensors.values()].map((tensor) => rawTable(tensor)), facts: new Map() };
}

async function readBytes(path: string): Promise<Uint8Array> {
  const { handle, size } = await openRegular(path);
  try {
    if (size > MAX_EMBEDDING_BYTES)
      throw new SafelightError(
        'UNSUPPORTED_ADAPTER',
        `${path} has ${size} bytes, expected at most ${MAX_EMBEDDING_BYTES} for an embedding; it is another kind of model`,
      );
    const bytes = new Uint8Array(size);
    await readFully(handle, bytes, 0, path);
    return bytes;
  } catch (error) {
    throw fileError(path, error);
  } finally {
    await handle.close();
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' && value.length <= MAX_TEXT ? value : undefined;
}

function stepOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

const CODES: Readonly<Partial<Record<ErrorCode, ErrorCode>>> = {
  FILE_NOT_FOUND: 'ADAPTER_NOT_FOUND',
  UNSUPPORTED_MODEL: 'UNSUPPORTED_ADAPTER',
};

/** Replaces the codes of model files by those of adapters. */
function asAdapterError(error: unknown): unknown {
  if (!(error instanceof SafelightError)) return error;
  const code = CODES[error.code];
  return code === undefined
    ? error
    : new SafelightError(code, `The embedding ${error.message}`, { cause: error });
}
